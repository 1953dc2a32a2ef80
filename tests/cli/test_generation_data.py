import numpy as np
import pytest
from PIL import Image

from keras_segen.data import read_mnist
from keras_segen.errors import InputError
from keras_segen.metrics import cifar10_features
from keras_segen.ranges import to_uint8
from keras_segen.runs import Run
from keras_segen_cli.recipes import DCGAN
from keras_segen_cli.tasks import generation, task_of
from keras_segen_cli.tasks.generation_data import generation_data

SETTINGS = {"image_size": 32, "seed": 0}


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


@pytest.mark.slow
@pytest.mark.parametrize("labels", [False, True])
def test_shapes(labels):
    loaded = generation_data("shapes", labels=labels, **SETTINGS)
    check(loaded, labels=labels)
    assert len(loaded.class_names) == 5 * labels


@pytest.mark.slow
@pytest.mark.parametrize("labels", [False, True])
def test_cifar10(real_data, labels):
    config = {**SETTINGS, "data_dir": str(real_data("tfds/cifar10").parent)}
    loaded = generation_data("cifar10", labels=labels, **config)
    check(loaded, labels=labels, count=50_000)
    assert len(loaded.images) == 10_000
    if labels:
        assert np.bincount(loaded.labels).min() > 900


@pytest.mark.slow
def test_digits_are_grey_with_a_margin_and_not_mirrored(real_data):
    root = real_data("tfds/mnist").parent
    loaded = generation_data("mnist", labels=True, held_out=True, data_dir=str(root), **SETTINGS)
    check(loaded, labels=True, count=60_000)
    images, labels = read_mnist("test", root)
    np.testing.assert_array_equal(loaded.held_out[:, 2:-2, 2:-2], images)
    np.testing.assert_array_equal(loaded.held_out_labels, labels)
    assert loaded.held_out.sum() == images.sum(dtype=np.int64)
    known = {image.tobytes() for image in read_mnist("train", root, image_size=32)[0]}
    drawn, _ = next(iter(loaded.train(64, 0)))
    assert all(image.tobytes() in known for image in to_uint8(drawn.numpy()))


def test_celeb_a(real_data):
    config = {**SETTINGS, "data_dir": str(real_data("tfds/celeb_a").parent), "attributes": ["Smiling", "Male"]}
    loaded = generation_data("celeb_a", labels=True, verbose=False, **config)
    check(loaded, labels=True, count=3200)
    assert loaded.class_names == ("Smiling", "Male")
    assert 0.3 < loaded.labels[:, 0].mean() < 0.7
    with pytest.raises(InputError, match="Laughing"):
        generation_data("celeb_a", labels=True, **{**config, "attributes": ["Laughing"]})


def test_a_folder_of_classes(tmp_path):
    for name, colour in (("b", "blue"), ("a", "red")):
        (tmp_path / name).mkdir()
        for i in range(10):
            Image.new("RGB", (40, 30 + i), colour).save(tmp_path / name / f"{i}.png")
    one, other = (generation_data(str(tmp_path), labels=labels, verbose=False, **SETTINGS) for labels in (False, True))
    check(one, labels=False, count=16)
    check(other, labels=True, count=16)
    assert other.class_names == ("a", "b")
    red = other.images[other.labels == 0]
    np.testing.assert_array_equal(red, np.broadcast_to(np.array([255, 0, 0], np.uint8), red.shape))
    assert one.fingerprint == other.fingerprint
    for path in (tmp_path / "a").iterdir():
        Image.new("RGB", (40, 40), "green").save(path)
    assert generation_data(str(tmp_path), labels=False, verbose=False, **SETTINGS).fingerprint != one.fingerprint


def lay(root, split, colours):
    for colour in colours:
        (root / split / colour).mkdir(parents=True)
        for i in range(6):
            Image.new("RGB", (40, 30 + i), colour).save(root / split / colour / f"{i}.png")


