import shutil

import numpy as np
import pytest
from PIL import Image

from keras_segen.errors import InputError
from keras_segen_cli.tasks.classifier_data import classifier_data


def check(train, test, class_names, size):
    for images, labels in (train, test):
        assert images.dtype == np.uint8
        assert images.shape == (len(labels), size, size, 3)
        assert set(np.unique(labels)) == set(range(len(class_names)))


@pytest.mark.slow
def test_shapes():
    check(*classifier_data("shapes", image_size=16, data_dir=None), size=16)


@pytest.mark.slow
def test_cifar10(real_data):
    train, test, names = classifier_data("cifar10", image_size=32, data_dir=real_data("tfds/cifar10").parent)
    check(train, test, names, size=32)
    assert (len(train[1]), len(test[1])) == (50_000, 10_000)


def test_a_folder_has_one_list_of_classes(tmp_path):
    for split, colours in (("train", ["blue", "green", "red"]), ("val", ["green", "red"])):
        for colour in colours:
            (tmp_path / split / colour).mkdir(parents=True)
            Image.new("RGB", (9, 9), colour).save(tmp_path / split / colour / "1.png")
    train, test, names = classifier_data(str(tmp_path), image_size=9, data_dir=None)
    assert names == ("blue", "green", "red")
    assert train[1].tolist() == [0, 1, 2]
    assert test[1].tolist() == [1, 2]
    shutil.rmtree(tmp_path / "train/green")
    with pytest.raises(InputError, match="val/green: no training image is of this class"):
        classifier_data(str(tmp_path), image_size=9, data_dir=None)


def test_what_cannot_be_is_refused():
    with pytest.raises(InputError, match="attributes, not classes"):
        classifier_data("celeb_a", image_size=32, data_dir=None)
    with pytest.raises(InputError, match="--image-size 64: the images of cifar10 are of 32 pixels"):
        classifier_data("cifar10", image_size=64, data_dir=None)
    with pytest.raises(InputError, match="nowhere: does not exist"):
        classifier_data("nowhere", image_size=32, data_dir=None)
