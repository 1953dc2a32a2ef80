"""Scores of segmentation that look at boundaries alone, where the large middles of objects hide what is wrong."""

from typing import Any

import keras
import numpy as np
from keras import ops

from keras_segen.metrics.segmentation import _COUNT, ConfusionMatrixMetric


class BoundaryMetric(ConfusionMatrixMetric):
    """What the scores of boundaries share: each class's region as a binary image, and a reach that grows with it.

    Args:
        num_classes: as `ConfusionMatrixMetric`.
        reach: how far from a boundary counts, as a share of the image's diagonal.
        ignore_class: the class id of void pixels.
    """

    def __init__(self, num_classes: int, *, reach: float, name: str, **kwargs: Any) -> None:
        super().__init__(num_classes, name=name, **kwargs)
        if not 0 < reach < 1:
            raise ValueError(f"`reach` is a share of the image's diagonal, from 0 to 1. Received: reach={reach}")
        self.reach = reach

    def diagonal(self, masks: Any) -> Any:
        """Return the length of the images' diagonal, pixels, a float32 scalar."""
        height, width = (ops.cast(ops.shape(masks)[i], "float32") for i in (1, 2))
        return ops.sqrt(height**2 + width**2)

    def regions(self, y_true: Any, y_pred: Any) -> tuple[Any, Any, Any]:
        """Return where each class is in truth and prediction, and what is not void: int32 (batch, height, width, …)."""
        truth, prediction = ops.cast(y_true, "int32"), ops.convert_to_tensor(y_pred)
        if len(prediction.shape) == len(truth.shape) + 1:
            prediction = ops.argmax(prediction, -1)
        classes = ops.arange(self.num_classes, dtype="int32")
        valid = ops.cast(truth != self.ignore_class, "int32")[..., None]
        truth, prediction = (ops.cast(x[..., None] == classes, "int32") for x in (truth, ops.cast(prediction, "int32")))
        return truth * valid, prediction, valid

    def get_config(self) -> dict[str, Any]:
        """What `from_config` needs."""
        return {**super().get_config(), "reach": self.reach}


@keras.saving.register_keras_serializable("keras_segen")
class BoundaryIoU(BoundaryMetric):
    """Mean intersection over union of the bands along the classes' boundaries, over the classes that occur.

    A band is what erosion by a square takes from a class's region; beyond the image's border lies none of it. Its width
    is `reach` of the diagonal, at least one pixel. Counts are summed over the data set, void pixels left out.
    Cheng et al., 2021, arXiv:2103.16562, section 3, whose 2 % is the default. See `ConfusionMatrixMetric` for shapes.

    Args:
        num_classes: classes told apart, background included.
        reach: width of the band, as a share of the image's diagonal.
    """

    def __init__(self, num_classes: int, *, reach: float = 0.02, name: str = "boundary_iou", **kwargs: Any) -> None:
        super().__init__(num_classes, reach=reach, name=name, **kwargs)
        self._counts = self.add_variable((2, num_classes), "zeros", dtype=_COUNT, name="band_counts")

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Count a batch."""
        super().update_state(y_true, y_pred, sample_weight)
        *regions, valid = self.regions(y_true, y_pred)
        width = ops.maximum(ops.cast(ops.round(self.reach * self.diagonal(y_true)), "int32"), 1)
        truth, prediction = (region * (1 - _eroded(region, width)) * valid for region in regions)
        pixels = (0, 1, 2)
        both, either = ops.sum(truth * prediction, pixels), ops.sum(ops.maximum(truth, prediction), pixels)
        self._counts.assign_add(ops.cast(ops.stack([both, either]), _COUNT))

    def per_class(self) -> np.ndarray:
        """Return each class's boundary IoU, (num_classes,) float64; NaN for a class that occurs nowhere."""
        return ops.convert_to_numpy(self._ratio(self._counts[0], self._counts[1]))

    def result(self) -> Any:
        """Return the mean over the classes that occur, a scalar in [0, 1]."""
        return self._mean(self._ratio(self._counts[0], self._counts[1]), self._counts[1] > 0)


