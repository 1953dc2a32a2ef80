"""FCN-8s, U-Net, DeepLabV3+ and FPN on a backbone in PyTorch, see `segmenters`."""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np
import torch
from torch import nn
from torch.nn import functional

CLASSES, VOID = 21, 255
Activation = Callable[..., nn.Module]
# Network, backbone, alpha and the weights of each Keras layer that has some.
Description = tuple[str, str, float, dict[str, list[np.ndarray]]]


def torch_images(images: np.ndarray, layout: torch.memory_format) -> torch.Tensor:
    return torch.from_numpy(images).permute(0, 3, 1, 2).contiguous(memory_format=layout)


def prediction(description: Description, images: np.ndarray, layout: str) -> Callable[[], torch.Tensor]:
    memory_format = getattr(torch, layout)
    network = built(*description).to(memory_format=memory_format).eval()
    x = torch_images(images, memory_format)

    def run() -> torch.Tensor:
        with torch.inference_mode():
            return network(x)

    return run


def step(description: Description, images: np.ndarray, masks: np.ndarray, layout: str) -> Callable[[], float]:
    """One step of PyTorch's usual loop, network and images in the given memory layout."""
    memory_format = getattr(torch, layout)
    network = built(*description).to(memory_format=memory_format).train()
    x = torch_images(images, memory_format)
    y = torch.from_numpy(masks).long()
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-4, fused=True)

    def run() -> float:
        optimizer.zero_grad()
        loss = functional.cross_entropy(network(x), y, ignore_index=VOID)
        loss.backward()
        optimizer.step()
        return loss.item()

    return run


def built(network: str, backbone: str, alpha: float, weights: dict[str, list[np.ndarray]]) -> "TorchSegmenter":
    """Return a network, whose modules are called as the Keras layers are, with these layers' weights."""
    twin, left = TorchSegmenter(network, backbone, alpha), dict(weights)
    with torch.no_grad():
        for path, module in twin.named_modules():
            if not isinstance(module, nn.Conv2d | nn.BatchNorm2d):
                continue
            values = [torch.from_numpy(value) for value in left.pop(path.rpartition(".")[2])]
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
    assert not left, left.keys()
    return twin


