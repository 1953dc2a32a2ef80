"""Small generative models, and what trains them in other processes: on other backends, or on several replicas."""

import functools
import json
import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from keras import layers, ops

from keras_segen.losses import Gaussian, NonSaturating
from keras_segen.training import GAN, VAE
from keras_segen.training._replicas import rows

SHAPE, LATENT = (4, 4, 1), 3

TWO_REPLICAS = """
import tensorflow as tf
cpu = tf.config.list_physical_devices("CPU")
tf.config.set_logical_device_configuration(cpu[0], [tf.config.LogicalDeviceConfiguration()] * 2)
strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
assert strategy.num_replicas_in_sync == 2
"""


def in_process(code, module, **environment):
    """Run code with a module as `t` in a process of its own; what it prints after RESULT."""
    path = [str(Path(__file__).parents[1]), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path), **environment}
    code = f"import json, {module} as t\n{code}"
    answer = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True, env=environment)
    assert answer.returncode == 0, answer.stderr[-3000:]
    return json.loads(answer.stdout.split("RESULT ")[1])


def assert_equal(ours, theirs, tolerance=1e-4):
    """Two trainings, as losses and weights, are the same but for rounding."""
    assert ours["losses"].keys() == theirs["losses"].keys()
    for name, value in ours["losses"].items():
        np.testing.assert_allclose(theirs["losses"][name], value, rtol=tolerance, atol=tolerance, err_msg=name)
    for mine, other in zip(ours["weights"], theirs["weights"], strict=True):
        np.testing.assert_allclose(other, mine, rtol=tolerance, atol=tolerance)


class GivenNoise:
    """Its noise is a function of step and row alone, whatever the backend."""

    def _draw(self, random, batch, shape):
        step = ops.cast(self.optimizer.iterations.value, "float32")

        def numbers(count):
            waves = ops.arange(count * int(np.prod(shape)), dtype="float32") * 1.7 + 13 * step
            return ops.sin(ops.reshape(waves, (count, *shape)))

        return rows(numbers, batch)


@keras.saving.register_keras_serializable("tests")
class SmallGAN(GivenNoise, GAN):
    pass


@keras.saving.register_keras_serializable("tests")
class SmallVAE(GivenNoise, VAE):
    pass


def images(count, seed=1):
    return np.random.default_rng(seed).uniform(-1, 1, (count, *SHAPE)).astype("float32")


def _dense(inputs, units, normalized, activation=None):
    x = layers.Dense(6)(inputs)
    x = layers.ReLU()(layers.BatchNormalization()(x) if normalized else x)
    return layers.Dense(units, activation=activation)(x)


def _with_given_weights(*networks):
    rng = np.random.default_rng(2)  # the backends' own initializers differ
    for network in networks:
        network.set_weights([rng.uniform(0.1, 0.5, w.shape) for w in network.weights])


def small_gan(*, steps=1, normalized=True, **compiling):
    latent, image = keras.Input((LATENT,)), keras.Input(SHAPE)
    generator = keras.Model(latent, layers.Reshape(SHAPE)(_dense(latent, 16, normalized, "tanh")))
    discriminator = keras.Model(image, _dense(layers.Flatten()(image), 1, normalized))
    _with_given_weights(generator, discriminator)
    gan = SmallGAN(generator, discriminator, discriminator_steps=steps, half_life=50, seed=0)
    gan.compile(
        generator_optimizer=keras.optimizers.SGD(0.02),
        discriminator_optimizer=keras.optimizers.SGD(0.01),
        loss=NonSaturating(),
        **compiling,
    )
    return gan


def small_vae(**compiling):
    image, latent = keras.Input(SHAPE), keras.Input((LATENT,))
    flat = layers.Flatten()(image)
    encoder = keras.Model(image, [_dense(flat, LATENT, False), _dense(flat, LATENT, False)])
    decoder = keras.Model(latent, layers.Reshape(SHAPE)(_dense(latent, 16, False)))
    _with_given_weights(encoder, decoder)
    vae = SmallVAE(encoder, decoder, Gaussian(1.0), seed=0)
    vae.compile(keras.optimizers.SGD(0.01), **compiling)
    return vae


MODELS = {
    "gan": lambda: small_gan(normalized=False),
    "gan, 2 steps": lambda: small_gan(steps=2),
    "gan, 4 steps": lambda: small_gan(steps=4),
    "vae": small_vae,
}


def trained_on_remainders(name):
    """Losses and weights of a model that is trained on 33 and on 35 images, in batches of 32 and of 16."""
    model = MODELS[name]()
    parts = [tf.data.Dataset.from_tensor_slices(images(count)).batch(batch) for count in (33, 35) for batch in (32, 16)]
    batches = functools.reduce(tf.data.Dataset.concatenate, parts)  # in one go, which compiles once
    history = model.fit(batches, shuffle=False, verbose=0).history
    losses = {f"train_{name}": values[0] for name, values in history.items()}
    losses |= model.evaluate(images(33), batch_size=32, verbose=0, return_dict=True)
    return {"losses": losses, "weights": [np.asarray(w).tolist() for w in model.weights]}
