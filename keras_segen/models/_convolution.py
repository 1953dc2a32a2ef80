"""Convolution, batch normalisation, ReLU: the block that decoders are made of."""

from keras import layers

from keras_segen.layers import FusedBatchNormalization
from keras_segen.types import Tensor


def convolution(x: Tensor, channels: int, size: int, *, name: str, number: str = "", padding: str = "same") -> Tensor:
    """Convolve with a square kernel, then batch normalisation and ReLU.

    The batch norm's offset stands in for a bias. The layers are called NAME_conv, NAME_norm and NAME_relu, each with
    the number behind it.
    """
    x = layers.Conv2D(
        channels,
        size,
        padding=padding,
        use_bias=False,
        kernel_initializer="he_normal",
        name=f"{name}_conv{number}",
    )(x)
    x = FusedBatchNormalization(name=f"{name}_norm{number}")(x)
    return layers.ReLU(name=f"{name}_relu{number}")(x)


def separable_convolution(x: Tensor, channels: int, size: int, *, name: str, dilation: int = 1) -> Tensor:
    """Convolve each channel by itself, the kernel's cells `dilation` apart, then all channels at each cell."""
    x = layers.DepthwiseConv2D(size, padding="same", dilation_rate=dilation, use_bias=False, name=f"{name}_depthwise")(
        x
    )
    x = FusedBatchNormalization(name=f"{name}_depthwise_norm")(x)
    x = layers.ReLU(name=f"{name}_depthwise_relu")(x)
    return convolution(x, channels, 1, name=name)
