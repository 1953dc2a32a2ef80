import numpy as np
import pytest

from keras_segen.data._cifar10 import CLASS_NAMES, cifar10


def test_the_real_ones(real_data):
    root = real_data("tfds")
    dataset = cifar10("test", data_dir=root, batch_size=1000)
    images, labels = (np.concatenate(part) for part in zip(*dataset.as_numpy_iterator(), strict=True))
    assert images.shape == (10_000, 32, 32, 3)
    assert images.dtype == np.float32
    assert images.min() == -1
    assert images.max() == 1
    np.testing.assert_array_equal(np.bincount(labels, minlength=len(CLASS_NAMES)), np.full(10, 1000))
    # Means of the test images' channels as published with many classifiers; a copy that went through JPEG is near them.
    np.testing.assert_allclose((images.mean((0, 1, 2)) + 1) / 2, (0.494, 0.485, 0.450), atol=0.01)
    alone = next(iter(cifar10("test", data_dir=root, batch_size=8, target=None)))
    np.testing.assert_array_equal(alone, images[:8])


@pytest.mark.parametrize("wrong", [{"split": "val"}, {"image_size": 64}, {"target": "mask"}])
def test_what_it_does_not_have_is_named(wrong):
    with pytest.raises(ValueError, match=str(next(iter(wrong.values())))):
        cifar10(**{"split": "train", **wrong})
