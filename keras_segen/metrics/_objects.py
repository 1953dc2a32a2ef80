"""Scores of objects: whether each is found as one, by label maps of instances."""

from typing import Any

import numpy as np

THRESHOLDS = tuple(np.arange(0.5, 1, 0.05).round(2).tolist())


class ObjectScores:
    """Average precision, F1 and panoptic quality of objects, counted image by image.

    An object is found if an object of the prediction shares more than a threshold's part of both their pixels, as
    intersection over union (IoU); over one half no two can claim the same.

    - `mean_ap`: at each IoU of 0.5, 0.55, … 0.95 the share TP / (TP + FP + FN) of an image, averaged over these and
      then over the images, as the 2018 Data Science Bowl ranked; `ap_50` and `ap_75` are those of one threshold. An
      image that holds no object, and of which none is predicted, counts 1.
    - `f1_50`: 2 TP / (2 TP + FP + FN) at 0.5 over all objects of all images.
    - `panoptic_quality` (Kirillov et al., 2019): the sum of the found objects' IoUs over TP + FP / 2 + FN / 2 at 0.5,
      which is `segmentation_quality`, their mean IoU, times that F1.

    IoUs are compared as whole numbers, so that one of exactly 0.5 or 0.75 is not over it.

    Example:
        >>> scores = ks.metrics.ObjectScores()
        >>> truth = np.array([[1, 1, 1, 0, 2, 2, 2]])
        >>> scores.update_state(truth, np.array([[5, 5, 5, 0, 0, 7, 7]]))
        >>> {name: round(value, 3) for name, value in scores.result().items() if name in ("mean_ap", "ap_75", "f1_50")}
        {'mean_ap': 0.6, 'ap_75': 0.333, 'f1_50': 1.0}
    """

    def __init__(self) -> None:
        self._images: list[np.ndarray] = []  # of each, the average precision at every threshold
        self._true = self._false = self._missed = 0  # at 0.5, over all images
        self._iou = 0.0

    def update_state(self, truth: Any, predicted: Any) -> None:
        """Count an image.

        Args:
            truth: The object of each pixel, 0 for none, whole numbers (height, width).
            predicted: The same of the prediction; its numbers need not be the truth's.

        Raises:
            ValueError: For arrays of different shapes, other than two axes, or that are not whole numbers from 0.
        """
        truth, predicted = np.asarray(truth), np.asarray(predicted)
        if truth.shape != predicted.shape or truth.ndim != 2:
            raise ValueError(
                f"Both must be of one shape (height, width). Received: {truth.shape} and {predicted.shape}"
            )
        for array in (truth, predicted):
            if array.dtype.kind not in "iu" or array.min(initial=0) < 0:
                raise ValueError(f"Objects are numbered from 1, and 0 is none. Received: {array.dtype}")
        shared, union = _overlaps(truth, predicted)
        objects, found = shared.shape
        # In whole numbers: 100 × intersection against 100 × threshold × union.
        matches = np.array([(100 * shared > round(100 * least) * union).sum() for least in THRESHOLDS])
        claimed = objects + found - matches
        self._images.append(np.where(claimed, matches / np.maximum(claimed, 1), 1.0))
        over_half = 2 * shared > union
        self._true += int(matches[0])
        self._false += found - int(matches[0])
        self._missed += objects - int(matches[0])
        self._iou += float((shared[over_half] / union[over_half]).sum())

    def result(self) -> dict[str, float]:
        """Return the scores; NaN for means over nothing."""
        nothing = float("nan")
        by_threshold = np.mean(self._images, axis=0) if self._images else np.full(len(THRESHOLDS), nothing)
        weight = self._true + (self._false + self._missed) / 2
        return {
            "mean_ap": float(by_threshold.mean()),
            "ap_50": float(by_threshold[0]),
            "ap_75": float(by_threshold[THRESHOLDS.index(0.75)]),
            "f1_50": self._true / weight if weight else nothing,
            "panoptic_quality": self._iou / weight if weight else nothing,
            "segmentation_quality": self._iou / self._true if self._true else nothing,
        }


def _overlaps(truth: np.ndarray, predicted: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the intersection and the union of each object with each of the prediction, int64 (objects, found)."""
    ours, places = np.unique(truth, return_inverse=True)
    theirs, their_places = np.unique(predicted, return_inverse=True)
    pairs = places.ravel() * len(theirs) + their_places.ravel()
    table = np.bincount(pairs, minlength=len(ours) * len(theirs)).reshape(len(ours), len(theirs))
    union = table.sum(1, keepdims=True) + table.sum(0, keepdims=True) - table
    rows, columns = ours != 0, theirs != 0
    return table[rows][:, columns], union[rows][:, columns]
