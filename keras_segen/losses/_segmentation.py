"""Losses for segmentation: integer masks with void, logits, class weights, sample weights.

The task follows from the shapes:

- multi-class: masks (batch, height, width) of class ids, logits (batch, height, width, num_classes), by softmax;
- binary: masks (batch, height, width) of 0 and 1, logits (batch, height, width, 1), by sigmoid;
- multi-label: masks (batch, height, width, num_classes) of 0 and 1, logits of the same shape, by sigmoid.

Masks (batch, height, width, 1) count as (batch, height, width).
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import keras
from keras import ops

from keras_segen._masks import VOID, class_ids, flat_masks
from keras_segen.types import Tensor

ClassWeights = Sequence[float] | Mapping[int, float]


class Pixels(NamedTuple):
    """A batch as the losses look at it. `channels` is num_classes, and 1 for binary masks.

    Attributes:
        ids: The class ids, int32 (batch, height, width), or multi-label (batch, height, width, channels); 0 where a
            pixel does not count.
        logits: The logits, float32 (batch, height, width, channels).
        valid: Whether a pixel counts, float32 (batch, height, width, 1), or multi-label (batch, height, width,
            channels): 1 where it does, 0 for void, NaN for an id that is not a class.
        exclusive: Whether the classes exclude each other, so that softmax is taken instead of sigmoid.
        class_weights: One number for each class, or None.
        image_weights: The sample weights of images, float32 (batch,), or None.
        pixel_weights: The sample weights of pixels, float32 (batch, height, width, 1 or channels), or None.
    """

    ids: Any
    logits: Any
    valid: Any
    exclusive: bool
    class_weights: Sequence[float] | None
    image_weights: Any
    pixel_weights: Any

    def truth(self) -> Tensor:
        """Return the mask as 1 and 0, float32 of the logits' shape."""
        if self.exclusive:
            return ops.one_hot(self.ids, self.logits.shape[-1], dtype="float32")
        return ops.reshape(ops.cast(self.ids, "float32"), ops.shape(self.logits))

    def probabilities(self) -> Tensor:
        """Return the probability of each class, in the logits' shape."""
        return ops.softmax(self.logits) if self.exclusive else ops.sigmoid(self.logits)

    def cross_entropy(self, smoothing: float = 0.0) -> Tensor:
        """Return the negative log-probability of the true class, in the shape of `valid`."""
        if not self.exclusive:
            truth = self.truth() * (1 - smoothing) + smoothing / 2
            return ops.softplus(self.logits) - truth * self.logits
        plain = ops.sparse_categorical_crossentropy(self.ids, self.logits, from_logits=True)[..., None]
        if not smoothing:
            return plain
        even = -ops.mean(ops.log_softmax(self.logits), -1, keepdims=True)
        return (1 - smoothing) * plain + smoothing * even

    def counts(self) -> Tensor:
        """Return how much each pixel counts in a mean: `valid` times the weight of its true class."""
        if self.class_weights is None:
            return self.valid
        weights = ops.convert_to_tensor(self.class_weights, "float32")
        if len(self.ids.shape) == 4:  # multi-label
            return self.valid * weights
        return self.valid * ops.take(weights, self.ids)[..., None]

    def sample_weights(self) -> Tensor:
        """Return the sample weights of images or of pixels, in a shape that fits `valid`, or None."""
        if self.image_weights is None:
            return self.pixel_weights
        return ops.reshape(self.image_weights, [-1, 1, 1, 1])


