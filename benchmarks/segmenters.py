"""Training step and prediction of FCN-8s and U-Net on a backbone, against the same network in PyTorch and the machine.

    python benchmarks/segmenters.py [--network fcn unet] [--backbone mobilenet resnet50] [--alpha 1] [--batch 8]
                                    [--size 256] [--rounds 7] [--processor-time]       ten minutes on two cores

The step is forward, backward and Adam, as `model.fit` runs it, on masks of which some pixels are void; prediction is
the logits, as `model.predict` computes them. PyTorch has the same network in both memory layouts, with its fused Adam.
Where our up-sampling is a fixed transposed convolution, PyTorch has its own `interpolate`, cut where the backbone's
cells lie, which takes about as long there. Before anything is timed, PyTorch's network gets our weights, and the
numbers of weights, the logits and the losses of the first step are compared, and printed. FCN trains without its
dropout here.
"Of limit" says which share of a large matrix product's rate goes into the convolutions.
"""

import argparse
from collections import OrderedDict
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import keras
import numpy as np
import tensorflow as tf
import torch
from harness import Contender, add_clock, compare, convolutions_gflop, matrix_products, use_all_cores
from torch import nn
from torch.nn import functional

from keras_segen.losses import CrossEntropy
from keras_segen.models import fcn, unet

CLASSES, VOID = 21, 255
TITLES = {"fcn": "FCN-8s", "unet": "U-Net"}
Activation = Callable[..., nn.Module]
LAYOUTS = {"contiguous": torch.contiguous_format, "channels_last": torch.channels_last}


def main() -> None:
    parser = argparse.ArgumentParser(description="Time segmenters on backbones.")
    parser.add_argument("--network", nargs="+", choices=["fcn", "unet"], default=["fcn", "unet"])
    parser.add_argument("--backbone", nargs="+", choices=["mobilenet", "resnet50"], default=["mobilenet", "resnet50"])
    parser.add_argument("--alpha", type=float, default=1.0, help="MobileNet's width")
    parser.add_argument("--batch", type=int, default=8, help="images")
    parser.add_argument("--size", type=int, default=256, help="their side, a multiple of 32")
    parser.add_argument("--rounds", type=int, default=7, help="turns that count, after two that do not")
    add_clock(parser)
    options = parser.parse_args()

    use_all_cores()
    rng = np.random.default_rng(0)
    images = rng.uniform(0, 255, (options.batch, options.size, options.size, 3)).astype("float32")
    masks = rng.integers(0, CLASSES, images.shape[:3], "int32")
    masks[:, ::8] = VOID
    for network in options.network:
        for name in options.backbone:
            keras.utils.set_random_seed(0)
            keras.backend.clear_session()
            alpha = options.alpha if name == "mobilenet" else 1.0
            race(network, name, alpha, images, masks, rounds=options.rounds, clock=options.clock)


def race(network: str, backbone: str, alpha: float, images: np.ndarray, masks: np.ndarray, **how: Any) -> None:
    """Check that the networks are the same, and print one table for prediction and one for the step."""
    build: Any = {"fcn": fcn, "unet": unet}[network]
    model = build(CLASSES, backbone=backbone, alpha=alpha, weights=None)
    if network == "fcn":
        model.get_layer("fc7_dropout").rate = 0  # the two would drop other cells
    shake(model)
    twins = {layout: TorchSegmenter(network, backbone, alpha) for layout in LAYOUTS}
    for twin in twins.values():
        copy_weights(model, twin)
    title = f"{TITLES[network]} on {backbone}{f', alpha {alpha:g}' if backbone == 'mobilenet' else ''}"
    weights = sum(parameter.numel() for parameter in twins["contiguous"].parameters())
    print(f"{title}: {count_weights(model):,} trainable weights, PyTorch's {weights:,}")
    assert count_weights(model) == weights

    predictions: dict[str, Callable[[], Any]] = {"keras_segen": keras_prediction(model, images)}
    for layout, twin in twins.items():
        predictions[f"PyTorch, {layout}"] = torch_prediction(twin, images, LAYOUTS[layout])
    ours, *theirs = (predict().numpy() for predict in predictions.values())
    for logits in theirs:
        error = np.abs(logits.transpose(0, 2, 3, 1) - ours).max() / ours.std()
        print(f"largest difference of the logits, by their standard deviation {ours.std():.3g}: {error:.1e}")
        assert error < 1e-3

    # The backbone comes first, and its first convolution needs no gradient of its input.
    costs = convolutions_gflop(model.get_layer("backbone"), images) + convolutions_gflop(model, images)
    size = f"{len(images)} images of {images.shape[1]}×{images.shape[2]}"
    contenders = [Contender(name, predict, sum(costs)) for name, predict in predictions.items()]
    compare(f"Prediction, {size}, {sum(costs):.1f} GFLOP", contenders, limits=matrix_products(), **how)

    steps = {"keras_segen": keras_step(model, images, masks)}
    for layout, twin in twins.items():
        steps[f"PyTorch, {layout}"] = torch_step(twin, images, masks, LAYOUTS[layout])
    losses = [step() for step in steps.values()]
    print(f"\nlosses of the first step: {', '.join(f'{loss:.6f}' for loss in losses)}")
    np.testing.assert_allclose(losses, losses[0], rtol=1e-4)
    gflop = 3 * sum(costs) - costs[0]
    contenders = [Contender(name, step, gflop) for name, step in steps.items()]
    compare(f"Training step, {size}, {gflop:.1f} GFLOP", contenders, limits=matrix_products(), **how)
    print()


