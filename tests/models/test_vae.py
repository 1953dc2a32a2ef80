import keras
import numpy as np
import pytest

from keras_segen.models import vae_decoder, vae_dense_decoder, vae_dense_encoder, vae_encoder

SHAPE, LATENT = (16, 16, 3), 8


@pytest.mark.parametrize(
    ("image_shape", "options"),
    [
        ((32, 32, 3), {}),
        ((64, 64, 3), {"blocks": 0}),
        ((128, 128, 1), {"blocks": 2}),
        ((16, 32, 3), {"latent_side": 2}),
        ((24, 24, 3), {"latent_side": 3, "latent_dim": 18}),
    ],
)
@pytest.mark.parametrize("labels", [None, "ids", "attributes"])
def test_shapes(image_shape, options, labels):
    options = {"latent_dim": LATENT, "filters": 2, **options}
    if labels:
        options |= {"num_classes": 3, "multi_label": labels == "attributes"}
    encoder, decoder = vae_encoder(image_shape, **options), vae_decoder(image_shape, parameters=2, **options)
    given = {None: [], "ids": [np.array([0, 2])], "attributes": [np.array([[1.0, 0, 1], [0, 0, 0]])]}[labels]
    images = np.zeros((2, *image_shape), "float32")
    mean, log_variance = (np.asarray(y) for y in encoder([images, *given] if given else images))
    assert mean.shape == log_variance.shape == (2, options["latent_dim"])
    np.testing.assert_array_equal(log_variance, np.full(log_variance.shape, -3.0))
    assert decoder([mean, *given] if given else mean).shape == (2, *image_shape[:2], 2 * image_shape[2])


@pytest.mark.parametrize("labels", [None, "ids", "attributes"])
def test_fully_connected(labels):
    options = {"units": (5, 6), "num_classes": 3 if labels else None, "multi_label": labels == "attributes"}
    encoder, decoder = (
        vae_dense_encoder((6, 5, 1), latent_dim=4, **options),
        vae_dense_decoder((6, 5, 1), latent_dim=4, **options),
    )
    given = {None: [], "ids": [np.array([0, 2])], "attributes": [np.array([[1.0, 0, 1], [0, 0, 0]])]}[labels]
    images = np.zeros((2, 6, 5, 1), "float32")
    mean, log_variance = (np.asarray(y) for y in encoder([images, *given] if given else images))
    assert mean.shape == log_variance.shape == (2, 4)
    assert decoder([mean, *given] if given else mean).shape == (2, 6, 5, 2)
    assert [layer.units for layer in encoder.layers if isinstance(layer, keras.layers.Dense)] == [5, 6, 4, 4]


@pytest.mark.parametrize("build", [vae_encoder, vae_decoder, vae_dense_encoder, vae_dense_decoder])
def test_the_class_changes_what_comes_out(build):
    keras.utils.set_random_seed(0)
    network = build(SHAPE, latent_dim=LATENT, num_classes=3)
    network.set_weights([w + np.random.default_rng(0).normal(0, 0.05, w.shape) for w in network.get_weights()])
    x = np.ones((1, *network.inputs[0].shape[1:]), "float32")
    one, other = (keras.tree.flatten(network([x, np.array([i])]))[0] for i in (0, 1))
    assert np.abs(np.asarray(one) - np.asarray(other)).max() > 1e-3


def test_a_latent_that_is_a_map_describes_places():
    keras.utils.set_random_seed(0)
    decoder = vae_decoder((32, 32, 3), latent_dim=64, latent_side=8, filters=2)
    latents = np.zeros((2, 64), "float32")
    latents[1, 0] = 1  # of the upper left corner
    here, there = np.asarray(decoder(latents))
    changed = np.argwhere(np.abs(here - there).max(-1) > 1e-7)
    assert len(changed)
    assert changed.max() < 24  # what lies further away than the convolutions reach stays


def test_the_straight_way_is_linear():
    keras.utils.set_random_seed(0)
    encoder = vae_encoder(SHAPE, latent_dim=LATENT, filters=2)  # its blocks start from nothing
    images = np.random.default_rng(0).uniform(-1, 1, (2, *SHAPE)).astype("float32")
    both = encoder(images.sum(0, keepdims=True))[0]
    np.testing.assert_allclose(both[0], np.asarray(encoder(images)[0]).sum(0), atol=1e-4)


@pytest.mark.parametrize(
    ("image_shape", "options", "message"),
    [
        ((24, 24, 3), {}, "power of two times 4"),
        ((4, 4, 3), {}, "power of two times 4"),
        ((16, 16, 0), {}, "power of two times 4"),
        ((16, 18, 3), {}, "halved as often"),
        ((16, 16, 3), {"latent_side": 16}, "latent_side=16"),
        ((16, 16, 3), {"latent_side": 0}, "latent_side=0"),
        ((16, 16, 3), {"latent_side": 4}, "no multiple of 16"),
    ],
)
@pytest.mark.parametrize("build", [vae_encoder, vae_decoder])
def test_wrong_arguments_of_vae_networks_are_refused(build, image_shape, options, message):
    with pytest.raises(ValueError, match=message):
        build(image_shape, latent_dim=LATENT, **options)
