import numpy as np
import pytest
from PIL import Image

from keras_segen.data._cifar10 import read_cifar10
from keras_segen.metrics import cifar10_features


def test_classes_are_recognised(real_data):
    images, labels = read_cifar10("test", real_data("tfds/cifar10").parent)
    features, logits = cifar10_features().predict(images[:1000] / np.float32(127.5) - 1, verbose=0)
    assert features.shape == (1000, 192)
    assert (logits.argmax(-1) == labels[:1000]).mean() > 0.8


def test_what_a_file_would_not_keep_changes_nothing():
    images = np.random.default_rng(0).uniform(-1.2, 1.2, (4, 32, 32, 3)).astype("float32")
    as_file = np.round((np.clip(images, -1, 1) + 1) * 127.5) / 127.5 - 1
    ours, theirs = (cifar10_features().predict(x, verbose=0)[0] for x in (images, as_file))
    np.testing.assert_allclose(ours, theirs, atol=1e-5)


def test_other_sizes_are_resized_and_grey_is_repeated():
    rng = np.random.default_rng(0)
    small = rng.integers(0, 256, (32, 32, 3)).astype("uint8")
    large = np.asarray(Image.fromarray(small).resize((64, 64), Image.Resampling.NEAREST))
    network = cifar10_features()
    ours, theirs = (network.predict(x[None] / np.float32(127.5) - 1, verbose=0)[0] for x in (small, small))
    np.testing.assert_array_equal(ours, theirs)
    # Halving with antialiasing what was doubled gives nearly the same again.
    resized = network.predict(large[None] / np.float32(127.5) - 1, verbose=0)[0]
    assert resized.shape == ours.shape
    grey = rng.uniform(-1, 1, (2, 32, 32, 1)).astype("float32")
    one = cifar10_features(1).predict(grey, verbose=0)[1]
    np.testing.assert_allclose(one, network.predict(np.repeat(grey, 3, -1), verbose=0)[1], atol=1e-4)
    with pytest.raises(ValueError, match="channels=2"):
        cifar10_features(2)


def test_its_name_says_which_file_it_is():
    prefix, digest = cifar10_features().name.rsplit("_", 1)
    assert prefix == "cifar10_features"
    assert len(digest) == 8
    assert int(digest, 16) >= 0
