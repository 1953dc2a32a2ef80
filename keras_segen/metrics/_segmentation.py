"""Segmentation metrics: mean IoU and others, from one confusion matrix that counts every pixel of a data set."""

import functools
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_segen._masks import VOID, class_ids, flat_masks, one_a_class
from keras_segen.types import Tensor

# JAX has no 64-bit numbers unless it is told to at its start.
_COUNT, _RATIO = ("int32", "float32") if keras.backend.backend() == "jax" else ("int64", "float64")


class ConfusionMatrixMetric(keras.metrics.Metric):
    """The base class of segmentation metrics: a streaming confusion matrix in int64.

    `update_state` takes masks (batch, height, width) of class ids, and either logits (batch, height, width,
    num_classes) or predicted class ids of the masks' shape; masks and ids may have a last axis of 1. Of two classes
    there may be one logit, (batch, height, width, 1), that of class 1 by sigmoid. Pixels whose id in the mask is
    `ignore_class` are left out. The matrix is summed over the whole data set and divided once at the end,
    because a mean over batches would be another number.

    An id in the mask that is neither `ignore_class` nor below `num_classes`, or not a whole number, or a predicted id
    out of range, makes the result NaN: silently dropped, it would raise the score. So do logits that are NaN, except
    inside `fit` on a CPU, where the loss shows them and the check would double the cost.

    Sample weights are refused, because pixels are counted: pass the metric to `compile` in `metrics`, not in
    `weighted_metrics`, and mark pixels that do not count as void.

    Args:
        num_classes: The number of classes, background included.
        ignore_class: The class id of void pixels.

    Raises:
        ValueError: For `num_classes` below 1, shapes that do not fit together, a channel count other than
            `num_classes`, or sample weights.
    """

    _direction = "up"  # for callbacks that monitor it with mode="auto"

    def __init__(
        self, num_classes: int, *, ignore_class: int = VOID, name: str | None = None, dtype: Any = None
    ) -> None:
        if not isinstance(num_classes, int | np.integer) or num_classes < 1:
            raise ValueError(f"`num_classes` must be a whole number of at least 1. Received: num_classes={num_classes}")
        super().__init__(name=name, dtype=dtype)
        self.num_classes = num_classes
        self.ignore_class = ignore_class
        self._matrix = self.add_variable((num_classes, num_classes), "zeros", dtype=_COUNT, name="confusion_matrix")
        self._out_of_range = self.add_variable((), "zeros", dtype=_COUNT, name="out_of_range")

    @property
    def confusion_matrix(self) -> np.ndarray:
        """The counts so far, (num_classes, num_classes) int64: rows are the truth, columns the prediction."""
        return ops.convert_to_numpy(self._matrix).astype(np.int64)

    def update_state(self, y_true: Tensor, y_pred: Tensor, sample_weight: Tensor = None) -> None:
        """Count a batch."""
        if sample_weight is not None:
            raise ValueError(
                f"{type(self).__name__} counts pixels and takes no sample weights: give it to `compile` in `metrics`, "
                "not in `weighted_metrics`, and mark pixels that do not count as void."
            )
        y_true, y_pred = _flat(y_true, y_pred)
        if len(y_pred.shape) == len(y_true.shape) + 1:
            if y_pred.shape[-1] != self.num_classes:
                raise ValueError(
                    f"{type(self).__name__} was made for {self.num_classes} classes and got logits for "
                    f"{y_pred.shape[-1]}. Received: logits {tuple(y_pred.shape)}"
                )
        elif len(y_pred.shape) != len(y_true.shape):
            raise ValueError(
                f"{type(self).__name__} takes masks (batch, height, width), logits (batch, height, width, num_classes) "
                f"or class ids (batch, height, width). Received: {tuple(y_true.shape)} and {tuple(y_pred.shape)}"
            )
        elif keras.backend.is_float_dtype(keras.backend.standardize_dtype(y_pred.dtype)):
            raise ValueError(
                f"{type(self).__name__} takes class ids as whole numbers, or logits with an axis more. Received: "
                f"{y_pred.dtype} {tuple(y_pred.shape)}, as the masks"
            )
        sides = zip(y_true.shape, y_pred.shape, strict=False)
        if any(truth != predicted for truth, predicted in sides if None not in (truth, predicted)):
            raise ValueError(
                f"{type(self).__name__} compares masks and predictions of one size. Received: {tuple(y_true.shape)} "
                f"and {tuple(y_pred.shape)}"
            )
        count = _compiled_count() if _pays_to_compile(y_true, y_pred) else _count
        truth = ops.reshape(y_true, [-1])
        prediction = ops.reshape(y_pred, [-1, *y_pred.shape[len(y_true.shape) :]])
        matrix, out_of_range = count(truth, prediction, self.num_classes, self.ignore_class)
        self._matrix.assign_add(ops.cast(matrix, _COUNT))
        self._out_of_range.assign_add(ops.cast(out_of_range, _COUNT))

    def _ratio(self, numerator: Tensor, denominator: Tensor) -> Tensor:
        """Divide in float64; nothing by nothing is NaN, and so is everything once an id was out of range."""
        numerator, denominator = ops.cast(numerator, _RATIO), ops.cast(denominator, _RATIO)
        defined = (denominator > 0) & (self._out_of_range == 0)
        return ops.where(defined, numerator / ops.maximum(denominator, 1), float("nan"))

    def _truth(self) -> Tensor:
        """Return each class's pixels in the masks."""
        return ops.sum(self._matrix, 1)

    def _prediction(self) -> Tensor:
        """Return each class's pixels in the predictions."""
        return ops.sum(self._matrix, 0)

    def _iou(self) -> Tensor:
        hits = ops.diagonal(self._matrix)
        return self._ratio(hits, self._truth() + self._prediction() - hits)

    def _mean(self, values: Tensor, counted: Tensor) -> Tensor:
        """Return the mean of the classes' values over those that are counted."""
        total = ops.sum(ops.where(counted, values, ops.zeros_like(values)))
        return self._ratio(total, ops.sum(ops.cast(counted, _RATIO)))

    def get_config(self) -> dict[str, Any]:
        """Return what `from_config` needs."""
        config = super().get_config()
        return {**config, "num_classes": self.num_classes, "ignore_class": self.ignore_class}


