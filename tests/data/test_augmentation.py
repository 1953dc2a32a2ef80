import re

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import affine_transform, gaussian_filter

from keras_segen._masks import VOID
from keras_segen.data import _augmentation as augment
from keras_segen.data._augmentation import Augmentation
from keras_segen.data._folder import read_folder
from keras_segen.data._order import DRAWS, FIRST
from keras_segen.data._variation import varying
from keras_segen.plotting import save_image

DRAW = st.lists(st.floats(0, 1, width=32, exclude_max=True, allow_subnormal=False), min_size=7, max_size=7)


def scene(height, width):
    """A mask of vertical and horizontal bands, and an image whose red channel is 40 times the class."""
    mask = (np.arange(height)[:, None] // 6 + np.arange(width)[None] // 6) % 5
    mask = mask.astype("uint8")
    return np.repeat(40 * mask[..., None], 3, -1).astype("uint8"), mask


def apply(augmentation, image, mask, size, draw):
    height, width = mask.shape
    draw = [*draw, *[0.5] * (DRAWS - len(draw))]
    varied = augment.vary(augmentation, height, width, size, tf.constant(draw, tf.float32))
    side = size + 2 * augmentation.margin(size)
    part, padding = augment.inside(varied.window, height, width)
    top, left, rows, columns = part.numpy()
    placed = augment.place_image(tf.constant(image)[top : top + rows, left : left + columns], padding, side)
    turned = np.pad(mask.T, [(0, 1), (0, 1)], constant_values=VOID)
    moved = augment.place_mask(tf.constant(turned), varied.window, side)
    finish = varying(augmentation, size)
    images, masks = finish(placed[None], moved[None], tf.nest.map_structure(lambda x: x[None], varied))
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


# Geometry alone: colours as they are.
PLAIN = {"scale": (1, 1), "flip": False, "brightness": 0, "contrast": 0, "saturation": 0}
FULL_DRAW = st.lists(st.floats(0, 1, width=32, exclude_max=True, allow_subnormal=False), min_size=DRAWS, max_size=DRAWS)


@pytest.mark.parametrize("kind", ["photo", "microscopy", "aerial", "none"])
@settings(max_examples=15, deadline=None)
@given(draw=FULL_DRAW)
def test_every_kind_keeps_classes_and_range(kind, draw):
    image, mask = scene(40, 52)
    varied, moved = apply(Augmentation.of(kind), image, mask, 32, draw)
    assert set(np.unique(moved)) <= set(np.unique(mask)) | {VOID}
    assert (varied.shape, moved.shape) == ((32, 32, 3), (32, 32))
    assert 0 <= varied.min() <= varied.max() <= 255


@settings(max_examples=25, deadline=None)
@given(draw=FULL_DRAW)
def test_turned_and_deformed_images_and_masks_agree(draw):
    """The mask follows from the image: it is 1 where a smooth surface, which bilinear sampling keeps, is over 128."""
    y, x = np.mgrid[:80, :90].astype("float32")
    surface = 128 + 100 * np.sin(y / 9) * np.cos(x / 11)
    image, mask = np.repeat(surface[..., None], 3, -1), (surface > 128).astype("uint8")
    turned = Augmentation(**PLAIN, quarter_turns=True, vertical_flip=True, rotation=180, elastic=0.03)
    varied, moved = apply(turned, image, mask, 48, draw)
    inside = moved != VOID
    sure = inside & (np.abs(varied[..., 0] - 128) > 15)  # further from the border than a pixel's slope
    np.testing.assert_array_equal(moved[sure], (varied[..., 0] > 128)[sure])
    assert inside.any()


@pytest.mark.parametrize("turns", range(4))
def test_quarter_turns_are_numpys(turns):
    image, mask = scene(32, 32)
    draw = [0.5] * DRAWS
    draw[FIRST + 1] = turns / 4 + 0.1
    varied, moved = apply(Augmentation(**PLAIN, quarter_turns=True), image, mask, 32, draw)
    np.testing.assert_array_equal(moved, np.rot90(mask, turns))
    np.testing.assert_allclose(varied, np.rot90(image, turns), atol=1e-3)


def test_a_rotation_is_scipys():
    rng = np.random.default_rng(0)
    image = gaussian_filter(rng.uniform(0, 255, (64, 64)), 2).astype("float32")
    draw = [0.5] * DRAWS
    draw[FIRST + 2] = 1 - 1e-7  # 30 degrees
    varied, _ = apply(
        Augmentation(**PLAIN, rotation=30), np.repeat(image[..., None], 3, -1), np.zeros((64, 64), "uint8"), 40, draw
    )
    cos, sin = np.cos(np.pi / 6), np.sin(np.pi / 6)
    matrix, middle = np.array([[cos, -sin], [sin, cos]]), np.array([31.5, 31.5])
    expected = affine_transform(image, matrix, middle - matrix @ [19.5, 19.5], (40, 40), order=1)
    np.testing.assert_allclose(varied[..., 0], expected, atol=1e-2)


def test_an_elastic_deformation_moves_the_middle_by_its_draw():
    """With one vector for all places of the grid the image is moved by it."""
    y, x = np.mgrid[:80, :80].astype("float32")
    image = np.repeat((2 * x + y)[..., None], 3, -1)
    draw = [0.5] * DRAWS
    draw[FIRST + 8 :] = [0.8413447, 0.15865525] * 9  # one standard deviation down, one to the left
    varied, _ = apply(Augmentation(**PLAIN, elastic=0.05), image, np.zeros((80, 80), "uint8"), 40, draw)
    expected = (2 * x + y)[20:60, 20:60] + 2 - 2 * 2  # 0.05 of 40 pixels is 2
    np.testing.assert_allclose(varied[..., 0], expected, atol=0.02)


def test_blur_is_scipys():
    image = np.random.default_rng(0).uniform(0, 255, (40, 40, 3)).astype("float32")
    draw = [0.5] * DRAWS
    draw[FIRST + 4] = 0.9
    varied, _ = apply(Augmentation(**PLAIN, blur=2), image, np.zeros((40, 40), "uint8"), 40, draw)
    expected = gaussian_filter(image, (1.6, 1.6, 0), radius=(6, 6, 0))
    np.testing.assert_allclose(varied, expected, atol=1e-2)


def test_gamma_and_noise_by_hand():
    image = np.full((64, 64, 3), 100, "float32")
    draw = [0.5] * DRAWS
    draw[FIRST + 3], draw[FIRST + 5] = 1 - 1e-7, 0.75
    varied, _ = apply(Augmentation(**PLAIN, gamma=1), image, np.zeros((64, 64), "uint8"), 64, draw)
    np.testing.assert_allclose(varied, 255 * (100 / 255) ** 2, rtol=1e-4)
    varied, _ = apply(Augmentation(**PLAIN, noise=0.1), image, np.zeros((64, 64), "uint8"), 64, draw)
    assert varied.std() == pytest.approx(12.75, rel=0.05)
    assert varied.mean() == pytest.approx(100, abs=0.5)


def test_strength_scales_the_reaches():
    full, half = Augmentation.of("microscopy"), Augmentation.of("microscopy", strength=0.5)
    assert (half.elastic, half.rotation, half.noise) == (full.elastic / 2, full.rotation / 2, full.noise / 2)
    assert half.scale == (0.8**0.5, 1.25**0.5)
    assert Augmentation.of("photo") == Augmentation()
    assert Augmentation.of("photo", strength=0) == Augmentation(scale=(1, 1), brightness=0, contrast=0, saturation=0)


@pytest.mark.parametrize(("kind", "strength"), [("photos", 1), ("photo", 3), ("photo", -1), ("photo", "1")])
def test_another_kind_or_strength_is_refused(kind, strength):
    with pytest.raises(ValueError, match="`kind` must be one of|`strength` must be a number from 0 to 2"):
        Augmentation.of(kind, strength=strength)


def pairs(root, count=4):
    rng = np.random.default_rng(0)
    for i in range(count):
        save_image(rng.integers(0, 256, (48, 56, 3), "uint8"), root / f"images/{i}.png")
        save_image(rng.integers(0, 3, (48, 56), "uint8"), root / f"masks/{i}.png")
    return read_folder("all", root)


def test_the_same_seed_gives_the_same_bits(tmp_path):
    found = pairs(tmp_path)
    options = {"image_size": 32, "batch_size": 2, "training": True, "start": 0}
    augmentation = Augmentation.of("microscopy")

    def batch(seed):
        return next(iter(found.dataset(augmentation=augmentation, seed=seed, **options)))

    for first, again in zip(batch(1), batch(1), strict=True):
        np.testing.assert_array_equal(first, again)
    assert not np.array_equal(batch(1)[0], batch(2)[0])


def test_colours_of_a_data_set_are_varied_as_colours(tmp_path):
    options = {"image_size": 32, "batch_size": 4, "training": True, "seed": 1}
    found = pairs(tmp_path)
    plain, _ = next(iter(found.dataset(augmentation=Augmentation(**PLAIN), **options)))
    faded, _ = next(iter(found.dataset(augmentation=Augmentation(**{**PLAIN, "saturation": 0.5}), **options)))
    plain, faded = plain.numpy(), faded.numpy()
    inside = ((faded > 0) & (faded < 255)).all(-1)  # elsewhere something was cut off
    luminance = np.array([0.299, 0.587, 0.114], np.float32)
    np.testing.assert_allclose((faded @ luminance)[inside], (plain @ luminance)[inside], atol=1e-2)
    assert not np.allclose(np.ptp(faded, -1)[inside], np.ptp(plain, -1)[inside], rtol=0.05)


def test_a_function_of_ones_own_comes_last(tmp_path):
    def negative(image, mask):
        assert (type(image), image.dtype, mask.dtype) == (np.ndarray, np.float32, np.uint8)
        return 255 - image, np.where(mask == 1, 2, mask)

    found, options = pairs(tmp_path), {"image_size": 32, "batch_size": 2, "training": True, "seed": 1}
    plain, masks = next(iter(found.dataset(augmentation=Augmentation(**PLAIN), **options)))
    images, changed = next(iter(found.dataset(augmentation=Augmentation(**PLAIN, hook=negative), **options)))
    np.testing.assert_array_equal(images, 255 - plain)
    np.testing.assert_array_equal(changed, np.where(masks == 1, 2, masks))


def test_a_keras_layer_is_such_a_function(tmp_path):
    invert = keras.layers.Rescaling(-1, offset=255)
    augmentation = Augmentation(**PLAIN, hook=lambda image, mask: (invert(image), mask))
    found, options = pairs(tmp_path), {"image_size": 32, "batch_size": 2, "training": True, "seed": 1}
    plain, _ = next(iter(found.dataset(augmentation=Augmentation(**PLAIN), **options)))
    images, _ = next(iter(found.dataset(augmentation=augmentation, **options)))
    np.testing.assert_allclose(images, 255 - plain, atol=1e-3)


def test_a_function_that_changes_the_size_is_told_of(tmp_path):
    augmentation = Augmentation(hook=lambda image, mask: (image[:5], mask))
    batches = pairs(tmp_path).dataset(augmentation=augmentation, image_size=32, batch_size=2, training=True)
    with pytest.raises(tf.errors.InvalidArgumentError, match="`hook` must return an image and a mask of the shapes"):
        next(iter(batches))


@pytest.mark.parametrize(
    "change",
    [
        lambda image, mask: (image * np.nan, mask),
        lambda image, mask: (image, mask + 0.5),
        lambda image, mask: (image, mask.astype(int) - 300),
    ],
)
def test_a_function_returns_numbers_and_class_ids(tmp_path, change):
    augmentation = Augmentation(hook=change)
    batches = pairs(tmp_path).dataset(augmentation=augmentation, image_size=32, batch_size=2, training=True)
    with pytest.raises(tf.errors.InvalidArgumentError, match="`hook` must return an image of finite numbers"):
        next(iter(batches))
