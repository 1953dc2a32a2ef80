import math

import numpy as np
import pytest

from keras_segen._masks import VOID
from keras_segen.data import Augmentation, read_folder
from keras_segen.data._composition import copy_paste, find_objects, paste
from keras_segen.plotting import save_image

MASK = np.array(
    [
        [1, 0, 0, 2, 2, 0],
        [0, 1, 0, 2, 1, 0],
        [0, 0, 0, 0, 0, 0],
        [255, 255, 0, 3, 0, 1],
    ],
    "uint8",
)


def drawn(found, shape=MASK.shape):
    """Each object as its class and its pixels in the mask."""
    areas = []
    for class_id, box, cut in found:
        area = np.zeros(shape, bool)
        area[box] = cut
        assert all(side.any() for side in (cut[0], cut[-1], cut[:, 0], cut[:, -1]))  # a tight box
        areas.append((class_id, {(int(row), int(column)) for row, column in np.argwhere(area)}))
    return sorted(areas, key=lambda both: (both[0], min(both[1])))


def test_objects_hang_together_over_corners_and_void_is_none():
    assert drawn(find_objects(MASK)) == [
        (1, {(0, 0), (1, 1)}),
        (1, {(1, 4)}),
        (1, {(3, 5)}),
        (2, {(0, 3), (0, 4), (1, 3)}),
        (3, {(3, 3)}),
    ]
    assert find_objects(np.array([[0, 255]], "uint8")) == []


def test_objects_of_an_instance_map_have_its_pixels_and_the_class_of_most():
    instances = np.array(
        [
            [7, 0, 0, 900, 900, 0],
            [0, 7, 0, 900, 900, 0],
            [0, 0, 5, 0, 0, 0],
            [9, 9, 0, 0, 0, 7],
        ],
        "uint16",
    )
    # 900 is of class 2 but for a pixel; 5 lies on the background, 9 on void; the pixel of class 3 belongs to none.
    assert drawn(find_objects(MASK, instances)) == [
        (1, {(0, 0), (1, 1), (3, 5)}),
        (2, {(0, 3), (0, 4), (1, 3)}),
    ]
    assert find_objects(MASK, np.zeros_like(instances)) == []


def smoothed(objects, softness):
    """Each pixel's weight by a sum over its neighbours, in float64: 0 beyond."""
    radius = math.ceil(3 * softness)
    kernel = {step: math.exp(-(step**2) / (2 * softness**2)) for step in range(-radius, radius + 1)}
    total = sum(kernel.values())
    alpha = np.zeros(objects.shape)
    for row, column in np.argwhere(objects):
        for i, down in kernel.items():
            for j, right in kernel.items():
                if 0 <= row + i < objects.shape[0] and 0 <= column + j < objects.shape[1]:
                    alpha[row + i, column + j] += down * right / total**2
    return alpha


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32", "float64", "int32"])
@pytest.mark.parametrize("softness", [0.7, 2.0])
def test_a_pasted_object_is_blended_by_the_smoothed_mask(dtype, softness):
    rng = np.random.default_rng(0)
    most = 60_000 if dtype == "uint16" else 255
    image, pixels = rng.uniform(0, most, (2, 30, 32, 2)).astype(dtype)
    mask = rng.integers(0, 3, (30, 32), "uint8")
    instances = rng.integers(0, 9, (30, 32), "uint16")
    objects = np.zeros((30, 32), "uint8")
    objects[11:17, 14:19] = 4
    objects[12, 13] = 4
    before, mask_before, instances_before = image.copy(), mask.copy(), instances.copy()
    paste(image, mask, pixels, objects, softness=softness, instances=instances, instance_id=300)

    alpha = smoothed(objects, softness)[..., None]
    expected = alpha * pixels + (1 - alpha) * before
    atol = 0.51 if np.dtype(dtype).kind in "ui" else 1e-4
    np.testing.assert_allclose(image.astype("float64"), expected, atol=atol)
    np.testing.assert_array_equal(image[alpha[..., 0] == 0], before[alpha[..., 0] == 0])
    assert (alpha == 0).sum() > 100
    np.testing.assert_array_equal(mask, np.where(objects == 4, 4, mask_before))
    np.testing.assert_array_equal(instances, np.where(objects == 4, 300, instances_before))
    assert (image.dtype, mask.dtype, instances.dtype) == (dtype, "uint8", "uint16")


