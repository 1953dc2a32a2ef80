"""Bilinear resizing to the size of another tensor."""

from fractions import Fraction
from typing import Any

import keras
from keras import ops

from keras_segen.layers._interpolation import interpolated
from keras_segen.types import Shape, Tensor


@keras.saving.register_keras_serializable("keras_segen")
class ResizeLike(keras.layers.Layer):
    """Resize the first input to `scale` times the height and width of the second, rounded up.

    The resizing is bilinear with half-pixel centres, clamped edges and no antialiasing: it equals
    `tf.image.resize(..., "bilinear")`. Keras's own resizing does not take a size that is known only at run time.

    Shapes: [(batch, any, any, channels), (batch, height, width, any)] -> (batch, scale·height, scale·width, channels).

    Args:
        scale: The factor of the second input's height and width, over 0.

    Example:
        >>> logits, image = np.zeros((1, 8, 8, 21)), np.zeros((1, 50, 60, 3))
        >>> ks.layers.ResizeLike()([logits, image]).shape
        TensorShape([1, 50, 60, 21])
    """

    def __init__(self, scale: float = 1.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if not scale > 0:
            raise ValueError(f"`scale` must be over 0. Received: scale={scale}")
        self.scale = scale
        # Whole numbers do for sizes, be they tensors or not; nothing is rounded to a side of 0.
        self._ratio = Fraction(scale).limit_denominator(1000) or Fraction(1, 1000)

    def call(self, inputs: Tensor) -> Tensor:
        """Resize one side, then the other."""
        x, reference = inputs
        _, height, width, _ = ops.shape(reference)
        return self._along(self._along(x, self._scaled(height), axis=1), self._scaled(width), axis=2)

    def _scaled(self, size: Tensor) -> Tensor:
        return (size * self._ratio.numerator + self._ratio.denominator - 1) // self._ratio.denominator

    def _along(self, x: Tensor, size: Tensor, axis: int) -> Tensor:
        length = ops.shape(x)[axis]
        ratio = ops.cast(length, "float32") / ops.cast(size, "float32")
        position = (ops.cast(ops.arange(size), "float32") + 0.5) * ratio - 0.5
        return interpolated(x, ops.clip(position, 0, ops.cast(length - 1, "float32")), axis)

    def compute_output_shape(self, input_shape: Any) -> Shape:
        """Return the first input's batch and channels with the second's scaled height and width; None stays None."""
        (batch, _, _, channels), (_, height, width, _) = input_shape
        return batch, height and self._scaled(height), width and self._scaled(width), channels

    def get_config(self) -> dict[str, Any]:
        """Return what `from_config` needs."""
        return {**super().get_config(), "scale": self.scale}
