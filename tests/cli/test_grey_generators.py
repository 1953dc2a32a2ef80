"""Generative models of grey images, of which Fashion-MNIST's are the example."""

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from examples.commands import answer, read_json
from examples.prepared_data import mnist_files, prepare_fashion_mnist
from keras_segen.metrics import cifar10_features
from keras_segen.runs import Run
from keras_segen_cli.recipes import VAE
from keras_segen_cli.tasks.classifier_data import classifier_data

SMALL = ["--epochs", 1, "--steps-per-epoch", 2, "--batch-size", 4, "--filters", 4, "--latent-dim", 5]

pytestmark = pytest.mark.filterwarnings("ignore:.* are few for 192 features")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder that holds a small Fashion-MNIST, each class with a shade of its own."""
    path, prepared = tmp_path_factory.mktemp("grey"), tmp_path_factory.mktemp("prepared")
    contents = {}
    for split, count in (("train", 40), ("test", 20)):
        labels = np.arange(count) % 10
        contents[split] = mnist_files(np.broadcast_to((20 * labels).astype("uint8"), (28, 28, count)).T, labels)
    with pytest.MonkeyPatch.context() as monkeypatch:
        prepare_fashion_mnist(prepared, monkeypatch, contents)
        answer(path, "train", "vae", "--data", "fashion_mnist", "--data-dir", prepared, "--out", "vae", *SMALL)
        answer(path, "train", "cgan", "--data", "fashion_mnist", "--data-dir", prepared, "--out", "cgan", *SMALL)
    return path


@pytest.mark.parametrize("name", ["vae", "cgan"])
def test_samples_are_scored_by_the_features_of_grey_images(folder, name):
    assert f"frechet_distance_{cifar10_features(1).name}" in read_json(folder / name / "metrics.json")


@pytest.mark.parametrize("name", ["vae", "cgan"])
def test_the_model_makes_grey_images(folder, name):
    assert Run(folder / name).load_best().image_shape == (32, 32, 1)


def test_the_classes_have_folders_of_their_own(folder):
    answer(folder, "sample", "cgan", "--count", 20, "--out", "samples")
    assert len([*(folder / "samples").iterdir()]) == 10
    with Image.open(next((folder / "samples" / "T-shirt or top").iterdir())) as image:
        assert (image.mode, image.size) == ("L", (32, 32))


def test_colours_are_reconstructed_in_grey(folder):
    Image.new("RGB", (32, 32), (200, 100, 50)).save(folder / "colour.png")
    answer(folder, "predict", "vae", "colour.png", "--out", "again")
    with Image.open(folder / "again/colour.png") as image:
        assert len({*image.convert("RGB").get_flattened_data()} - {(255, 255, 255)}) > 0
        assert all(red == green == blue for red, green, blue in image.convert("RGB").get_flattened_data())


def test_a_servable_takes_grey_images(folder):
    answer(folder, "export", "vae", "--out", "served")
    served = tf.saved_model.load(str(folder / "served/1"))
    found = served.signatures["encode"](image=tf.zeros((2, 32, 32, 1), tf.uint8))
    assert found["mean"].shape == (2, 5)


def test_colour_and_grey_do_not_go_together(folder):
    printed = answer(folder, "evaluate", "vae", "--data", "shapes", status=2).err
    assert "shapes: its images are in colour, but the model's are grey" in printed
    printed = answer(folder, "train", "vae", "--data", "shapes", "--start-from", "vae", *SMALL, status=2).err
    assert "is of another kind of images, 1 channels instead of 3" in printed


def test_a_classifier_takes_them_as_rgb(folder):
    prepared = read_json(folder / "vae/config.json")["data_dir"]
    (images, labels), _, names = classifier_data("fashion_mnist", image_size=28, data_dir=prepared)
    assert images.shape == (40, 28, 28, 3)
    np.testing.assert_array_equal(images[:, 9, 9, 1], 20 * labels)
    assert names[9] == "Ankle boot"


def test_images_of_28_pixels_have_a_latent_of_7():
    VAE(data="mnist", image_size=28, latent_side=7, latent_dim=98).check()
