"""Losses for segmentation: integer masks with void, logits, class weights.

What the logits mean follows from the shapes:

- multi-class: masks (batch, height, width) of class ids, logits (batch, height, width, num_classes), by softmax;
- binary: masks (batch, height, width) of 0 and 1, logits (batch, height, width, 1), by sigmoid;
- multi-label: masks (batch, height, width, num_classes) of 0 and 1, logits of the same shape, by sigmoid.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import keras
from keras import ops


class Pixels(NamedTuple):
    """A batch as the losses look at it. `channels` is num_classes, and 1 for binary masks.

    Attributes:
        ids: int32 (batch, height, width), multi-label (batch, height, width, channels); 0 where it does not count.
        logits: float32 (batch, height, width, channels).
        valid: float32 (batch, height, width, 1), multi-label (batch, height, width, channels): 1 counts, 0 void, NaN
            for an id that there is not.
        weights: of the class that the mask names, in the shape of `valid`; 1 without class weights.
        exclusive: whether the classes exclude each other: softmax, not sigmoid.
    """

    ids: Any
    logits: Any
    valid: Any
    weights: Any
    exclusive: bool

    def truth(self) -> Any:
        """Return what the mask says as float32 of the logits' shape: 1 or 0."""
        if self.exclusive:
            return ops.one_hot(self.ids, self.logits.shape[-1])
        return ops.reshape(ops.cast(self.ids, "float32"), ops.shape(self.logits))

    def probabilities(self) -> Any:
        """Return those of each class, of the logits' shape."""
        return ops.softmax(self.logits) if self.exclusive else ops.sigmoid(self.logits)

    def cross_entropy(self, smoothing: float = 0.0) -> Any:
        """Return the negative log-probability of what the mask says, in the shape of `valid`."""
        if not self.exclusive:
            truth = self.truth() * (1 - smoothing) + smoothing / 2
            return ops.softplus(self.logits) - truth * self.logits
        plain = ops.sparse_categorical_crossentropy(self.ids, self.logits, from_logits=True)[..., None]
        if not smoothing:
            return plain
        even = -ops.mean(ops.log_softmax(self.logits), -1, keepdims=True)
        return (1 - smoothing) * plain + smoothing * even


class SegmentationLoss(keras.losses.Loss):
    """What the losses for segmentation share: void, class weights, and a clear word on wrong shapes.

    Called with masks and logits of the shapes above. A pixel whose id is `ignore_class` counts for nothing; an id that
    is neither that nor a class makes the loss NaN rather than count as some other class. A batch of void alone gives 0.

    Args:
        ignore_class: the class id of void pixels.
        class_weights: one number a class, two for binary masks, or None for equal weights.
    """

    def __init__(
        self,
        *,
        ignore_class: int = 255,
        class_weights: Sequence[float] | None = None,
        reduction: str = "sum_over_batch_size",
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(name=name, reduction=reduction, dtype=dtype)
        self.ignore_class = ignore_class
        self.class_weights = None if class_weights is None else [float(w) for w in class_weights]
        if self.class_weights is not None and min(self.class_weights) < 0:
            raise ValueError(f"`class_weights` must not be negative. Received: class_weights={class_weights}")

    def get_config(self) -> dict[str, Any]:
        """What `from_config` needs."""
        config = super().get_config()
        return {**config, "ignore_class": self.ignore_class, "class_weights": self.class_weights}

    def pixels(self, y_true: Any, y_pred: Any) -> Pixels:
        """Look at a batch; ValueError for shapes that do not go together."""
        multi_label = len(y_pred.shape) == len(y_true.shape)
        channels = y_pred.shape[-1]
        alike = multi_label and y_true.shape[-1] == channels
        if len(y_pred.shape) != 4 or not (alike or len(y_true.shape) == 3):
            raise ValueError(
                f"{type(self).__name__} takes masks (batch, height, width) and logits (…, num_classes), or both of one "
                f"shape (multi-label). Received: masks {tuple(y_true.shape)}, logits {tuple(y_pred.shape)}"
            )
        sides = zip(y_true.shape[:3], y_pred.shape[:3], strict=True)
        if any(truth != predicted for truth, predicted in sides if None not in (truth, predicted)):
            raise ValueError(
                f"{type(self).__name__} compares masks and logits of one size. Received: masks {tuple(y_true.shape)}, "
                f"logits {tuple(y_pred.shape)}"
            )
        exclusive = not multi_label and channels > 1
        classes = channels if exclusive or multi_label else 2
        if self.class_weights is not None and len(self.class_weights) != classes:
            raise ValueError(
                f"`class_weights` must hold one number for each of the {classes} classes. "
                f"Received: class_weights={self.class_weights}"
            )
        ids = ops.cast(y_true, "int32")
        in_range = ops.logical_and(ids >= 0, ids < (channels if exclusive else 2))
        void = ids == self.ignore_class
        valid = ops.where(void, 0.0, ops.where(in_range, 1.0, float("nan")))
        ids = ops.where(ops.logical_and(in_range, ops.logical_not(void)), ids, 0)
        weights = ops.ones_like(valid)
        if self.class_weights is not None:
            given = ops.convert_to_tensor(self.class_weights, "float32")
            weights = weights * (given if multi_label else ops.take(given, ids))
        if not multi_label:
            valid, weights = valid[..., None], weights[..., None]
        return Pixels(ids, ops.cast(y_pred, "float32"), valid, weights, exclusive)


@keras.saving.register_keras_serializable("keras_segen")
class Sum(keras.losses.Loss):
    """A weighted sum of losses: `Sum([CrossEntropy(), Dice()])`.

    Args:
        losses: the terms.
        weights: one factor a term, or None for 1 each.
    """

    def __init__(
        self,
        losses: Sequence[keras.losses.Loss],
        *,
        weights: Sequence[float] | None = None,
        name: str = "sum",
        dtype: Any = None,
    ) -> None:
        super().__init__(name=name, reduction=None, dtype=dtype)
        self.losses = list(losses)
        self.weights = [1.0] * len(self.losses) if weights is None else [float(w) for w in weights]
        if not self.losses or len(self.losses) != len(self.weights):
            raise ValueError(
                "`weights` must hold one factor for each loss, and there must be a loss. "
                f"Received: {len(self.losses)} losses, weights={weights}"
            )

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        """Return the sum of the reduced terms, a scalar."""
        terms = [w * loss(y_true, y_pred, sample_weight) for w, loss in zip(self.weights, self.losses, strict=True)]
        return sum(terms[1:], terms[0])

    def get_config(self) -> dict[str, Any]:
        """What `from_config` needs."""
        losses = [keras.saving.serialize_keras_object(loss) for loss in self.losses]
        return {"losses": losses, "weights": self.weights, "name": self.name}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "Sum":
        """Rebuild the sum and its terms."""
        losses = [keras.saving.deserialize_keras_object(loss) for loss in config["losses"]]
        return cls(**{**config, "losses": losses})