def shake(model: keras.Model) -> None:
    """Move what starts as all zeros or all ones, which would hide a weight copied to the wrong place."""
    rng = np.random.default_rng(0)
    for weight in model.weights:
        value = weight.numpy()
        if np.ptp(value) == 0:
            weight.assign(value + rng.normal(0, 0.1, value.shape))


def count_weights(model: keras.Model) -> int:
    return sum(weight.numpy().size for weight in model.trainable_weights)


def keras_prediction(model: keras.Model, images: np.ndarray) -> Callable[[], tf.Tensor]:
    """The compiled predict function on a batch from tf.data."""
    model.make_predict_function()
    batches = iter(tf.data.Dataset.from_tensors((images,)).repeat())
    return lambda: model.predict_function([next(batches)])  # not `.numpy()`, which copies where PyTorch's does not


def keras_step(model: keras.Model, images: np.ndarray, masks: np.ndarray) -> Callable[[], float]:
    """One step as `model.fit` runs it: the compiled train function on a tf.data iterator."""
    model.compile(optimizer=keras.optimizers.Adam(1e-4), loss=CrossEntropy(ignore_class=VOID))
    model.make_train_function()
    batches = iter(tf.data.Dataset.from_tensors((images, masks)).repeat())
    return lambda: float(model.train_function(batches)["loss"])


def torch_images(images: np.ndarray, layout: torch.memory_format) -> torch.Tensor:
    return torch.from_numpy(images).permute(0, 3, 1, 2).contiguous(memory_format=layout)


def torch_prediction(network: nn.Module, images: np.ndarray, layout: torch.memory_format) -> Callable[[], torch.Tensor]:
    network = network.to(memory_format=layout).eval()
    x = torch_images(images, layout)

    def predict() -> torch.Tensor:
        with torch.inference_mode():
            return network(x)

    return predict


def torch_step(
    network: nn.Module, images: np.ndarray, masks: np.ndarray, layout: torch.memory_format
) -> Callable[[], float]:
    """One step of PyTorch's usual loop, network and images in the given memory layout."""
    network = network.to(memory_format=layout).train()
    x = torch_images(images, layout)
    y = torch.from_numpy(masks).long()
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-4, fused=True)

    def step() -> float:
        optimizer.zero_grad()
        loss = functional.cross_entropy(network(x), y, ignore_index=VOID)
        loss.backward()
        optimizer.step()
        return loss.item()

    return step


def copy_weights(model: keras.Model, twin: nn.Module) -> None:
    """Give a PyTorch network, whose modules are called as the Keras layers are, the weights of the Keras network."""
    layers = {layer.name: layer for layer in [*model.get_layer("backbone").layers, *model.layers]}
    with torch.no_grad():
        for path, module in twin.named_modules():
            if not isinstance(module, nn.Conv2d | nn.BatchNorm2d):
                continue
            values = [torch.from_numpy(value) for value in layers.pop(path.rpartition(".")[2]).get_weights()]
            if isinstance(module, nn.Conv2d):
                # Keras has (height, width, in, out), and a depthwise kernel's channels at "in".
                order = (2, 3, 0, 1) if module.groups > 1 else (3, 2, 0, 1)
                targets = [module.weight, module.bias]
                values[0] = values[0].permute(order)
            else:
                targets = [module.weight, module.bias, module.running_mean, module.running_var]
            for target, value in zip([target for target in targets if target is not None], values, strict=True):
                assert target.shape == value.shape, path
                target.copy_(value)
    left = [name for name, layer in layers.items() if layer.weights and name != "backbone"]
    assert not left, left


