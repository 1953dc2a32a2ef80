import numpy as np
import pytest

from examples.prepared_data import draw_pets
from keras_segen.data import Augmentation, oxford_iiit_pet
from keras_segen.data._oxford_iiit_pet import CLASS_NAMES
from keras_segen.errors import InputError

MASK_OF_TRIMAP = np.array([99, 1, 0, 255], "uint8")  # pet, background, border


@pytest.fixture
def data_dir(tmp_path, monkeypatch):
    (tmp_path / "tfds").mkdir()
    draw_pets(tmp_path / "files", monkeypatch)
    return tmp_path / "tfds"


def test_trimaps_become_pet_background_and_void(tmp_path, monkeypatch):
    (tmp_path / "tfds").mkdir()
    trimaps = draw_pets(tmp_path / "files", monkeypatch, train=4, test=3)
    expected = {trimap.shape: MASK_OF_TRIMAP[trimap] for trimap in trimaps.values()}
    seen = []
    for split, count in (("train", 4), ("val", 3)):
        batches = list(oxford_iiit_pet(split, data_dir=tmp_path / "tfds").as_numpy_iterator())
        assert len(batches) == count
        for image, mask in batches:
            assert (image.dtype, mask.dtype) == (np.float32, np.uint8)
            np.testing.assert_array_equal(mask[0], expected[mask.shape[1:]])
            np.testing.assert_allclose(image[0, ..., 0], 80 * np.array([2, 1, 3])[mask[0].astype("int8")], atol=3)
            seen.append(mask.shape[1:])
    assert sorted(seen) == sorted(expected)
    assert CLASS_NAMES == ("background", "pet")


def test_crops_and_flips_leave_each_colour_with_its_class(data_dir):
    still = Augmentation(scale=(1, 1), brightness=0, contrast=0, saturation=0)
    drawn = oxford_iiit_pet(
        "train", data_dir=data_dir, image_size=48, batch_size=4, training=True, seed=1, augmentation=still, start=0
    )
    counted = dict.fromkeys((0, 1, 255), 0)
    for image, mask in drawn.take(10).as_numpy_iterator():
        red = image[..., 0]
        np.testing.assert_allclose(red[mask == 1], 80, atol=3)
        np.testing.assert_allclose(red[mask == 0], 160, atol=3)
        assert np.all((np.abs(red[mask == 255] - 240) <= 3) | (red[mask == 255] == 127))
        for i in counted:
            counted[i] += int((mask == i).sum())
        assert sum(counted.values()) % mask.size == 0
    assert min(counted.values()) > 10_000


def test_pets_that_are_wrong_are_named(data_dir):
    with pytest.raises(ValueError, match="split='test'"):
        oxford_iiit_pet("test")
    with pytest.raises(InputError, match="5 images do not fill one batch of 6"):
        oxford_iiit_pet("train", data_dir=data_dir, image_size=16, batch_size=6, training=True)
