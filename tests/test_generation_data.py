import numpy as np
import pytest
from PIL import Image

from keras_segen.errors import InputError
from keras_segen.recipes.generation_data import generation_data

CONFIG = {"image_size": 32, "seed": 0, "data_dir": None}


def check(loaded, *, labels, count=None):
    batch = next(iter(loaded.train(4, 0)))
    images = batch[0] if labels else batch
    assert images.shape == (4, *loaded.images.shape[1:])
    assert -1 <= np.min(images) < np.max(images) <= 1
    assert loaded.images.dtype == np.uint8
    assert loaded.count >= len(loaded.images)
    assert (loaded.labels is not None) == labels
    if labels:
        assert len(loaded.labels) == len(loaded.images)
        assert batch[1].shape[1:] == loaded.labels.shape[1:]
    if count:
        assert loaded.count == count


@pytest.mark.parametrize("labels", [False, True])
def test_shapes(labels):
    loaded = generation_data("shapes", CONFIG, labels=labels)
    check(loaded, labels=labels)
    assert len(loaded.class_names) == 5 * labels


@pytest.mark.parametrize("labels", [False, True])
def test_cifar10(real_data, labels):
    config = {**CONFIG, "data_dir": real_data("tfds/cifar10").parent}
    loaded = generation_data("cifar10", config, labels=labels)
    check(loaded, labels=labels, count=50_000)
    assert len(loaded.images) == 10_000
    if labels:
        assert np.bincount(loaded.labels).min() > 900


def test_celeb_a(real_data):
    config = {**CONFIG, "data_dir": real_data("tfds/celeb_a").parent, "attributes": ["Smiling", "Male"]}
    loaded = generation_data("celeb_a", config, labels=True, verbose=False)
    check(loaded, labels=True, count=3200)
    assert loaded.class_names == ("Smiling", "Male")
    assert 0.3 < loaded.labels[:, 0].mean() < 0.7
    with pytest.raises(InputError, match="Laughing"):
        generation_data("celeb_a", {**config, "attributes": ["Laughing"]}, labels=True)


def test_a_folder_of_classes(tmp_path):
    for name, colour in (("b", "blue"), ("a", "red")):
        (tmp_path / name).mkdir()
        for i in range(10):
            Image.new("RGB", (40, 30 + i), colour).save(tmp_path / name / f"{i}.png")
    one, other = (generation_data(str(tmp_path), CONFIG, labels=labels, verbose=False) for labels in (False, True))
    check(one, labels=False, count=16)
    check(other, labels=True, count=16)
    assert other.class_names == ("a", "b")
    red = other.images[other.labels == 0]
    np.testing.assert_array_equal(red, np.broadcast_to(np.array([255, 0, 0], np.uint8), red.shape))
    assert one.fingerprint == other.fingerprint
    for path in (tmp_path / "a").iterdir():
        Image.new("RGB", (40, 40), "green").save(path)
    assert generation_data(str(tmp_path), CONFIG, labels=False, verbose=False).fingerprint != one.fingerprint


@pytest.mark.parametrize(
    ("name", "config", "message"),
    [
        ("celeb_a", CONFIG, "name some, such as --attributes"),
        ("cifar10", {**CONFIG, "image_size": 64}, "--image-size 32"),
        ("shapes", {**CONFIG, "attributes": ["Smiling"]}, "CelebA's"),
        ("nowhere", CONFIG, "nowhere"),
    ],
)
def test_what_cannot_be_is_refused(name, config, message):
    with pytest.raises(InputError, match=message):
        generation_data(name, config, labels=True)
