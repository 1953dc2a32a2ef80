import numpy as np
import pytest
from hypothesis import given, strategies
from sklearn import metrics as reference

from keras_segen.metrics import BinaryScores, _probabilities


def random_case(seed, count=2000, values=None):
    """Masks with void, and probabilities that know something of them; with few values, many are equal."""
    rng = np.random.default_rng(seed)
    masks = rng.choice([0, 1, 255], count, p=[0.6, 0.3, 0.1])
    found = np.clip(rng.normal(0.4 + 0.2 * (masks == 1), 0.2), 0, 1)
    return masks, found if values is None else np.round(found * values) / values


def counted(*batches):
    scores = BinaryScores()
    for masks, found in batches:
        scores.update_state(masks, found)
    return scores


def best_f1(truth, found):
    precision, recall, thresholds = reference.precision_recall_curve(truth, found)
    f1 = 2 * precision * recall / np.maximum(precision + recall, 1e-300)
    return f1[:-1].max(), thresholds[f1[:-1].argmax()]


@pytest.mark.parametrize("values", [None, 7, 255])
@pytest.mark.parametrize("seed", range(5))
def test_scores_equal_those_of_scikit_learn(seed, values):
    masks, found = random_case(seed, values=values)
    scores = counted((masks, found)).result()
    truth, found = masks[masks != 255], found[masks != 255]
    assert scores["roc_auc"] == pytest.approx(reference.roc_auc_score(truth, found), abs=1e-12)
    assert scores["average_precision"] == pytest.approx(reference.average_precision_score(truth, found), abs=1e-12)
    f1, threshold = best_f1(truth, found)
    assert scores["f1"] == pytest.approx(f1, abs=1e-12)
    assert reference.f1_score(truth, found >= scores["threshold"]) == pytest.approx(f1, abs=1e-12)
    assert scores["threshold"] == pytest.approx(threshold)


@pytest.mark.parametrize("threshold", [0, 0.3, 0.5, 0.9])
def test_scores_at_a_threshold(threshold):
    masks, found = random_case(0, values=20)
    scores = counted((masks, found)).at(threshold)
    truth, positive = masks[masks != 255], found[masks != 255] >= threshold
    assert scores["precision"] == pytest.approx(reference.precision_score(truth, positive))
    assert scores["recall"] == pytest.approx(reference.recall_score(truth, positive))
    assert scores["f1"] == pytest.approx(reference.f1_score(truth, positive))
    assert scores["accuracy"] == pytest.approx(reference.accuracy_score(truth, positive))


def test_the_calibration_error_is_the_mean_gap_of_the_bins():
    # Bins are a fifteenth wide: the first holds 0.01 and 0.05, of which one is 1; the last holds 1.0, which is 0.
    scores = counted((np.array([0, 1, 0]), np.array([0.01, 0.05, 1.0])))
    assert scores.result()["calibration_error"] == pytest.approx((2 * abs(0.03 - 0.5) + 1 * abs(1 - 0)) / 3)


def test_probabilities_that_hold_what_they_say_are_calibrated():
    rng = np.random.default_rng(0)
    found = rng.random(200_000)
    scores = counted(((rng.random(200_000) < found).astype(int), found))
    assert scores.result()["calibration_error"] < 0.01


@given(strategies.lists(strategies.integers(0, 1999), max_size=4), strategies.integers(0, 100))
def test_batches_do_not_matter(cuts, seed):
    masks, found = random_case(seed)
    whole = counted((masks, found)).result()
    parts = counted(*zip(np.split(masks, sorted(cuts)), np.split(found, sorted(cuts)), strict=True)).result()
    assert parts == pytest.approx(whole, abs=1e-12)


def test_memory_is_bounded_and_scores_hardly_change(monkeypatch):
    monkeypatch.setattr(_probabilities, "MOST", 2**12)
    batches = [random_case(seed, count=10_000) for seed in range(5)]
    scores = counted(*batches)
    assert len(scores._values) == 2**12 + 1
    masks, found = (np.concatenate(parts) for parts in zip(*batches, strict=True))
    truth, found = masks[masks != 255], found[masks != 255]
    assert scores.result()["roc_auc"] == pytest.approx(reference.roc_auc_score(truth, found), abs=1e-5)
    assert scores._counts.sum() == len(truth)


@pytest.mark.parametrize("kind", [0, 1])
def test_one_kind_alone_has_no_curve(kind):
    scores = counted((np.full(4, kind), np.linspace(0, 1, 4))).result()
    assert np.isnan([scores[name] for name in ("roc_auc", "average_precision", "f1", "threshold")]).all()
    assert not np.isnan(scores["calibration_error"])


def test_nothing_has_no_score():
    assert np.isnan(list(BinaryScores().result().values())).all()
    assert np.isnan(list(BinaryScores().at(0.5).values())).all()


@pytest.mark.parametrize(
    ("masks", "found", "message"),
    [
        ([0, 1], [0.5], "one shape"),
        ([0, 2], [0.5, 0.5], r"Received: \[2\]"),
        ([0, 1], [0.5, 1.5], "from 0 to 1"),
        ([0, 1], [0.5, np.nan], "from 0 to 1"),
    ],
)
def test_what_cannot_be_counted_is_refused(masks, found, message):
    with pytest.raises(ValueError, match=message):
        BinaryScores().update_state(np.array(masks), np.array(found))
