"""A U-Net's training step in PyTorch, see `unet_step`."""

from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np
import torch
from torch import nn

# The widths from the top down, and the trainable weights.
Description = tuple[Sequence[int], list[np.ndarray]]


def step(
    description: Description, images: np.ndarray, masks: np.ndarray, layout: str, compiled: bool = False
) -> Callable[[], float]:
    """One step of PyTorch's usual loop, network and images in the given memory layout."""
    memory_format = getattr(torch, layout)
    network: nn.Module = TorchUNet(*description).to(memory_format=memory_format).train()
    if compiled:
        network = torch.compile(network)
    x = torch.from_numpy(images).permute(0, 3, 1, 2).contiguous(memory_format=memory_format)
    y = torch.from_numpy(masks).long()
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-4, fused=True)

    def run() -> float:
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(network(x), y)
        loss.backward()
        optimizer.step()
        return loss.item()

    return run


class TorchUNet(nn.Module):
    """`keras_segen.models.unet` in PyTorch, with the trainable weights of a given one."""

    def __init__(self, filters: Sequence[int], weights: list[np.ndarray]) -> None:
        super().__init__()
        channels = [3, *filters]
        self.down = nn.ModuleList(double_convolution(*pair) for pair in pairwise(channels))
        pairs = list(zip(filters[:0:-1], filters[-2::-1], strict=True))  # (1024, 512), (512, 256), ...
        self.enlarge = nn.ModuleList(nn.ConvTranspose2d(a, b, 2, stride=2) for a, b in pairs)
        self.up = nn.ModuleList(double_convolution(2 * b, b) for _, b in pairs)
        self.logits = nn.Conv2d(filters[0], len(weights[-1]), 1)

        # Keras's order is that of the layers; its kernels have height and width in front, PyTorch's at the end.
        parts = [*self.down, *(part for pair in zip(self.enlarge, self.up, strict=True) for part in pair), self.logits]
        parameters = [parameter for part in parts for parameter in part.parameters()]
        assert sum(p.numel() for p in parameters) == sum(weight.size for weight in weights)
        with torch.no_grad():
            for parameter, weight in zip(parameters, weights, strict=True):
                value = torch.from_numpy(weight)
                parameter.copy_(value.permute(3, 2, 0, 1) if value.ndim == 4 else value)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Images (batch, 3, height, width) in [0, 255] -> logits (batch, classes, height, width)."""
        x = x / 127.5 - 1
        skips = []
        for level, block in enumerate(self.down):
            x = block(nn.functional.max_pool2d(x, 2) if level else x)
            skips.append(x)
        skips.pop()
        for enlarge, block in zip(self.enlarge, self.up, strict=True):
            x = block(torch.cat([skips.pop(), enlarge(x)], 1))
        return self.logits(x)


def double_convolution(inputs: int, outputs: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for channels in (inputs, outputs):
        layers += [
            nn.Conv2d(channels, outputs, 3, padding=1, bias=False),
            nn.BatchNorm2d(outputs, eps=1e-3),
            nn.ReLU(inplace=True),
        ]
    return nn.Sequential(*layers)
