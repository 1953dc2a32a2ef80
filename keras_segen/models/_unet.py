"""U-Net (Ronneberger, Fischer and Brox, 2015, arXiv:1505.04597)."""

from collections.abc import Sequence
from typing import Literal

import keras
from keras import layers

from keras_segen.layers import CropLike, Dropout
from keras_segen.models._backbones import Backbone
from keras_segen.models._backbones import backbone as build_backbone
from keras_segen.models._deep_supervision import DeeplySupervised
from keras_segen.models._enlarged import enlarged
from keras_segen.models._logits import check_arguments
from keras_segen.models._unet_encoder import double_convolution, unet_encoder
from keras_segen.types import PathLike, Tensor

PAPERS_FILTERS = (64, 128, 256, 512, 1024)
BACKBONES_DECODER_FILTERS = (16, 32, 64, 128, 256)


def unet(
    num_classes: int,
    *,
    backbone: str | keras.Model | None = None,
    backbone_weights: PathLike | None = "imagenet",
    backbone_width: float = 1.0,
    input_channels: int = 3,
    value_range: tuple[float, float] | None = None,
    dropout: float = 0.0,
    filters: Sequence[int] | None = None,
    decoder_filters: Sequence[int] | None = None,
    up_sampling: Literal["transposed", "bilinear"] | None = None,
    padding: Literal["same", "valid"] = "same",
    deep_supervision: bool = False,
    attention_gates: bool = False,
    name: str = "unet",
) -> keras.Model:
    """Build a U-Net for images of any size.

    As in the paper (figure 1): two 3×3 convolutions with ReLU a level, 2×2 max pooling on the way down, a 2×2
    up-convolution that halves the channels on the way up, each level joined with its twin across. Three things differ:
    convolutions are padded, so that the output has the input's size; batch normalisation stands before each ReLU; and
    images whose size is not a multiple of the deepest level's stride are padded inside the graph and cropped back.

    A backbone takes the place of the way down. Up-sampling is aligned with the backbone's cells.

    Args:
        num_classes: The number of classes to tell apart, background included.
        backbone: The name of a classifier of `keras.applications` in snake case, such as "efficientnet_b0"; any
            Functional model of images in [0, 255]; or None for the paper's own way down.
        backbone_weights: The weights of a classifier by name: "imagenet" to download them, a file, or None for random
            ones. A model brings its own, and without a backbone all weights are random.
        backbone_width: The width multiplier of MobileNets.
        input_channels: The channels of the image, from 1. A grey image is shown to a backbone of RGB as red, green and
            blue; of other numbers each channel gets the kernel of one of the three in turn, times 3 over the number.
        value_range: The values of the image that become 0 and 255 inside the network, such as (0, 4095) for a camera of
            12 bits; what lies beyond is cut off. None for images in [0, 255].
        dropout: The share of the deepest map's activations that is set to 0 in training (paper, section 3.1).
        filters: The channels of each level of the paper's own way down, top to bottom; their number is the depth. The
            default is the paper's 64, 128, 256, 512, 1024. A backbone brings channels of its own.
        decoder_filters: The channels of each level of the way up, top to bottom, at strides 1, 2, 4, and so on: one
            number fewer than there are levels on the way down. The default is the same as on the way down, and
            16, 32, 64, 128, 256 on a backbone.
        up_sampling: "transposed" for 2×2 transposed convolutions as in the paper, the default without a backbone; or
            "bilinear", the default on a backbone. ResNet50, MobileNet and others need "bilinear", because their cells
            do not lie in the middle of the pixels that they cover.
        padding: "same", or "valid" for the paper's own unpadded convolutions and cropped skips, without a backbone: the
            image is mirrored around its edges (paper, figure 2), 92 pixels with five levels, so that the output still
            has its size.
        deep_supervision: Whether the coarser levels of the way up have losses of their own in training; see
            `DeeplySupervised`.
        attention_gates: Whether each map that is joined is weighted first, cell by cell, by how much it matters to
            what comes from below (Oktay et al., 2018, arXiv:1804.03999, section 2.2). The gates work at the resolution
            of the joined map; in the paper they work at the coarser one's.
        name: The name of the model.

    Returns:
        A Functional model: images (batch, height, width, input_channels) in [0, 255] or `value_range` -> float32 logits
        (batch, height, width, num_classes). Its layer "backbone" is the classifier, which `callbacks.FineTuning`
        freezes.

    Raises:
        InputError: For weights that cannot be downloaded or do not fit.
        ValueError: For numbers that make no network, unknown names, or options that do not go together.

    Example:
        >>> model = ks.models.unet(2, filters=(4, 8))
        >>> model.compile("adam", ks.losses.CrossEntropy(), metrics=[ks.metrics.MeanIoU(2)])
        >>> images, masks = np.zeros((4, 32, 32, 3), np.float32), np.zeros((4, 32, 32), np.uint8)
        >>> history = model.fit(images, masks, batch_size=2, verbose=0)
        >>> model.predict(images, verbose=0).shape
        (4, 32, 32, 2)
    """
    check_arguments(num_classes, input_channels, value_range)
    if padding not in ("same", "valid"):
        raise ValueError(f'`padding` must be "same" or "valid". Received: padding={padding!r}')
    if backbone is None:
        if backbone_width != 1 or backbone_weights not in ("imagenet", None):
            raise ValueError(
                "`backbone_weights` and `backbone_width` need a `backbone`. "
                f"Received: backbone_weights={backbone_weights!r}, backbone_width={backbone_width}"
            )
        encoder, widths = _own_way_down(filters, padding)
        up_sampling = up_sampling or "transposed"
    else:
        if filters is not None or padding == "valid":
            raise ValueError(
                "A backbone has its own channels and padded convolutions: leave out `filters` and `padding`. The way "
                f"up has `decoder_filters`. Received: filters={filters}, padding={padding!r}"
            )
        encoder = build_backbone(
            backbone, weights=backbone_weights, width=backbone_width, input_channels=input_channels
        )
        widths = BACKBONES_DECODER_FILTERS[: encoder.strides[-1].bit_length() - 1]
        up_sampling = up_sampling or "bilinear"
    decoder_filters = widths if decoder_filters is None else tuple(decoder_filters)
    _check_decoder(decoder_filters, encoder, up_sampling, deep_supervision)

    image = keras.Input((None, None, input_channels), name="image")
    maps = encoder.maps(image, value_range)
    x = maps.pop(encoder.strides[-1])
    if dropout:
        x = Dropout(dropout, name="bottom_dropout")(x)

    sides = []
    for level, channels in reversed(list(enumerate(decoder_filters))):
        stride = 2**level
        # Where there is no map to be like, the image is, and between them nothing is moved.
        finer = maps.get(stride, image if stride == 1 else None)
        x = _larger(x, finer, encoder, up_sampling=up_sampling, level=level, channels=channels)
        if stride in maps:  # most backbones have no map at stride 1
            x = _join(maps[stride], x, padding, f"up{level}", gated=attention_gates)
        x = double_convolution(x, channels, f"up{level}", padding)
        if deep_supervision and level > 0:
            # Unpadded convolutions will still take two pixels from each side of every finer level.
            margin = 2 * (stride - 1) if padding == "valid" else 0
            sides.append(_side_logits(x, image, num_classes, level, encoder, margin=margin))

    logits = layers.Conv2D(num_classes, 1, dtype="float32", name="logits")(x)
    logits = CropLike(dtype="float32", name="crop")([logits, image])
    if deep_supervision:
        return DeeplySupervised(image, [logits, *reversed(sides)], name=name)
    return keras.Model(image, logits, name=name)


