import numpy as np
import pytest

from keras_segen.data import from_arrays
from keras_segen.errors import InputError

IMAGES = np.random.default_rng(0).integers(0, 256, (10, 4, 4, 3), dtype=np.uint8)
LABELS = np.arange(10, dtype=np.int32)


@pytest.mark.parametrize(
    ("images", "labels", "message"),
    [
        (IMAGES / np.float32(255), None, "must be uint8 .* Received: float32"),
        (IMAGES[0], None, "must be uint8 .*count, height, width, channels"),
        (IMAGES[:0], None, "one at least"),
        (IMAGES, LABELS[:3], f"{len(IMAGES)} images and 3 labels"),
    ],
    ids=["floats", "one image", "none", "labels"],
)
def test_other_arrays_are_refused(images, labels, message):
    with pytest.raises(ValueError, match=message):
        from_arrays(images, labels)


def test_all_images_in_order_in_range():
    dataset = from_arrays(IMAGES, LABELS, batch_size=4, training=False, seed=0)
    batches = list(dataset.as_numpy_iterator())
    assert [len(image) for image, _ in batches] == [4, 4, 2]
    images = np.concatenate([image for image, _ in batches])
    assert images.dtype == np.float32
    np.testing.assert_allclose(images, IMAGES / 127.5 - 1, atol=1e-6)
    np.testing.assert_array_equal(np.concatenate([label for _, label in batches]), LABELS)


def test_training_shuffles_and_mirrors():
    def read(seed):
        dataset = from_arrays(IMAGES, LABELS, batch_size=5, training=True, seed=seed)
        batches = list(dataset.as_numpy_iterator())
        return np.concatenate([image for image, _ in batches]), np.concatenate([label for _, label in batches])

    images, labels = read(0)
    assert sorted(labels) == list(LABELS)
    assert list(labels) != list(LABELS)
    mirrored = 0
    for image, label in zip(images, labels, strict=True):
        original = IMAGES[label] / 127.5 - 1
        is_mirrored = np.allclose(image, original[:, ::-1], atol=1e-6)
        assert is_mirrored or np.allclose(image, original, atol=1e-6)
        mirrored += is_mirrored
    assert 0 < mirrored < 10
    np.testing.assert_array_equal(read(0)[0], images)
    assert (read(1)[1] != labels).any()


def test_images_alone_go_on_behind_a_start():
    def stream(start, count):
        dataset = from_arrays(IMAGES, None, batch_size=2, training=True, seed=0, start=start)
        return np.concatenate(list(dataset.take(count).as_numpy_iterator()))

    np.testing.assert_array_equal(stream(0, 9)[6:], stream(6, 6))


def test_too_few_images_are_refused():
    with pytest.raises(InputError, match="10 images do not fill one batch of 11"):
        from_arrays(IMAGES, None, batch_size=11, training=True, seed=0)
