"""Losses for segmentation: integer masks with void, logits, class weights."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops


class SegmentationLoss(keras.losses.Loss):
    """What the losses for segmentation share: void, class weights, and a clear word on wrong shapes.

    Called with masks (batch, height, width) of integer class ids and logits (batch, height, width, num_classes).
    A pixel whose id is `ignore_class` counts for nothing; an id that is neither that nor below num_classes makes the
    loss NaN rather than count as some other class. A batch of void alone gives 0.

    Args:
        ignore_class: the class id of void pixels.
        class_weights: one number a class, or None for equal weights.
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

    def _prepare(self, y_true: Any, y_pred: Any) -> tuple[Any, Any, Any]:
        """Return labels int32 with void as 0, logits float32, and valid float32: 1 counts, 0 void, NaN out of range."""
        if len(y_pred.shape) != len(y_true.shape) + 1:
            raise ValueError(
                f"{type(self).__name__} takes masks (batch, height, width) and logits (…, num_classes) to match. "
                f"Received: masks {tuple(y_true.shape)}, logits {tuple(y_pred.shape)}"
            )
        num_classes = y_pred.shape[-1]
        if self.class_weights is not None and len(self.class_weights) != num_classes:
            raise ValueError(
                f"`class_weights` must hold one number for each of the {num_classes} classes. "
                f"Received: class_weights={self.class_weights}"
            )
        labels = ops.cast(y_true, "int32")
        in_range = ops.logical_and(labels >= 0, labels < num_classes)
        void = labels == self.ignore_class
        valid = ops.where(void, 0.0, ops.where(in_range, 1.0, float("nan")))
        return (
            ops.where(ops.logical_and(in_range, ops.logical_not(void)), labels, 0),
            ops.cast(y_pred, "float32"),
            valid,
        )


@keras.saving.register_keras_serializable("keras_segen")
class CrossEntropy(SegmentationLoss):
    """Cross-entropy of the softmax, averaged over the pixels that are not void.

    With class weights the average is weighted too: sum(w·loss) / sum(w) over the batch's valid pixels, as in
    PyTorch's `CrossEntropyLoss`. See `SegmentationLoss` for shapes and arguments.
    """

    def __init__(self, *, name: str = "cross_entropy", **kwargs: Any) -> None:
        super().__init__(name=name, **kwargs)

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Return the loss of each pixel (batch, height, width), scaled so that its plain mean is the weighted one."""
        labels, logits, weights = self._prepare(y_true, y_pred)
        losses = ops.sparse_categorical_crossentropy(labels, logits, from_logits=True)
        if self.class_weights is not None:
            weights = weights * ops.take(ops.convert_to_tensor(self.class_weights, "float32"), labels)
        return ops.divide_no_nan(losses * weights, ops.mean(weights))


@keras.saving.register_keras_serializable("keras_segen")
class Dice(SegmentationLoss):
    """1 - the soft Dice coefficient, averaged over the classes that occur in an image's mask.

    For a class: (2·Σ p·t + smooth) / (Σ p + Σ t + smooth), over the image's valid pixels, with p the softmax and t the
    truth (Milletari, Navab and Ahmadi, 2016, arXiv:1606.04797, with plain sums below the line). A class that the mask
    does not hold is left out of the mean, as it is in mean IoU; what is wrongly given to it lowers the others.
    See `SegmentationLoss` for shapes and arguments.

    Args:
        smooth: pixels added above and below the line.
    """

    def __init__(self, *, smooth: float = 1.0, name: str = "dice", **kwargs: Any) -> None:
        super().__init__(name=name, **kwargs)
        self.smooth = smooth

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Return the loss of each image (batch,)."""
        labels, logits, valid = self._prepare(y_true, y_pred)
        valid = valid[..., None]
        num_classes = logits.shape[-1]
        probabilities = ops.softmax(logits) * valid
        truth = ops.one_hot(labels, num_classes) * valid
        pixels = (1, 2)
        intersection = ops.sum(probabilities * truth, pixels)  # (batch, num_classes)
        occurrences = ops.sum(truth, pixels)
        total = ops.sum(probabilities, pixels) + occurrences
        losses = 1 - (2 * intersection + self.smooth) / (total + self.smooth)
        weights = ops.cast(occurrences != 0, "float32")  # NaN, from an id out of range, counts and shows
        if self.class_weights is not None:
            weights = weights * ops.convert_to_tensor(self.class_weights, "float32")
        return ops.divide_no_nan(ops.sum(losses * weights, -1), ops.sum(weights, -1))

    def get_config(self) -> dict[str, Any]:
        """What `from_config` needs."""
        return {**super().get_config(), "smooth": self.smooth}


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