class SegmentationLoss(keras.losses.Loss):
    """The base class of losses for segmentation: void, weights, reduction, and checks of shapes.

    It is called with masks and logits of the shapes in this module's docstring: masks (batch, height, width) of class
    ids and logits (batch, height, width, num_classes) for several classes. A pixel whose id is `ignore_class` does not
    count. An id that is neither that nor a class, or not a whole number, makes the loss NaN rather than count as some
    other class. A batch of nothing but void gives 0.

    Sample weights are Keras's: `fit(x, y, sample_weight=...)`, or a third tensor in a `tf.data.Dataset`.

    - (batch,), (batch, 1), (batch, 1, 1): an image's weight multiplies its loss.
    - (batch, height, width), (batch, height, width, 1): a pixel's weight multiplies its loss in pixelwise losses, and
      the mean is still taken over all valid pixels. In region losses it multiplies inside the sums, so that a pixel of
      weight 0 is void.

    `fit`'s own `class_weight` is for labels of images; masks need `class_weights` here.

    Args:
        ignore_class: The class id of void pixels.
        class_weights: One number for each class, two for binary masks; or a dict of class id -> weight, in which
            classes that are missing have weight 1; or None for equal weights.
        reduction: The reduction, as in Keras: "sum_over_batch_size" takes the mean over what counts,
            "mean_with_sample_weight" divides by the sample weights too, "sum" does not divide, and None returns the
            weighted losses as they are.
    """

    def __init__(
        self,
        *,
        ignore_class: int = VOID,
        class_weights: ClassWeights | None = None,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(name=name, reduction=reduction, dtype=dtype)
        self.ignore_class = ignore_class
        self.class_weights = None if class_weights is None else _checked(class_weights)

    def get_config(self) -> dict[str, Any]:
        """Return what `from_config` needs."""
        config = super().get_config()
        return {**config, "ignore_class": self.ignore_class, "class_weights": self.class_weights}

    def judge(self, pixels: Pixels) -> tuple[Tensor, Tensor, Tensor]:
        """Return losses, how much each counts in a mean, and the sample weights that are still to be applied.

        All are float32 and of shapes that fit the losses'; the sample weights may be None.
        """
        raise NotImplementedError

    def __call__(self, y_true: Tensor, y_pred: Tensor, sample_weight: Tensor = None) -> Tensor:
        """Return the loss of the batch, a scalar; with the reduction None, the loss of each pixel or image."""
        with keras.name_scope(self.name):
            pixels = self.pixels(ops.convert_to_tensor(y_true), ops.convert_to_tensor(y_pred), sample_weight)
            losses, counts, weights = self.judge(pixels)
            losses = losses * counts if weights is None else losses * counts * weights
            return ops.cast(self._reduced(losses, counts, weights), self.dtype)

    def _reduced(self, losses: Any, counts: Tensor, weights: Tensor) -> Tensor:
        if self.reduction in (None, "none"):
            return flat_masks(losses)
        if self.reduction == "sum":
            return ops.sum(losses)
        if self.reduction == "mean_with_sample_weight" and weights is not None:
            counts = counts * weights
        mean, replicas = ops.divide_no_nan(ops.sum(losses), ops.sum(counts)), _replicas()
        return mean if replicas == 1 else mean / replicas

    def pixels(self, y_true: Tensor, y_pred: Tensor, sample_weight: Tensor = None) -> Pixels:
        """Return a batch of tensors as `Pixels`; ValueError for shapes that do not go together."""
        y_true = flat_masks(y_true)
        multi_label = len(y_pred.shape) == len(y_true.shape)
        channels = y_pred.shape[-1]
        alike = multi_label and y_true.shape[-1] == channels
        if len(y_pred.shape) != 4 or not (alike or len(y_true.shape) == 3):
            raise ValueError(
                f"{type(self).__name__} takes masks (batch, height, width) and logits (…, num_classes), or both of one "
                f"shape (multi-label). Received: masks {tuple(y_true.shape)}, logits {tuple(y_pred.shape)}"
            )
        if not _agree(y_true.shape[:3], y_pred.shape[:3]):
            raise ValueError(
                f"{type(self).__name__} compares masks and logits of one size. Received: masks {tuple(y_true.shape)}, "
                f"logits {tuple(y_pred.shape)}"
            )
        exclusive = not multi_label and channels > 1
        weights = self._weights_of(channels if exclusive or multi_label else 2)
        of_images, of_pixels = self._sample_weights(sample_weight, y_true)
        ids = class_ids(y_true)
        in_range = ops.logical_and(ids >= 0, ids < (channels if exclusive else 2))
        void = ids == self.ignore_class
        valid = ops.where(void, 0.0, ops.where(in_range, 1.0, float("nan")))
        valid = ops.cast(valid, "float32")
        ids = ops.where(ops.logical_and(in_range, ops.logical_not(void)), ids, 0)
        valid = valid if multi_label else valid[..., None]
        return Pixels(ids, ops.cast(y_pred, "float32"), valid, exclusive, weights, of_images, of_pixels)

    def _weights_of(self, classes: int) -> list[float] | None:
        """Return the weight of each class."""
        if isinstance(self.class_weights, dict):
            strangers = [c for c in self.class_weights if c >= classes]
            if not strangers:
                return [self.class_weights.get(c, 1.0) for c in range(classes)]
        elif self.class_weights is None or len(self.class_weights) == classes:
            return self.class_weights
        raise ValueError(
            f"`class_weights` must hold one number for each of the {classes} classes, or be a dict of their ids, 0 to "
            f"{classes - 1}. Received: class_weights={self.class_weights}"
        )

    def _sample_weights(self, weights: Tensor, masks: Tensor) -> tuple[Tensor, Tensor]:
        """Return the weights of images (batch,) and those of pixels (batch, height, width, …); one or both are None."""
        if weights is None:
            return None, None
        weights = ops.cast(ops.convert_to_tensor(weights), "float32")
        shape = weights.shape
        if all(side == 1 for side in shape[1:]) and _agree(shape[:1], masks.shape[: len(shape[:1])]):
            return ops.broadcast_to(ops.reshape(weights, [-1]), ops.shape(masks)[:1]), None
        if len(shape) == 3 and _agree(shape, masks.shape[:3]):
            return None, weights[..., None]
        if len(shape) == 4 and _agree(shape[:3], masks.shape[:3]) and (shape[3] == 1 or shape[3:] == masks.shape[3:]):
            return None, weights
        raise ValueError(
            f"{type(self).__name__} takes sample weights of images, (batch,), or of pixels, (batch, height, width). "
            f"Received: weights {tuple(shape)} for masks {tuple(masks.shape)}. Where they come from `fit`'s "
            "class_weight, which is for labels of images, give the loss class_weights instead."
        )


def _checked(weights: ClassWeights) -> list[float] | dict[int, float]:
    """Return class weights as floats, in a list or by class id; ValueError for what cannot be weights."""
    try:
        pairs = weights.items() if isinstance(weights, Mapping) else enumerate(weights)
        by_id = {float(c): float(w) for c, w in pairs}  # ids that went through JSON are strings
    except (TypeError, ValueError):
        by_id = {}
    ids_fit = all(c >= 0 and c.is_integer() for c in by_id)
    weigh = all(math.isfinite(w) and w >= 0 for w in by_id.values())
    if not by_id or not ids_fit or not weigh or (not isinstance(weights, Mapping) and not any(by_id.values())):
        raise ValueError(
            "`class_weights` holds a number for each class, in the order of their ids or as a dict of id -> weight, "
            f"finite and not negative, and not 0 for all. Received: class_weights={weights}"
        )
    return {int(c): w for c, w in by_id.items()} if isinstance(weights, Mapping) else list(by_id.values())


def _agree(shape: Sequence[int | None], other_shape: Sequence[int | None]) -> bool:
    """Say whether two shapes may be one, as far as they are known."""
    return all(a == b for a, b in zip(shape, other_shape, strict=True) if None not in (a, b))


def _replicas() -> int:
    """Return on how many replicas this step runs, whose gradients will be summed."""
    if keras.backend.backend() != "tensorflow":
        return 1
    import tensorflow as tf

    return int(tf.distribute.get_strategy().num_replicas_in_sync)
