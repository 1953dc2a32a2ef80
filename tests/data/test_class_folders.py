import unicodedata

import numpy as np
import pytest
from PIL import Image

from keras_segen.data import folder
from keras_segen.data._class_folders import read_class_folders
from keras_segen.errors import InputError

COLOURS = {"blue": (0, 0, 255), "green": (0, 255, 0), "red": (255, 0, 0)}


@pytest.fixture
def classes(tmp_path):
    for name in ("blue", "red"):
        (tmp_path / name).mkdir()
        for i in range(5):
            Image.new("RGB", (20 + i, 30), COLOURS[name]).save(tmp_path / name / f"{i}.png")
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
    for name in ("blue", "red"):
        (classes / name).rename(classes / "train" / name)
        (classes / "val" / name).mkdir()
        Image.new("RGB", (8, 8)).save(classes / "val" / name / "a.jpg")
    assert len(list(folder("val", data_dir=classes, image_size=8, target="label", batch_size=1))) == 2


def lay(root, split, names):
    for name in names:
        (root / split / name).mkdir(parents=True)
        for i in range(6):
            Image.new("RGB", (20, 30 + i), COLOURS[name]).save(root / split / name / f"{i}.png")


def labels(split, root):
    """Return each class that occurs by the colour of its images."""
    batches = folder(split, data_dir=root, image_size=8, target="label", batch_size=1)
    return {name: int(label[0]) for image, label in batches for name, rgb in COLOURS.items() if seen(image, rgb)}


def seen(image, rgb):
    return np.allclose(image[0, 0, 0], np.array(rgb) / 127.5 - 1, atol=1e-5)


@pytest.mark.parametrize(
    ("train", "val"),
    [(["blue", "green", "red"], ["green", "red"]), (["green", "red"], ["blue", "green", "red"])],
)
def test_class_ids_are_the_same_in_all_splits(tmp_path, train, val):
    lay(tmp_path, "train", train)
    lay(tmp_path, "val", val)
    ids = {"blue": 0, "green": 1, "red": 2}
    assert labels("train", tmp_path) == {name: ids[name] for name in train}
    assert labels("val", tmp_path) == {name: ids[name] for name in val}
    assert labels("all", tmp_path) == ids


def test_all_and_further_splits_are_read(classes, tmp_path):
    assert labels("all", classes) == {"blue": 0, "red": 1}
    assert read_class_folders("all", classes).labels.tolist() == [0] * 5 + [1] * 5
    root = tmp_path / "split"
    lay(root, "train", ["red"])
    lay(root, "test", ["blue", "red"])
    assert labels("test", root) == {"blue": 0, "red": 1}
    with pytest.raises(InputError, match="val: does not exist, though .*: the folder's splits are test, train"):
        labels("val", root)
    (root / "test").rename(root / "validation")
    with pytest.raises(InputError, match="rename .*validation to val$"):
        labels("val", root)


def test_a_class_may_be_called_train(classes):
    (classes / "red").rename(classes / "train")
    assert read_class_folders("all", classes).class_names == ("blue", "train")


def test_names_of_classes_are_compared_composed(tmp_path):
    for split, form in (("train", "NFC"), ("val", "NFD")):
        (tmp_path / split / unicodedata.normalize(form, "é")).mkdir(parents=True)
        Image.new("RGB", (8, 8)).save(tmp_path / split / unicodedata.normalize(form, "é") / "a.png")
    assert [read_class_folders(split, tmp_path).class_names for split in ("train", "val")] == [("é",)] * 2


def test_hidden_files_are_no_images(classes):
    (classes / "red/._1.png").write_bytes(b"\0\5\x16\7")
    assert len(read_class_folders("all", classes).paths) == 10


def test_what_macos_leaves_behind_is_passed_over(classes):
    (classes / "red/._0.png").write_bytes(b"Mac OS X")
    (classes / "__MACOSX/red").mkdir(parents=True)
    images = list(folder("train", data_dir=classes, image_size=8, target=None, batch_size=8))
    assert [len(batch) for batch in images] == [8]


def test_all_formats_are_read_and_what_is_skipped_is_told(classes):
    for i, ending in enumerate(("webp", "gif", "tif")):
        Image.new("RGB", (9, 9), COLOURS["red"]).save(classes / f"red/{i + 5}.{ending}")
    (classes / "red/8.heic").write_bytes(b"")
    with pytest.warns(UserWarning, match=r"red: 1 files that are not .* are skipped: 1 \.heic$"):
        found = read_class_folders("all", classes)
    assert len(found.paths) == 13


def test_images_of_twelve_bits_are_told_of(classes):
    for path in classes.rglob("*.png"):
        Image.fromarray(np.full((9, 9), 3276, np.uint16)).save(path)
    with pytest.warns(UserWarning, match="^10 images have 16 bits, but no value over 3276: "):
        read_class_folders("all", classes)


def test_bad_folders_are_named(classes, tmp_path):
    with pytest.raises(ValueError, match=r"image_size=\(8, 8\)"):
        folder("train", data_dir=classes, image_size=(8, 8), target="label")
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
    monkeypatch.setattr("keras_segen.data._class_folders.MOST_BYTES", 0)
    for (image, label), (again, label_again) in zip(kept, batches(), strict=True):
        np.testing.assert_array_equal(image, again)
        np.testing.assert_array_equal(label, label_again)