class TorchSegmenter(nn.Module):
    """`keras_segen.models.fcn` or `unet` in PyTorch, whose modules are called as the Keras layers are."""

    def __init__(self, network: str, backbone: str, alpha: float) -> None:
        super().__init__()
        self.backbone = MobileNet(alpha) if backbone == "mobilenet" else ResNet50()
        # A coarse cell lies on the last of its pixels in MobileNet, which pads on one side, and on the first in ResNet.
        last = backbone == "mobilenet"
        head = FCNHead if network == "fcn" else UNetHead
        self.head = head(self.backbone.channels, last=last)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Images (batch, 3, height, width) in [0, 255] -> logits (batch, classes, height, width)."""
        return self.head(self.backbone(x))


class MobileNet(nn.Module):
    """`keras.applications.MobileNet` without its top."""

    def __init__(self, alpha: float) -> None:
        super().__init__()
        widths = [int(alpha * width) for width in (32, 64, 128, 128, 256, 256, *6 * (512,), 1024, 1024)]
        self.channels = [widths[i] for i in (1, 3, 5, 11, 13)]
        blocks = [convolution("conv1", "conv1_bn", (3, widths[0]), stride=2, activation=nn.ReLU6)]
        for i, (a, b) in enumerate(pairwise(widths), 1):
            stride = 2 if i in (2, 4, 6, 12) else 1
            dw, pw = f"conv_dw_{i}", f"conv_pw_{i}"
            blocks += [
                nn.Sequential(
                    convolution(dw, f"{dw}_bn", (a, a), stride=stride, groups=a, activation=nn.ReLU6),
                    convolution(pw, f"{pw}_bn", (a, b), 1, activation=nn.ReLU6),
                )
            ]
        bounds = (0, 2, 4, 6, 12, 14)
        self.stages = nn.ModuleList(nn.Sequential(*blocks[a:b]) for a, b in pairwise(bounds))

    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
        """Images -> maps at strides 2 to 32."""
        x = x / 127.5 - 1
        maps = []
        for stage in self.stages:
            x = stage(x)
            maps.append(x)
        return maps


class ResNet50(nn.Module):
    """`keras.applications.ResNet50` without its top."""

    channels = (64, 256, 512, 1024, 2048)

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("means", torch.tensor([103.939, 116.779, 123.68])[:, None, None])
        self.stem = biased("conv1", (3, 64), 7, 2, activation=nn.ReLU)
        self.stages = nn.ModuleList()
        for i, ((a, b), blocks) in enumerate(zip(pairwise(self.channels), (3, 4, 6, 3), strict=True), 2):
            first = Bottleneck(f"conv{i}_block1", a, b, stride=1 if i == 2 else 2)
            rest = (Bottleneck(f"conv{i}_block{j}", b, b) for j in range(2, blocks + 1))
            self.stages.append(nn.Sequential(first, *rest))

    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
        """Images -> maps at strides 2 to 32."""
        maps = [self.stem(x.flip(1) - self.means)]
        x = functional.max_pool2d(maps[0], 3, 2, 1)
        for stage in self.stages:
            x = stage(x)
            maps.append(x)
        return maps


class Bottleneck(nn.Module):
    """A residual block: 1×1, 3×3, 1×1, and a convolution beside where the width changes."""

    def __init__(self, name: str, inputs: int, outputs: int, stride: int = 1) -> None:
        super().__init__()
        narrow = outputs // 4
        self.main = nn.Sequential(
            biased(f"{name}_1", (inputs, narrow), 1, stride, activation=nn.ReLU),
            biased(f"{name}_2", (narrow, narrow), 3, activation=nn.ReLU),
            biased(f"{name}_3", (narrow, outputs), 1),
        )
        self.beside = biased(f"{name}_0", (inputs, outputs), 1, stride) if inputs != outputs else nn.Identity()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Add what the convolutions find."""
        return functional.relu(self.beside(x) + self.main(x), inplace=True)


