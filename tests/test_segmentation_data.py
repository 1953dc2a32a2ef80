import numpy as np
import pytest
from prepared_data import draw_coco, draw_pets
from test_sbd import save_mat
from test_voc import SIZES, draw_devkit

import keras_segen_cli
from keras_segen import data
from keras_segen.data.coco import CLASS_NAMES as COCO_NAMES
from keras_segen.data.voc import CLASS_NAMES as VOC_NAMES
from keras_segen.errors import InputError
from keras_segen.recipes.segmentation_data import segmentation_data


@pytest.fixture
def data_dir(tmp_path):
    (tmp_path / "data").mkdir()
    return tmp_path / "data"


def same(ours, theirs):
    for (image, mask), (its_image, its_mask) in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(image, its_image)
        np.testing.assert_array_equal(mask, its_mask)


@pytest.mark.parametrize("name", ["coco", "oxford_iiit_pet"])
def test_prepared_data_sets_by_name(name, data_dir, monkeypatch):
    if name == "coco":
        draw_coco(data_dir / "files", monkeypatch, COCO_NAMES)
        count, class_names, batches = 5, COCO_NAMES, data.coco
    else:
        draw_pets(data_dir / "files", monkeypatch)
        count, class_names, batches = 5, ("background", "pet"), data.oxford_iiit_pet
    loaded = segmentation_data(name, image_size=16, seed=3, data_dir=data_dir, verbose=False)
    assert (loaded.name, loaded.count, loaded.class_names, loaded.absent) == (name, count, class_names, ())
    settings = {"data_dir": data_dir, "image_size": 16, "batch_size": 2, "training": True, "seed": 3, "start": 4}
    same(loaded.train(2, 4).take(4), batches("train", **settings).take(4))
    same(loaded.val, batches("val", data_dir=data_dir))
    assert int(loaded.val.cardinality()) == 3
    again = segmentation_data(name, image_size=32, seed=4, data_dir=data_dir, verbose=False)
    assert again.fingerprint == loaded.fingerprint


@pytest.mark.parametrize(("name", "year"), [("voc", 2012), ("voc2007", 2007)])
def test_voc_by_year(name, year, data_dir):
    first, second, *_ = SIZES
    names = {2012: [first], 2007: [second]}
    for its_year, training in names.items():
        draw_devkit(data_dir / f"VOCdevkit/VOC{its_year}", {"train": training, "val": [first, second]})
    loaded = segmentation_data(name, image_size=16, seed=0, data_dir=data_dir, verbose=False)
    assert (loaded.name, loaded.count, loaded.class_names) == (name, 1, VOC_NAMES)
    settings = {"data_dir": data_dir, "year": year, "image_size": 16, "batch_size": 1, "training": True, "start": 0}
    same(loaded.train(1, 0).take(3), data.voc("train", **settings).take(3))


def test_trainaug_by_name(data_dir):
    first, second, third, _ = SIZES
    draw_devkit(data_dir / "VOCdevkit/VOC2012", {"train": [first, third], "val": [second]})
    extra = data_dir / "benchmark_RELEASE/dataset"
    save_mat(extra / "cls" / f"{second}.mat", np.full(SIZES[second], 1, "uint8"))
    for split in ("train", "val"):
        (extra / f"{split}.txt").write_text(second)
    loaded = segmentation_data("voc_trainaug", image_size=16, seed=0, data_dir=data_dir, verbose=False)
    assert (loaded.name, loaded.count, int(loaded.val.cardinality())) == ("voc_trainaug", 2, 1)
    assert "aeroplane" in loaded.absent


def test_other_names_are_folders(tmp_path):
    with pytest.raises(InputError, match="voc2013: does not exist: name a folder"):
        segmentation_data("voc2013", image_size=16, seed=0, data_dir=tmp_path)


def test_pets_from_the_command_line(data_dir, tmp_path, monkeypatch, capsys):
    draw_pets(tmp_path / "files", monkeypatch)
    train = ["train", "unet", "--data", "oxford_iiit_pet", "--data-dir", str(data_dir), "--epochs", "1"]
    train += ["--steps-per-epoch", "2", "--batch-size", "2", "--image-size", "32", "--filters", "4", "8"]
    assert keras_segen_cli.main([*train, "--out", str(tmp_path / "run")]) == 0
    assert "5 training images, 2 classes" in capsys.readouterr().out
    assert (tmp_path / "run/figures/predictions.png").is_file()
