"""DCGAN on CIFAR-10, CelebA, a folder, or the embedded shapes.

keras-segen train dcgan --data cifar10
    30 minutes on two cores; Fréchet distance 7.9 by `metrics.cifar10_features`.
"""

from typing import Any

import keras

from keras_segen import models
from keras_segen.recipes import generation as task
from keras_segen.training import GAN

__all__ = ["DEFAULTS", "build", "check", "task"]

DEFAULTS = dict(task.DEFAULTS)
check = task.check


def build(config: dict[str, Any]) -> keras.Model:
    """Return the compiled model for a run's config."""
    image_shape = (config["image_size"], config["image_size"], 3)
    (filters,) = config["filters"]
    gan = GAN(
        models.dcgan_generator(image_shape, latent_dim=config["latent_dim"], filters=filters),
        models.dcgan_discriminator(image_shape, filters=filters, normalization="spectral"),
        half_life=config["half_life"],
        seed=config["seed"],
    )
    return task.compiled(gan, config)
