import numpy as np
import pytest

from examples.prepared_data import draw_coco
from keras_segen.data import coco
from keras_segen.data._coco import CLASS_NAMES
from keras_segen.errors import InputError


@pytest.fixture
def data_dir(tmp_path):
    (tmp_path / "tfds").mkdir()
    return tmp_path / "tfds"


def red_of(mask):
    return np.where(mask == 255, 0, mask.astype(int) + 50)


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    """The masks that are drawn, what is read of both splits, and a batch of one size."""
    root = tmp_path_factory.mktemp("coco")
    (root / "tfds").mkdir()
    with pytest.MonkeyPatch.context() as patch:
        masks = draw_coco(root / "files", patch, CLASS_NAMES)
        read = {split: list(coco(split, data_dir=root / "tfds").as_numpy_iterator()) for split in ("train", "val")}
        of_one_size, *_ = coco("val", data_dir=root / "tfds", image_size=64, batch_size=3).as_numpy_iterator()
    return [*masks.values()], read, of_one_size


@pytest.mark.parametrize(("split", "count"), [("train", 5), ("val", 3)])
def test_each_image_is_a_batch(drawn, split, count):
    _, read, _ = drawn
    assert len(read[split]) == count


def test_segments_become_classes(drawn):
    masks, read, _ = drawn
    expected = {mask.shape: mask for mask in masks}
    for _, mask in read["train"] + read["val"]:
        np.testing.assert_array_equal(mask[0], expected.pop(mask.shape[1:]))
    assert not expected


def test_images_lie_under_their_masks(drawn):
    _, read, _ = drawn
    for image, mask in read["train"] + read["val"]:
        np.testing.assert_allclose(image[0, ..., 0], red_of(mask[0]), atol=3)


def test_images_of_one_size_are_a_batch(drawn):
    *_, (image, _) = drawn
    assert image.shape == (3, 64, 64, 3)


def columns_beyond(red):
    """Which columns are grey: the images are higher than wide."""
    return np.all(np.abs(red - 127) < 0.5, 0)


def test_images_are_padded_to_one_size(drawn):
    *_, (image, _) = drawn
    assert all(5 <= columns_beyond(red).sum() <= 20 for red in image[..., 0])


def test_what_is_padded_is_void(drawn):
    *_, (image, mask) = drawn
    for red, its_mask in zip(image[..., 0], mask, strict=True):
        assert (its_mask[:, columns_beyond(red)] == 255).all()


def test_images_of_one_size_lie_under_their_masks(drawn):
    *_, (image, mask) = drawn
    for red, its_mask in zip(image[..., 0], mask, strict=True):
        near = np.abs(red - red_of(its_mask))[:, ~columns_beyond(red)] < 4
        assert np.mean(near) > 0.7  # but for what bilinear blends


def test_masks_of_one_size_hold_no_other_classes(drawn):
    masks, _, (_, mask) = drawn
    assert {*np.unique(mask)} <= {*np.unique(np.concatenate([one.ravel() for one in masks])), 255}


def test_the_list_is_the_published_one():
    assert len(CLASS_NAMES) == len(set(CLASS_NAMES)) == 133
    places = {"person": 0, "toothbrush": 79, "banner": 80, "tree-merged": 116, "rug-merged": 132}
    assert {name: CLASS_NAMES.index(name) for name in places} == places


def test_other_classes_and_splits_are_refused(tmp_path, data_dir, monkeypatch):
    with pytest.raises(ValueError, match="split='validation'"):
        coco("validation")
    draw_coco(tmp_path / "files", monkeypatch, CLASS_NAMES[::-1], train=1, val=1)
    with pytest.raises(InputError, match=r"coco.2017_panoptic.1\.1\.0: its classes are not COCO's 133"):
        coco("val", data_dir=data_dir)
