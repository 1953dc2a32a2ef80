"""Bilinear up-sampling that trains under XLA and in reduced precision, on any backend."""

from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable("keras_segen")
class BilinearUpSampling(keras.layers.Layer):
    """Enlarge height and width by a whole factor: bilinear, half-pixel centres, edges clamped.

    Equal to `tf.image.resize(..., "bilinear")`. It is written as three weighted shifts an axis, because the resize
    operations' gradients are not to be had under XLA, and grouped convolutions do not load in every server.

    Shapes: (batch, height, width, channels) -> (batch, factor·height, factor·width, channels).
    """

    def __init__(self, factor: int = 2, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if factor < 1:
            raise ValueError(f"`factor` must be a whole number from 1. Received: factor={factor}")
        self.factor = factor

    def call(self, inputs: Any) -> Any:
        """Enlarge the rows, then the columns."""
        return self._enlarge(self._enlarge(inputs, axis=1), axis=2)

    def _enlarge(self, x: Any, axis: int) -> Any:
        # On the old grid the new pixel k of cell i lies at i + (k + 0.5) / factor - 0.5: between i and a neighbour.
        offsets = [(k + 0.5) / self.factor - 0.5 for k in range(self.factor)]
        first = [slice(None)] * axis + [slice(None, 1)]
        last = [slice(None)] * axis + [slice(-1, None)]
        body = [slice(None)] * axis
        before = ops.concatenate([x[tuple(first)], x[(*body, slice(None, -1))]], axis)
        after = ops.concatenate([x[(*body, slice(1, None))], x[tuple(last)]], axis)
        fine = [before * -d + x * (1 + d) if d < 0 else x * (1 - d) + after * d for d in offsets]
        shape = list(ops.shape(x))
        shape[axis] = shape[axis] * self.factor
        return ops.reshape(ops.stack(fine, axis + 1), [-1, *shape[1:]])  # (..., i, k, ...) -> (..., i·factor + k, ...)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """Height and width times the factor; None stays None."""
        batch, height, width, channels = input_shape
        return batch, height and height * self.factor, width and width * self.factor, channels

    def get_config(self) -> dict[str, Any]:
        """What `from_config` needs."""
        return {**super().get_config(), "factor": self.factor}