def _own_way_down(filters: Sequence[int] | None, padding: Literal["same", "valid"]) -> tuple[Backbone, tuple[int, ...]]:
    """Return U-Net's own way down, and the widths that its way up has by default."""
    filters = PAPERS_FILTERS if filters is None else tuple(filters)
    if len(filters) < 2 or min(filters) < 1:
        raise ValueError(f"`filters` must hold at least two positive numbers, one a level. Received: filters={filters}")
    return unet_encoder(filters, padding=padding), filters[:-1]


def _check_decoder(filters: Sequence[int], encoder: Backbone, up_sampling: str, deep_supervision: bool) -> None:
    levels = [2**level for level in range(encoder.strides[-1].bit_length() - 1)]
    if len(filters) != len(levels) or min(filters) < 1:
        raise ValueError(
            f"`decoder_filters` must hold {len(levels)} positive numbers, for the strides "
            f"{', '.join(map(str, levels))}. Received: decoder_filters={tuple(filters)}"
        )
    if up_sampling not in ("transposed", "bilinear"):
        raise ValueError(f'`up_sampling` must be "transposed" or "bilinear". Received: up_sampling={up_sampling!r}')
    if up_sampling == "transposed" and any(encoder.phase(2 * stride) != 0.5 for stride in levels):
        raise ValueError(
            "This backbone's cells do not lie in the middle of the pixels that they cover, as transposed convolutions "
            "need them: use bilinear up-sampling. Received: up_sampling='transposed'"
        )
    if deep_supervision and len(filters) < 2:
        raise ValueError(
            f"Deep supervision needs a level between top and bottom. Received: decoder_filters={tuple(filters)}"
        )


