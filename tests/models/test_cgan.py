import keras
import numpy as np
import pytest

from keras_segen.models import cgan_discriminator, cgan_generator

LATENTS = np.random.default_rng(0).normal(size=(3, 5)).astype("float32")


@pytest.mark.parametrize("conditioning", ["projection", "concat"])
@pytest.mark.parametrize("multi_label", [False, True])
def test_shapes_and_ranges(conditioning, multi_label):
    options = {"conditioning": conditioning, "multi_label": multi_label, "filters": 4}
    labels = np.eye(4)[:3] if multi_label else np.arange(3)
    images = np.asarray(cgan_generator((32, 32, 1), latent_dim=5, num_classes=4, **options)([LATENTS, labels]))
    assert images.shape == (3, 32, 32, 1)
    assert np.abs(images).max() <= 1
    assert cgan_discriminator((32, 32, 1), num_classes=4, **options)([images, labels]).shape == (3, 1)


@pytest.mark.parametrize("conditioning", ["projection", "concat"])
def test_the_class_changes_what_comes_out(conditioning):
    keras.utils.set_random_seed(0)
    generator = cgan_generator((16, 16, 3), latent_dim=5, num_classes=4, conditioning=conditioning, filters=4)
    discriminator = cgan_discriminator((16, 16, 3), num_classes=4, conditioning=conditioning, filters=4)
    for network in (generator, discriminator):  # as if after some training
        network.set_weights(
            [w + np.random.default_rng(i).normal(0, 0.1, w.shape) for i, w in enumerate(network.get_weights())]
        )
    one, other = (np.asarray(generator([LATENTS, np.full(3, i)], training=True)) for i in (0, 1))
    assert np.abs(one - other).max() > 1e-3
    logits = [np.asarray(discriminator([one, np.full(3, i)])) for i in (0, 1)]
    assert np.abs(logits[0] - logits[1]).max() > 1e-4


def test_projection_is_a_product_with_the_classs_vector():
    keras.utils.set_random_seed(0)
    discriminator = cgan_discriminator((16, 16, 3), num_classes=4, filters=4)
    embedding = discriminator.get_layer("embedding").kernel
    images = np.random.default_rng(0).uniform(-1, 1, (2, 16, 16, 3)).astype("float32")

    def logits(label):
        return np.asarray(discriminator([images, np.full(2, label)]))

    vectors = np.random.default_rng(1).normal(size=embedding.shape).astype("float32")
    vectors[0, 0, 3] = vectors[0, 0, 0]
    vectors[0, 0, 2] = (vectors[0, 0, 0] + vectors[0, 0, 1]) / 2
    embedding.assign(vectors)
    np.testing.assert_allclose(logits(3), logits(0), rtol=1e-5)
    np.testing.assert_allclose(logits(2), (logits(0) + logits(1)) / 2, rtol=1e-4, atol=1e-5)
    assert np.abs(logits(1) - logits(0)).max() > 1e-3

    embedding.assign(np.zeros(embedding.shape))
    assert np.isfinite(logits(0)).all()
    np.testing.assert_array_equal(logits(1), logits(0))


def test_attributes_as_vectors_equal_class_ids():
    options = {"conditioning": "concat", "filters": 4}
    by_id = cgan_generator((16, 16, 3), latent_dim=5, num_classes=4, **options)
    by_vector = cgan_generator((16, 16, 3), latent_dim=5, num_classes=4, multi_label=True, **options)
    by_vector.set_weights(by_id.get_weights())
    labels = np.array([2, 0, 1])
    np.testing.assert_allclose(by_id([LATENTS, labels]), by_vector([LATENTS, np.eye(4)[labels]]), atol=1e-6)


def test_without_any_attribute_there_is_an_image_still():
    keras.utils.set_random_seed(0)
    generator = cgan_generator((16, 16, 3), latent_dim=5, num_classes=2, multi_label=True, filters=4)
    generator.set_weights([np.random.default_rng(i).normal(w, 0.1) for i, w in enumerate(generator.get_weights())])
    none, one, both = (
        np.asarray(generator([LATENTS, np.tile(row, (3, 1)).astype("float32")], training=True))
        for row in ([0, 0], [1, 0], [1, 1])
    )
    assert none.std(axis=(1, 2)).min() > 1e-3  # not flat
    assert np.abs(none[0] - none[1]).max() > 1e-3  # and not the same for every latent
    for with_attributes in (one, both):
        assert np.abs(none - with_attributes).max() > 1e-3


@pytest.mark.parametrize("conditioning", ["projection", "concat"])
@pytest.mark.parametrize("normalization", ["batch", "spectral", None])
def test_the_discriminator_is_normalised_as_asked(conditioning, normalization):
    options = {"num_classes": 4, "conditioning": conditioning, "normalization": normalization, "filters": 4}
    discriminator = cgan_discriminator((32, 32, 3), **options)
    kinds = [type(layer).__name__ for layer in discriminator.layers]
    assert kinds.count("FusedBatchNormalization") == 2 * (normalization == "batch")
    assert ("SpectralConv2D" in kinds, "Conv2D" in kinds) == (normalization == "spectral", normalization != "spectral")
    assert discriminator([np.zeros((3, 32, 32, 3)), np.arange(3)]).shape == (3, 1)


def test_wrong_arguments_of_cgan_networks_are_refused():
    for builder in (
        lambda **k: cgan_generator((16, 16, 3), latent_dim=5, **k),
        lambda **k: cgan_discriminator((16, 16, 3), **k),
    ):
        with pytest.raises(ValueError, match="'film'"):
            builder(num_classes=3, conditioning="film")
        with pytest.raises(ValueError, match="num_classes=0"):
            builder(num_classes=0)
    with pytest.raises(ValueError, match="'layer'"):
        cgan_discriminator((16, 16, 3), num_classes=3, normalization="layer")
