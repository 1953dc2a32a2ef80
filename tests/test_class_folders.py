import numpy as np
import pytest
from PIL import Image

from keras_segen.data import folder
from keras_segen.errors import InputError

COLOURS = {"blue": (0, 0, 255), "red": (255, 0, 0)}


@pytest.fixture
def classes(tmp_path):
    for name, colour in COLOURS.items():
        (tmp_path / name).mkdir()
        for i in range(5):
            Image.new("RGB", (20 + i, 30), colour).save(tmp_path / name / f"{i}.png")
    return tmp_path


def test_images_and_labels(classes):
    image, label = next(iter(folder("train", data_dir=classes, image_size=8, target="label", batch_size=8)))
    assert image.shape == (8, 8, 8, 3)
    assert label.numpy().tolist() == [0] * 4 + [1] * 4  # one of five is kept for validation
    np.testing.assert_allclose(image[0, 0, 0], [-1, -1, 1], atol=1e-5)
    np.testing.assert_allclose(image[-1, 0, 0], [1, -1, -1], atol=1e-5)


def test_training_without_labels(classes):
    batches = list(folder("train", data_dir=classes, image_size=8, target=None, batch_size=3, training=True))
    assert [b.shape.as_list() for b in batches] == [[3, 8, 8, 3]] * 2


def test_own_splits(classes):
    for split in ("train", "val"):
        (classes / split).mkdir()
    for name in COLOURS:
        (classes / name).rename(classes / "train" / name)
        (classes / "val" / name).mkdir()
        Image.new("RGB", (8, 8)).save(classes / "val" / name / "a.jpg")
    assert len(list(folder("val", data_dir=classes, image_size=8, target="label", batch_size=1))) == 2


def test_bad_folders_are_named(classes, tmp_path):
    with pytest.raises(ValueError, match="image_size=None"):
        folder("train", data_dir=classes, target="label")
    with pytest.raises(InputError, match="8 images do not fill one batch of 16"):
        folder("train", data_dir=classes, image_size=8, target="label", training=True)
    (classes / "red" / "9.png").write_bytes(b"")
    with pytest.raises(InputError, match=r"9\.png: the file is empty"):
        [folder(split, data_dir=classes, image_size=8, target="label") for split in ("train", "val")]
    (classes / "green").mkdir()
    with pytest.raises(InputError, match="green: holds no image"):
        folder("train", data_dir=classes, image_size=8, target="label")
    (tmp_path / "other" / "x").mkdir(parents=True)
    with pytest.raises(InputError, match="other"):
        folder("train", data_dir=tmp_path / "other", image_size=8, target=None)


def test_what_does_not_fit_in_memory_is_read_each_time_and_the_same(classes, monkeypatch):
    def batches():
        options = {
            "data_dir": classes,
            "image_size": 8,
            "target": "label",
            "batch_size": 4,
            "training": True,
            "seed": 1,
        }
        return [(image.numpy(), label.numpy()) for image, label in folder("train", **options)]

    kept = batches()
    monkeypatch.setattr("keras_segen.data.class_folders.MOST_BYTES", 0)
    for (image, label), (again, label_again) in zip(kept, batches(), strict=True):
        np.testing.assert_array_equal(image, again)
        np.testing.assert_array_equal(label, label_again)