def _flat(y_true: Tensor, y_pred: Tensor) -> tuple[Tensor, Tensor]:
    """Return masks, and logits, one a class, or class ids, as tensors; masks and ids without a last axis of 1."""
    y_true, y_pred = flat_masks(ops.convert_to_tensor(y_true)), ops.convert_to_tensor(y_pred)
    is_float = keras.backend.is_float_dtype(keras.backend.standardize_dtype(y_pred.dtype))
    if not is_float:
        return y_true, flat_masks(y_pred)
    return y_true, one_a_class(y_pred) if len(y_pred.shape) == 4 else y_pred


def _count(
    truth: Tensor, prediction: Tensor, num_classes: int, ignore_class: int, *, look_for_nan: bool = True
) -> tuple[Tensor, Tensor]:
    """Count one batch in int32.

    Args:
        truth: (pixels,) class ids.
        prediction: (pixels, num_classes) logits or (pixels,) class ids.
        num_classes: The matrix's rows and columns.
        ignore_class: Of the pixels that do not count.
        look_for_nan: Count a pixel with a logit that is NaN as out of range.

    Returns:
        The confusion matrix, and the number of pixels with an id out of range.
    """
    if len(prediction.shape) == 2:
        prediction = _argmax(prediction, look_for_nan=look_for_nan)
    truth, prediction = class_ids(truth), class_ids(prediction)
    in_range = (truth >= 0) & (truth < num_classes) & (prediction >= 0) & (prediction < num_classes)
    cells = num_classes**2
    cell = ops.where(in_range, truth * num_classes + prediction, cells)  # one more for what is out of range,
    cell = ops.where(truth == ignore_class, cells + 1, cell)  # and one for void
    counts = ops.segment_sum(ops.ones_like(cell), cell, num_segments=cells + 2)
    return ops.reshape(counts[:cells], [num_classes, num_classes]), counts[cells]