def test_hard_edges_replace_pixels_exactly():
    rng = np.random.default_rng(0)
    image, pixels = rng.normal(0, 1e4, (2, 8, 9, 3)).astype("float32")
    objects = rng.integers(0, 2, (8, 9), "uint8")
    expected = np.where(objects[..., None] == 1, pixels, image)
    paste(image, np.zeros((8, 9), "uint8"), pixels, objects, softness=0)
    np.testing.assert_array_equal(image, expected)


@pytest.mark.parametrize("corner", [(-3, -2), (5, 7), (0, -4), (-9, 0), (20, 20)])
def test_a_piece_may_reach_beyond_the_image(corner):
    """It is the middle of what a paste into a larger image gives."""
    rng = np.random.default_rng(0)
    image, mask = rng.integers(0, 256, (10, 12, 3), "uint8"), rng.integers(0, 3, (10, 12), "uint8")
    pixels, objects = rng.integers(0, 256, (7, 8, 3), "uint8"), np.zeros((7, 8), "uint8")
    objects[3:5, 3:5] = 2
    large = np.pad(image, [(20, 20), (20, 20), (0, 0)]), np.pad(mask, 20)
    paste(*large, pixels, objects, corner=(corner[0] + 20, corner[1] + 20))
    paste(image, mask, pixels, objects, corner=corner)
    np.testing.assert_array_equal(image, large[0][20:30, 20:32])
    np.testing.assert_array_equal(mask, large[1][20:30, 20:32])


def test_an_object_at_the_end_of_its_picture_goes_on_behind_it():
    image, pixels = np.zeros((9, 20, 1), "float32"), np.ones((9, 20, 1), "float32")
    objects = np.zeros((9, 20), "uint8")
    objects[:, :10] = 1
    paste(image, np.zeros((9, 20), "uint8"), pixels, objects)
    np.testing.assert_allclose(image[:, :7], 1, atol=1e-6)
    np.testing.assert_allclose(image, np.broadcast_to(image[:1], image.shape), atol=1e-6)


def batch(count=4, size=40, seed=0):
    """Noise with squares of class 1 and 2, and void in a corner."""
    rng = np.random.default_rng(seed)
    images = rng.uniform(0, 255, (count, size, size, 3)).astype("float32")
    masks = np.zeros((count, size, size), "uint8")
    for mask in masks:
        for row in range(4, size, 12):
            for column in range(4, size, 12):
                mask[row : row + 5, column : column + 5] = rng.integers(1, 3)
        mask[-3:, -3:] = VOID
    return images, masks


def test_objects_of_the_next_image_keep_their_places():
    images, masks = batch()
    before = images.copy(), masks.copy()
    seeds = np.arange(8).reshape(4, 2)
    new_images, new_masks = copy_paste(images, masks, seeds, 1.0)
    np.testing.assert_array_equal(images, before[0])
    np.testing.assert_array_equal(masks, before[1])
    shares = []
    for i in range(4):
        following = (i + 1) % 4
        whole = [np.all(new_masks[i][box][cut] == class_id) for class_id, box, cut in find_objects(masks[following])]
        shares.append(np.mean(whole))
        taken = np.zeros((40, 40), "uint8")
        for (class_id, box, cut), is_taken in zip(find_objects(masks[following]), whole, strict=True):
            if is_taken:
                taken[box][cut] = class_id
        np.testing.assert_array_equal(new_masks[i], np.where(taken > 0, taken, masks[i]))
        # Where both images hold the same class, which of them it came from does not show in the mask.
        alpha = smoothed(taken > 0, 1.0)[..., None]
        expected = alpha * images[following] + (1 - alpha) * images[i]
        certain = (masks[i] != masks[following]) & (alpha[..., 0] > 0)
        certain &= smoothed((masks[i] == masks[following]) & (masks[i] > 0), 1.0) == 0
        np.testing.assert_allclose(new_images[i][certain], expected[certain], atol=1e-3)
    assert 0.3 < np.mean(shares) < 0.95
    again = copy_paste(images, masks, seeds, 1.0)
    np.testing.assert_array_equal(again[0], new_images)
    np.testing.assert_array_equal(again[1], new_masks)


