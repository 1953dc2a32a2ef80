"""U-Net: Ronneberger, Fischer and Brox, 2015 (arXiv:1505.04597)."""

from collections.abc import Sequence
from typing import Any, Literal

import keras
from keras import layers

from keras_segen.layers import BilinearUpSampling, CropLike, FusedBatchNormalization, PadToStride


def unet(
    num_classes: int,
    *,
    filters: Sequence[int] = (64, 128, 256, 512, 1024),
    input_channels: int = 3,
    up_sampling: Literal["transposed", "bilinear"] = "transposed",
    dropout: float = 0.0,
    name: str = "unet",
) -> keras.Model:
    """Build a U-Net for images of any size.

    As in the paper (figure 1): two 3×3 convolutions with ReLU a level, 2×2 max pooling on the way down, a 2×2
    up-convolution that halves the channels on the way up, each level joined with its twin across. Three things differ:
    convolutions are padded, so that the output has the input's size; batch normalisation stands before each ReLU; and
    images whose size is no multiple of the deepest level's stride are padded inside the graph and cropped back.

    Args:
        num_classes: classes to tell apart, background included.
        filters: channels of each level, top to bottom; their number is the depth. The paper's by default.
        input_channels: channels of the image, 1 to N.
        up_sampling: "transposed" convolution as in the paper, or "bilinear" up-sampling and a 2×2 convolution.
        dropout: share of the deepest level's activations set to 0 in training (paper, section 3.1).
        name: the model's name.

    Returns:
        A Functional model: images (batch, height, width, input_channels) in [0, 255] -> float32 logits
        (batch, height, width, num_classes).

    Raises:
        ValueError: for fewer than two levels, fewer than one class or channel, or an unknown `up_sampling`.
    """
    if num_classes < 1 or input_channels < 1:
        raise ValueError(
            "`num_classes` and `input_channels` must be at least 1. "
            f"Received: num_classes={num_classes}, input_channels={input_channels}"
        )
    if len(filters) < 2 or min(filters) < 1:
        raise ValueError(f"`filters` must hold at least two positive numbers, one a level. Received: filters={filters}")
    if up_sampling not in ("transposed", "bilinear"):
        raise ValueError(f'`up_sampling` must be "transposed" or "bilinear". Received: up_sampling={up_sampling!r}')

    image = keras.Input((None, None, input_channels), name="image")
    x = layers.Rescaling(1 / 127.5, offset=-1, name="scale")(image)
    x = PadToStride(2 ** (len(filters) - 1), name="pad")(x)

    skips = []
    for level, channels in enumerate(filters[:-1]):
        x = _double_convolution(x, channels, f"down{level}")
        skips.append(x)
        x = layers.MaxPooling2D(2, name=f"down{level}_pool")(x)

    x = _double_convolution(x, filters[-1], "bottom")
    if dropout:
        x = layers.Dropout(dropout, name="bottom_dropout")(x)

    for level, channels in reversed(list(enumerate(filters[:-1]))):
        x = _up_convolution(x, channels, up_sampling, f"up{level}")
        x = layers.Concatenate(name=f"up{level}_join")([skips[level], x])
        x = _double_convolution(x, channels, f"up{level}")

    logits = layers.Conv2D(num_classes, 1, dtype="float32", name="logits")(x)
    logits = CropLike(dtype="float32", name="crop")([logits, image])
    return keras.Model(image, logits, name=name)


def _double_convolution(x: Any, channels: int, name: str) -> Any:
    for i in (1, 2):
        # The batch norm's offset stands in for a bias. Initial weights: section 3 of the paper, N(0, 2 / fan-in).
        x = layers.Conv2D(
            channels, 3, padding="same", use_bias=False, kernel_initializer="he_normal", name=f"{name}_conv{i}"
        )(x)
        x = FusedBatchNormalization(name=f"{name}_norm{i}")(x)
        x = layers.ReLU(name=f"{name}_relu{i}")(x)
    return x


def _up_convolution(x: Any, channels: int, up_sampling: str, name: str) -> Any:
    if up_sampling == "transposed":
        return layers.Conv2DTranspose(channels, 2, strides=2, kernel_initializer="he_normal", name=f"{name}_conv")(x)
    x = BilinearUpSampling(2, name=f"{name}_enlarge")(x)
    return layers.Conv2D(channels, 2, padding="same", kernel_initializer="he_normal", name=f"{name}_conv")(x)