def _argmax(logits: Tensor, *, look_for_nan: bool = True) -> Tensor:
    """Return the class with the largest logit; -1, which is out of range, where a logit is NaN and that is looked for.

    An argmax passes over NaN in one order of the classes and returns it in another.
    """
    if keras.backend.backend() != "tensorflow":
        largest = ops.argmax(logits, -1)
    else:
        import tensorflow as tf

        largest = tf.argmax(logits, -1, "int32")  # Keras's goes over the logits three times more, to tell -0 from 0
    return ops.where(ops.any(ops.isnan(logits), -1), -1, largest) if look_for_nan else largest


@functools.cache
def _compiled_count() -> Any:
    import tensorflow as tf

    # One function for all metrics: where several count the same batch, TensorFlow sees that it is the same count.
    return tf.function(functools.partial(_count, look_for_nan=False), jit_compile=True, autograph=False)


def _pays_to_compile(*tensors: Any) -> bool:
    """Say whether XLA is to do the counting: on a CPU its argmax takes a fifth of the time of TensorFlow's.

    It compiles anew for each size of images, so they must all have the same, as in training. A GPU counts fast anyway.
    """
    if keras.backend.backend() != "tensorflow":
        return False
    import tensorflow as tf

    same_size = not tf.executing_eagerly() and all(None not in tensor.shape[1:] for tensor in tensors)
    return same_size and not tf.config.list_physical_devices("GPU")


@keras.saving.register_keras_serializable("keras_segen")
class MeanIoU(ConfusionMatrixMetric):
    """Mean intersection over union, over the classes that occur in the masks or the predictions.

    The IoU of a class is true positives / (true positives + false positives + false negatives), over the whole data set
    (Everingham et al., 2010, section 4.2). The mean equals scikit-learn's macro `jaccard_score`. It is NaN before the
    first pixel. See `ConfusionMatrixMetric` for shapes and arguments.

    Example:
        >>> metric = ks.metrics.MeanIoU(2)
        >>> masks, label_maps = np.array([[[0, 0, 1, 255]]]), np.array([[[0, 1, 1, 1]]])
        >>> metric.update_state(masks, label_maps)
        >>> f"{metric.result():.4f}"
        '0.5000'
        >>> metric.per_class()
        array([0.5, 0.5])
    """

    def __init__(self, num_classes: int, *, name: str = "mean_iou", **kwargs: Any) -> None:
        super().__init__(num_classes, name=name, **kwargs)

    def per_class(self) -> np.ndarray:
        """Return the IoU of each class, (num_classes,) float64; NaN for a class that occurs nowhere."""
        return ops.convert_to_numpy(self._iou())

    def result(self) -> Any:
        """Return the mean over the classes that occur, a scalar in [0, 1]."""
        return self._mean(self._iou(), self._truth() + self._prediction() > 0)


@keras.saving.register_keras_serializable("keras_segen")
class PixelAccuracy(ConfusionMatrixMetric):
    """Pixel accuracy: the share of the pixels that are not void whose class is right.

    It is NaN before the first pixel. See `ConfusionMatrixMetric` for shapes and arguments.

    Example:
        >>> metric = ks.metrics.PixelAccuracy(2)
        >>> masks, label_maps = np.array([[[0, 0, 1, 255]]]), np.array([[[0, 1, 1, 1]]])
        >>> metric.update_state(masks, label_maps)
        >>> f"{metric.result():.4f}"
        '0.6667'
    """

    def __init__(self, num_classes: int, *, name: str = "pixel_accuracy", **kwargs: Any) -> None:
        super().__init__(num_classes, name=name, **kwargs)

    def result(self) -> Any:
        """Return the share, a scalar in [0, 1]."""
        return self._ratio(ops.sum(ops.diagonal(self._matrix)), ops.sum(self._matrix))


