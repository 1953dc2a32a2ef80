"""U-Net's own way down as a backbone (Ronneberger, Fischer and Brox, 2015, section 2), and its double convolution."""

from collections.abc import Sequence
from typing import Any, Literal

from keras import layers

from keras_segen.layers import MirrorPad, PadToStride
from keras_segen.models._backbones import Backbone
from keras_segen.models._convolution import convolution
from keras_segen.types import Tensor


def unet_encoder(filters: Sequence[int], *, padding: Literal["same", "valid"] = "same") -> Backbone:
    """Describe U-Net's way down: two 3×3 convolutions a level, 2×2 max pooling between the levels.

    Args:
        filters: The channels of each level, at strides 1, 2, 4, and so on.
        padding: "same", or "valid" for unpadded convolutions on an image that is mirrored around its edges.

    Returns:
        A backbone whose layers become part of the network that calls it, under the names "down0_conv1", and so on.
    """
    depth = len(filters) - 1

    def preprocess(image: Tensor) -> Tensor:
        x = layers.Rescaling(1 / 127.5, offset=-1, name="scale")(image)
        return PadToStride(2**depth, name="pad")(x) if padding == "same" else _mirror(x, depth)

    def features(x: Tensor) -> list[Any]:
        maps = []
        for level, channels in enumerate(filters[:-1]):
            x = double_convolution(x, channels, f"down{level}", padding)
            maps.append(x)
            x = layers.MaxPooling2D(2, name=f"down{level}_pool")(x)
        return [*maps, double_convolution(x, filters[-1], "bottom", padding)]

    strides = tuple(2**level for level in range(depth + 1))
    # Pools of 2×2: a cell lies in the middle of its pixels.
    origins = tuple((stride - 1) / 2 for stride in strides)
    return Backbone(preprocess, features, strides, origins, (True,) * len(strides))


def double_convolution(x: Tensor, channels: int, name: str, padding: str) -> Tensor:
    """Convolve twice, 3×3, each time with batch normalisation and ReLU."""
    for i in ("1", "2"):
        # Initial weights: section 3 of the paper, N(0, 2 / fan-in).
        x = convolution(x, channels, 3, name=name, number=i, padding=padding)
    return x


def _mirror(x: Tensor, depth: int) -> Tensor:
    # Two 3×3 convolutions take 4 pixels of a level's width: 4·2^depth at the bottom, and on either way 4 at stride 1,
    # 8 at stride 2, and so on. At each pooling the width must be even: it is, if the bottom's is whole.
    stride = 2**depth
    lost = 4 * stride + 2 * 4 * (stride - 1)
    return MirrorPad(lost // 2, multiple=stride, remainder=4 * (stride - 1) % stride, name="mirror")(x)
