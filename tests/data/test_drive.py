import shutil

import numpy as np
import pytest
from PIL import Image

from keras_segen.data import class_names, drive, read_drive, splits
from keras_segen.errors import InputError


def draw(root, *, levels=(0, 255)):
    """Draw two retinas a split: a disc of view, and a vessel across; returns the masks by split."""
    y, x = np.mgrid[:40, :44]
    view, vessel = (y - 20) ** 2 + (x - 22) ** 2 < 300, abs(y - x) < 3
    for split, name in (("training", "training"), ("test", "test")):
        for number in ("01", "02"):
            for folder, file, pixels in (
                ("images", f"{number}_{name}.tif", np.stack([100 * vessel] * 3, -1)),
                ("1st_manual", f"{number}_manual1.gif", np.where(vessel, levels[1], levels[0])),
                ("2nd_manual", f"{number}_manual2.gif", 255 * (abs(y - x) < 2)),
                ("mask", f"{number}_{name}_mask.gif", 255 * view),
            ):
                (root / split / folder).mkdir(parents=True, exist_ok=True)
                Image.fromarray(pixels.astype("uint8")).save(root / split / folder / file)
    return np.where(view, vessel, 255)


@pytest.mark.parametrize("split", splits("drive"))
@pytest.mark.parametrize("place", [".", "drive", "DRIVE"])
def test_outside_the_field_of_view_all_is_void(tmp_path, split, place):
    expected = draw(tmp_path / place)
    pairs = read_drive(split, tmp_path)
    assert (len(pairs), pairs.class_names) == (2, class_names("drive"))
    for image, mask in pairs.dataset(batch_size=1):
        np.testing.assert_array_equal(mask[0], expected)
        np.testing.assert_array_equal(image[0, ..., 1] > 50, abs(np.subtract.outer(range(40), range(44))) < 3)


def test_the_second_observer_draws_otherwise(tmp_path):
    draw(tmp_path)
    first, second = (next(iter(drive("test", data_dir=tmp_path, observer=who)))[1] for who in (1, 2))
    assert np.sum(second == 1) < np.sum(first == 1)
    np.testing.assert_array_equal(second == 255, first == 255)


def test_the_real_ones(real_data):
    root = real_data("drive")
    for split in splits("drive"):
        pairs = read_drive(split, root)
        assert (len(pairs), pairs.ids) == (20, {0, 1, 255})
        assert {(p.properties.height, p.properties.width) for p in pairs.pairs} == {(584, 565)}
    # Its F1 against the first as published.
    masks = [
        np.concatenate([m.numpy().ravel() for _, m in read_drive("test", root, observer=who).dataset()])
        for who in (1, 2)
    ]
    first, second = (mask[masks[0] != 255] == 1 for mask in masks)
    assert 2 * np.sum(first & second) / (first.sum() + second.sum()) == pytest.approx(0.788, abs=0.002)


@pytest.mark.parametrize(("split", "observer"), [("val", 1), ("train", 2), ("test", 3)])
def test_what_it_does_not_have_is_named(tmp_path, split, observer):
    with pytest.raises(ValueError, match=f"observer={observer}"):
        read_drive(split, tmp_path, observer=observer)


def test_what_is_wrong_is_named(tmp_path):
    with pytest.raises(InputError, match="fetch it from https://drive.grand-challenge.org"):
        read_drive("train", tmp_path)
    draw(tmp_path, levels=(0, 200))
    with pytest.raises(InputError, match=r"01_manual1\.gif: holds other levels than black and white"):
        read_drive("train", tmp_path)
    draw(tmp_path)
    (tmp_path / "test/mask/02_test_mask.gif").unlink()
    with pytest.raises(InputError, match=r"02_test_mask\.gif: cannot be read"):
        read_drive("test", tmp_path)
    shutil.rmtree(tmp_path / "training/1st_manual")
    with pytest.raises(InputError, match="holds no drawings of observer 1"):
        read_drive("train", tmp_path)
