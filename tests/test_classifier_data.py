import numpy as np
import pytest

from keras_segen.errors import InputError
from keras_segen.recipes.classifier_data import classifier_data


def check(train, test, class_names, size):
    for images, labels in (train, test):
        assert images.dtype == np.uint8
        assert images.shape == (len(labels), size, size, 3)
        assert set(np.unique(labels)) == set(range(len(class_names)))


def test_shapes():
    check(*classifier_data("shapes", image_size=16, data_dir=None), size=16)


def test_cifar10(real_data):
    train, test, names = classifier_data("cifar10", image_size=32, data_dir=real_data("tfds/cifar10").parent)
    check(train, test, names, size=32)
    assert (len(train[1]), len(test[1])) == (50_000, 10_000)


def test_what_cannot_be_is_refused():
    with pytest.raises(InputError, match="attributes, not classes"):
        classifier_data("celeb_a", image_size=32, data_dir=None)
    with pytest.raises(InputError, match="--image-size 32"):
        classifier_data("cifar10", image_size=64, data_dir=None)
    with pytest.raises(InputError, match="nowhere: does not exist"):
        classifier_data("nowhere", image_size=32, data_dir=None)
