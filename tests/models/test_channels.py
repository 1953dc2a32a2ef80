"""Images of other channels than red, green and blue, through every decoder on a pretrained backbone."""

import keras
import numpy as np
import pytest
from keras import applications

from keras_segen.losses import CrossEntropy
from keras_segen.models import deeplab_v3_plus, fcn, fpn, unet

DECODERS = {
    "fcn": (fcn, {}),
    "unet": (unet, {"decoder_filters": (4, 4, 8, 8, 8)}),
    "deeplab_v3_plus": (deeplab_v3_plus, {"filters": 8, "low_level_filters": 4}),
    "fpn": (fpn, {"pyramid_filters": 8, "segmentation_filters": 8}),
}


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """A file of a MobileNet's weights."""
    keras.utils.set_random_seed(0)
    path = tmp_path_factory.mktemp("weights") / "mobilenet.weights.h5"
    applications.MobileNet(alpha=0.25, include_top=False, weights=None, input_shape=(64, 64, 3)).save_weights(path)
    return path


def build(decoder, weights, channels):
    builder, narrow = DECODERS[decoder]
    backbone = {"backbone": "mobilenet", "backbone_width": 0.25, "backbone_weights": weights}
    return builder(3, input_channels=channels, **backbone, **narrow)


@pytest.mark.parametrize("decoder", DECODERS)
def test_a_grey_image_gives_the_logits_of_the_same_image_in_red_green_and_blue(decoder, weights):
    grey, colour = build(decoder, weights, 1), build(decoder, weights, 3)
    rng = np.random.default_rng(0)
    for ours, theirs in zip(grey.weights, colour.weights, strict=True):
        theirs.assign(np.abs(theirs.numpy() + rng.normal(0, 0.02, theirs.shape)))  # FCN's scores begin with zeros
        ours.assign(theirs)
    image = rng.uniform(0, 255, (1, 97, 131, 1)).astype("float32")
    expected = np.asarray(colour(image.repeat(3, -1), training=False))
    assert np.ptp(expected) > 0
    np.testing.assert_allclose(grey(image, training=False), expected, atol=1e-5 * np.abs(expected).max())


@pytest.mark.slow
@pytest.mark.parametrize(
    "decoder", [pytest.param(name, marks=() if name == "unet" else pytest.mark.exhaustive) for name in DECODERS]
)
def test_a_network_of_five_channels_trains_and_is_saved(decoder, weights, tmp_path):
    model = build(decoder, weights, 5)
    (five,) = model.get_layer("backbone").get_layer("conv1").get_weights()
    assert five.shape[2] == 5
    np.testing.assert_array_equal(five[:, :, :2], five[:, :, 3:])
    model.compile(keras.optimizers.Adam(1e-3), CrossEntropy())
    images = np.random.default_rng(0).uniform(0, 255, (2, 64, 64, 5)).astype("float32")
    masks = (images[..., 4] > 127).astype("uint8")  # the last channel counts
    history = [model.train_on_batch(images, masks) for _ in range(6)]
    assert min(history) < 0.99 * history[0]
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    image = images[:1, :41, :53]
    np.testing.assert_array_equal(loaded(image, training=False), model(image, training=False))
