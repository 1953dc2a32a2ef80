"""Class ids as vectors."""

from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable("keras_segen")
class OneHot(keras.layers.Layer):
    """Turn class ids (batch,) into vectors (batch, num_classes) of one 1 each.

    An id that is no class becomes NaN, not zeros, which would pass for "no class" and be trained on unseen.

    Args:
        num_classes: classes; ids lie in [0, num_classes).
    """

    def __init__(self, num_classes: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.num_classes = num_classes

    def call(self, ids: Any) -> Any:
        """Turn ids into vectors."""
        vectors = ops.one_hot(ids, self.num_classes, dtype=self.compute_dtype)
        known = ops.logical_and(ids >= 0, ids < self.num_classes)
        return ops.where(known[:, None], vectors, float("nan"))

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """Return (batch, num_classes)."""
        return (*input_shape, self.num_classes)

    def get_config(self) -> dict[str, Any]:
        """Return the arguments."""
        return {**super().get_config(), "num_classes": self.num_classes}
