"""How a segmenter is validated and scored: image by image, whatever their sizes."""

import keras
import numpy as np
import pytest
from PIL import Image

from keras_segen.data._images import read_image
from keras_segen.inference import _batches as batches
from keras_segen.metrics import _segmentation as confusion
from keras_segen.runs import Run
from keras_segen_cli.recipes import UNet
from keras_segen_cli.tasks import segmentation, task_of
from keras_segen_cli.tasks.segmentation_data import segmentation_data


@pytest.fixture
def many_sizes(make_folder):
    """A folder whose validation images have six sizes, most of them alone."""
    root = make_folder(train=1, val=2)
    rng = np.random.default_rng(0)
    for i in range(6):
        size = 20 + 3 * (i // 2), 50 - i
        Image.fromarray(rng.integers(0, 256, (*size, 3), np.uint8)).save(root / f"val/images/z{i}.png")
        Image.fromarray(rng.integers(0, 2, size).astype(np.uint8)).save(root / f"val/masks/z{i}.png")
    return root


TASK = task_of(Run("run"), UNet(data="shapes"), classes=("ground", "disc"))


def redness():
    """A network that takes red pixels for class 1, exactly."""
    image = keras.Input((None, None, 3))
    red = image[..., :1] - image[..., 1:2]
    model = keras.Model(image, keras.ops.concatenate([keras.ops.zeros_like(red), red], -1))
    model.compile("adam", "mse", jit_compile=True)
    return model


def test_validation_and_scores_are_those_of_each_image_by_itself(many_sizes):
    loaded = segmentation_data(str(many_sizes), image_size=32, seed=0, verbose=False)
    matrix, images = np.zeros((2, 2), int), 0
    for path in sorted((many_sizes / "val/images").iterdir()):
        image = read_image(path).astype(int)
        mask = np.asarray(Image.open(many_sizes / "val/masks" / f"{path.stem}.png"))
        np.add.at(matrix, (mask, (image[..., 0] > image[..., 1]).astype(int)), 1)
        images += 1
    accuracy = np.trace(matrix) / matrix.sum()
    iou = np.diagonal(matrix) / (matrix.sum(0) + matrix.sum(1) - np.diagonal(matrix))
    scores = TASK.validate(redness(), loaded)
    assert scores == pytest.approx({"mean_iou": iou.mean(), "pixel_accuracy": accuracy}, abs=1e-9)
    predicted = segmentation.predictions(redness(), loaded)
    whole = segmentation.score_predictions(predicted, ["ground", "disc"])
    assert whole["images"] == loaded.val_count == images == 8
    assert whole["confusion_matrix"] == matrix.tolist()
    assert whole["mean_iou"] == pytest.approx(iou.mean(), abs=1e-9)


def test_large_images_are_validated_in_tiles(many_sizes, monkeypatch):
    loaded = segmentation_data(str(many_sizes), image_size=32, seed=0, verbose=False)
    expected = TASK.validate(redness(), loaded)
    tiles, blocks = [], batches._tiles.blocks
    monkeypatch.setattr(batches._tiles, "blocks", lambda *args: tiles.append(args) or blocks(*args))
    monkeypatch.setattr(batches._tiles, "TILE", 16)
    monkeypatch.setattr(batches, "WHOLE", 1200)
    assert TASK.validate(redness(), loaded) == expected
    assert len(tiles) == 2  # those of 40×48; the others have fewer pixels


def test_scoring_compiles_for_no_size(many_sizes, monkeypatch):
    monkeypatch.setattr(confusion, "_compiled_count", lambda: pytest.fail("XLA would compile for each size"))
    loaded = segmentation_data(str(many_sizes), image_size=32, seed=0, verbose=False)
    scores = segmentation.score_predictions(segmentation.predictions(redness(), loaded), ["ground", "disc"])
    assert scores["images"] == 8
