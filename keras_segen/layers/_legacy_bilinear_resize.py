"""Bilinear resizing as TensorFlow 1 did it."""

from typing import Any

import keras
from keras import ops

from keras_segen.layers._interpolation import interpolated
from keras_segen.types import Tensor


@keras.saving.register_keras_serializable("keras_segen")
class LegacyBilinearResize(keras.layers.Layer):
    """Resize images as TensorFlow 1's `resize_bilinear` did, on which published FIDs rest.

    Output row i is read at input row i * height / size, with neither half-pixel offset nor antialiasing. So when 2 × 2
    pixels become 4 × 4, rows 2 and 3 both equal the last row. The result equals
    `tf.compat.v1.image.resize_bilinear(x, size)` to 1e-5.

    Shapes: images (batch, height, width, channels) of any size -> float32 (batch, size, size, channels).

    Args:
        size: The side of the result in pixels.

    Example:
        >>> row = np.array([0.0, 1.0]).reshape(1, 1, 2, 1)
        >>> ks.layers.LegacyBilinearResize(4)(row)[0, 0, :, 0].numpy()
        array([0. , 0.5, 1. , 1. ], dtype=float32)
    """

    def __init__(self, size: int, **kwargs: Any) -> None:
        super().__init__(autocast=False, **kwargs)  # half precision would round images before they are resized
        self.size = size

    def call(self, images: Tensor) -> Tensor:
        """Resize one side, then the other."""
        x = ops.cast(images, "float32")
        return self._along(self._along(x, axis=2), axis=1)

    def _along(self, x: Tensor, axis: int) -> Tensor:
        length = ops.shape(x)[axis]
        position = ops.arange(self.size, dtype="float32") * (ops.cast(length, "float32") / self.size)
        return interpolated(x, position, axis)

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Return the shape of the result."""
        return (input_shape[0], self.size, self.size, input_shape[3])

    def compute_output_spec(self, images: Tensor) -> Any:
        """Return the shape and the type of the result."""
        return keras.KerasTensor(self.compute_output_shape(images.shape), "float32")

    def get_config(self) -> dict[str, Any]:
        """Return what `from_config` needs."""
        return {**super().get_config(), "size": self.size}
