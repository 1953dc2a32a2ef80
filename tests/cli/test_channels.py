"""Images of any channels and depth, from training to the servable."""

import json
import shutil

import numpy as np
import pytest
import tensorflow as tf
import tifffile
from PIL import Image

from keras_segen import data, models
from keras_segen.runs import Run
from keras_segen_cli import main

pytestmark = pytest.mark.slow

TRAIN = "train unet --filters 4 8 --steps-per-epoch 20 --batch-size 2 --image-size 32 --learning-rate 0.02"
KINDS = {  # an image's shape, its ending, the numbers in it
    "png16": ((48, 56), "png", "uint16"),
    "tif4": ((48, 56, 4), "tif", "uint16"),
    "pages5": ((5, 48, 56), "tif", "uint16"),
    "float": ((48, 56, 2), "npy", "float32"),
}


def write(path, pixels):
    if path.suffix == ".npy":
        np.save(path, pixels)
    elif path.suffix == ".png":
        path.write_bytes(tf.io.encode_png(pixels[..., None]).numpy())
    else:
        separate = {} if pixels.shape[0] == 5 else {"planarconfig": "contig"}
        tifffile.imwrite(path, pixels, photometric="minisblack", **separate)


@pytest.fixture(scope="module", params=KINDS)
def run(request, tmp_path_factory):
    """A folder of bright squares in 12 bits or real numbers, and a run on it."""
    shape, ending, dtype = KINDS[request.param]
    folder = tmp_path_factory.mktemp(request.param)
    rng = np.random.default_rng(0)
    for split, count in (("train", 4), ("val", 2)):
        for kind in ("images", "masks"):
            (folder / "cells" / split / kind).mkdir(parents=True)
        for i in range(count):
            mask = np.zeros((48, 56), np.uint8)
            top, left = rng.integers(4, 24, 2)
            mask[top : top + 16, left : left + 16] = 1
            levels = 500 + 2500 * mask.astype(np.int64) + rng.integers(0, 500, mask.shape)
            pixels = np.broadcast_to(levels[..., None], shape) if shape[-1] < 48 else np.broadcast_to(levels, shape)
            scaled = pixels / 1000 - 2 if dtype == "float32" else pixels
            write(folder / "cells" / split / "images" / f"{i}.{ending}", scaled.astype(dtype))
            Image.fromarray(mask).save(folder / "cells" / split / "masks" / f"{i}.png")
    assert main([*TRAIN.split(), "--epochs", "2", "--data", str(folder / "cells"), "--out", str(folder / "run")]) == 0
    return folder


def image_of(folder):
    return next((folder / "cells/val/images").glob("0.*"))


def channels_of(folder):
    return data.read_channels(image_of(folder)).shape[-1]


def test_what_was_found_is_written_down_and_lies_in_the_graph(run):
    config = json.loads((run / "run/config.json").read_text())
    train = data.read_folder("train", run / "cells")
    model = Run(run / "run").load_best()
    assert config["channels"] == train.channels == channels_of(run) == model.input_shape[-1]
    assert tuple(config["value_range"]) == train.value_range == models.value_range(model)
    assert json.loads((run / "run/metrics.json").read_text())["mean_iou"] > 0.8


def test_scores_are_those_of_training(run, capsys):
    before = json.loads((run / "run/metrics.json").read_text())
    assert not main(["evaluate", str(run / "run")])
    after = json.loads((run / "run/metrics.json").read_text())
    assert after["confusion_matrix"] == before["confusion_matrix"]
    assert not main(["evaluate", str(run / "run"), "--data", str(run / "cells"), "--split", "val"])
    assert f"{100 * before['mean_iou']:.2f}" in capsys.readouterr().out


def test_predictions_tiles_and_servable_agree(run, tmp_path):
    image = image_of(run)
    folder = shutil.copytree(run / "cells/val/images", tmp_path / "images")
    assert not main(["predict", str(run / "run"), str(folder), "--out", str(tmp_path / "whole")])
    assert not main(
        ["predict", str(run / "run"), str(image), "--out", str(tmp_path / "tiles"), "--tile", "32", "--overlap", "0.5"]
    )
    whole = np.asarray(Image.open(tmp_path / "whole/0.png"))
    assert np.mean(whole == np.asarray(Image.open(tmp_path / "tiles/0.png"))) > 0.97
    shown = np.asarray(Image.open(tmp_path / "whole/0_overlay.png"))
    assert shown.shape == (48, 56, 3)
    assert shown[whole == 1].mean() > shown[whole == 0].mean() + 30  # bright where the squares are
    assert not main(["export", str(run / "run"), "--out", str(tmp_path / "servable")])
    served = tf.saved_model.load(str(tmp_path / "servable/1")).signatures
    pixels = data.read_channels(image)[None].astype(np.float32)
    np.testing.assert_array_equal(served["serving_default"](image=tf.constant(pixels))["label_map"][0], whole)
    if image.suffix == ".png":
        answer = served["serve_png"](image_bytes=tf.constant([image.read_bytes()]))["label_map_bytes"][0]
        np.testing.assert_array_equal(tf.io.decode_png(answer)[..., 0], whole)
        with pytest.raises(tf.errors.InvalidArgumentError, match="is not a PNG, which this model takes"):
            served["serve_png"](image_bytes=tf.constant([tf.io.encode_jpeg(np.zeros((8, 8, 3), np.uint8)).numpy()]))
    else:
        assert ("serve_png" in served) == (pixels.shape[-1] <= 4)


def test_training_goes_on(run, tmp_path, capsys):
    folder = shutil.copytree(run / "run", tmp_path / "run")
    assert not main([*TRAIN.split(), "--epochs", "3", "--data", str(run / "cells"), "--out", str(folder), "--resume"])
    assert json.loads((folder / "config.json").read_text())["epochs"] == 3


def test_other_images_are_refused(run, tmp_path, capsys):
    Image.new("RGB", (40, 40), (1, 2, 3)).save(tmp_path / "photo.png")
    assert main(["predict", str(run / "run"), str(tmp_path / "photo.png"), "--out", str(tmp_path / "out")]) == 1
    said = capsys.readouterr().err
    assert f"photo.png: has 3 channels, and {channels_of(run)}" in said


@pytest.mark.filterwarnings("ignore:Use `@` matmul:PendingDeprecationWarning")  # of rasterio's own code
def test_a_geotiff_becomes_one_on_the_same_grid(run, tmp_path):
    if channels_of(run) != 4:
        pytest.skip("one kind of image will do")
    import rasterio

    pixels = data.read_channels(image_of(run))
    grid = {"crs": "EPSG:32633", "transform": rasterio.transform.from_origin(399960, 5000040, 10, 10)}
    layout = {"driver": "GTiff", "height": 48, "width": 56, "count": 4, "dtype": "uint16"}
    with rasterio.open(tmp_path / "field.tif", "w", **layout, **grid) as file:
        file.write(np.moveaxis(pixels, -1, 0))
    assert not main(["predict", str(run / "run"), str(tmp_path / "field.tif"), "--out", str(tmp_path / "out")])
    with rasterio.open(tmp_path / "out/field.tif") as file:
        assert (file.crs, file.transform, file.count, file.dtypes) == (grid["crs"], grid["transform"], 1, ("uint8",))
        np.testing.assert_array_equal(file.read(1), np.asarray(Image.open(tmp_path / "out/field.png")))
