import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from examples.segmentation_examples import KINDS, VOID, class_weights, example, probabilities
from keras_segen.losses import CrossEntropy, Focal, TopKCrossEntropy

each_kind = pytest.mark.parametrize("kind", KINDS)
random_cases = given(seed=st.integers(0, 10**6), void=st.sampled_from([0.0, 0.3, 0.95, 1.0]), used=st.integers(1, 3))
thorough = settings(max_examples=15, deadline=None)


def pixel_losses(masks, logits, kind, weights, smoothing=0.0):
    """The negative log-probability of each valid answer, and its class's weight."""
    p = probabilities(logits, kind)
    for index in zip(*np.nonzero(masks != VOID), strict=True):
        answer = masks[index]
        if kind == "multi-class":
            logs = -np.log(p[index])
            yield (1 - smoothing) * logs[answer] + smoothing * logs.mean(), weights[answer]
        else:
            of = p[index] if kind == "multi-label" else p[index][0]
            truth = answer * (1 - smoothing) + smoothing / 2
            weight = weights[index[-1]] if kind == "multi-label" else weights[answer]
            yield -truth * np.log(of) - (1 - truth) * np.log(1 - of), weight


def weighted_mean(pairs):
    weight = sum(w for _, w in pairs)
    return sum(v * w for v, w in pairs) / weight if weight else 0.0


@each_kind
@thorough
@random_cases
def test_cross_entropy_is_the_formula(kind, seed, void, used):
    masks, logits = example(kind, seed, void, used=used)
    for weights in (None, class_weights(kind)):
        for smoothing in (0.0, 0.1):
            loss = CrossEntropy(class_weights=weights, label_smoothing=smoothing)
            by_hand = weighted_mean([*pixel_losses(masks, logits, kind, weights or [1, 1, 1], smoothing)])
            assert float(loss(masks, logits)) == pytest.approx(by_hand, rel=1e-5, abs=1e-6)


@each_kind
@thorough
@random_cases
def test_focal_is_the_formula(kind, seed, void, used):
    masks, logits = example(kind, seed, void, used=used)
    for weights in (None, class_weights(kind)):
        for gamma in (0.0, 0.5, 2.0):
            pairs = [*pixel_losses(masks, logits, kind, weights or [1, 1, 1])]
            by_hand = weighted_mean([((1 - np.exp(-v)) ** gamma * v, w) for v, w in pairs])
            value = float(Focal(gamma=gamma, class_weights=weights)(masks, logits))
            assert value == pytest.approx(by_hand, rel=1e-5, abs=1e-6)


@each_kind
@thorough
@random_cases
def test_top_k_is_the_mean_of_the_greatest(kind, seed, void, used):
    masks, logits = example(kind, seed, void, used=used)
    for weights in (None, class_weights(kind)):
        for share in (0.1, 0.5, 1.0):
            losses = sorted((v * w for v, w in pixel_losses(masks, logits, kind, weights or [1, 1, 1])), reverse=True)
            kept = int(np.ceil(np.float32(share) * np.float32(len(losses))))
            value = float(TopKCrossEntropy(share=share, class_weights=weights)(masks, logits))
            by_hand = np.mean(losses[:kept]) if kept else 0.0
            assert value == pytest.approx(by_hand, rel=1e-5, abs=1e-6)


def test_hand_computed_values():
    masks = np.array([[[0, 1, VOID]]])
    logits = np.log(np.array([[[[3.0, 1.0], [1.0, 1.0], [1.0, 9.0]]]]))
    assert float(CrossEntropy()(masks, logits)) == pytest.approx((np.log(4 / 3) + np.log(2)) / 2)
    assert float(Focal(gamma=1)(masks, logits)) == pytest.approx((np.log(4 / 3) / 4 + np.log(2) / 2) / 2)
    assert float(TopKCrossEntropy(share=0.5)(masks, logits)) == pytest.approx(np.log(2))


def test_sample_weights_weigh_pixels():
    masks, logits = example(void=0.0)
    half = np.zeros(masks.shape, "float32")
    half[0] = 2
    whole = float(CrossEntropy()(masks[:1], logits[:1]))
    assert float(CrossEntropy()(masks, logits, half)) == pytest.approx(whole, rel=1e-5)


def test_wrong_settings_of_pixelwise_losses_are_refused():
    for build in (
        lambda: CrossEntropy(label_smoothing=1),
        lambda: Focal(gamma=-1),
        lambda: TopKCrossEntropy(share=0),
        lambda: TopKCrossEntropy(share=1.5),
    ):
        with pytest.raises(ValueError, match="Received"):
            build()
