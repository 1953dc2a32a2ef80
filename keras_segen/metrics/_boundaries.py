"""Boundary IoU and boundary F1: segmentation metrics that the large middles of objects do not dominate."""

import functools
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_segen._masks import NO_CLASS, class_ids
from keras_segen.metrics._segmentation import _COUNT, ConfusionMatrixMetric, _argmax, _flat
from keras_segen.types import Tensor


class BoundaryMetric(ConfusionMatrixMetric):
    """The base class of boundary metrics: the classes' boundaries, and a reach that grows with the image.

    All classes are processed together, in the map of ids, because a pixel lies on the boundary of its own class alone.
    So time and memory do not grow with the number of classes.

    Args:
        num_classes: The number of classes, background included.
        reach: The distance from a boundary that counts, as a share of the image's diagonal.
        ignore_class: The class id of void pixels.
    """

    def __init__(self, num_classes: int, *, reach: float, name: str, **kwargs: Any) -> None:
        super().__init__(num_classes, name=name, **kwargs)
        if not 0 < reach < 1:
            raise ValueError(f"`reach` is a share of the image's diagonal, from 0 to 1. Received: reach={reach}")
        self.reach = reach

    def distance(self, masks: Tensor) -> Tensor:
        """Return the reach in pixels, float32: a number where the images' size is known, else a tensor."""
        height, width = ops.shape(masks)[1:3]
        if isinstance(height, int) and isinstance(width, int):
            return np.float32(self.reach) * np.sqrt(np.float32(height) ** 2 + np.float32(width) ** 2)
        return self.reach * ops.sqrt(ops.cast(height, "float32") ** 2 + ops.cast(width, "float32") ** 2)

    def labels(self, y_true: Tensor, y_pred: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the ids of truth and prediction, int32 (batch, height, width), and where the mask is not void."""
        truth, prediction = _flat(y_true, y_pred)
        if len(prediction.shape) == len(truth.shape) + 1:
            prediction = _argmax(prediction)
        truth = class_ids(truth)
        return truth, class_ids(prediction), truth != self.ignore_class

    def count(self, labels: Tensor, counted: Tensor) -> Tensor:
        """Return the number of counted pixels of each class, int32 (batch, num_classes)."""
        batch, height, width = ops.shape(labels)
        in_range = ops.logical_and(counted, ops.logical_and(labels >= 0, labels < self.num_classes))
        # A cell for each class of each image, and one more for what does not count.
        cell = ops.where(
            in_range, labels + self.num_classes * ops.arange(batch)[:, None, None], self.num_classes * batch
        )
        counts = ops.segment_sum(
            ops.ones((batch * height * width,), "int32"), ops.reshape(cell, [-1]), self.num_classes * batch + 1
        )
        return ops.reshape(counts[:-1], (batch, self.num_classes))

    def get_config(self) -> dict[str, Any]:
        """Return what `from_config` needs."""
        return {**super().get_config(), "reach": self.reach}


@keras.saving.register_keras_serializable("keras_segen")
class BoundaryIoU(BoundaryMetric):
    """Mean intersection over union of the bands along the classes' boundaries, over the classes that occur.

    A band is the part of a class's region that erosion by a square removes, where pixels outside the image count as
    another class. Its width is `reach` of the diagonal, at least one pixel. Counts are summed over the data set, void
    pixels left out. Source: Cheng et al., 2021 (arXiv:2103.16562), section 3, whose 2 % is the default. See
    `ConfusionMatrixMetric` for shapes.

    Args:
        num_classes: The number of classes, background included.
        reach: The width of the band, as a share of the image's diagonal.

    Example:
        >>> masks = np.zeros((1, 32, 32), np.int32)
        >>> masks[:, 8:24, 8:24] = 1
        >>> metric = ks.metrics.BoundaryIoU(2)
        >>> metric.update_state(masks, np.roll(masks, 2, axis=1))
        >>> f"{metric.result():.4f}"
        '0.4943'
    """

    def __init__(self, num_classes: int, *, reach: float = 0.02, name: str = "boundary_iou", **kwargs: Any) -> None:
        super().__init__(num_classes, reach=reach, name=name, **kwargs)
        self._counts = self.add_variable((2, num_classes), "zeros", dtype=_COUNT, name="band_counts")

    def update_state(self, y_true: Tensor, y_pred: Tensor, sample_weight: Tensor = None) -> None:
        """Count a batch."""
        super().update_state(y_true, y_pred, sample_weight)
        truth, prediction, valid = self.labels(y_true, y_pred)
        width = ops.maximum(ops.cast(ops.round(self.distance(truth)), "int32"), 1)
        of_truth, of_prediction = (ops.logical_and(valid, _band(labels, width)) for labels in (truth, prediction))
        both = self.count(truth, ops.logical_and(ops.logical_and(of_truth, of_prediction), truth == prediction))
        either = self.count(truth, of_truth) + self.count(prediction, of_prediction) - both
        self._counts.assign_add(ops.cast(ops.stack([ops.sum(both, 0), ops.sum(either, 0)]), _COUNT))

    def per_class(self) -> np.ndarray:
        """Return each class's boundary IoU, (num_classes,) float64; NaN for a class that occurs nowhere."""
        return ops.convert_to_numpy(self._ratio(self._counts[0], self._counts[1]))

    def result(self) -> Any:
        """Return the mean over the classes that occur, a scalar in [0, 1]."""
        return self._mean(self._ratio(self._counts[0], self._counts[1]), self._counts[1] > 0)


@keras.saving.register_keras_serializable("keras_segen")
class BoundaryF1(BoundaryMetric):
    """Mean F1 score of the classes' boundaries: the share of their pixels that lie near the other boundary.

    A boundary pixel is a pixel of the class with a neighbour (of four) of another class. Precision is the share of the
    predicted boundary within `reach` of the true one, recall the reverse; their harmonic mean is taken for each class
    in each image's mask or prediction, and averaged over the data set by class, then over classes. Pascal VOC's objects
    have borders of void: where a class meets void, that is its true boundary; a predicted boundary in void is right
    if it is near a true one, and does not count otherwise. Source: Csurka, Larlus and Perronnin, 2013, section 3, whose
    0.75 % is the default. See `ConfusionMatrixMetric` for shapes.

    Args:
        num_classes: The number of classes, background included.
        reach: The distance that counts as near, as a share of the image's diagonal; at least one pixel.

    Example:
        >>> masks = np.zeros((1, 32, 32), np.int32)
        >>> masks[:, 8:24, 8:24] = 1
        >>> metric = ks.metrics.BoundaryF1(2)
        >>> metric.update_state(masks, np.roll(masks, 2, axis=1))
        >>> f"{metric.result():.4f}"
        '0.5167'
    """

    def __init__(self, num_classes: int, *, reach: float = 0.0075, name: str = "boundary_f1", **kwargs: Any) -> None:
        super().__init__(num_classes, reach=reach, name=name, **kwargs)
        self._sums = self.add_variable((2, num_classes), "zeros", dtype="float32", name="sums_and_images")

    def update_state(self, y_true: Tensor, y_pred: Tensor, sample_weight: Tensor = None) -> None:
        """Score a batch."""
        super().update_state(y_true, y_pred, sample_weight)
        truth, prediction, valid = self.labels(y_true, y_pred)
        distance = self.distance(truth)
        radius = max(distance, np.float32(1)) if isinstance(distance, np.float32) else ops.maximum(distance, 1.0)
        of_truth, of_prediction = ops.logical_and(_outline(truth), valid), _outline(prediction)
        # No id off the outlines, and other ones in truth and prediction, so that only boundaries of one class are near.
        near_prediction, near_truth = _near_of_any_size()(
            ops.where(of_truth, truth, NO_CLASS), ops.where(of_prediction, prediction, NO_CLASS + 1), radius
        )
        counts = (
            self.count(truth, of_truth),
            self.count(prediction, ops.logical_and(of_prediction, ops.logical_or(valid, near_truth))),
            self.count(truth, ops.logical_and(of_truth, near_prediction)),
            self.count(prediction, near_truth),
        )
        of_truth, of_prediction, recalled, correct = (ops.cast(x, "float32") for x in counts)
        recall, precision = ops.divide_no_nan(recalled, of_truth), ops.divide_no_nan(correct, of_prediction)
        f1 = ops.divide_no_nan(2 * precision * recall, precision + recall)  # (batch, num_classes)
        counted = ops.cast(of_truth + of_prediction > 0, "float32")
        self._sums.assign_add(ops.stack([ops.sum(f1, 0), ops.sum(counted, 0)]))

    def per_class(self) -> np.ndarray:
        """Return each class's mean over the images with a boundary of it, (num_classes,); NaN if no image has one."""
        return ops.convert_to_numpy(self._ratio(self._sums[0], self._sums[1]))

    def result(self) -> Any:
        """Return the mean over the classes, a scalar in [0, 1]."""
        return self._mean(self._ratio(self._sums[0], self._sums[1]), self._sums[1] > 0)


def _window_sum(x: Tensor, axis: int, half: Tensor) -> Tensor:
    """Sum int32 over 2·half + 1 places along an axis, zeros beyond the ends; `half` may be a tensor."""
    size = ops.shape(x)[axis]
    before = [(0, 0)] * len(x.shape)
    before[axis] = (1, 0)
    sums = ops.cumsum(ops.pad(x, before), axis)
    places = ops.arange(size)
    last, first = ops.minimum(places + half + 1, size), ops.maximum(places - half, 0)
    return ops.take(sums, last, axis) - ops.take(sums, first, axis)


def _neighbours(labels: Tensor, mode: str, offsets: Tensor) -> Tensor:
    """Yield the map of ids moved by each of the offsets; beyond its border lies no class, or the border again."""
    height, width = ops.shape(labels)[1:]
    constant = {"constant_values": NO_CLASS} if mode == "constant" else {}
    padded = ops.pad(labels, ((0, 0), (1, 1), (1, 1)), mode, **constant)
    for down, across in offsets:
        yield padded[:, 1 + down : 1 + down + height, 1 + across : 1 + across + width]


def _band(labels: Tensor, width: Tensor) -> Tensor:
    """Return where something else lies in the square that reaches `width` pixels to all sides, the outside included."""
    inside = ops.ones_like(labels, dtype="bool")
    around = [(down, across) for down in (-1, 0, 1) for across in (-1, 0, 1) if down or across]
    for neighbour in _neighbours(labels, "constant", around):
        inside = ops.logical_and(inside, neighbour == labels)
    # Where that holds with one pixel to all sides for the whole square of one less, it holds for the square.
    whole = _window_sum(_window_sum(ops.cast(inside, "int32"), 1, width - 1), 2, width - 1)
    return whole != (2 * width - 1) ** 2


def _outline(labels: Tensor) -> Tensor:
    """Return where a pixel has a neighbour (of four) in the image that is of another class."""
    outline = ops.zeros_like(labels, dtype="bool")
    for neighbour in _neighbours(labels, "symmetric", ((-1, 0), (1, 0), (0, -1), (0, 1))):
        outline = ops.logical_or(outline, neighbour != labels)
    return outline


def _near_of_any_size() -> Tensor:
    """Return `_near`; outside a graph one of TensorFlow's that looks at outlines alone, few pixels of a large image."""
    if keras.backend.backend() != "tensorflow":
        return _near
    import tensorflow as tf

    return _compiled_near() if tf.executing_eagerly() else _near


@functools.cache
def _compiled_near() -> Any:
    import tensorflow as tf

    def near(outlines: Tensor, other_outlines: Tensor, radius: Tensor) -> tuple[Tensor, Tensor]:
        return _near_outline(outlines, other_outlines, radius), _near_outline(other_outlines, outlines, radius)

    ids = tf.TensorSpec((None, None, None), tf.int32)
    return tf.function(near, input_signature=(ids, ids, tf.TensorSpec((), tf.float32)), autograph=False)


def _near_outline(labels: Tensor, other_labels: Tensor, radius: Tensor) -> Tensor:
    """Return where a pixel of an outline has one of the others of its id within the radius.

    Only places with some outline of the others in the square around them are looked at. All of these are gone through
    at once, row by row of the disc, from the middle outwards, and a place is done once one is found. XLA cannot do
    this: sizes follow from values.
    """
    import tensorflow as tf

    reach = tf.cast(tf.floor(radius), tf.int32)
    border = [[0, 0], [reach, reach], [reach, reach]]
    padded = [tf.pad(x, border, constant_values=NO_CLASS) for x in (labels, other_labels)]
    shape, row = tf.shape(padded[0]), tf.shape(padded[0])[2]
    ids, other_ids = (tf.reshape(x, [-1]) for x in padded)
    outline = ids > NO_CLASS + 1
    has_outline = tf.cast(padded[1] > NO_CLASS + 1, tf.int32)
    in_square = tf.reshape(_window_sum(_window_sum(has_outline, 1, reach), 2, reach), [-1]) > 0

    def along_row(number: Tensor, places: Tensor) -> Tensor:
        down = (number + 1) // 2 * (1 - 2 * (number % 2))  # 0, -1, 1, -2, 2, …
        reach_across = tf.cast(tf.floor(tf.sqrt(tf.maximum(radius**2 - tf.cast(down, tf.float32) ** 2, 0.0))), tf.int32)
        own, moved = tf.gather(ids, places), places + down * row

        def look(across: Tensor, is_near: Tensor) -> Any:
            return across + 1, is_near | (tf.gather(other_ids, moved + across) == own)

        is_near = tf.zeros_like(places, tf.bool)
        _, is_near = tf.while_loop(
            lambda across, _: across <= reach_across, look, (-reach_across, is_near), parallel_iterations=1
        )
        return number + 1, tf.boolean_mask(places, ~is_near)

    _, far = tf.while_loop(
        lambda number, _: number <= 2 * reach,
        along_row,
        (tf.constant(0), tf.cast(tf.where(outline & in_square)[:, 0], tf.int32)),
        shape_invariants=(tf.TensorShape([]), tf.TensorShape([None])),
        parallel_iterations=1,
    )
    near = tf.tensor_scatter_nd_update(outline & in_square, far[:, None], tf.zeros_like(far, tf.bool))
    return tf.reshape(near, shape)[:, reach:-reach, reach:-reach]


def _near(outlines: Tensor, other_outlines: Tensor, radius: Tensor) -> tuple[Tensor, Tensor]:
    """Return where one of the others of the same id lies within the radius of some, and the reverse, place by place."""
    shape = ops.shape(outlines)
    reach = int(radius) if isinstance(radius, np.float32) else ops.cast(ops.floor(radius), "int32")
    border = ((0, 0), (reach, reach), (reach, reach))
    padded, other_padded = (ops.pad(x, border, constant_values=NO_CLASS + 2) for x in (outlines, other_outlines))

    def moved(padded: Tensor, down: Tensor, across: Tensor) -> Tensor:
        """Return what lies so far below and to the right."""
        return ops.slice(padded, [0, reach + down, reach + across], shape)

    def look(down: Tensor, across: Tensor, reach_across: Tensor, is_near: Tensor, other_is_near: Tensor) -> Any:
        is_near = ops.logical_or(is_near, moved(other_padded, down, across) == outlines)
        other_is_near = ops.logical_or(other_is_near, moved(padded, -down, -across) == other_outlines)
        return down, across + 1, reach_across, is_near, other_is_near

    def along_row(down: Tensor, is_near: Tensor, other_is_near: Tensor) -> Tensor:
        reach_across = ops.cast(
            ops.floor(ops.sqrt(ops.maximum(radius**2 - ops.cast(down, "float32") ** 2, 0.0))), "int32"
        )
        state = ops.while_loop(
            lambda _, across, reach_across, *__: across <= reach_across,
            look,
            (down, -reach_across, reach_across, is_near, other_is_near),
        )
        return down + 1, *state[3:]

    nowhere = ops.zeros_like(outlines, dtype="bool")
    _, is_near, other_is_near = ops.while_loop(
        lambda down, *_: down <= reach, along_row, (ops.convert_to_tensor(-reach), nowhere, nowhere)
    )
    return is_near, other_is_near
