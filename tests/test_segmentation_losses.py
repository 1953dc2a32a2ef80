import keras
import numpy as np
import pytest
import tensorflow as tf
from segmentation_examples import KINDS, VOID, example

from keras_segen.losses import (
    CrossEntropy,
    Dice,
    Focal,
    FocalTversky,
    Jaccard,
    Lovasz,
    Sum,
    TopKCrossEntropy,
    Tversky,
)

LOSSES = [
    CrossEntropy(),
    CrossEntropy(label_smoothing=0.1),
    Focal(),
    Focal(gamma=0.5),
    TopKCrossEntropy(),
    Dice(),
    Jaccard(),
    Tversky(),
    FocalTversky(),
    Lovasz(),
    Sum([CrossEntropy(), Dice()]),
]
each_loss = pytest.mark.parametrize("loss", LOSSES, ids=lambda loss: loss.name)
each_kind = pytest.mark.parametrize("kind", KINDS)


def value_and_gradient(loss, masks, logits, *, jit_compile=False):
    @tf.function(jit_compile=jit_compile)
    def both(logits):
        with tf.GradientTape() as tape:
            tape.watch(logits)
            value = loss(masks, logits)
        return value, tape.gradient(value, logits)

    return (np.asarray(tf.cast(x, tf.float32)) for x in both(tf.convert_to_tensor(logits)))


@each_loss
@each_kind
@pytest.mark.parametrize("jit_compile", [False, True])
def test_gradient_equals_a_numerical_one(loss, kind, jit_compile):
    masks, logits = example(kind, 3)
    _, exact = value_and_gradient(loss, masks, logits, jit_compile=jit_compile)
    void = masks == VOID if kind == "multi-label" else np.broadcast_to((masks == VOID)[..., None], exact.shape)
    assert not exact[void].any()
    step = 1e-2
    for index in [(0, 0, 0), (0, 3, 2), (1, 4, 3), (1, 2, 0)]:
        shift = np.zeros_like(logits)
        shift[(*index, -1)] = step
        numerical = (float(loss(masks, logits + shift)) - float(loss(masks, logits - shift))) / (2 * step)
        assert exact[(*index, -1)] == pytest.approx(numerical, abs=5e-4)


@each_loss
@each_kind
def test_void_alone_gives_zero_and_no_gradient(loss, kind):
    masks, logits = example(kind, void=1.0)
    value, gradient = value_and_gradient(loss, masks, logits)
    assert value == 0
    assert not gradient.any()


@each_loss
@each_kind
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("size", [0.0, 60.0])
def test_certain_answers_right_and_wrong_have_finite_gradients(loss, kind, dtype, size):
    for used in (1, None):  # one class alone
        masks, logits = example(kind, 5, used=used)
        for jit_compile in (False, True):
            result = value_and_gradient(loss, masks, tf.cast(size * logits, dtype), jit_compile=jit_compile)
            assert all(np.isfinite(x).all() for x in result)


@each_loss
@each_kind
def test_an_id_that_there_is_not_shows(loss, kind):
    masks, logits = example(kind)
    masks[0, 0, 0] = 7
    assert np.isnan(float(loss(masks, logits)))


@each_loss
def test_round_trip(loss):
    masks, logits = example()
    copy = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(loss))
    assert float(copy(masks, logits)) == float(loss(masks, logits))
    assert copy.get_config() == loss.get_config()


def test_sum_adds_and_weighs():
    masks, logits = example(void=0.0)
    total = Sum([CrossEntropy(class_weights=[1, 2, 3]), Dice(smooth=0.5, ignore_class=1)], weights=[1, 0.25])
    expected = float(total.losses[0](masks, logits)) + 0.25 * float(total.losses[1](masks, logits))
    assert float(total(masks, logits)) == pytest.approx(expected)
    copy = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(total))
    assert float(copy(masks, logits)) == float(total(masks, logits))


def test_wrong_arguments_are_named():
    masks, logits = example()
    with pytest.raises(ValueError, match=r"logits \(2, 5, 4\)"):
        CrossEntropy()(masks[:1], logits[..., 0])
    with pytest.raises(ValueError, match=r"logits \(2, 5\)"):
        CrossEntropy()(masks, logits[..., 0, 0])
    with pytest.raises(ValueError, match=r"class_weights=\[1.0\]"):
        Dice(class_weights=[1])(masks, logits)
    with pytest.raises(ValueError, match="negative"):
        CrossEntropy(class_weights=[1, -1])
    with pytest.raises(ValueError, match="1 losses"):
        Sum([Dice()], weights=[1, 2])


def test_masks_and_logits_of_other_sizes_are_named():
    for loss in (CrossEntropy(), Dice(), Lovasz()):
        for shape in ((3, 4, 6, 2), (1, 4, 5, 2)):
            with pytest.raises(ValueError, match="of one size"):
                loss(np.zeros((1, 4, 6), "uint8"), np.zeros(shape, "float32"))
