"""U-Net: Ronneberger, Fischer and Brox, 2015 (arXiv:1505.04597)."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import keras
from keras import layers

from keras_segen.layers import BilinearUpSampling, CropLike, Dropout, FusedBatchNormalization, MirrorPad, PadToStride
from keras_segen.models.backbones import Backbone
from keras_segen.models.backbones import backbone as build_backbone
from keras_segen.models.deep_supervision import DeeplySupervised

PAPERS_FILTERS = (64, 128, 256, 512, 1024)
BACKBONES_FILTERS = (16, 32, 64, 128, 256)


def unet(
    num_classes: int,
    *,
    filters: Sequence[int] | None = None,
    backbone: Literal["vgg16", "resnet50", "mobilenet"] | None = None,
    weights: str | Path | None = "imagenet",
    alpha: float = 1.0,
    input_channels: int = 3,
    up_sampling: Literal["transposed", "bilinear"] | None = None,
    padding: Literal["same", "valid"] = "same",
    dropout: float = 0.0,
    deep_supervision: bool = False,
    name: str = "unet",
) -> keras.Model:
    """Build a U-Net for images of any size.

    As in the paper (figure 1): two 3×3 convolutions with ReLU a level, 2×2 max pooling on the way down, a 2×2
    up-convolution that halves the channels on the way up, each level joined with its twin across. Three things differ:
    convolutions are padded, so that the output has the input's size; batch normalisation stands before each ReLU; and
    images whose size is no multiple of the deepest level's stride are padded inside the graph and cropped back.

    On a backbone, that takes the place of the way down; the way up is bilinear, in phase with the backbone's cells.

    Args:
        num_classes: classes to tell apart, background included.
        filters: channels of each level, top to bottom; their number is the depth. By default the paper's 64, 128, 256,
            512, 1024. On a backbone: of the way up at strides 1, 2, 4, 8 and 16; 16, 32, 64, 128, 256 by default.
        backbone: a classifier to start from, or None for the paper's own network.
        weights: of the backbone: "imagenet" to download them, a file, or None for random ones.
        alpha: MobileNet's width multiplier.
        input_channels: channels of the image, 1 to N; 3 on a backbone.
        up_sampling: "transposed" convolution as in the paper (the default), or "bilinear" up-sampling and a 1×1
            convolution. None on a backbone.
        padding: "same", or "valid" for the paper's own unpadded convolutions and cropped skips: the image is mirrored
            around its edges (paper, figure 2), 92 pixels with five levels, so that the output still has its size.
        dropout: share of the deepest level's activations set to 0 in training (paper, section 3.1).
        deep_supervision: in training, judge the coarser levels of the way up as well: see `DeeplySupervised`.
        name: the model's name.

    Returns:
        A Functional model: images (batch, height, width, input_channels) in [0, 255] -> float32 logits
        (batch, height, width, num_classes).

    Raises:
        InputError: for weights that cannot be had or do not fit.
        ValueError: for numbers that make no network, unknown names, or options that do not go together.
    """
    if filters is None:
        filters = PAPERS_FILTERS if backbone is None else BACKBONES_FILTERS
    _check(
        num_classes,
        filters=filters,
        backbone=backbone,
        input_channels=input_channels,
        up_sampling=up_sampling,
        padding=padding,
        deep_supervision=deep_supervision,
    )
    if backbone is None and (alpha != 1 or weights not in ("imagenet", None)):
        raise ValueError(
            f"`weights` and `alpha` are of a backbone: name one. Received: weights={weights!r}, alpha={alpha}"
        )
    image = keras.Input((None, None, input_channels), name="image")
    if backbone is None:
        x = layers.Rescaling(1 / 127.5, offset=-1, name="scale")(image)
        depth = len(filters) - 1
        x = PadToStride(2**depth, name="pad")(x) if padding == "same" else _mirror(x, depth)
        skips, x = _way_down(x, filters, padding)
        filters = filters[:-1]
        stages = None
    else:
        stages = build_backbone(backbone, weights=weights, alpha=alpha)
        x = PadToStride(32, name="pad")(stages.preprocess(image))
        *maps, x = stages.model(x)
        skips = [None] * (5 - len(maps)) + maps  # most have no map at stride 1
    if dropout:
        x = Dropout(dropout, name="bottom_dropout")(x)

    sides = []
    for level, channels in reversed(list(enumerate(filters))):
        if stages is None:
            x = _up_convolution(x, channels, up_sampling or "transposed", f"up{level}")
        else:
            x = BilinearUpSampling(2, origin=_origin(stages, level), name=f"up{level}_enlarge")(x)
        x = _join(skips[level], x, padding, f"up{level}")
        x = _double_convolution(x, channels, f"up{level}", padding)
        if deep_supervision and level > 0:
            sides.append(_side_logits(x, image, num_classes, level, stages))

    logits = layers.Conv2D(num_classes, 1, dtype="float32", name="logits")(x)
    logits = CropLike(dtype="float32", name="crop")([logits, image])
    if deep_supervision:
        return DeeplySupervised(image, [logits, *reversed(sides)], name=name)
    return keras.Model(image, logits, name=name)


def _check(
    num_classes: int,
    *,
    filters: Sequence[int],
    backbone: str | None,
    input_channels: int,
    up_sampling: str | None,
    padding: str,
    deep_supervision: bool,
) -> None:
    if num_classes < 1 or input_channels < 1:
        raise ValueError(
            "`num_classes` and `input_channels` must be at least 1. "
            f"Received: num_classes={num_classes}, input_channels={input_channels}"
        )
    if len(filters) < 2 or min(filters) < 1:
        raise ValueError(f"`filters` must hold at least two positive numbers, one a level. Received: filters={filters}")
    if up_sampling not in (None, "transposed", "bilinear"):
        raise ValueError(f'`up_sampling` must be "transposed" or "bilinear". Received: up_sampling={up_sampling!r}')
    if padding not in ("same", "valid"):
        raise ValueError(f'`padding` must be "same" or "valid". Received: padding={padding!r}')
    if deep_supervision and len(filters) < 3:
        raise ValueError(f"Deep supervision needs a level between top and bottom. Received: filters={tuple(filters)}")
    if backbone is not None and (len(filters) != 5 or up_sampling or padding == "valid" or input_channels != 3):
        raise ValueError(
            "On a backbone, `filters` holds five numbers, for strides 1 to 16, images have three channels, and "
            f"`up_sampling` and `padding` stay as they are. Received: filters={tuple(filters)}, "
            f"up_sampling={up_sampling!r}, padding={padding!r}, input_channels={input_channels}"
        )


def _way_down(x: Any, filters: Sequence[int], padding: str) -> tuple[list[Any], Any]:
    skips = []
    for level, channels in enumerate(filters[:-1]):
        x = _double_convolution(x, channels, f"down{level}", padding)
        skips.append(x)
        x = layers.MaxPooling2D(2, name=f"down{level}_pool")(x)
    return skips, _double_convolution(x, filters[-1], "bottom", padding)


def _mirror(x: Any, depth: int) -> Any:
    # Two 3×3 convolutions take 4 pixels of a level's width: 4·2^depth at the bottom, and on either way 4 at stride 1,
    # 8 at stride 2, and so on. At each pooling the width must be even: it is, if the bottom's is whole.
    stride = 2**depth
    lost = 4 * stride + 2 * 4 * (stride - 1)
    return MirrorPad(lost // 2, multiple=stride, remainder=4 * (stride - 1) % stride, name="mirror")(x)


def _double_convolution(x: Any, channels: int, name: str, padding: str = "same") -> Any:
    for i in (1, 2):
        # The batch norm's offset stands in for a bias. Initial weights: section 3 of the paper, N(0, 2 / fan-in).
        x = layers.Conv2D(
            channels, 3, padding=padding, use_bias=False, kernel_initializer="he_normal", name=f"{name}_conv{i}"
        )(x)
        x = FusedBatchNormalization(name=f"{name}_norm{i}")(x)
        x = layers.ReLU(name=f"{name}_relu{i}")(x)
    return x


def _up_convolution(x: Any, channels: int, up_sampling: str, name: str) -> Any:
    if up_sampling == "transposed":
        return layers.Conv2DTranspose(channels, 2, strides=2, kernel_initializer="he_normal", name=f"{name}_conv")(x)
    x = BilinearUpSampling(2, name=f"{name}_enlarge")(x)
    # Not 2×2: that would move what it hands on by half a cell.
    return layers.Conv2D(channels, 1, kernel_initializer="he_normal", name=f"{name}_conv")(x)


def _join(skip: Any, x: Any, padding: str, name: str) -> Any:
    if skip is None:
        return x
    if padding == "valid":
        skip = CropLike(centre=True, name=f"{name}_crop")([skip, x])
    return layers.Concatenate(name=f"{name}_join")([skip, x])


def _origin(stages: Backbone, level: int) -> float:
    """Return the origin of the cells of stride 2^(level + 1) among those of stride 2^level."""
    origins = dict(zip(stages.strides, stages.origins, strict=True))
    fine = 2**level
    return (origins[2 * fine] - origins.get(fine, 0)) / fine  # at stride 1 a cell is a pixel


def _side_logits(x: Any, image: Any, num_classes: int, level: int, stages: Backbone | None) -> Any:
    name = f"side{level}"
    origin = None if stages is None else stages.origins[stages.strides.index(2**level)]
    x = layers.Conv2D(num_classes, 1, dtype="float32", name=f"{name}_logits")(x)
    x = BilinearUpSampling(2**level, origin=origin, dtype="float32", name=f"{name}_enlarge")(x)
    return CropLike(dtype="float32", name=f"{name}_crop")([x, image])
