import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_segen.metrics import feature_extractor
from keras_segen.metrics._features import feature_batches, in_range


def network(side=None, logits=False):
    keras.utils.set_random_seed(0)
    image = keras.Input((side, side, 3))
    features = keras.layers.GlobalAveragePooling2D()(keras.layers.Conv2D(4, 3)(image))
    outputs = [features, keras.layers.Dense(2)(features)] if logits else features
    return keras.Model(image, outputs, name="small")


def test_any_network_will_do():
    images = np.random.default_rng(0).integers(0, 256, (5, 16, 16, 3)).astype("uint8")
    model = network(logits=True)
    (features, logits), *rest = feature_batches(images, feature_extractor(model))
    assert not rest
    np.testing.assert_allclose(features, model(images / 127.5 - 1)[0], atol=1e-5)
    np.testing.assert_allclose(logits, model(images / 127.5 - 1)[1], atol=1e-5)
    ((_, none),) = feature_batches(images, feature_extractor(network()))
    assert none is None


def test_other_sizes_are_brought_to_the_networks_own():
    images = np.random.default_rng(0).uniform(-1, 1, (2, 16, 16, 3)).astype("float32")
    large = np.repeat(np.repeat(images, 2, 1), 2, 2)
    assert feature_extractor(network(16))(large)[0].shape == (4,)


def test_the_name_follows_from_the_weights():
    one, same = feature_extractor(network()), feature_extractor(network())
    assert one.name == same.name
    assert one.name.startswith("small_")
    other = network()
    other.set_weights([w + 1 for w in other.get_weights()])
    assert feature_extractor(other).name != one.name
    assert feature_extractor(other, name="mine").name.startswith("mine_")
    # Without weights, too, and whatever Keras counts.
    scaled = [keras.Sequential([keras.Input((4, 4, 3)), keras.layers.Rescaling(x), keras.layers.Flatten()])
              for x in (1.0, 2.0, 2.0)]  # fmt: skip
    one, two, again = (feature_extractor(model).name for model in scaled)
    assert one != two == again
    assert feature_extractor(network(), channels=1).name == f"{feature_extractor(network()).name}_grey"


def test_batches_of_any_size_give_the_same():
    images = np.random.default_rng(0).integers(0, 256, (9, 16, 16, 3)).astype("uint8")
    extractor = feature_extractor(network())
    whole, single = (
        np.concatenate([f for f, _ in feature_batches(images, extractor, batch_size=size)]) for size in (256, 1)
    )
    np.testing.assert_allclose(whole, single, atol=1e-6)
    tensor = np.concatenate([f for f, _ in feature_batches(tf.constant(images), extractor)])
    np.testing.assert_allclose(tensor, whole, atol=1e-6)
    data = tf.data.Dataset.from_tensor_slices(images / np.float32(127.5) - 1).batch(4)
    np.testing.assert_allclose(np.concatenate([f for f, _ in feature_batches(data, extractor)]), whole, atol=1e-6)


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (np.full((2, 4, 4, 3), 200.0), r"divide bytes by 127\.5 and subtract 1. Received: floats from 200 to 200"),
        (np.full((2, 4, 4, 3), np.nan), "NaN"),
        (np.full((2, 4, 4, 3), -3.0), "floats from -3 to -3"),
        (np.zeros((2, 4, 4, 3), "int64"), "Received: int64"),
        (np.zeros((4, 4, 3), "uint8"), r"Received: shape \(4, 4, 3\)"),
    ],
)
def test_images_in_another_range_are_refused(images, message):
    with pytest.raises(ValueError, match=message):
        in_range(images)


def test_another_range_that_only_the_whole_set_shows():
    rng, extractor = np.random.default_rng(0), feature_extractor(network())
    for images, message in (
        (rng.random((4, 4, 4, 3)), r"floats in \[0, 1\], where \[-1, 1\] is due"),
        (rng.integers(0, 2, (4, 4, 4, 3)).astype("uint8"), "uint8 and all 0 or 1"),
    ):
        with pytest.raises(ValueError, match=message):
            list(feature_batches(images, extractor, batch_size=2))
    # A bright image, or a black one, among others is as good as any.
    bright = [rng.random((1, 4, 4, 3)), -rng.random((1, 4, 4, 3))]
    black = [np.zeros((1, 4, 4, 3), "uint8"), np.full((1, 4, 4, 3), 99, "uint8")]
    for images in (bright, black, black[:1]):
        assert len(list(feature_batches(images, extractor))) == len(images)


def test_what_is_no_extractor_is_refused():
    with pytest.raises(ValueError, match="global pooling. Received: maps"):
        image = keras.Input((None, None, 3))
        feature_extractor(keras.Model(image, keras.layers.Conv2D(2, 3)(image), name="maps"))
    with pytest.raises(ValueError, match="channels=2"):
        feature_extractor(network(), channels=2)
    for images, message in (
        (np.zeros((2, 4, 4, 1), "uint8"), r"images \(batch, height, width, 3\): make it with `channels=1`"),
        (np.zeros((2, 4, 4, 6), "uint8"), r"images \(batch, height, width, 3\)"),
        ([(np.zeros((2, 4, 4, 3), "uint8"), np.zeros(2))], "give no labels with them"),
    ):
        with pytest.raises(ValueError, match=message):
            next(feature_batches(images, feature_extractor(network())))
    with pytest.raises(ValueError, match="begins with its Input"):
        feature_extractor(keras.Sequential([keras.layers.Flatten()]))
    with pytest.raises(ValueError, match="no images"):
        next(feature_batches(np.zeros((0, 4, 4, 3), "uint8"), feature_extractor(network())))
