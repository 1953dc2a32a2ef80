"""`keras-segen convert`, and the polygons of `keras-segen predict` that it reads."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import keras_segen as ks
from examples.commands import run
from keras_segen.models import unet


@pytest.fixture
def annotated(tmp_path, monkeypatch):
    """Write COCO's JSON beside three photos, in an empty folder in which the test runs."""
    monkeypatch.chdir(tmp_path)
    for i in range(3):
        ks.plotting.save_image(np.random.default_rng(i).integers(0, 256, (20, 30, 3), np.uint8), f"{i}.png")
    content = {
        "images": [{"id": i, "file_name": f"{i}.png", "height": 20, "width": 30} for i in range(3)],
        "categories": [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}],
        "annotations": [
            {"id": 1, "image_id": 0, "category_id": 1, "segmentation": [[0, 0, 6, 0, 6, 10, 0, 10]]},
            {"id": 2, "image_id": 1, "category_id": 2, "segmentation": [[0, 0, 30, 0, 30, 10, 0, 10]]},
        ],
    }
    ks.runs.write_json("coco.json", content)
    return content


def test_counts_are_printed(annotated, capsys):
    assert run("convert", "coco.json", "--out", "out") == 0
    assert capsys.readouterr().out.splitlines() == [
        "class       objects  % of the pixels",
        "background                     80.00",
        "cat               1             3.33",
        "dog               1            16.67",
        "3 images in out",
    ]
    assert len(ks.data.read_folder("all", "out")) == 3


def test_a_second_run_is_refused_and_splits_lie_beside_each_other(annotated, capsys):
    assert run("convert", "coco.json", "--out", "out", "--split", "train") == 0
    assert run("convert", "coco.json", "--out", "out", "--split", "train") == 2
    assert "out/train: exists already: name another folder" in capsys.readouterr().err
    assert run("convert", "coco.json", "--out", "out", "--split", "val", "--classes", "out/classes.txt") == 0
    assert ks.data.folder_splits("out") == ["train", "val"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["nowhere.json"], "nowhere.json: does not exist"),
        (["coco.json", "--split", "../train"], "--split ../train: give a plain name"),
        (["coco.json", "--classes", "nowhere.txt"], "nowhere.txt: does not exist"),
        (["coco.json", "--images", "nowhere"], "nowhere: is not a folder"),
        (["coco.json", "--format", "png"], "--format"),
        (["coco.json", "--format", "cvat"], "coco.json: is not XML"),
    ],
)
def test_wrong_use_is_refused(annotated, tmp_path, capsys, options, words):
    before = sorted(tmp_path.rglob("*"))
    assert run("convert", *options, "--out", "out") == 2
    error = capsys.readouterr().err
    assert words in error
    assert error.count("\n") == 1
    assert sorted(tmp_path.rglob("*")) == before


@pytest.fixture
def segmenter(tmp_path):
    """Save a run whose network has learnt nothing, so that its labels are speckled."""
    folder = tmp_path / "run"
    folder.mkdir()
    names = ["background", "cat", "dog"]
    config = {"model": "unet", "data": "shapes", "seed": 0, "image_size": 32, "class_names": names}
    (folder / "config.json").write_text(json.dumps(config))
    unet(3, filters=(4, 6)).save(folder / "model.keras")
    return folder


def test_polygons_of_predictions_are_the_label_maps_again(annotated, segmenter, capsys):
    for place in ("photos/left/0.png", "photos/1.png"):
        ks.plotting.save_image(np.asarray(Image.open(place[-5:])), place)
    assert run("predict", segmenter, "photos", "--out", "maps", "--polygons", "maps.json") == 0
    said = capsys.readouterr().out.splitlines()[-1]
    content = json.loads(Path("maps.json").read_text())
    assert said == f"{len(content['annotations'])} objects in maps.json"
    assert [image["file_name"] for image in content["images"]] == ["1.png", "left/0.png"]
    assert run("convert", "maps.json", "--images", "photos", "--out", "again") == 0
    for name, place in (("0", "left/0"), ("1", "1")):
        label_map = np.asarray(Image.open(f"maps/{place}.png"))
        assert (label_map > 0).any()
        np.testing.assert_array_equal(Image.open(f"again/masks/{name}.png"), label_map)
    # What has its results is among the polygons of a later call too.
    assert run("predict", segmenter, "photos", "--out", "maps", "--polygons", "maps.json") == 2
    ks.plotting.save_image(np.asarray(Image.open("2.png")), "photos/2.png")
    assert run("predict", segmenter, "photos", "--out", "maps", "--polygons", "maps.json", "--skip-existing") == 0
    again = json.loads(Path("maps.json").read_text())
    assert [image["file_name"] for image in again["images"]] == ["1.png", "2.png", "left/0.png"]
    first = [one for one in again["annotations"] if one["image_id"] == 1]
    assert first == [one for one in content["annotations"] if one["image_id"] == 1]
