import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from keras_segen.losses import CrossEntropy, Dice, Sum

VOID = 255


def cross_entropy_by_hand(masks, logits, weights):
    total = weight = 0.0
    for pixel, row in zip(masks.ravel(), logits.reshape(-1, logits.shape[-1]).astype("float64"), strict=True):
        if pixel != VOID:
            total += weights[pixel] * (np.log(np.exp(row).sum()) - row[pixel])
            weight += weights[pixel]
    return total / weight if weight else 0.0


def dice_by_hand(masks, logits, weights, smooth=1.0):
    values = []
    for mask, image in zip(masks, logits.astype("float64"), strict=True):
        valid = mask != VOID
        p = np.exp(image) / np.exp(image).sum(-1, keepdims=True)
        terms = []
        for c in np.unique(mask[valid]):
            t = (mask == c)[valid]
            score = (2 * (p[valid][:, c] * t).sum() + smooth) / (p[valid][:, c].sum() + t.sum() + smooth)
            terms.append((weights[c], 1 - score))
        weight = sum(w for w, _ in terms)
        values.append(sum(w * v for w, v in terms) / weight if weight else 0.0)
    return np.mean(values)


BY_HAND = [(CrossEntropy, cross_entropy_by_hand), (Dice, dice_by_hand)]


def example(seed=0, void=0.2, num_classes=3):
    rng = np.random.default_rng(seed)
    masks = rng.integers(0, num_classes, (2, 5, 4)).astype("uint8")
    masks[rng.random(masks.shape) < void] = VOID
    return masks, rng.normal(0, 2, (*masks.shape, num_classes)).astype("float32")


@pytest.mark.parametrize(("loss", "by_hand"), BY_HAND)
@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10**6), void=st.sampled_from([0.0, 0.3, 0.95, 1.0]))
def test_equals_the_formula(loss, by_hand, seed, void):
    masks, logits = example(seed, void)
    assert float(loss()(masks, logits)) == pytest.approx(by_hand(masks, logits, [1, 1, 1]), rel=1e-5, abs=1e-6)
    weights = [0.5, 0.0, 3.0]
    value = float(loss(class_weights=weights)(masks, logits))
    assert value == pytest.approx(by_hand(masks, logits, weights), rel=1e-5, abs=1e-6)


def test_hand_computed_values():
    masks = np.array([[[0, 1, VOID]]])
    logits = np.log(np.array([[[[3.0, 1.0], [1.0, 1.0], [1.0, 9.0]]]]))
    assert float(CrossEntropy()(masks, logits)) == pytest.approx((np.log(4 / 3) + np.log(2)) / 2)
    # Class 0: p = 3/4 and 1/2 on its valid pixels, t = 1 and 0: (2·3/4 + 1) / (5/4 + 1 + 1).
    # Class 1: (2·1/2 + 1) / (3/4 + 1 + 1).
    assert float(Dice()(masks, logits)) == pytest.approx(1 - (2.5 / 3.25 + 2 / 2.75) / 2)


@pytest.mark.parametrize("loss", [CrossEntropy(), Dice(), Dice(class_weights=[1, 0, 2]), Sum([CrossEntropy(), Dice()])])
@pytest.mark.parametrize("jit_compile", [False, True])
def test_gradient_equals_a_numerical_one(loss, jit_compile):
    masks, logits = example(3)

    @tf.function(jit_compile=jit_compile)
    def gradient(value):
        with tf.GradientTape() as tape:
            tape.watch(value)
            result = loss(masks, value)
        return tape.gradient(result, value)

    exact = gradient(tf.constant(logits)).numpy()
    assert not exact[masks == VOID].any()
    step = 1e-2
    for index in [(0, 0, 0, 0), (0, 3, 2, 1), (1, 4, 3, 2), (1, 2, 0, 1)]:
        shift = np.zeros_like(logits)
        shift[index] = step
        numerical = (float(loss(masks, logits + shift)) - float(loss(masks, logits - shift))) / (2 * step)
        assert exact[index] == pytest.approx(numerical, abs=2e-4)


@pytest.mark.parametrize("loss", [CrossEntropy(), Dice()])
def test_void_alone_gives_zero_and_a_finite_gradient(loss):
    logits = tf.constant(example()[1])
    with tf.GradientTape() as tape:
        tape.watch(logits)
        value = loss(np.full((2, 5, 4), VOID, "uint8"), logits)
    assert float(value) == 0
    assert not np.any(tape.gradient(value, logits))


@pytest.mark.parametrize("loss", [CrossEntropy(), Dice()])
def test_an_id_out_of_range_shows(loss):
    masks, logits = example()
    masks[0, 0, 0] = 7
    assert np.isnan(float(loss(masks, logits)))


def test_sample_weights_weigh_pixels():
    masks, logits = example(void=0.0)
    half = np.zeros(masks.shape, "float32")
    half[0] = 2
    assert float(CrossEntropy()(masks, logits, half)) == pytest.approx(
        float(CrossEntropy()(masks[:1], logits[:1])), rel=1e-5
    )


def test_sum_adds_weighs_and_round_trips():
    masks, logits = example(void=0.0)
    total = Sum([CrossEntropy(class_weights=[1, 2, 3]), Dice(smooth=0.5, ignore_class=1)], weights=[1, 0.25])
    expected = float(total.losses[0](masks, logits)) + 0.25 * float(total.losses[1](masks, logits))
    assert float(total(masks, logits)) == pytest.approx(expected)
    copy = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(total))
    assert float(copy(masks, logits)) == float(total(masks, logits))
    assert copy.get_config() == total.get_config()


def test_wrong_arguments_are_named():
    masks, logits = example()
    with pytest.raises(ValueError, match=r"logits \(2, 5, 4\)"):
        CrossEntropy()(masks, logits[..., 0])
    with pytest.raises(ValueError, match=r"class_weights=\[1.0\]"):
        Dice(class_weights=[1])(masks, logits)
    with pytest.raises(ValueError, match="negative"):
        CrossEntropy(class_weights=[1, -1])
    with pytest.raises(ValueError, match="1 losses"):
        Sum([Dice()], weights=[1, 2])
