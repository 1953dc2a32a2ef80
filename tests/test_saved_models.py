from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from examples import drawn_files
from keras_segen.data._folder import read_folder
from keras_segen.data._images import read_image
from keras_segen.metrics import MeanIoU

SAVED = Path(__file__).parents[1] / "saved_models"
TURNED = drawn_files.chunk(b"eXIf", drawn_files.exif(6))
NAMES = sorted(path.parent.name for path in SAVED.glob("*/model.keras"))


def served(folder: Path):
    newest = max((path for path in folder.iterdir() if path.name.isdecimal()), key=lambda path: int(path.name))
    return tf.saved_model.load(str(newest)).signatures


def test_there_are_saved_models():
    assert NAMES


@pytest.mark.parametrize("name", NAMES)
def test_is_whole_small_and_the_same_as_its_servable(name):
    folder = SAVED / name
    assert (folder / "README.md").is_file()
    assert sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) <= 5e6
    model = keras.saving.load_model(folder / "model.keras")
    assert model.compiled
    image = np.random.default_rng(0).integers(0, 256, (1, 45, 70, 3), dtype=np.uint8)
    answer = served(folder)["serving_default"](image=tf.constant(image))
    np.testing.assert_array_equal(answer["label_map"], np.argmax(model(image.astype("float32")), -1))


@pytest.mark.parametrize("name", NAMES)
def test_decodes_files_as_the_package_does(name, tmp_path):
    signatures = served(SAVED / name)
    rng = np.random.default_rng(0)
    for depth in (1, 2, 4, 8, 16):
        drawn = drawn_files.png(rng.integers(2**depth, size=(32, 48, 1)), depth, 0, before=TURNED)
        (tmp_path / "a.png").write_bytes(drawn)
        answer = signatures["serve_bytes"](image_bytes=tf.constant([drawn]))
        expected = signatures["serving_default"](image=tf.constant(read_image(tmp_path / "a.png")[None]))
        assert expected["score"].shape == (1, 48, 32)
        np.testing.assert_array_equal(answer["score"], expected["score"])


@pytest.mark.slow
def test_unet_nuclei_scores_what_its_card_says(real_data):
    model = keras.saving.load_model(SAVED / "unet_nuclei" / "model.keras")
    mean_iou = MeanIoU(2)
    for image, mask in read_folder("val", real_data("nuclei")).dataset():
        mean_iou.update_state(mask, model(image, training=False))
    assert round(float(mean_iou.result()), 3) == 0.889
    assert mean_iou.per_class().round(3).tolist() == [0.966, 0.813]
