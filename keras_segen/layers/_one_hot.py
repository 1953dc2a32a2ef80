"""One-hot vectors of class ids."""

from typing import Any

import keras
from keras import ops

from keras_segen.types import Shape, Tensor


@keras.saving.register_keras_serializable("keras_segen")
class OneHot(keras.layers.Layer):
    """Turn class ids (batch,) into one-hot vectors (batch, num_classes).

    In training on TensorFlow, an id that is not a class stops the step with an error that names it. Elsewhere, and
    where XLA compiles the step, its vector is NaN: zeros would be trained on unnoticed.

    Args:
        num_classes: The number of classes; ids lie in [0, num_classes).

    Example:
        >>> labels = np.array([2, 0])
        >>> ks.layers.OneHot(3)(labels).numpy()
        array([[0., 0., 1.],
               [1., 0., 0.]], dtype=float32)
    """

    def __init__(self, num_classes: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.num_classes = num_classes

    def call(self, ids: Tensor, training: bool = False) -> Tensor:
        """Turn ids into vectors."""
        vectors = ops.one_hot(ids, self.num_classes, dtype=self.compute_dtype)
        in_range = ops.logical_and(ids >= 0, ids < self.num_classes)
        if training and keras.backend.backend() == "tensorflow":
            import tensorflow as tf

            wrong_id = ids[tf.argmin(tf.cast(in_range, tf.int32))]
            message = f"Labels are class ids from 0 to {self.num_classes - 1}. Received:"
            tf.debugging.Assert(tf.reduce_all(in_range), [message, wrong_id])
        return ops.where(in_range[:, None], vectors, float("nan"))

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """Return (batch, num_classes)."""
        return (*input_shape, self.num_classes)

    def get_config(self) -> dict[str, Any]:
        """Return the arguments."""
        return {**super().get_config(), "num_classes": self.num_classes}