class FCNHead(nn.Module):
    """Scores of the maps at strides 8, 16 and 32, the last after fc6 and fc7, summed up from the coarsest."""

    def __init__(self, channels: Sequence[int], *, last: bool) -> None:
        super().__init__()
        self.last = last
        inputs, width = channels[4], min(channels[4], 512)
        self.fully_connected = nn.Sequential(
            convolution("fc6", "fc6_norm", (inputs, inputs), 7, groups=inputs, activation=nn.ReLU),
            convolution("fc7", "fc7_norm", (inputs, width), 1, activation=nn.ReLU),
        )
        self.score8, self.score16, self.score32 = (nn.Conv2d(n, CLASSES, 1) for n in (*channels[2:4], width))

    def forward(self, maps: list[torch.Tensor]) -> torch.Tensor:
        """Maps -> logits."""
        logits = enlarged(self.score32(self.fully_connected(maps[4])), 2, self.last) + self.score16(maps[3])
        logits = enlarged(logits, 2, self.last) + self.score8(maps[2])
        return enlarged(logits, 8, self.last)


class UNetHead(nn.Module):
    """The way up: twice as large, joined with the backbone's map, two convolutions; five times."""

    def __init__(self, channels: Sequence[int], *, last: bool) -> None:
        super().__init__()
        self.last = last
        self.levels = nn.ModuleList()
        inputs = channels[4]
        for level, width in zip((4, 3, 2, 1, 0), (256, 128, 64, 32, 16), strict=True):
            across = channels[level - 1] if level else 0  # no map has the image's size
            self.levels.append(
                nn.Sequential(
                    convolution(f"up{level}_conv1", f"up{level}_norm1", (across + inputs, width), activation=nn.ReLU),
                    convolution(f"up{level}_conv2", f"up{level}_norm2", (width, width), activation=nn.ReLU),
                )
            )
            inputs = width
        self.logits = nn.Conv2d(inputs, CLASSES, 1)

    def forward(self, maps: list[torch.Tensor]) -> torch.Tensor:
        """Maps -> logits."""
        *skips, x = maps
        for level in self.levels:
            x = enlarged(x, 2, self.last)
            x = level(torch.cat([skips.pop(), x], 1) if skips else x)
        return self.logits(x)


def convolution(
    name: str,
    norm: str,
    channels: tuple[int, int],
    size: int = 3,
    stride: int = 1,
    *,
    groups: int = 1,
    activation: Activation = nn.Identity,
) -> nn.Sequential:
    """Convolution, batch normalisation, activation; one of stride 2 is padded below and to the right alone."""
    layers = OrderedDict({"pad": nn.ZeroPad2d((0, 1, 0, 1))} if stride == 2 else {})
    padding = 0 if stride == 2 else size // 2
    layers[name] = nn.Conv2d(*channels, size, stride, padding, groups=groups, bias=False)
    layers[norm] = nn.BatchNorm2d(channels[1], eps=1e-3)
    layers["activation"] = activation(inplace=True)
    return nn.Sequential(layers)


def biased(
    name: str, channels: tuple[int, int], size: int, stride: int = 1, *, activation: Activation = nn.Identity
) -> nn.Sequential:
    """What ResNet50 is made of: the convolution has a bias too, and is padded on both sides."""
    layers = OrderedDict({f"{name}_conv": nn.Conv2d(*channels, size, stride, size // 2)})
    layers[f"{name}_bn"] = nn.BatchNorm2d(channels[1], eps=1.001e-5)
    layers["activation"] = activation(inplace=True)
    return nn.Sequential(layers)


def enlarged(x: torch.Tensor, factor: int, last: bool) -> torch.Tensor:
    """Up-sample bilinearly a map whose cells lie on the last of their pixels, or on the first; edges are repeated."""
    height, width = x.shape[-2:]
    x = functional.pad(x, (1, 1, 1, 1), mode="replicate")
    size = [(height + 1) * factor + 1, (width + 1) * factor + 1]  # a pixel on each cell, and factor - 1 between
    x = functional.interpolate(x, size=size, mode="bilinear", align_corners=True)
    start = 1 if last else factor
    return x[..., start : start + height * factor, start : start + width * factor]


if __name__ == "__main__":
    main()
