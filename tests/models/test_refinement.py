import keras
import numpy as np
import pytest

from keras_segen.layers import BilinearUpSampling, CropLike
from keras_segen.losses import CrossEntropy
from keras_segen.models import dcgan_discriminator, refined, unet


@pytest.mark.parametrize("size", [(32, 32), (21, 34), (1, 1)])
def test_at_first_it_changes_nothing(size):
    model = unet(3, filters=(4, 8))
    images = np.random.default_rng(0).uniform(0, 255, (2, *size, 3)).astype("float32")
    np.testing.assert_array_equal(refined(model)(images), model(images))


def coarse():
    """Return a segmenter whose scores have a stride of 8."""
    image = keras.Input((None, None, 3))
    x = keras.layers.Rescaling(1 / 127.5, offset=-1)(image)
    x = keras.layers.Conv2D(2, 8, strides=8, padding="same")(x)
    return keras.Model(image, CropLike()([BilinearUpSampling(8)(x), image]))


@pytest.mark.slow
def test_it_finds_boundaries_that_are_finer_than_the_scores():
    # A bright bar three pixels wide on dark ground.
    keras.utils.set_random_seed(0)
    rng = np.random.default_rng(0)
    masks = np.zeros((64, 32, 32), "uint8")
    for mask in masks:
        place = rng.integers(2, 27)
        mask[:, place : place + 3] = 1
    images = 255.0 * masks[..., None].repeat(3, -1) + rng.normal(0, 20, (*masks.shape, 3))
    losses = []
    for model in (coarse(), refined(coarse(), filters=8)):
        model.compile(keras.optimizers.Adam(1e-2), CrossEntropy())
        losses.append(model.fit(images, masks, batch_size=16, epochs=15, verbose=0).history["loss"][-1])
    assert losses[1] < 0.25 * losses[0]


def test_what_sees_a_pixel_is_what_the_docstring_says():
    model = refined(coarse(), filters=4)
    rng = np.random.default_rng(0)
    for layer in model.layers:
        if layer.name.startswith("refine_") and layer.weights:
            layer.set_weights([rng.uniform(0.1, 0.2, weight.shape) for weight in layer.get_weights()])
        elif layer.weights:
            layer.set_weights([np.zeros_like(weight) for weight in layer.get_weights()])
    images = np.full((32, 1, 32, 3), 127.5, "float32")
    images[np.arange(32), :, np.arange(32)] = 255
    logits = np.asarray(model(images))[:, 0, :, 0]  # (place, pixel)
    dark = np.asarray(model(np.full((1, 1, 32, 3), 127.5, "float32")))[0, 0, :, 0]
    places, pixels = np.nonzero(np.abs(logits - dark) > 1e-6)
    inner = (pixels > 8) & (pixels < 24)
    assert np.abs(places - pixels)[inner].max() == 7


def test_wrong_arguments_of_refined_are_named():
    with pytest.raises(ValueError, match="at least 1"):
        refined(unet(2, filters=(4, 8)), filters=0)
    with pytest.raises(ValueError, match="with deep supervision has several"):
        refined(unet(2, filters=(4, 8, 16), deep_supervision=True))


def test_only_a_segmenter_is_refined():
    with pytest.raises(ValueError, match="Refinement is for a segmenter: .* Received: model='dcgan_discriminator'"):
        refined(dcgan_discriminator((32, 32, 3), filters=4))
