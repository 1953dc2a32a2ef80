"""What holds for every network."""

import keras
import numpy as np
import pytest

from keras_segen import models

IMAGE = (16, 16, 3)
NETWORKS = {
    "unet": lambda: models.unet(3, filters=(4, 8)),
    "classifier": lambda: models.classifier(IMAGE, 4, filters=4),
    "dcgan_generator": lambda: models.dcgan_generator(IMAGE, latent_dim=5, filters=4),
    "sngan_generator": lambda: models.sngan_generator(IMAGE, latent_dim=5, num_classes=3, filters=4),
    "sngan_discriminator": lambda: models.sngan_discriminator(IMAGE, num_classes=3, filters=4),
    **{
        f"dcgan_discriminator {norm}": lambda norm=norm: models.dcgan_discriminator(
            IMAGE, filters=4, normalization=norm
        )
        for norm in ("batch", "spectral", None)
    },
    **{
        f"{builder.__name__} {way}": lambda builder=builder, options=options, way=way: builder(
            IMAGE, **options, conditioning=way, filters=4
        )
        for builder, options in (
            (models.cgan_generator, {"num_classes": 3, "latent_dim": 5}),
            (models.cgan_discriminator, {"num_classes": 3}),
        )
        for way in ("projection", "concat")
    },
}


def inputs_of(network):
    rng = np.random.default_rng(0)
    batch = []
    for tensor in network.inputs:
        shape = [2 if i == 0 else size or 16 for i, size in enumerate(tensor.shape)]
        batch.append(rng.integers(0, 3, shape) if tensor.dtype == "int32" else rng.normal(size=shape).astype("float32"))
    return batch if len(batch) > 1 else batch[0]


@pytest.mark.parametrize("name", NETWORKS)
def test_saved_and_loaded_is_the_same(name, tmp_path):
    keras.utils.set_random_seed(0)
    network = NETWORKS[name]()
    inputs = inputs_of(network)
    network(inputs, training=True)  # moves statistics and singular vectors from where they start
    network.save(tmp_path / "network.keras")
    loaded = keras.saving.load_model(tmp_path / "network.keras")
    for ours, theirs in zip(network.variables, loaded.variables, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    np.testing.assert_array_equal(network(inputs, training=False), loaded(inputs, training=False))
    clone = type(network).from_config(network.get_config())
    assert clone.count_params() == network.count_params()
