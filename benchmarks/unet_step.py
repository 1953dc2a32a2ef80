"""A U-Net's training step, against the same network in PyTorch and against the machine.

    python benchmarks/unet_step.py [--rounds N]         about a minute and a half on two cores

One step on 8 images of 128×128 with the paper's widths: forward, backward, Adam, as `model.fit` runs it. PyTorch trains
the same network from the same weights in both memory layouts; that the first losses agree is checked before anything
is timed. The limit is the rate of a large float32 matrix product, so "of limit" says which share of the machine's
arithmetic goes into the convolutions; the rest is memory traffic: normalisation, ReLU, joins, Adam's 31 million weights.
Read "ratio" across the rows of one run; times move from run to run with the machine.
"""

import argparse
from collections.abc import Callable

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
    rounds = parser.parse_args().rounds

    use_all_cores()
    keras.utils.set_random_seed(0)
    rng = np.random.default_rng(0)
    images = rng.uniform(0, 255, (BATCH, SIZE, SIZE, 3)).astype("float32")
    masks = rng.integers(0, CLASSES, (BATCH, SIZE, SIZE), "int32")

    model = unet(CLASSES, filters=FILTERS)
    contiguous, channels_last = TorchUNet(model), TorchUNet(model)
    gflop = training_gflop(model, images)
    steps = {
        "keras_segen": keras_step(model, images, masks),
        "PyTorch, contiguous": torch_step(contiguous, images, masks, torch.contiguous_format),
        "PyTorch, channels_last": torch_step(channels_last, images, masks, torch.channels_last),
    }
    losses = [step() for step in steps.values()]
    np.testing.assert_allclose(losses, losses[0], rtol=1e-4)

    title = (
        f"U-Net's training step: {BATCH} images of {SIZE}×{SIZE}, {model.count_params():,} weights, {gflop:.1f} GFLOP"
    )
    compare(title, [Contender(n, s, gflop) for n, s in steps.items()], limits=matrix_products(), rounds=rounds)


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
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-4)

    def step() -> float:
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(network(x), y)
        loss.backward()
        optimizer.step()
        return loss.item()

    return step


class TorchUNet(nn.Module):
    """`keras_segen.models.unet` in PyTorch, with the weights of a given one."""

    def __init__(self, twin: keras.Model) -> None:
        super().__init__()
        channels = [3, *FILTERS]
        self.down = nn.ModuleList(double_convolution(*pair) for pair in zip(channels, channels[1:], strict=False))
        pairs = list(zip(FILTERS[:0:-1], FILTERS[-2::-1], strict=True))  # (1024, 512), (512, 256), ...
        self.enlarge = nn.ModuleList(nn.ConvTranspose2d(a, b, 2, stride=2) for a, b in pairs)
        self.up = nn.ModuleList(double_convolution(2 * b, b) for _, b in pairs)
        self.logits = nn.Conv2d(FILTERS[0], CLASSES, 1)

        # Keras's order is that of the layers; its kernels have height and width in front, PyTorch's at the end.
        parts = [*self.down, *(part for pair in zip(self.enlarge, self.up, strict=True) for part in pair), self.logits]
        parameters = [parameter for part in parts for parameter in part.parameters()]
        with torch.no_grad():
            for parameter, weight in zip(parameters, twin.trainable_weights, strict=True):
                value = torch.from_numpy(np.array(weight))
                value = value.permute(3, 2, 0, 1) if value.ndim == 4 else value
                assert parameter.shape == value.shape
                parameter.copy_(value)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
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