def _larger(
    x: Tensor, finer: Tensor | None, encoder: Backbone, *, up_sampling: str, level: int, channels: int
) -> Tensor:
    if up_sampling == "transposed":
        return layers.Conv2DTranspose(channels, 2, strides=2, kernel_initializer="he_normal", name=f"up{level}_conv")(x)
    stride = 2**level
    return enlarged(x, encoder, stride=2 * stride, to=stride, like=finer, name=f"up{level}_enlarge")


def _join(skip: Tensor, x: Tensor, padding: str, name: str, *, gated: bool) -> Tensor:
    if padding == "valid":
        skip = CropLike(centre=True, name=f"{name}_crop")([skip, x])
    if gated:
        skip = _gated(skip, x, f"{name}_gate")
    return layers.Concatenate(name=f"{name}_join")([skip, x])


def _gated(skip: Tensor, signal: Tensor, name: str) -> Tensor:
    """Weight the cells of a map by an additive attention to the signal from below (Oktay et al., 2018, equation 1)."""
    inner = max(skip.shape[-1] // 2, 1)
    ours = layers.Conv2D(inner, 1, use_bias=False, kernel_initializer="he_normal", name=f"{name}_map")(skip)
    theirs = layers.Conv2D(inner, 1, kernel_initializer="he_normal", name=f"{name}_signal")(signal)
    x = layers.ReLU(name=f"{name}_relu")(layers.Add(name=f"{name}_add")([ours, theirs]))
    weight = layers.Conv2D(1, 1, activation="sigmoid", name=f"{name}_weight")(x)
    return layers.Multiply(name=name)([skip, weight])


def _side_logits(x: Tensor, image: Tensor, num_classes: int, level: int, encoder: Backbone, *, margin: int) -> Tensor:
    name, stride = f"side{level}", 2**level
    x = layers.Conv2D(num_classes, 1, dtype="float32", name=f"{name}_logits")(x)
    x = enlarged(x, encoder, stride=stride, to=1, like=image, dtype="float32", name=f"{name}_enlarge")
    if margin:
        x = layers.Cropping2D(((margin, 0), (margin, 0)), dtype="float32", name=f"{name}_margin")(x)
    return CropLike(dtype="float32", name=f"{name}_crop")([x, image])