@keras.saving.register_keras_serializable("keras_segen")
class MeanClassAccuracy(ConfusionMatrixMetric):
    """Mean class accuracy: the share of each class's pixels that is right, averaged over the classes in the masks.

    It is the "mean accuracy" of Long, Shelhamer and Darrell, 2015, section 5, and equals scikit-learn's
    `balanced_accuracy_score`. It is NaN before the first pixel. See `ConfusionMatrixMetric` for shapes and arguments.

    Example:
        >>> metric = ks.metrics.MeanClassAccuracy(2)
        >>> masks, label_maps = np.array([[[0, 0, 1, 255]]]), np.array([[[0, 1, 1, 1]]])
        >>> metric.update_state(masks, label_maps)
        >>> f"{metric.result():.4f}"
        '0.7500'
    """

    def __init__(self, num_classes: int, *, name: str = "mean_class_accuracy", **kwargs: Any) -> None:
        super().__init__(num_classes, name=name, **kwargs)

    def result(self) -> Any:
        """Return the mean, a scalar in [0, 1]."""
        return self._mean(self._ratio(ops.diagonal(self._matrix), self._truth()), self._truth() > 0)


@keras.saving.register_keras_serializable("keras_segen")
class FrequencyWeightedIoU(ConfusionMatrixMetric):
    """Frequency-weighted IoU: the mean of the classes' IoU, each weighted by its share of the masks' pixels.

    It follows Long, Shelhamer and Darrell, 2015, section 5, and equals scikit-learn's weighted `jaccard_score`. It is
    NaN before the first pixel. See `ConfusionMatrixMetric` for shapes and arguments.

    Example:
        >>> metric = ks.metrics.FrequencyWeightedIoU(2)
        >>> masks, label_maps = np.array([[[0, 0, 1, 255]]]), np.array([[[0, 1, 1, 1]]])
        >>> metric.update_state(masks, label_maps)
        >>> f"{metric.result():.4f}"
        '0.5000'
    """

    def __init__(self, num_classes: int, *, name: str = "frequency_weighted_iou", **kwargs: Any) -> None:
        super().__init__(num_classes, name=name, **kwargs)

    def result(self) -> Any:
        """Return the mean, a scalar in [0, 1]."""
        truth, iou = self._truth(), self._iou()
        weighted = ops.where(truth > 0, iou, ops.zeros_like(iou)) * ops.cast(truth, _RATIO)
        return self._ratio(ops.sum(weighted), ops.sum(truth))


@keras.saving.register_keras_serializable("keras_segen")
class MeanDice(ConfusionMatrixMetric):
    """Mean Dice coefficient, which is the F1 score, over the classes that occur in the masks or the predictions.

    The coefficient of a class is 2 · true positives / (2 · true positives + false positives + false negatives), over
    the whole data set. The mean equals scikit-learn's macro `f1_score`. It is NaN before the first pixel. See
    `ConfusionMatrixMetric` for shapes and arguments.

    Example:
        >>> metric = ks.metrics.MeanDice(2)
        >>> masks, label_maps = np.array([[[0, 0, 1, 255]]]), np.array([[[0, 1, 1, 1]]])
        >>> metric.update_state(masks, label_maps)
        >>> f"{metric.result():.4f}"
        '0.6667'
    """

    def __init__(self, num_classes: int, *, name: str = "mean_dice", **kwargs: Any) -> None:
        super().__init__(num_classes, name=name, **kwargs)

    def result(self) -> Any:
        """Return the mean, a scalar in [0, 1]."""
        total = self._truth() + self._prediction()
        return self._mean(self._ratio(2 * ops.diagonal(self._matrix), total), total > 0)
