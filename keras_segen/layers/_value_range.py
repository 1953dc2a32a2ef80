"""The range of an image's values, which a network brings to [0, 255] by itself."""

from typing import Any

import keras
from keras import ops

from keras_segen.types import Tensor


@keras.saving.register_keras_serializable("keras_segen")
class ValueRange(keras.layers.Layer):
    """Bring images of 12 or 16 bits, or of real numbers, to [0, 255]; what lies beyond the range is cut off.

    Args:
        low: The value that becomes 0.
        high: The value that becomes 255.

    Shapes: any -> the same.

    Example:
        >>> ks.layers.ValueRange(0, 4095)(np.array([0.0, 4095.0, 5000.0])).numpy()
        array([  0., 255., 255.], dtype=float32)
    """

    def __init__(self, low: float, high: float, **kwargs: Any) -> None:
        # In 16 bits neighbouring values would become one.
        super().__init__(**{"dtype": "float32", **kwargs})
        if not low < high:
            raise ValueError(f"`low` must lie below `high`. Received: low={low}, high={high}")
        self.low, self.high = float(low), float(high)

    def call(self, inputs: Tensor) -> Tensor:
        """Clip and scale."""
        return (ops.clip(inputs, self.low, self.high) - self.low) * (255 / (self.high - self.low))

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Return the same shape."""
        return input_shape

    def get_config(self) -> dict[str, Any]:
        """Return what `from_config` needs."""
        return {**super().get_config(), "low": self.low, "high": self.high}