def test_held_out_classes_have_the_ids_of_the_trained(tmp_path):
    lay(tmp_path, "train", ["blue", "green", "red"])
    lay(tmp_path, "val", ["green", "red"])
    loaded = generation_data(str(tmp_path), labels=True, held_out=True, verbose=False, **SETTINGS)
    assert loaded.class_names == ("blue", "green", "red")
    for images, labels in ((loaded.images, loaded.labels), (loaded.held_out, loaded.held_out_labels)):
        colours = np.stack([images[:, 0, 0, 2] > 200, images[:, 0, 0, 1] > 100, images[:, 0, 0, 0] > 200], -1)
        np.testing.assert_array_equal(labels, colours.argmax(-1))
    assert sorted(loaded.held_out_labels.tolist()) == [1] * 6 + [2] * 6


def test_a_class_that_is_not_trained_on_is_refused(tmp_path):
    lay(tmp_path, "train", ["green", "red"])
    lay(tmp_path, "val", ["blue", "green", "red"])
    with pytest.raises(InputError, match="val/blue: no training image is of this class"):
        generation_data(str(tmp_path), labels=True, held_out=True, verbose=False, **SETTINGS)
    assert len(generation_data(str(tmp_path), labels=False, held_out=True, verbose=False, **SETTINGS).held_out) == 18


def test_one_split_alone(tmp_path):
    lay(tmp_path, "train", ["green", "red"])
    lay(tmp_path, "test", ["red"])
    for path, split, count in ((tmp_path, "test", 6), (tmp_path, "all", 18), (tmp_path / "train", "all", 12)):
        loaded = generation_data(str(path), labels=False, held_out=True, split=split, verbose=False, **SETTINGS)
        assert (len(loaded.images), len(loaded.held_out), loaded.split) == (count, count, split)
    task = task_of(Run("run"), DCGAN(data="shapes"))
    assert task.default_split("cifar10") is None
    assert task.default_split(str(tmp_path)) == "test"
    assert task.default_split(str(tmp_path / "train")) == "all"


@pytest.mark.slow
def test_the_test_scenes_are_others(tmp_path):
    loaded, test = (generation_data("shapes", labels=False, split=split, **SETTINGS) for split in (None, "test"))
    assert (loaded.split, test.split) == ("train", "test")
    assert not np.array_equal(loaded.images[:9], test.images[:9])
    assert generation.reference_of(loaded, cifar10_features()).protocol["split"] == "train"
    assert generation.reference_of(test, cifar10_features()).protocol["split"] == "test"


def test_too_few_images_are_refused_before_training(tmp_path):
    (tmp_path / "red").mkdir()
    for i in range(6):
        Image.new("RGB", (40, 30 + i), "red").save(tmp_path / "red" / f"{i}.png")
    task = task_of(Run("run"), DCGAN(data="shapes", batch_size=2))
    with pytest.raises(InputError, match="5 images are too few to compare samples with: add some, 6 at least"):
        task.load_data(str(tmp_path))


@pytest.mark.parametrize(
    ("name", "config", "message"),
    [
        ("celeb_a", SETTINGS, "name some, such as --attributes"),
        ("cifar10", {**SETTINGS, "image_size": 64}, "--image-size 64: the images of cifar10 are of 32 pixels"),
        ("fashion_mnist", {**SETTINGS, "image_size": 64}, "--image-size 64: .* are of 28 or 32 pixels"),
        ("shapes", {**SETTINGS, "attributes": ["Smiling"]}, "CelebA's"),
        ("nowhere", SETTINGS, "nowhere"),
    ],
)
def test_what_cannot_be_is_refused(name, config, message):
    with pytest.raises(InputError, match=message):
        generation_data(name, labels=True, **config)


@pytest.mark.parametrize(("name", "splits"), [("cifar10", "train, test"), ("celeb_a", "train, val, test")])
def test_splits_that_do_not_exist_are_refused(name, splits):
    with pytest.raises(InputError, match=f"--split dev: {name} has no such split: give one of {splits}"):
        generation_data(name, labels=False, split="dev", **SETTINGS)
