import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_segen.training import DiffAugment

IMAGES = np.random.default_rng(0).uniform(-1, 1, (3, 16, 16, 3)).astype("float32")
MIDDLE = [0.5, 0.5, 0.5, 0.5, 0.5]


def augmented(shares, images=IMAGES, **parts):
    everything = {"colour": False, "translation": False, "cutout": False, **parts}
    numbers = keras.ops.convert_to_tensor(np.tile(np.array(shares, "float32"), (len(images), 1)))
    return np.asarray(DiffAugment(**everything)(keras.ops.convert_to_tensor(images), lambda *_: numbers))


def test_the_middle_of_each_range_changes_nothing():
    np.testing.assert_allclose(augmented([*MIDDLE, 0, 0], colour=True, translation=True), IMAGES, atol=1e-6)


def test_colour_by_hand():
    changed = augmented([0.9, 0.25, 0.75, 0, 0, 0, 0], colour=True)
    expected = IMAGES + 0.4
    grey = expected.mean(-1, keepdims=True)
    expected = grey + 0.5 * (expected - grey)
    mean = expected.mean((1, 2, 3), keepdims=True)
    np.testing.assert_allclose(changed, mean + 1.25 * (expected - mean), atol=1e-5)


@pytest.mark.parametrize(("down", "right"), [(2, -1), (-2, 0), (0, 2)])
def test_shifts_fill_with_grey(down, right):
    shares = [0, 0, 0, (down + 2.5) / 5, (right + 2.5) / 5, 0, 0]
    expected = np.zeros_like(IMAGES)
    for i in range(16):
        for j in range(16):
            if 0 <= i - down < 16 and 0 <= j - right < 16:
                expected[:, i, j] = IMAGES[:, i - down, j - right]
    np.testing.assert_allclose(augmented(shares, translation=True), expected, atol=1e-6)


@pytest.mark.parametrize("share", [0.0, 0.5, 0.999])
def test_a_hole_of_half_the_side_at_most(share):
    changed = augmented([0, 0, 0, 0, 0, share, 0.5], cutout=True)
    hole = (changed == 0).all((0, 3))
    rows, columns = hole.any(1).sum(), hole.any(0).sum()
    assert columns == 8
    assert rows == 8 if share == 0.5 else rows >= 4
    assert hole.sum() == rows * columns
    np.testing.assert_array_equal(changed[:, ~hole], IMAGES[:, ~hole])


def test_gradients_come_through():
    images = tf.constant(IMAGES)
    with tf.GradientTape() as tape:
        tape.watch(images)
        varied = DiffAugment()(images, lambda function, batch, shape: function((batch, *shape), seed=1))
        loss = tf.reduce_sum(varied * np.random.default_rng(1).normal(size=IMAGES.shape))
    gradient = tape.gradient(loss, images)
    assert np.mean(np.abs(gradient) > 1e-3) > 0.5
