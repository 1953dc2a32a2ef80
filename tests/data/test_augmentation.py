import re

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from keras_segen._masks import VOID
from keras_segen.data import _augmentation as augment
from keras_segen.data._augmentation import Augmentation

DRAW = st.lists(st.floats(0, 1, width=32, exclude_max=True, allow_subnormal=False), min_size=7, max_size=7)


def scene(height, width):
    """A mask of vertical and horizontal bands, and an image whose red channel is 40 times the class."""
    mask = (np.arange(height)[:, None] // 6 + np.arange(width)[None] // 6) % 5
    mask = mask.astype("uint8")
    return np.repeat(40 * mask[..., None], 3, -1).astype("uint8"), mask


def apply(augmentation, image, mask, size, draw):
    height, width = mask.shape
    varied = augment.vary(augmentation, height, width, size, tf.constant(draw, tf.float32))
    part, padding = augment.inside(varied.window, height, width)
    top, left, rows, columns = part.numpy()
    placed = augment.place_image(tf.constant(image)[top : top + rows, left : left + columns], padding, size)
    turned = np.pad(mask.T, [(0, 1), (0, 1)], constant_values=VOID)
    moved = augment.place_mask(tf.constant(turned), varied.window, size)
    images, masks = augment.flip_and_colour(placed[None], moved[None], tf.nest.map_structure(lambda x: x[None], varied))
    return images[0].numpy(), masks[0].numpy()


@settings(max_examples=40, deadline=None)
@given(draw=DRAW, height=st.integers(4, 60), width=st.integers(4, 60))
def test_classes_after_are_those_before_and_void(draw, height, width):
    image, mask = scene(height, width)
    varied, moved = apply(Augmentation(), image, mask, 32, draw)
    assert set(np.unique(moved)) <= set(np.unique(mask)) | {VOID}
    assert (moved != VOID).any()
    assert varied.shape == (32, 32, 3)
    assert varied.min() >= 0
    assert varied.max() <= 255


@settings(max_examples=40, deadline=None)
@given(draw=DRAW, height=st.integers(20, 60), width=st.integers(20, 60))
def test_image_and_mask_move_alike(draw, height, width):
    image, mask = scene(height, width)
    geometry = Augmentation(brightness=0, contrast=0, saturation=0)
    varied, moved = apply(geometry, image, mask, 48, draw)
    # Where the four neighbours are of one class, the image must show that class: elsewhere bilinear blends two.
    same = np.ones_like(moved, bool)
    for axis in (0, 1):
        for step in (-1, 1):
            same &= moved == np.roll(moved, step, axis)
    same[[0, -1]] = same[:, [0, -1]] = False
    inner = same & (moved != VOID)
    np.testing.assert_allclose(varied[..., 0][inner], 40.0 * moved[inner], atol=40 * 0.55)
    assert np.mean(np.abs(varied[..., 0][inner] - 40.0 * moved[inner]) < 1) > 0.9 or not inner.any()


def test_the_middle_of_each_range_leaves_the_image_as_it_is():
    image, mask = scene(32, 32)
    varied, moved = apply(Augmentation(), image, mask, 32, [0.5] * 7)
    np.testing.assert_allclose(varied, image, atol=1e-3)
    np.testing.assert_array_equal(moved, mask)


def test_flip_mirrors_both():
    image, mask = scene(32, 32)
    varied, moved = apply(Augmentation(), image, mask, 32, [0.5, 0.5, 0.5, 0.2, 0.5, 0.5, 0.5])
    np.testing.assert_allclose(varied, image[:, ::-1], atol=1e-3)
    np.testing.assert_array_equal(moved, mask[:, ::-1])
    unflipped = apply(Augmentation(flip=False), image, mask, 32, [0.5, 0.5, 0.5, 0.2, 0.5, 0.5, 0.5])
    np.testing.assert_array_equal(unflipped[1], mask)


def test_colour_by_hand():
    pixel = np.full((2, 2, 3), (200, 100, 50), "uint8")
    augmentation = Augmentation(scale=(1, 1), flip=False, brightness=0.1, contrast=0.2, saturation=0.3)
    varied, _ = apply(augmentation, pixel, np.zeros((2, 2), "uint8"), 2, [0.5, 0.5, 0.5, 0.5, 1, 0, 1])
    grey = 0.299 * 200 + 0.587 * 100 + 0.114 * 50
    expected = [np.clip(0.8 * (grey + 1.3 * (c - grey) - 127.5) + 127.5 + 25.5, 0, 255) for c in (200, 100, 50)]
    np.testing.assert_allclose(varied[0, 0], expected, rtol=1e-4)


@pytest.mark.parametrize(("zoom", "scale"), [(0.0, 1), (0.5, 1), (0.75, 2**0.5), (1 - 1e-7, 2)])
def test_small_images_keep_their_scale(zoom, scale):
    image, mask = scene(20, 30)
    _, moved = apply(Augmentation(), image, mask, 64, [zoom, 0.5, 0.5, 0.9, 0.5, 0.5, 0.5])
    assert np.sum(moved != VOID) == pytest.approx(20 * 30 * scale**2, rel=0.06)


def test_large_images_are_not_lost_in_void():
    image, mask = scene(40, 60)
    _, moved = apply(Augmentation(), image, mask, 50, [0.0, 0.5, 0.5, 0.9, 0.5, 0.5, 0.5])
    assert np.mean(moved != VOID) == pytest.approx(40 / 60, abs=0.05)


@pytest.mark.parametrize("scale", [(2, 1), 1.0, (0.5,), (0, 1), ("a", "b"), None])
def test_a_wrong_scale_is_refused(scale):
    with pytest.raises(ValueError, match=re.escape(f"Received: scale={scale!r}")):
        Augmentation(scale=scale)


@pytest.mark.parametrize("name", ["brightness", "contrast", "saturation"])
@pytest.mark.parametrize("value", [-0.1, 1.5, (0.8, 1.2), None])
def test_a_wrong_reach_is_refused(name, value):
    with pytest.raises(
        ValueError, match=re.escape(f"`{name}` must be a number from 0 to 1. Received: {name}={value!r}")
    ):
        Augmentation(**{name: value})