@keras.saving.register_keras_serializable("keras_segen")
class BoundaryF1(BoundaryMetric):
    """Mean F1 score of the classes' boundaries: which of their pixels lie near the other's.

    A boundary pixel is one of the class with a neighbour (of four) that is not. Precision is the share of the
    predicted boundary within `reach` of the true one, recall the reverse; their harmonic mean is taken for each class
    in each image's mask or prediction, and averaged over the data set by class, then over classes. Pascal VOC's objects
    lie in borders of void: where a class meets void, that is its true boundary; a predicted boundary in void is right
    if it is near a true one, and does not count otherwise. Csurka, Larlus and Perronnin, 2013, section 3, whose 0.75 %
    is the default. See `ConfusionMatrixMetric` for shapes.

    Args:
        num_classes: classes told apart, background included.
        reach: what counts as near, as a share of the image's diagonal; at least one pixel.
    """

    def __init__(self, num_classes: int, *, reach: float = 0.0075, name: str = "boundary_f1", **kwargs: Any) -> None:
        super().__init__(num_classes, reach=reach, name=name, **kwargs)
        self._sums = self.add_variable((2, num_classes), "zeros", dtype="float32", name="sums_and_images")

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Score a batch."""
        super().update_state(y_true, y_pred, sample_weight)
        *regions, valid = self.regions(y_true, y_pred)
        radius = ops.maximum(self.reach * self.diagonal(y_true), 1.0)
        truth, prediction = map(_outline, regions)
        near_truth = _near(truth, radius)
        counts = (
            truth,
            prediction * ops.maximum(valid, near_truth),
            truth * _near(prediction, radius),
            prediction * near_truth,
        )
        of_truth, of_prediction, found, right = (ops.cast(ops.sum(x, (1, 2)), "float32") for x in counts)
        recall, precision = ops.divide_no_nan(found, of_truth), ops.divide_no_nan(right, of_prediction)
        f1 = ops.divide_no_nan(2 * precision * recall, precision + recall)  # (batch, num_classes)
        counted = ops.cast(of_truth + of_prediction > 0, "float32")
        self._sums.assign_add(ops.stack([ops.sum(f1, 0), ops.sum(counted, 0)]))

    def per_class(self) -> np.ndarray:
        """Return each class's mean over the images that have a boundary of it, (num_classes,); NaN where none has."""
        return ops.convert_to_numpy(self._ratio(self._sums[0], self._sums[1]))

    def result(self) -> Any:
        """Return the mean over the classes, a scalar in [0, 1]."""
        return self._mean(self._ratio(self._sums[0], self._sums[1]), self._sums[1] > 0)


def _window_sum(x: Any, axis: int, half: Any) -> Any:
    """Sum int32 over 2·half + 1 places along an axis, zeros beyond the ends; `half` may be a tensor."""
    size = ops.shape(x)[axis]
    before = [(0, 0)] * len(x.shape)
    before[axis] = (1, 0)
    sums = ops.cumsum(ops.pad(x, before), axis)
    places = ops.arange(size)
    last, first = ops.minimum(places + half + 1, size), ops.maximum(places - half, 0)
    return ops.take(sums, last, axis) - ops.take(sums, first, axis)


def _eroded(region: Any, width: Any) -> Any:
    """Return 1 where the whole square that reaches `width` pixels to all sides is in the region."""
    inside = _window_sum(_window_sum(region, 1, width), 2, width)
    return ops.cast(inside == (2 * width + 1) ** 2, "int32")


def _outline(region: Any) -> Any:
    """Return 1 where a pixel of the region has a neighbour (of four) in the image that is not of it."""
    padded = ops.pad(1 - region, ((0, 0), (1, 1), (1, 1), (0, 0)))
    beside = (padded[:, :-2, 1:-1], padded[:, 2:, 1:-1], padded[:, 1:-1, :-2], padded[:, 1:-1, 2:])
    return region * ops.cast(beside[0] + beside[1] + beside[2] + beside[3] > 0, "int32")


def _near(outline: Any, radius: Any) -> Any:
    """Return 1 where a pixel of the outline lies within the radius: dilation by a disc, row by row of the disc."""
    reach = ops.cast(ops.floor(radius), "int32")
    height = ops.shape(outline)[1]

    def add_row(row: Any, found: Any) -> tuple[Any, Any]:
        across = ops.cast(ops.floor(ops.sqrt(ops.maximum(radius**2 - ops.cast(row, "float32") ** 2, 0.0))), "int32")
        # What lies `row` rows below, or above where it is negative.
        places = ops.arange(height) + row
        there = ops.cast(ops.logical_and(places >= 0, places < height), "int32")
        moved = ops.take(outline, ops.clip(places, 0, height - 1), 1) * there[:, None, None]
        hit = ops.cast(_window_sum(moved, 2, across) > 0, "int32")
        return row + 1, ops.maximum(found, hit)

    _, found = ops.while_loop(lambda row, _: row <= reach, add_row, (-reach, ops.zeros_like(outline)))
    return found
