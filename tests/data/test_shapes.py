import math

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from keras_segen.data._shapes import CLASS_NAMES, COUNTS, num_classes, scene, shapes

VOID = 255


def arrays(dataset, index=0):
    """All batches' images (0), or masks or labels (1), in one array."""
    return np.concatenate([batch[index].numpy() for batch in dataset])


@pytest.fixture(scope="module")
def scenes():
    """600 scenes: images, masks, labels."""
    options = {"count": 600, "batch_size": 100}
    pairs = list(shapes("train", **options))
    labels = arrays(shapes("train", target="label", **options), 1)
    return np.concatenate([x for x, _ in pairs]), np.concatenate([y for _, y in pairs]), labels


def objects(mask, class_id):
    """Number the connected regions of a class: the void around each object keeps two of a class apart."""
    return ndimage.label(mask == class_id)


@pytest.mark.parametrize(
    ("which", "shape", "dtype"),
    [(0, (600, 64, 64, 3), np.float32), (1, (600, 64, 64), np.uint8), (2, (600,), np.int32)],
    ids=["images", "masks", "labels"],
)
def test_shape_and_type(scenes, which, shape, dtype):
    assert scenes[which].shape == shape
    assert scenes[which].dtype == dtype


def test_images_lie_between_0_and_255(scenes):
    images, _, _ = scenes
    assert images.min() >= 0
    assert images.max() <= 255


def test_images_hold_whole_numbers(scenes):
    images, _, _ = scenes
    assert np.array_equal(images, np.round(images))


def test_ground_and_five_shapes_are_the_classes():
    assert num_classes == len(CLASS_NAMES) == 6


def test_every_class_occurs_about_as_often(scenes):
    _, masks, labels = scenes
    assert set(np.unique(masks)) == {0, 1, 2, 3, 4, 5, VOID}
    present = [(masks == c).any((1, 2)).mean() for c in range(1, num_classes)]
    assert min(present) > 0.3
    assert max(present) - min(present) < 0.15
    pixels = np.bincount(masks.ravel(), minlength=256)[1:num_classes]
    assert pixels.min() > 0.8 * pixels.max()
    assert np.bincount(labels, minlength=5).min() > 60


@given(
    index=st.integers(0, 2**40),
    seed=st.integers(-(2**40), 2**40),
    split=st.sampled_from(list(COUNTS)),
    image_size=st.sampled_from([16, 17, 31, 64, 97]),
)
@settings(max_examples=12, deadline=None, derandomize=True)
def test_any_scene(index, seed, split, image_size):
    image, mask, label = scene(index, split=split, seed=seed, image_size=image_size)
    assert image.shape == (image_size, image_size, 3)
    assert mask.shape == (image_size, image_size)
    assert (image.dtype, mask.dtype, label.dtype) == (tf.float32, tf.uint8, tf.int32)
    assert image.numpy().min() >= 0
    assert image.numpy().max() <= 255
    assert set(np.unique(mask)) <= {0, 1, 2, 3, 4, 5, VOID}
    assert np.any(mask.numpy() == label.numpy() + 1)
    for again, first in zip(
        scene(index, split=split, seed=seed, image_size=image_size), (image, mask, label), strict=True
    ):
        assert np.array_equal(again, first)


@pytest.mark.slow
@pytest.mark.parametrize("image_size", [50, 128])
def test_eagerly_and_in_a_pipeline(image_size):
    """The same to the bit, though TensorFlow's graph optimiser has been over the one and not the other."""
    images, masks = next(iter(shapes("val", image_size=image_size, batch_size=30, seed=3)))
    for i in range(30):
        image, mask, _ = scene(i, split="val", seed=3, image_size=image_size)
        assert np.array_equal(image, images[i])
        assert np.array_equal(mask, masks[i])


def test_order_and_batches_change_no_scene(scenes):
    first = scenes[0][:50]
    assert np.array_equal(first, arrays(shapes("train", count=50, batch_size=7)))
    shuffled = arrays(shapes("train", count=50, batch_size=10, training=True))
    assert not np.array_equal(first, shuffled)
    assert {image.tobytes() for image in first} == {image.tobytes() for image in shuffled}


@pytest.mark.slow
def test_threads_change_no_scene():
    def images(threads):
        dataset = tf.data.Dataset.range(40).map(lambda i: scene(i, image_size=64)[0], num_parallel_calls=threads)
        options = tf.data.Options()
        options.threading.private_threadpool_size = threads
        return np.stack(list(dataset.with_options(options).as_numpy_iterator()))

    assert np.array_equal(images(1), images(8))


@pytest.mark.slow
def test_no_scene_twice(scenes):
    others = [arrays(shapes(split, count=300, batch_size=50)) for split in ("val", "test")]
    other_seed = [scene(i, seed=1)[0] for i in range(20)]
    assert len({image.tobytes() for image in np.concatenate([scenes[0], *others, other_seed])}) == 600 + 2 * 300 + 20


