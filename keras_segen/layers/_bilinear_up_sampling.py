"""Bilinear up-sampling that trains under XLA and in reduced precision, on any backend."""

import math
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_segen.types import Shape, Tensor


@keras.saving.register_keras_serializable("keras_segen")
class BilinearUpSampling(keras.layers.Layer):
    """Enlarge height and width by a whole factor, bilinearly, with the edges repeated.

    By default it equals `tf.image.resize(..., "bilinear")`, which has no gradient under XLA. It is written as a
    depthwise transposed convolution with a kernel of twice the factor, which may be learned (Long et al., 2015, section
    3.3).

    Args:
        factor: The factor of height and width, a whole number from 1.
        origin: The place of the first coarse cell's centre on the fine grid. The default, (factor - 1) / 2, is the
            middle of the pixels that the cell becomes. A strided convolution's cells may lie elsewhere.
        learned: Whether to train the kernel, one for each channel; it starts bilinear.

    Shapes: (batch, height, width, channels) -> (batch, factor·height, factor·width, channels).

    Example:
        >>> coarse = np.zeros((1, 8, 8, 3))
        >>> ks.layers.BilinearUpSampling(4)(coarse).shape
        TensorShape([1, 32, 32, 3])
    """

    def __init__(self, factor: int = 2, *, origin: float | None = None, learned: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if factor < 1:
            raise ValueError(f"`factor` must be a whole number from 1. Received: factor={factor}")
        self.factor = factor
        self.origin = (factor - 1) / 2 if origin is None else origin
        if not 0 <= self.origin < factor:
            raise ValueError(f"`origin` must lie in the first cell, 0 <= origin < {factor}. Received: origin={origin}")
        self.learned = learned
        # A coarse cell weighs on fine pixels less than `factor` from its centre; this is the first, counted from the
        # first pixel of its own.
        self._first = math.floor(self.origin - factor) + 1

    def build(self, input_shape: Shape) -> None:
        """Make the kernel, (2·factor, 2·factor, channels, 1)."""
        pixels = np.arange(2 * self.factor) + self._first
        tent = np.maximum(0, 1 - np.abs(pixels - self.origin) / self.factor)
        kernel = np.repeat(np.outer(tent, tent)[:, :, None, None], input_shape[-1] or 1, axis=2)
        self.kernel: Any = kernel.astype("float32")
        if self.learned:
            self.kernel = self.add_weight(
                name="kernel", shape=kernel.shape, initializer=keras.initializers.Constant(self.kernel)
            )

    def call(self, inputs: Tensor) -> Tensor:
        """Enlarge."""
        batch, height, width, channels = ops.shape(inputs)
        x = self._repeat_edge(self._repeat_edge(inputs, axis=1), axis=2)
        x = _transposed_convolution(x, ops.cast(self.kernel, x.dtype), self.factor)
        start = self.factor - self._first
        return ops.slice(x, [0, start, start, 0], [batch, height * self.factor, width * self.factor, channels])

    @staticmethod
    def _repeat_edge(x: Tensor, axis: int) -> Tensor:
        every = [slice(None)] * axis
        return ops.concatenate([x[(*every, slice(None, 1))], x, x[(*every, slice(-1, None))]], axis)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """Return the shape with height and width times the factor; None stays None."""
        batch, height, width, channels = input_shape
        return batch, height and height * self.factor, width and width * self.factor, channels

    def get_config(self) -> dict[str, Any]:
        """Return what `from_config` needs."""
        return {**super().get_config(), "factor": self.factor, "origin": self.origin, "learned": self.learned}


def _transposed_convolution(x: Tensor, kernel: Tensor, stride: int) -> Tensor:
    """Depthwise, without padding: (batch, h, w, channels) -> (batch, (h + 1)·stride, (w + 1)·stride, channels)."""
    _, height, width, channels = ops.shape(x)
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        shape = [tf.shape(x)[0], (height + 1) * stride, (width + 1) * stride, channels]
        return tf.nn.depthwise_conv2d_backprop_input(shape, kernel, x, [1, stride, stride, 1], "VALID")
    # Keras has no such operation: zeros between the cells, and a convolution with the kernel turned round.
    gaps = [(0, 0), (0, 0), (0, stride - 1), (0, 0), (0, stride - 1), (0, 0)]
    x = ops.pad(x[:, :, None, :, None], gaps)
    x = ops.reshape(x, [-1, height * stride, width * stride, channels])
    around = (2 * stride - 1, stride)  # the zeros behind the last cell stand for the rest
    x = ops.pad(x, [(0, 0), around, around, (0, 0)])
    return ops.depthwise_conv(x, ops.flip(kernel, (0, 1)), padding="valid", data_format="channels_last")
