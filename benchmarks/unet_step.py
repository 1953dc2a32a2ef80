"""A U-Net's training step, against the same network in PyTorch and against the machine.

    python benchmarks/unet_step.py [--compile] [--rounds N]     two minutes on two cores, half a minute more to compile

One step on 8 images of 128×128 with the paper's widths: forward, backward, Adam, as `model.fit` runs it. PyTorch trains
the same network from the same weights in both memory layouts, with its fused Adam; that the networks have equally many
weights and the same first loss is checked before anything is timed. The limit is the rate of a large float32 matrix
product, so "of limit" says which share of the machine's arithmetic goes into the convolutions. The rest is memory
traffic: normalisation, ReLU, joins, Adam's 31 million weights.
Read "ratio" across the rows of one run; times move from run to run with the machine.
"""

import argparse
from collections.abc import Callable
from itertools import pairwise

import keras
import numpy as np
import tensorflow as tf
import torch
from harness import Contender, compare, matrix_products, training_gflop, use_all_cores
from torch import nn

from keras_segen.losses import CrossEntropy
from keras_segen.models import unet

BATCH, SIZE, CLASSES = 8, 128, 4
FILTERS = (64, 128, 256, 512, 1024)


def main() -> None:
    parser = argparse.ArgumentParser(description="Time a U-Net's training step.")
    parser.add_argument("--rounds", type=int, default=9, help="turns that count, after two that do not")
    parser.add_argument("--compile", action="store_true", help="torch.compile too, which needs a C++ compiler")
    options = parser.parse_args()

    use_all_cores()
    keras.utils.set_random_seed(0)
    rng = np.random.default_rng(0)
    images = rng.uniform(0, 255, (BATCH, SIZE, SIZE, 3)).astype("float32")
    masks = rng.integers(0, CLASSES, (BATCH, SIZE, SIZE), "int32")

    model = unet(CLASSES, filters=FILTERS)
    gflop = training_gflop(model, images)
    twins = {
        "PyTorch, contiguous": (TorchUNet(model), torch.contiguous_format),
        "PyTorch, channels_last": (TorchUNet(model), torch.channels_last),
    }
    if options.compile:
        twins["PyTorch, channels_last, compiled"] = (torch.compile(TorchUNet(model)), torch.channels_last)
    steps = {"keras_segen": keras_step(model, images, masks)}
    steps |= {name: torch_step(network, images, masks, layout) for name, (network, layout) in twins.items()}
    losses = [step() for step in steps.values()]
    np.testing.assert_allclose(losses, losses[0], rtol=1e-4)

    size = f"{BATCH} images of {SIZE}×{SIZE}, {count_weights(model):,} trainable weights, {gflop:.1f} GFLOP"
    compare(
        f"U-Net's training step: {size}",
        [Contender(n, s, gflop) for n, s in steps.items()],
        limits=matrix_products(),
        rounds=options.rounds,
    )


def keras_step(model: keras.Model, images: np.ndarray, masks: np.ndarray) -> Callable[[], float]:
    """One step as `model.fit` runs it: the compiled train function on a tf.data iterator."""
    model.compile(optimizer=keras.optimizers.Adam(1e-4), loss=CrossEntropy())
    model.make_train_function()
    batches = iter(tf.data.Dataset.from_tensors((images, masks)).repeat())
    return lambda: float(model.train_function(batches)["loss"])


def torch_step(
    network: nn.Module, images: np.ndarray, masks: np.ndarray, layout: torch.memory_format
) -> Callable[[], float]:
    """One step of PyTorch's usual loop, network and images in the given memory layout."""
    network = network.to(memory_format=layout).train()
    x = torch.from_numpy(images).permute(0, 3, 1, 2).contiguous(memory_format=layout)
    y = torch.from_numpy(masks).long()
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-4, fused=True)

    def step() -> float:
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(network(x), y)
        loss.backward()
        optimizer.step()
        return loss.item()

    return step


def count_weights(model: keras.Model) -> int:
    return sum(weight.numpy().size for weight in model.trainable_weights)


class TorchUNet(nn.Module):
    """`keras_segen.models.unet` in PyTorch, with the weights of a given one."""

    def __init__(self, twin: keras.Model) -> None:
        super().__init__()
        channels = [3, *FILTERS]
        self.down = nn.ModuleList(double_convolution(*pair) for pair in pairwise(channels))
        pairs = list(zip(FILTERS[:0:-1], FILTERS[-2::-1], strict=True))  # (1024, 512), (512, 256), ...
        self.enlarge = nn.ModuleList(nn.ConvTranspose2d(a, b, 2, stride=2) for a, b in pairs)
        self.up = nn.ModuleList(double_convolution(2 * b, b) for _, b in pairs)
        self.logits = nn.Conv2d(FILTERS[0], CLASSES, 1)

        # Keras's order is that of the layers; its kernels have height and width in front, PyTorch's at the end.
        parts = [*self.down, *(part for pair in zip(self.enlarge, self.up, strict=True) for part in pair), self.logits]
        parameters = [parameter for part in parts for parameter in part.parameters()]
        assert sum(p.numel() for p in parameters) == count_weights(twin)
        with torch.no_grad():
            for parameter, weight in zip(parameters, twin.trainable_weights, strict=True):
                value = torch.from_numpy(weight.numpy())
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


if __name__ == "__main__":
    main()
