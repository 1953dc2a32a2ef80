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


def test_segments_become_classes(tmp_path, data_dir, monkeypatch):
    masks = draw_coco(tmp_path / "files", monkeypatch, CLASS_NAMES)
    expected = {mask.shape: mask for mask in masks.values()}
    for split, count in (("train", 5), ("val", 3)):
        batches = list(coco(split, data_dir=data_dir).as_numpy_iterator())
        assert len(batches) == count
        for image, mask in batches:
            np.testing.assert_array_equal(mask[0], expected.pop(mask.shape[1:]))
            np.testing.assert_allclose(image[0, ..., 0], red_of(mask[0]), atol=3)
    assert not expected
    (image, mask), *_ = coco("val", data_dir=data_dir, image_size=64, batch_size=3).as_numpy_iterator()
    assert image.shape == (3, 64, 64, 3)
    for one, its_mask in zip(image[..., 0], mask, strict=True):
        beyond = np.all(np.abs(one - 127) < 0.5, 0)  # they are higher than wide
        assert 5 <= beyond.sum() <= 20
        assert (its_mask[:, beyond] == 255).all()
        assert np.mean(np.abs(one - red_of(its_mask))[:, ~beyond] < 4) > 0.7  # but for what bilinear blends
    assert {*np.unique(mask)} <= {*np.unique(np.concatenate([one.ravel() for one in masks.values()])), 255}


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
