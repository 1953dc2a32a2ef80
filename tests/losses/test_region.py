import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from examples.segmentation_examples import KINDS, VOID, class_weights, example, mean_over_regions
from keras_segen.losses import Dice, FocalTversky, Jaccard, Lovasz, Tversky


def dice(t, p):
    return 1 - (2 * (p * t).sum() + 1) / (p.sum() + t.sum() + 1)


def jaccard(t, p):
    return 1 - ((p * t).sum() + 1) / (p.sum() + t.sum() - (p * t).sum() + 1)


def tversky(t, p, alpha=0.3, beta=0.7):
    hits = (p * t).sum()
    return 1 - (hits + 1) / (hits + alpha * (p * (1 - t)).sum() + beta * ((1 - p) * t).sum() + 1)


def focal_tversky(t, p):
    return tversky(t, p) ** 0.75


def lovasz(t, errors):
    """Algorithm 1 of the paper, error by error: what the Jaccard loss of the set of the k greatest errors adds."""
    total, before = 0.0, 0.0
    wrong = np.zeros(len(t), bool)
    for i in np.argsort(-errors, kind="stable"):
        wrong[i] = True
        prediction = np.where(wrong, 1 - t, t)
        union = np.maximum(prediction, t).sum()
        now = 1 - np.minimum(prediction, t).sum() / union if union else 0.0
        total += errors[i] * (now - before)
        before = now
    return total


def lovasz_softmax(t, p):
    return lovasz(t, np.abs(t - p))


def lovasz_hinge(t, p):
    logits = np.log(p / (1 - p))
    return lovasz(t, np.maximum(1 - logits * (2 * t - 1), 0))


BY_HAND = [
    (Dice(), dice),
    (Jaccard(), jaccard),
    (Tversky(), tversky),
    (Tversky(alpha=0.5, beta=0.2), lambda t, p: tversky(t, p, 0.5, 0.2)),
    (FocalTversky(), focal_tversky),
    (Lovasz(), None),
]


@pytest.mark.parametrize(("loss", "by_hand"), BY_HAND, ids=lambda x: getattr(x, "name", None))
@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10**6), void=st.sampled_from([0.0, 0.3, 0.95, 1.0]), used=st.integers(1, 3))
def test_equals_the_formula(loss, by_hand, kind, seed, void, used):  # noqa: PLR0917
    masks, logits = example(kind, seed, void, used=used)
    by_hand = by_hand or (lovasz_softmax if kind == "multi-class" else lovasz_hinge)
    by_all = mean_over_regions(masks, logits, kind, [1, 1, 1], by_hand)
    assert float(loss(masks, logits)) == pytest.approx(by_all, rel=1e-4, abs=1e-5)
    if kind != "binary":
        weighted = type(loss).from_config({**loss.get_config(), "class_weights": class_weights(kind)})
        by_all = mean_over_regions(masks, logits, kind, class_weights(kind), by_hand)
        assert float(weighted(masks, logits)) == pytest.approx(by_all, rel=1e-4, abs=1e-5)


def test_hand_computed_values():
    masks = np.array([[[0, 1, VOID]]])
    logits = np.log(np.array([[[[3.0, 1.0], [1.0, 1.0], [1.0, 9.0]]]]))
    # Class 0: p = 3/4 and 1/2 on its valid pixels, t = 1 and 0: (2·3/4 + 1) / (5/4 + 1 + 1).
    # Class 1: (2·1/2 + 1) / (3/4 + 1 + 1).
    assert float(Dice()(masks, logits)) == pytest.approx(1 - (2.5 / 3.25 + 2 / 2.75) / 2)
    assert float(Jaccard(smooth=0)(masks, logits)) == pytest.approx(1 - (0.75 / 1.5 + 0.5 / 1.25) / 2)
    # Errors 1/4 and 1/2 for either class. Class 0: the false pixel first, J from 1 to 1/2, then 0.
    assert float(Lovasz()(masks, logits)) == pytest.approx(((0.5 + 0.25) / 2 + 0.5) / 2)


def test_relations():
    masks, logits = example(void=0.3)
    same = float(Tversky(alpha=0.5, beta=0.5, smooth=0.5)(masks, logits))
    assert float(Dice(smooth=1)(masks, logits)) == pytest.approx(same, rel=1e-5)
    same = float(Tversky(alpha=1, beta=1)(masks, logits))
    assert float(Jaccard()(masks, logits)) == pytest.approx(same, rel=1e-5)
    # Of certain answers, Lovász is one minus intersection over union.
    masks = np.array([[[0, 0, 1, 1]]])
    logits = 50 * np.eye(2, dtype="float32")[[[[0, 1, 1, 1]]]]
    assert float(Lovasz()(masks, logits)) == pytest.approx(1 - (1 / 2 + 2 / 3) / 2, rel=1e-5)


def test_an_image_without_the_class_counts_where_classes_do_not_exclude_each_other():
    logits = np.full((1, 4, 4, 1), 3.0, "float32")
    for loss in (Dice(), Jaccard(), Tversky(), FocalTversky(), Lovasz()):
        assert float(loss(np.zeros((1, 4, 4)), logits)) > 0.5


def test_wrong_settings_of_region_losses_are_refused():
    for build in (lambda: Tversky(alpha=-1), lambda: FocalTversky(gamma=0)):
        with pytest.raises(ValueError, match="Received"):
            build()
    with pytest.raises(ValueError, match="one region"):
        Dice(class_weights=[1, 2])(*example("binary"))
