"""Padding to a network's stride, and cropping back, inside the graph."""

from typing import Any

import keras
from keras import ops

from keras_segen.types import Shape, Tensor


@keras.saving.register_keras_serializable("keras_segen")
class PadToStride(keras.layers.Layer):
    """Pad bottom and right until height and width are multiples of `stride`, by repeating the last row and column.

    Padding by a constant would end the image in an edge that a network takes for something in the picture.

    Shapes: (batch, height, width, channels) -> the same with height and width rounded up.

    Args:
        stride: The divisor of the padded sides, in pixels.
        least: The least length of the padded sides, in pixels; rounded up as they are.

    Example:
        >>> images = np.zeros((1, 50, 64, 3))
        >>> ks.layers.PadToStride(32)(images).shape
        TensorShape([1, 64, 64, 3])
    """

    def __init__(self, stride: int, *, least: int = 1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.stride = stride
        self.least = least

    def call(self, inputs: Tensor) -> Tensor:
        """Pad."""
        for axis in (1, 2):
            size = ops.shape(inputs)[axis]
            padded = ops.maximum(self._rounded(size), self._rounded(self.least))
            indices = ops.minimum(ops.arange(padded), size - 1)
            inputs = ops.take(inputs, indices, axis)
        return inputs

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """Return the shape with height and width rounded up; None stays None."""
        batch, height, width, channels = input_shape
        height, width = (size and max(self._rounded(size), self._rounded(self.least)) for size in (height, width))
        return batch, height, width, channels

    def _rounded(self, size: Tensor) -> Tensor:
        # Engines disagree on remainders of negative numbers: here there are none.
        return (size + self.stride - 1) // self.stride * self.stride

    def get_config(self) -> dict[str, Any]:
        """Return what `from_config` needs."""
        return {**super().get_config(), "stride": self.stride, "least": self.least}


@keras.saving.register_keras_serializable("keras_segen")
class MirrorPad(keras.layers.Layer):
    """Mirror the image around its edges: `margin` pixels at the top and left, at least as many at the bottom and right.

    The edge itself is not repeated; an image smaller than the margin is mirrored again and again.

    Shapes: (batch, height, width, channels) -> the same with both sides `remainder` more than a multiple of `multiple`,
    the first at least 2·margin larger.

    Args:
        margin: The least number of pixels to add at each side.
        multiple: The divisor of the padded sides.
        remainder: The remainder of that division.

    Example:
        >>> row = np.array([1.0, 2.0, 3.0]).reshape(1, 1, 3, 1)
        >>> ks.layers.MirrorPad(2)(row)[0, 0, :, 0].numpy()
        array([3., 2., 1., 2., 3., 2., 1.], dtype=float32)
    """

    def __init__(self, margin: int, *, multiple: int = 1, remainder: int = 0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.margin = margin
        self.multiple = multiple
        self.remainder = remainder

    def call(self, inputs: Tensor) -> Tensor:
        """Pad."""
        for axis in (1, 2):
            size = ops.shape(inputs)[axis]
            period = ops.maximum(size - 1, 1)
            way = ops.abs(ops.arange(self._padded(size)) - self.margin) % (2 * period)
            inputs = ops.take(inputs, ops.minimum(period - ops.abs(way - period), size - 1), axis)
        return inputs

    def _padded(self, size: Tensor) -> Tensor:
        least = size + 2 * self.margin
        # As above, without negative numbers: a remainder is less than its divisor.
        return (least - self.remainder + self.multiple - 1) // self.multiple * self.multiple + self.remainder

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """Return the shape after padding; None stays None."""
        batch, height, width, channels = input_shape
        return batch, height and self._padded(height), width and self._padded(width), channels

    def get_config(self) -> dict[str, Any]:
        """Return what `from_config` needs."""
        config = {"margin": self.margin, "multiple": self.multiple, "remainder": self.remainder}
        return {**super().get_config(), **config}


@keras.saving.register_keras_serializable("keras_segen")
class CropLike(keras.layers.Layer):
    """Cut the first input down to the height and width of the second.

    Shapes: [(batch, H, W, channels), (batch, height, width, any)] -> (batch, height, width, channels), with H >= height
    and W >= width.

    Args:
        centre: Whether to keep the middle, instead of the top left.

    Example:
        >>> padded, image = np.zeros((1, 64, 64, 8)), np.zeros((1, 50, 60, 3))
        >>> ks.layers.CropLike()([padded, image]).shape
        TensorShape([1, 50, 60, 8])
    """

    def __init__(self, *, centre: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.centre = centre

    def call(self, inputs: Tensor) -> Tensor:
        """Crop."""
        x, reference = inputs
        _, height, width, _ = ops.shape(reference)
        batch, rows, columns, channels = ops.shape(x)
        start = [0, (rows - height) // 2, (columns - width) // 2, 0] if self.centre else [0, 0, 0, 0]
        return ops.slice(x, start, [batch, height, width, channels])  # its gradient is faster than x[…]'s

    def compute_output_shape(self, input_shape: Any) -> Shape:
        """Return the first input's batch and channels with the second's height and width."""
        (batch, _, _, channels), (_, height, width, _) = input_shape
        return batch, height, width, channels

    def get_config(self) -> dict[str, Any]:
        """Return what `from_config` needs."""
        return {**super().get_config(), "centre": self.centre}


@keras.saving.register_keras_serializable("keras_segen")
class ShiftLike(keras.layers.Layer):
    """Move the first input down and to the right, and give it the second one's height and width.

    What comes in from outside repeats the edges.

    Shapes: [(batch, any, any, channels), (batch, height, width, any)] -> (batch, height, width, channels).

    Args:
        by: The number of rows and columns to move by; below 0, up and to the left.

    Example:
        >>> row, reference = np.array([1.0, 2.0, 3.0]).reshape(1, 1, 3, 1), np.zeros((1, 1, 5, 1))
        >>> ks.layers.ShiftLike(1)([row, reference])[0, 0, :, 0].numpy()
        array([1., 1., 2., 3., 3.], dtype=float32)
    """

    def __init__(self, by: int = 0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.by = by

    def call(self, inputs: Tensor) -> Tensor:
        """Move."""
        x, reference = inputs
        for axis in (1, 2):
            size, wanted = (ops.shape(tensor)[axis] for tensor in (x, reference))
            x = ops.take(x, ops.clip(ops.arange(wanted) - self.by, 0, size - 1), axis)
        return x

    def compute_output_shape(self, input_shape: Any) -> Shape:
        """Return the first input's batch and channels with the second's height and width."""
        (batch, _, _, channels), (_, height, width, _) = input_shape
        return batch, height, width, channels

    def get_config(self) -> dict[str, Any]:
        """Return what `from_config` needs."""
        return {**super().get_config(), "by": self.by}
