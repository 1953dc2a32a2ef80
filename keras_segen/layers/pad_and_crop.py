"""Padding to a network's stride and cropping back, inside the graph."""

from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable("keras_segen")
class PadToStride(keras.layers.Layer):
    """Pad bottom and right until height and width are multiples of `stride`, by repeating the last row and column.

    Padded by a constant instead, an image ends in an edge that a network takes for something in the picture.
    Shapes: (batch, height, width, channels) -> the same with height and width rounded up.
    """

    def __init__(self, stride: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.stride = stride

    def call(self, inputs: Any) -> Any:
        """Pad."""
        for axis in (1, 2):
            size = ops.shape(inputs)[axis]
            indices = ops.minimum(ops.arange(size + -size % self.stride), size - 1)
            inputs = ops.take(inputs, indices, axis)
        return inputs

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """Height and width rounded up; None stays None."""
        batch, height, width, channels = input_shape
        return batch, self._rounded(height), self._rounded(width), channels

    def _rounded(self, size: int | None) -> int | None:
        return None if size is None else size + -size % self.stride

    def get_config(self) -> dict[str, Any]:
        """What `from_config` needs."""
        return {**super().get_config(), "stride": self.stride}


@keras.saving.register_keras_serializable("keras_segen")
class CropLike(keras.layers.Layer):
    """Cut the bottom and right of the first input down to the height and width of the second.

    Shapes: [(batch, H, W, channels), (batch, height, width, any)] -> (batch, height, width, channels), with H >= height
    and W >= width.
    """

    def call(self, inputs: Any) -> Any:
        """Crop."""
        x, reference = inputs
        _, height, width, _ = ops.shape(reference)
        batch, _, _, channels = ops.shape(x)
        return ops.slice(x, [0, 0, 0, 0], [batch, height, width, channels])  # its gradient is faster than x[…]'s

    def compute_output_shape(self, input_shape: Any) -> tuple[int | None, ...]:
        """The first input's batch and channels, the second's height and width."""
        (batch, _, _, channels), (_, height, width, _) = input_shape
        return batch, height, width, channels