class TorchSegmenter(nn.Module):
    """A builder's network of `keras_segen.models` in PyTorch, whose modules are called as the Keras layers are."""

    def __init__(self, network: str, backbone: str, alpha: float) -> None:
        super().__init__()
        atrous = network == "deeplab_v3_plus"
        self.backbone = MobileNet(alpha, atrous=atrous) if backbone == "mobilenet" else ResNet50(atrous=atrous)
        # A coarse cell lies on the last of its pixels in MobileNet, which pads on one side, and on the first in ResNet.
        last = backbone == "mobilenet"
        self.head = HEADS[network](self.backbone.channels, last=last)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Images (batch, 3, height, width) in [0, 255] -> logits (batch, classes, height, width)."""
        return self.head(self.backbone(x))


class MobileNet(nn.Module):
    """`keras.applications.MobileNet` without its top; if it is atrous, its last stage stays at stride 16."""

    def __init__(self, alpha: float, *, atrous: bool) -> None:
        super().__init__()
        widths = [int(alpha * width) for width in (32, 64, 128, 128, 256, 256, *6 * (512,), 1024, 1024)]
        self.channels = [widths[i] for i in (1, 3, 5, 11, 13)]
        blocks = [convolution("conv1", "conv1_bn", (3, widths[0]), stride=2, activation=nn.ReLU6)]
        for i, (a, b) in enumerate(pairwise(widths), 1):
            stride = 2 if i in (2, 4, 6, 12) and not (atrous and i == 12) else 1
            dilation = 2 if atrous and i == 13 else 1
            dw, pw = f"conv_dw_{i}", f"conv_pw_{i}"
            blocks += [
                nn.Sequential(
                    convolution(
                        dw, f"{dw}_bn", (a, a), stride=stride, groups=a, dilation=dilation, activation=nn.ReLU6
                    ),
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
    """`keras.applications.ResNet50` without its top; if it is atrous, its last stage stays at stride 16."""

    channels = (64, 256, 512, 1024, 2048)

    def __init__(self, *, atrous: bool) -> None:
        super().__init__()
        self.register_buffer("means", torch.tensor([103.939, 116.779, 123.68])[:, None, None])
        self.stem = biased("conv1", (3, 64), 7, 2, activation=nn.ReLU)
        self.stages = nn.ModuleList()
        for i, ((a, b), blocks) in enumerate(zip(pairwise(self.channels), (3, 4, 6, 3), strict=True), 2):
            spread = 2 if atrous and i == 5 else 1
            first = Bottleneck(f"conv{i}_block1", a, b, stride=1 if i == 2 or spread == 2 else 2, dilation=spread)
            rest = (Bottleneck(f"conv{i}_block{j}", b, b, dilation=spread) for j in range(2, blocks + 1))
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

    def __init__(self, name: str, inputs: int, outputs: int, stride: int = 1, dilation: int = 1) -> None:
        super().__init__()
        narrow = outputs // 4
        self.main = nn.Sequential(
            biased(f"{name}_1", (inputs, narrow), 1, stride, activation=nn.ReLU),
            biased(f"{name}_2", (narrow, narrow), 3, dilation=dilation, activation=nn.ReLU),
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


class DeepLabHead(nn.Module):
    """Atrous spatial pyramid pooling of the map at stride 16, joined with that at stride 4."""

    def __init__(self, channels: Sequence[int], *, last: bool) -> None:
        super().__init__()
        self.last = last
        inputs, width, low = channels[4], 256, 48
        self.branches = nn.ModuleList([convolution("aspp1_conv", "aspp1_norm", (inputs, width), 1, activation=nn.ReLU)])
        self.branches.extend(separable(f"aspp{i}", (inputs, width), 6 * (i - 1)) for i in (2, 3, 4))
        self.mean = nn.Sequential(OrderedDict(aspp_mean_conv=nn.Conv2d(inputs, width, 1), relu=nn.ReLU()))
        self.aspp_project_cells = nn.Conv2d(4 * width, width, 1, bias=False)
        self.aspp_project_mean = nn.Conv2d(width, width, 1, bias=False)
        self.aspp_project_norm = nn.BatchNorm2d(width, eps=1e-3)
        self.low = convolution("low_level_conv", "low_level_norm", (channels[1], low), 1, activation=nn.ReLU)
        self.decoder = nn.Sequential(separable("decoder1", (width + low, width)), separable("decoder2", (width, width)))
        self.logits = nn.Conv2d(width, CLASSES, 1)

    def forward(self, maps: list[torch.Tensor]) -> torch.Tensor:
        """Maps -> logits."""
        cells = self.aspp_project_cells(torch.cat([branch(maps[4]) for branch in self.branches], 1))
        mean = self.aspp_project_mean(self.mean(maps[4].mean((2, 3), keepdim=True)))
        x = functional.relu(self.aspp_project_norm(cells + mean), inplace=True)
        x = torch.cat([enlarged(x, 4, self.last), self.low(maps[1])], 1)
        return enlarged(self.logits(self.decoder(x)), 4, self.last)


class FPNHead(nn.Module):
    """The pyramid down from stride 32 to 4, and a branch of each level up to stride 4, which are summed."""

    def __init__(self, channels: Sequence[int], *, last: bool) -> None:
        super().__init__()
        self.last = last
        width, narrow = 256, 128
        self.laterals = nn.ModuleDict({f"lateral{4 << i}": nn.Conv2d(n, width, 1) for i, n in enumerate(channels[1:])})
        self.branches = nn.ModuleDict(
            {"4": convolution("branch4_conv", "branch4_norm", (width, narrow), activation=nn.ReLU)}
        )
        for stride in (8, 16, 32):
            steps = [s for s in (32, 16, 8) if s <= stride]
            self.branches[str(stride)] = nn.ModuleList(
                convolution(
                    f"branch{stride}_at_{s}_conv",
                    f"branch{stride}_at_{s}_norm",
                    (width if s == stride else narrow, narrow),
                    activation=nn.ReLU,
                )
                for s in steps
            )
        self.logits = nn.Conv2d(narrow, CLASSES, 1)

    def forward(self, maps: list[torch.Tensor]) -> torch.Tensor:
        """Maps -> logits."""
        x, total = None, None
        for stride, found in zip((32, 16, 8, 4), reversed(maps[1:]), strict=True):
            lateral = self.laterals[f"lateral{stride}"](found)
            x = lateral if x is None else lateral + enlarged(x, 2, self.last)
            branch = self.branches[str(stride)]
            if stride == 4:
                y = branch(x)
            else:
                y = x
                for step in branch:
                    y = enlarged(step(y), 2, self.last)
            total = y if total is None else total + y
        return enlarged(self.logits(total), 4, self.last)


HEADS: dict[str, Callable[..., nn.Module]] = {
    "fcn": FCNHead,
    "unet": UNetHead,
    "deeplab_v3_plus": DeepLabHead,
    "fpn": FPNHead,
}


def separable(name: str, channels: tuple[int, int], dilation: int = 1) -> nn.Sequential:
    """A depthwise convolution, then one of all channels, each normalised."""
    inputs = channels[0]
    return nn.Sequential(
        convolution(
            f"{name}_depthwise",
            f"{name}_depthwise_norm",
            (inputs, inputs),
            groups=inputs,
            dilation=dilation,
            activation=nn.ReLU,
        ),
        convolution(f"{name}_conv", f"{name}_norm", channels, 1, activation=nn.ReLU),
    )


def convolution(
    name: str,
    norm: str,
    channels: tuple[int, int],
    size: int = 3,
    stride: int = 1,
    *,
    groups: int = 1,
    dilation: int = 1,
    activation: Activation = nn.Identity,
) -> nn.Sequential:
    """Convolution, batch normalisation, activation; one of stride 2 is padded below and to the right alone."""
    layers = OrderedDict({"pad": nn.ZeroPad2d((0, 1, 0, 1))} if stride == 2 else {})
    padding = 0 if stride == 2 else dilation * (size // 2)
    layers[name] = nn.Conv2d(*channels, size, stride, padding, dilation, groups, bias=False)
    layers[norm] = nn.BatchNorm2d(channels[1], eps=1e-3)
    layers["activation"] = activation(inplace=True)
    return nn.Sequential(layers)


def biased(
    name: str,
    channels: tuple[int, int],
    size: int,
    stride: int = 1,
    *,
    dilation: int = 1,
    activation: Activation = nn.Identity,
) -> nn.Sequential:
    """What ResNet50 is made of: the convolution has a bias too, and is padded on both sides."""
    layers = OrderedDict({f"{name}_conv": nn.Conv2d(*channels, size, stride, dilation * (size // 2), dilation)})
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
