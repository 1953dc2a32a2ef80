from pathlib import Path

import numpy as np
import pytest
import tensorflow_datasets as tfds
from PIL import Image

import keras_segen.data.voc_segmentation  # noqa: F401 - which registers it
from examples.voc_devkit import SIZES, draw_devkit, save_mat, scene


@pytest.fixture
def data_dir(tmp_path):
    first, second, third, fourth = SIZES
    draw_devkit(tmp_path / "VOCdevkit/VOC2012", {"train": [first, fourth], "val": [second]})
    draw_devkit(tmp_path / "VOCdevkit/VOC2007", {"train": [first], "val": [second], "test": [third]})
    extra = tmp_path / "benchmark_RELEASE/dataset"
    save_mat(extra / "cls" / f"{second}.mat", np.full(SIZES[second], 1, "uint8"))
    save_mat(extra / "cls" / f"{third}.mat", np.full(SIZES[third], 7, "uint8"))
    (extra / "train.txt").write_text(third)
    (extra / "val.txt").write_text(second)
    image = (tmp_path / f"VOCdevkit/VOC2007/JPEGImages/{third}.jpg").read_bytes()
    (tmp_path / f"VOCdevkit/VOC2012/JPEGImages/{third}.jpg").write_bytes(image)
    return tmp_path


@pytest.mark.parametrize(
    ("config", "counts"),
    [
        ("2012", {"train": 2, "validation": 1}),
        ("2012_trainaug", {"train": 3, "validation": 1}),
        ("2007", {"train": 1, "validation": 1, "test": 1}),
    ],
)
def test_a_prepared_data_set_holds_what_the_devkit_does(data_dir, config, counts):
    loaded, info = tfds.load(
        f"voc_segmentation/{config}", data_dir=data_dir, with_info=True, try_gcs=False, shuffle_files=False
    )
    assert {name: split.num_examples for name, split in info.splits.items()} == counts
    assert info.metadata["class_names"][15] == "person"
    seed_of = {f"{name}.jpg": seed for seed, name in enumerate(SIZES)}
    for split, examples in loaded.items():
        for example in examples.as_numpy_iterator():
            name = example["file_name"].decode()
            image, mask = scene(SIZES[name[:-4]], seed_of[name])
            if config == "2012_trainaug" and seed_of[name] == 2:
                mask = np.full(mask.shape, 7)
            np.testing.assert_array_equal(example["segmentation_mask"][..., 0], mask)
            assert np.abs(example["image"].astype(float) - image).mean() < 6, split


def test_it_holds_the_real_pairs(real_data, tmp_path):
    (tmp_path / "VOCdevkit").symlink_to(real_data("VOCdevkit"))
    builder = tfds.builder("voc_segmentation/2012", data_dir=tmp_path)
    builder.download_and_prepare()
    assert {name: split.num_examples for name, split in builder.info.splits.items()} == {
        "train": 440,
        "validation": 145,
    }
    root = tmp_path / "VOCdevkit/VOC2012"
    for example in builder.as_dataset(split="validation").take(40).as_numpy_iterator():
        name = Path(example["file_name"].decode())
        mask = np.asarray(Image.open(root / "SegmentationClass" / f"{name.stem}.png"))
        np.testing.assert_array_equal(example["segmentation_mask"][..., 0], mask)
        image = np.asarray(Image.open(root / "JPEGImages" / name).convert("RGB"))
        assert np.abs(example["image"].astype(float) - image).mean() < 2