def test_void_surrounds_every_object(scenes):
    _, masks, _ = scenes
    padded = np.pad(masks, ((0, 0), (1, 1), (1, 1)), mode="edge")
    for neighbour in (padded[:, 2:, 1:-1], padded[:, :-2, 1:-1], padded[:, 1:-1, 2:], padded[:, 1:-1, :-2]):
        assert np.all((masks == neighbour) | (masks == VOID) | (neighbour == VOID))


@pytest.mark.parametrize(("image_size", "width"), [(64, 1), (128, 1.6)])
def test_void_is_as_wide_as_promised(image_size, width):
    """The void's area over the length of the outline, for circles that stand alone and whole."""
    ratios = []
    for i in range(40):
        _, mask, label = scene(i, image_size=image_size)
        mask = mask.numpy()
        inside = mask == 1
        lone_circle = label == 0 and set(np.unique(mask)) == {0, 1, VOID} and objects(mask, 1)[1] == 1
        if lone_circle and not (mask[[0, -1]].any() or mask[:, [0, -1]].any()):
            radius = math.sqrt(inside.sum() / math.pi)
            ratios.append((mask == VOID).sum() / (math.pi * (2 * radius + width)))
    assert ratios
    assert np.mean(ratios) == pytest.approx(width, rel=0.1)


def test_label_is_the_class_of_the_largest_object(scenes):
    _, masks, labels = scenes
    agreed = 0
    for mask, label in zip(masks, labels, strict=True):
        largest = [max(np.bincount(objects(mask, c)[0].ravel())[1:], default=0) for c in range(1, num_classes)]
        agreed += largest[label] == max(largest)
        # Another object may cut the largest one in two; together its parts are still the largest.
        assert (mask == label + 1).sum() >= max(largest)
    assert agreed > 0.95 * len(masks)


def test_objects_are_large_enough_to_be_named(scenes):
    _, masks, _ = scenes
    for mask in masks:
        for c in range(1, num_classes):
            if (mask == c).any():
                assert (mask == c).sum() > 50


def test_colour_and_texture_do_not_give_the_class_away(scenes):
    images, masks, _ = scenes
    means, steps = [], []
    for c in range(1, num_classes):
        colours = np.array([image[mask == c].mean(0) for image, mask in zip(images, masks, strict=True) if c in mask])
        # The mean of n random colours scatters by the colours' own spread over the root of n.
        means.append((colours.mean(0), colours.std(0) / math.sqrt(len(colours))))
        neighbours = (masks[:, :, 1:] == c) & (masks[:, :, :-1] == c)
        steps.append(np.abs(images[:, :, 1:] - images[:, :, :-1])[neighbours].mean())
    for mean, error in means:
        assert np.all(np.abs(mean - np.mean([m for m, _ in means], axis=0)) < 4 * error)
    assert max(steps) < 1.15 * min(steps)


def test_targets():
    options = {"count": 5, "batch_size": 2}
    images, _ = zip(*shapes("test", **options), strict=True)
    assert [len(batch) for batch in images] == [2, 2, 1]
    alone = list(shapes("test", target=None, **options))
    labelled = list(shapes("test", target="label", **options))
    for image, (same, label), plain in zip(images, labelled, alone, strict=True):
        assert np.array_equal(same, plain)
        assert np.allclose(image, (plain + 1) * 127.5, atol=1e-3)
        assert label.dtype == tf.int32
        assert plain.dtype == tf.float32
        assert np.abs(plain).max() <= 1


def test_default_counts_and_known_shapes():
    for split, count in COUNTS.items():
        assert len(shapes(split, batch_size=100)) == -(-count // 100)
    training = shapes("val", batch_size=100, image_size=40, training=True)
    assert len(training) == 2
    assert [spec.shape for spec in training.element_spec] == [(100, 40, 40, 3), (100, 40, 40)]


def test_training_is_shuffled_anew_and_drops_the_remainder():
    dataset = shapes("train", image_size=16, count=10, batch_size=4, training=True)
    first, second = arrays(dataset), arrays(dataset)
    assert len(first) == len(second) == 8
    assert not np.array_equal(first, second)


def test_a_resumed_run_sees_what_it_would_have_seen():
    def read(start, batches):
        dataset = shapes("train", image_size=16, count=10, batch_size=4, training=True, seed=2, start=start)
        return [arrays([batch]) for batch in dataset.take(batches)]

    whole = read(0, 8)  # three passes and more
    assert all(np.array_equal(a, b) for a, b in zip(whole[3:], read(12, 5), strict=True))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"split": "dev"}, "split.*train, val, test.*Received: split='dev'"),
        ({"image_size": 15}, "image_size.*at least 16.*Received: image_size=15"),
        ({"target": "masks"}, "target.*Received: target='masks'"),
        ({"count": 0}, "count.*at least 1.*Received: count=0"),
    ],
)
def test_wrong_arguments_of_shapes_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        shapes(**arguments)


def test_wrong_use_of_scene():
    with pytest.raises(ValueError, match="Received: split='all'"):
        scene(0, split="all")
    with pytest.raises(ValueError, match="Received: image_size=8"):
        scene(0, image_size=8)
