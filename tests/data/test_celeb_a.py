import numpy as np
import pytest
import tensorflow as tf
import tensorflow_datasets as tfds

from keras_segen.data._celeb_a import CROP, celeb_a


def test_the_real_ones(real_data):
    root = real_data("tfds")
    dataset = celeb_a("val", data_dir=root, batch_size=50, target=["Smiling", "Male"])
    images, labels = (np.concatenate(part) for part in zip(*dataset.as_numpy_iterator(), strict=True))
    assert images.shape == (400, 64, 64, 3)
    assert -1 <= images.min() < images.max() <= 1
    raw = list(tfds.load("celeb_a", split="validation", data_dir=root, shuffle_files=False).take(5).as_numpy_iterator())
    for image, label, example in zip(images, labels, raw, strict=False):
        assert label.tolist() == [example["attributes"]["Smiling"], example["attributes"]["Male"]]
        top, left = (218 - CROP) // 2, (178 - CROP) // 2
        middle = example["image"][top : top + CROP, left : left + CROP]
        expected = tf.image.resize(middle, [64, 64], antialias=True) / 127.5 - 1
        np.testing.assert_allclose(image, expected, atol=0.5 / 127.5 + 1e-5)
    assert next(iter(celeb_a("test", data_dir=root, image_size=None))).shape == (16, CROP, CROP, 3)
    with pytest.raises(ValueError, match="'Smilling'"):
        celeb_a("val", data_dir=root, target=["Smilling"])


def test_another_split_is_named():
    with pytest.raises(ValueError, match="split='validation'"):
        celeb_a("validation")