def test_at_least_one_object_is_taken():
    images, masks = batch(2)
    masks[:] = 0
    masks[1, 10:14, 10:14] = 3
    for seed in range(20):
        _, new_masks = copy_paste(images, masks, np.array([[seed, 0], [seed, 1]]), 1.0)
        np.testing.assert_array_equal(new_masks[0], masks[1])  # the one that there is
        np.testing.assert_array_equal(new_masks[1], masks[1])  # from an image without objects


def test_a_share_of_images_is_pasted_into():
    images, masks = batch(2)
    changed = [
        (copy_paste(images, masks, np.array([[seed, 5], [seed, 6]]), 0.3)[0] != images).any(axis=(1, 2, 3))
        for seed in range(200)
    ]
    assert np.mean(changed) == pytest.approx(0.3, abs=0.06)


def test_one_image_stays_as_it_is():
    images, masks = batch(1)
    new_images, new_masks = copy_paste(images, masks, np.array([[1, 2]]), 1.0)
    np.testing.assert_array_equal(new_images, images)
    np.testing.assert_array_equal(new_masks, masks)


def discs(root, count=6, size=(48, 56)):
    rng = np.random.default_rng(0)
    rows, columns = np.mgrid[: size[0], : size[1]]
    for i in range(count):
        mask = np.zeros(size, "uint8")
        for class_id in (1, 2, 1):
            mask[(rows - rng.uniform(0, size[0])) ** 2 + (columns - rng.uniform(0, size[1])) ** 2 < 36] = class_id
        save_image(rng.integers(0, 256, (*size, 3), "uint8"), root / f"images/{i}.png")
        save_image(mask, root / f"masks/{i}.png")
    return root


OPTIONS = {"image_size": 32, "batch_size": 3, "training": True, "seed": 4, "start": 0}


def test_batches_of_a_data_set(tmp_path):
    pairs = read_folder("all", discs(tmp_path))

    def batches(**changes):
        return list(pairs.dataset(augmentation=Augmentation(copy_paste=0.5), **{**OPTIONS, **changes}).take(4))

    plain = list(pairs.dataset(**OPTIONS).take(4))
    pasted = batches()
    for (images, masks), (again, masks_again) in zip(pasted, batches(), strict=True):
        np.testing.assert_array_equal(images, again)
        np.testing.assert_array_equal(masks, masks_again)
    changed = []
    for (images, masks), (before, masks_before) in zip(pasted, plain, strict=True):
        assert (images.shape, masks.shape) == (before.shape, masks_before.shape) == ([3, 32, 32, 3], [3, 32, 32])
        for image, mask, image_before, mask_before in zip(images, masks, before, masks_before, strict=True):
            changed.append(bool(np.any(image != image_before)))
            different = np.asarray(mask != mask_before)
            # What is new is an object, never background or void.
            assert not set(np.unique(np.asarray(mask)[different])) & {0, VOID}
    assert 0 < sum(changed) < 12
    # A run that goes on has the same batches.
    np.testing.assert_array_equal(batches(start=6)[0][0], pasted[2][0])


def test_without_it_the_pipeline_has_no_python(tmp_path, monkeypatch):
    def refused(*_, **__):
        raise AssertionError

    monkeypatch.setattr("keras_segen.data._variation.copy_pasted", refused)
    pairs = read_folder("all", discs(tmp_path))
    next(iter(pairs.dataset(**OPTIONS)))
    with pytest.raises(AssertionError):
        pairs.dataset(augmentation=Augmentation(copy_paste=0.1), **OPTIONS)


def test_a_hook_sees_what_was_pasted(tmp_path):
    pairs = read_folder("all", discs(tmp_path))

    def marked(image, mask):
        return image, np.where(mask == 2, 7, mask)

    def classes(augmentation):
        _, masks = next(iter(pairs.dataset(augmentation=augmentation, **{**OPTIONS, "batch_size": 6})))
        return set(np.unique(masks))

    assert classes(Augmentation(copy_paste=1.0)) == {0, 1, 2, VOID}
    assert classes(Augmentation(copy_paste=1.0, hook=marked)) == {0, 1, 7, VOID}


@pytest.mark.parametrize("share", [-0.1, 1.1, True, None])
def test_a_wrong_share_is_refused(share):
    with pytest.raises(ValueError, match="`copy_paste` must be a number from 0 to 1. Received: copy_paste="):
        Augmentation(copy_paste=share)
