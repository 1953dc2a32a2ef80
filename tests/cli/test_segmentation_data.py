import shutil

import numpy as np
import pytest
from PIL import Image

import keras_segen_cli
from examples.prepared_data import draw_coco, draw_pets
from examples.voc_devkit import SIZES, draw_devkit, save_mat
from keras_segen import data
from keras_segen.data._coco import CLASS_NAMES as COCO_NAMES
from keras_segen.data._voc import CLASS_NAMES as VOC_NAMES
from keras_segen.errors import InputError
from keras_segen.runs import Run
from keras_segen_cli.options import DATA_SETS
from keras_segen_cli.recipes import UNet
from keras_segen_cli.tasks import task_of
from keras_segen_cli.tasks.generation_data import SPLITS as GENERATION_SPLITS
from keras_segen_cli.tasks.segmentation_data import SPLITS, segmentation_data


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


def test_a_split_of_voc_by_name(data_dir):
    first, second, third, _ = SIZES
    draw_devkit(data_dir / "VOCdevkit/VOC2012", {"train": [first], "val": [second], "trainval": [first, second, third]})
    loaded = segmentation_data("voc", image_size=16, seed=0, data_dir=data_dir, split="trainval", verbose=False)
    same(loaded.val, data.voc("trainval", data_dir=data_dir))
    with pytest.raises(
        InputError, match="--split test: voc has no such split: give one of train, val, trainval, trainaug"
    ):
        segmentation_data("voc", image_size=16, seed=0, data_dir=data_dir, split="test")


def test_a_split_of_shapes():
    loaded = segmentation_data("shapes", image_size=16, seed=0, split="test")
    same(loaded.val.take(1), data.shapes("test", image_size=16).take(1))


def test_a_folder_is_read_by_split(make_folder):
    root = make_folder(train=5, val=2)
    for path, split, count in ((root / "train", "all", 5), (root, "all", 7), (root, "val", 2), (root, "train", 5)):
        loaded = segmentation_data(str(path), image_size=16, seed=0, split=split, verbose=False)
        assert sum(len(image) for image, _ in loaded.val) == count


def test_other_data_are_scored_on_what_is_held_out(make_folder):
    root = make_folder(train=5, val=2)
    segmentation = task_of(Run("run"), UNet(data="shapes"))
    assert segmentation.default_split("voc") is None
    assert segmentation.default_split(str(root / "train")) == "all"
    assert segmentation.default_split(str(root)) == "val"
    (root / "val").rename(root / "test")
    assert segmentation.default_split(str(root)) == "test"
    shutil.copytree(root / "test", root / "later")
    with pytest.raises(InputError, match="has the splits later, test, train: choose one by --split, or --split all"):
        segmentation.default_split(str(root))
    shutil.rmtree(root / "test")
    shutil.rmtree(root / "later")
    assert segmentation.default_split(str(root)) == "train"


def test_a_models_classes_are_not_guessed(make_folder):
    root = make_folder(val=2)
    mask = np.zeros((40, 48), np.uint8)
    mask[5] = 7
    Image.fromarray(mask).save(root / "val/masks/1.png")
    options = {"image_size": 16, "seed": 0, "split": "val", "verbose": False}
    known = [f"class_{i}" for i in range(8)]
    loaded = segmentation_data(str(root), known_classes=known, **options)
    assert int(np.concatenate([m for _, m in loaded.val]).max()) == 7
    with pytest.raises(InputError, match=r"val/masks/1\.png: holds class id 7, but there are 7 classes"):
        segmentation_data(str(root), known_classes=known[:7], **options)


@pytest.mark.parametrize("fewer", ["train", "val"])
def test_a_split_may_lack_a_class(make_folder, fewer):
    root = make_folder()
    for path in (root / ("val" if fewer == "train" else "train") / "masks").iterdir():
        mask = np.asarray(Image.open(path)).copy()
        mask[0] = 2
        Image.fromarray(mask).save(path)
    loaded = segmentation_data(str(root), image_size=16, seed=0, verbose=False)
    assert loaded.class_names == ("class_0", "class_1", "class_2")
    assert loaded.absent == (("class_2",) if fewer == "train" else ())


def test_a_run_trains_on_what_its_recipe_pastes(make_folder):
    root = make_folder()
    recipe = UNet(data=str(root), image_size=16, augmentation="none", copy_paste=1.0, seed=3)
    loaded = task_of(Run("run"), recipe).load_data(recipe.data)
    augmentation = data.Augmentation(**vars(data.Augmentation.of("none")) | {"copy_paste": 1.0})
    settings = {"image_size": 16, "batch_size": 2, "training": True, "seed": 3, "start": 0}
    same(
        loaded.train(2, 0).take(2),
        data.read_folder("train", root).dataset(augmentation=augmentation, **settings).take(2),
    )


def test_the_command_line_knows_all_names():
    assert sorted(DATA_SETS) == sorted({*SPLITS, *GENERATION_SPLITS})


def test_other_names_are_folders(tmp_path):
    with pytest.raises(InputError, match="voc2013: does not exist: name a folder"):
        segmentation_data("voc2013", image_size=16, seed=0, data_dir=tmp_path)


@pytest.mark.slow
def test_pets_from_the_command_line(data_dir, tmp_path, monkeypatch, capsys):
    draw_pets(tmp_path / "files", monkeypatch)
    train = ["train", "unet", "--data", "oxford_iiit_pet", "--data-dir", str(data_dir), "--epochs", "1"]
    train += ["--steps-per-epoch", "2", "--batch-size", "2", "--image-size", "32", "--filters", "4", "8"]
    assert keras_segen_cli.main([*train, "--out", str(tmp_path / "run")]) == 0
    assert "5 training images, 2 classes" in capsys.readouterr().out
    assert (tmp_path / "run/figures/predictions.png").is_file()
