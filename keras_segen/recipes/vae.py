"""A variational autoencoder on CIFAR-10, CelebA, a folder, or the embedded shapes, conditional on classes or not.

keras-segen train vae --data cifar10 --latent-side 8 --latent-dim 1024 --filters 48 --epochs 6
    17 minutes on two cores; 4.48 bits per dimension on the test images, 33.8 dB; samples are textures.
"""

from typing import Any

import keras

from keras_segen import models
from keras_segen.errors import InputError
from keras_segen.models.vae import vae_halvings
from keras_segen.recipes import generation
from keras_segen.recipes import variational as task
from keras_segen.training import VAE

__all__ = ["DEFAULTS", "build", "check", "task"]

DEFAULTS: dict[str, Any] = {
    "epochs": 10,
    "steps_per_epoch": 200,  # or more, where one pass over the data takes more
    "batch_size": 32,
    "image_size": 32,  # side in pixels, a power of two
    "learning_rate": 1e-3,  # Adam's at the start; it falls to 0 along a line
    "filters": [64],  # at half the image's size
    "blocks": 1,  # residual, of each size; 0: none
    "latent_dim": 128,  # numbers in a latent
    "latent_side": None,  # of a latent that is a map; None: it describes the image as a whole
    "likelihood": "discretized_logistic",
    "scale": None,  # a Gaussian's standard deviation; None: learned
    "beta": 1.0,  # weight of the divergence
    "warm_up": 0,  # steps over which it rises from 0
    "free_bits": 0.0,  # nats of each latent that cost nothing
    "importance_samples": 1,  # over 1: the importance-weighted bound
    "conditional": False,
    "attributes": [],  # of CelebA's, what to condition on
    "start_from": None,  # a run whose best weights training begins with
    "data_dir": None,  # where named data sets lie
}
MOST_LATENTS = 2048  # the mixture's covariances take their square


def check(config: dict[str, Any]) -> None:
    """Raise `InputError` for options that go with no network."""
    if len(config["filters"]) != 1:
        raise InputError(f"--filters is one width for a VAE, that at half the image's size: {config['filters']}")
    if config["scale"] is not None and config["likelihood"] != "gaussian":
        raise InputError(f"--scale is a Gaussian's, {config['likelihood']} has none: leave it out")
    if config["attributes"] and not config["conditional"]:
        raise InputError("--attributes go with --conditional: give both")
    if config["importance_samples"] > 1 and (config["beta"] != 1 or config["warm_up"] or config["free_bits"]):
        raise InputError(
            "--importance-samples goes without --beta, --warm-up and --free-bits: its bound has none of them"
        )
    if config["latent_dim"] > MOST_LATENTS:
        raise InputError(f"--latent-dim {config['latent_dim']}: give at most {MOST_LATENTS}")
    try:
        vae_halvings(_image_shape(config), config["latent_dim"], config["latent_side"])
    except ValueError as error:
        if config["latent_side"] is None:
            fix = f"--image-size {config['image_size']}: a VAE's images have a side of 8, 16, 32, 64, … pixels"
        else:
            fix = (
                f"--image-size {config['image_size']} must be --latent-side {config['latent_side']} doubled, "
                f"and --latent-dim {config['latent_dim']} a multiple of its square: change one of them"
            )
        raise InputError(fix) from error
    generation.check_start(config)


def build(config: dict[str, Any]) -> keras.Model:
    """Return the compiled model for a run's config."""
    options = _options(config)
    if config["conditional"]:
        options |= {"num_classes": len(config["class_names"]), "multi_label": bool(config["attributes"])}
    likelihood = task.likelihood(config)
    vae = VAE(
        models.vae_encoder(_image_shape(config), **options),
        models.vae_decoder(_image_shape(config), parameters=likelihood.parameters, **options),
        likelihood,
        seed=config["seed"],
    )
    steps = config["epochs"] * config["steps_per_epoch"]
    decay = keras.optimizers.schedules.PolynomialDecay(config["learning_rate"], steps, end_learning_rate=0.0)
    vae.compile(
        # A pixel that is far off costs hundreds of nats where the scale is small: such a batch would undo a hundred.
        keras.optimizers.Adam(decay, global_clipnorm=1000.0),
        beta=config["beta"],
        warm_up=config["warm_up"],
        free_bits=config["free_bits"],
        importance_samples=config["importance_samples"],
        jit_compile=config["jit_compile"],
    )
    return vae


def _image_shape(config: dict[str, Any]) -> tuple[int, int, int]:
    return (config["image_size"], config["image_size"], 3)


def _options(config: dict[str, Any]) -> dict[str, Any]:
    """Return what encoder and decoder are both built with."""
    (filters,) = config["filters"]
    return {"filters": filters, **{name: config[name] for name in ("latent_dim", "latent_side", "blocks")}}
