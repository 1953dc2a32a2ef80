from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, strategies
from scipy import ndimage, optimize

from keras_segen.metrics import ObjectScores


def scored(*pairs):
    scores = ObjectScores()
    for truth, predicted in pairs:
        scores.update_state(truth, predicted)
    return scores.result()


def independent(pairs):
    """The same scores from sets of pixels, matched so that the sum of IoUs is greatest."""
    thresholds = [Fraction(percent, 100) for percent in range(50, 100, 5)]
    by_image, at_half, ious = [], np.zeros(3, int), Fraction(0)
    for maps in pairs:
        ours, theirs = ([set(np.flatnonzero(x == i)) for i in np.unique(x[x > 0])] for x in maps)
        table = [[Fraction(len(a & b), len(a | b)) for b in theirs] for a in ours]
        counts = []
        for least in thresholds:
            kept = np.array([[float(iou) if iou > least else 0 for iou in row] for row in table])
            kept = kept.reshape(len(ours), len(theirs))
            rows, columns = optimize.linear_sum_assignment(kept, maximize=True)
            found = [table[i][j] for i, j in zip(rows, columns, strict=True) if kept[i, j]]
            counts.append((len(found), len(theirs) - len(found), len(ours) - len(found)))
            if least == Fraction(1, 2):
                ious += sum(found)
        at_half += counts[0]
        by_image.append([1 if not sum(row) else row[0] / sum(row) for row in counts])
    by_threshold = np.mean(by_image, axis=0)
    true, false, missed = at_half
    weight = true + (false + missed) / 2
    return {
        "mean_ap": by_threshold.mean(),
        "ap_50": by_threshold[0],
        "ap_75": by_threshold[5],
        "f1_50": true / weight if weight else np.nan,
        "panoptic_quality": float(ious) / weight if weight else np.nan,
        "segmentation_quality": float(ious) / true if true else np.nan,
    }


def objects(seed):
    """A label map of blobs, none at all at times, and a prediction with merges, splits, misses and shifted borders."""
    rng = np.random.default_rng(seed)
    truth, count = ndimage.label(ndimage.gaussian_filter(rng.normal(size=(40, 50)), 2) > rng.choice([0.05, 0.15, 9]))
    predicted = ndimage.shift(truth, rng.integers(-1, 2, 2), order=0)
    for number in rng.permutation(count)[: count // 2] + 1:
        change = rng.integers(3)
        if change == 0:
            predicted[predicted == number] = 0
        elif change == 1:
            predicted[predicted == number] = rng.integers(1, count + 1)
        else:
            rows = np.arange(40)[:, None] > ndimage.center_of_mass(truth == number)[0]
            predicted[(predicted == number) & rows] = count + number
    return truth, predicted * 3


@pytest.mark.parametrize("seed", range(20))
def test_scores_equal_an_independent_implementation(seed):
    pairs = [objects(100 * seed + i) for i in range(4)]
    assert scored(*pairs) == pytest.approx(independent(pairs), abs=1e-12, nan_ok=True)


@given(strategies.integers(0, 10_000))
def test_an_image_is_its_own_best_prediction(seed):
    truth, _ = objects(seed)
    scores = scored((truth, truth * 7))
    assert scores["mean_ap"] == 1
    if truth.any():
        assert scores["panoptic_quality"] == scores["f1_50"] == 1


def test_two_halves_are_not_found():
    truth = np.array([[1, 1, 1, 1]])
    scores = scored((truth, np.array([[1, 1, 2, 2]])))  # both have an IoU of exactly 0.5
    assert scores["f1_50"] == scores["mean_ap"] == 0


def test_empty_images():
    nothing, one = np.zeros((2, 2), int), np.ones((2, 2), int)
    assert scored((nothing, nothing))["mean_ap"] == 1
    assert scored((nothing, one))["mean_ap"] == scored((one, nothing))["mean_ap"] == 0
    assert scored((nothing, nothing), (one, nothing))["mean_ap"] == 0.5
    assert np.isnan(scored((nothing, nothing))["f1_50"])
    assert np.isnan(list(scored().values())).all()


@pytest.mark.parametrize(
    ("truth", "predicted"),
    [
        (np.zeros((2, 2), int), np.zeros((2, 3), int)),
        (np.zeros((1, 2, 2), int), np.zeros((1, 2, 2), int)),
        (np.zeros((2, 2)), np.zeros((2, 2), int)),
        (np.zeros((2, 2), int), np.full((2, 2), -1)),
    ],
)
def test_what_is_no_label_map_is_refused(truth, predicted):
    with pytest.raises(ValueError, match="Received"):
        ObjectScores().update_state(truth, predicted)
