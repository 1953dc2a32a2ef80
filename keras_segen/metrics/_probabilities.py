"""Scores of probabilities: ROC AUC, average precision, the best F1, calibration; over any number of pixels."""

from typing import Any

import numpy as np

from keras_segen._masks import VOID

MOST = 2**20  # values that are told apart
BINS = 15  # of the calibration error


class BinaryScores:
    """ROC AUC, average precision, best F1 and calibration error of binary probabilities, counted batch by batch.

    Counted are the values that occur, with the pixels of either kind at each. Up to about a million values, results are
    exact, those of scikit-learn's `roc_auc_score` and `average_precision_score` to 1e-9; beyond that, probabilities are
    rounded to multiples of 2⁻²⁰, and memory does not grow further.

    Args:
        ignore_class: The value of void pixels in masks, which do not count.

    Example:
        >>> scores = ks.metrics.BinaryScores()
        >>> scores.update_state(np.array([0, 0, 1, 1, 255]), np.array([0.1, 0.4, 0.35, 0.8, 0.9]))
        >>> {name: round(value, 3) for name, value in scores.result().items() if name in ("roc_auc", "f1", "threshold")}
        {'roc_auc': 0.75, 'f1': 0.8, 'threshold': 0.35}
    """

    def __init__(self, *, ignore_class: int = VOID) -> None:
        self.ignore_class = ignore_class
        self._values = np.empty(0)  # that occur; once there are too many, all multiples of 1 / MOST
        self._counts = np.empty((2, 0), np.int64)  # of pixels that are 0 and 1 in the mask, at each value

    def update_state(self, masks: Any, probabilities: Any) -> None:
        """Count pixels.

        Args:
            masks: 0, 1 or void, of any shape.
            probabilities: Of the same shape, from 0 to 1.

        Raises:
            ValueError: For arrays of different shapes, masks with other values, or what is no probability.
        """
        masks, probabilities = np.asarray(masks), np.asarray(probabilities, np.float64)
        if masks.shape != probabilities.shape:
            raise ValueError(
                f"Masks and probabilities must have one shape. Received: {masks.shape} and {probabilities.shape}"
            )
        counted = masks != self.ignore_class
        truth, found = masks[counted], probabilities[counted]
        if not np.isin(truth, (0, 1)).all():
            raise ValueError(
                f"Masks must hold 0, 1 and {self.ignore_class}. Received: {np.setdiff1d(truth, (0, 1))[:5].tolist()}"
            )
        if not ((found >= 0) & (found <= 1)).all():
            raise ValueError(
                f"Probabilities must lie from 0 to 1. Received: values from {found.min()} to {found.max()}"
            )
        counts = np.stack([truth == 0, truth == 1]).astype(np.int64)
        if len(self._values) > MOST:
            self._counts += _summed(_places(found), counts, len(self._values))
            return
        values, places = np.unique(np.append(self._values, found), return_inverse=True)
        counts = _summed(places, np.append(self._counts, counts, axis=1), len(values))
        if len(values) > MOST:
            counts = _summed(_places(values), counts, MOST + 1)
            values = np.arange(MOST + 1) / MOST
        self._values, self._counts = values, counts

    def result(self) -> dict[str, float]:
        """Return the scores; NaN where pixels of one of the two kinds are missing.

        `roc_auc`, the area under the ROC curve; `average_precision`, the sum of precisions times the steps of recall,
        without interpolation; `f1`, the greatest over all thresholds, and the `threshold` at and above which a pixel is
        1 for it; `calibration_error`, the mean distance of probability and share of ones in 15 bins of equal width,
        weighted by their pixels (Naeini et al., 2015).
        """
        occurring = self._counts.any(0)
        values, counts = self._values[occurring], self._counts[:, occurring]
        negatives, positives = (int(kind.sum()) for kind in counts)
        calibration = _calibration_error(values, counts)
        if not negatives or not positives:
            nothing = dict.fromkeys(("roc_auc", "average_precision", "f1", "threshold"), float("nan"))
            return {**nothing, "calibration_error": calibration}
        # From the highest threshold down: so many pixels of either kind are at or above it.
        false, true = counts[:, ::-1].cumsum(1)
        recall = true / positives
        f1 = 2 * true / (true + false + positives)
        best = int(f1.argmax())
        return {
            "roc_auc": float(np.trapezoid(np.append(0, recall), np.append(0, false / negatives))),
            "average_precision": float(np.sum(np.diff(recall, prepend=0) * true / (true + false))),
            "f1": float(f1[best]),
            "threshold": float(values[::-1][best]),
            "calibration_error": calibration,
        }

    def at(self, threshold: float) -> dict[str, float]:
        """Return `precision`, `recall`, `f1` and `accuracy` where pixels at and above a threshold are 1.

        Args:
            threshold: The threshold, such as the best one of other images.
        """
        above = self._values >= threshold
        (false, true), (negatives, positives) = self._counts[:, above].sum(1), self._counts.sum(1)
        with np.errstate(invalid="ignore"):
            return {
                "precision": float(np.divide(true, true + false)),
                "recall": float(np.divide(true, positives)),
                "f1": float(np.divide(2 * true, true + false + positives)),
                "accuracy": float(np.divide(true + negatives - false, negatives + positives)),
            }


def _places(probabilities: np.ndarray) -> np.ndarray:
    """Return the nearest multiples of 1 / MOST, in these."""
    return np.round(probabilities * MOST).astype(np.int64)


def _summed(places: np.ndarray, counts: np.ndarray, length: int) -> np.ndarray:
    """Add up counts (2, n) by their places, int64 (2, length)."""
    # Of float64, in which bincount adds, whole numbers are exact up to 2^53.
    return np.stack([np.bincount(places, kind, length) for kind in counts]).astype(np.int64)


def _calibration_error(values: np.ndarray, counts: np.ndarray) -> float:
    pixels = counts.sum(0)
    if not pixels.sum():
        return float("nan")
    bins = np.minimum((values * BINS).astype(int), BINS - 1)
    gaps = np.bincount(bins, pixels * values - counts[1], BINS)
    return float(np.abs(gaps).sum() / pixels.sum())
