import json
import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

from keras_segen.losses import DRAGAN, R1, GradientPenalty, Hinge, NonSaturating, Wasserstein
from keras_segen.models import dcgan_discriminator, dcgan_generator
from keras_segen.training import GAN

SHAPE, LATENT, BATCH, STEPS = (16, 16, 3), 8, 8, 5


def images(count=BATCH * STEPS):
    return np.random.default_rng(1).uniform(-1, 1, (count, *SHAPE)).astype("float32")


def networks(normalization="batch"):
    keras.utils.set_random_seed(0)
    generator = dcgan_generator(SHAPE, LATENT, filters=4)
    discriminator = dcgan_discriminator(SHAPE, filters=4, normalization=normalization)
    rng = np.random.default_rng(2)  # the backends' own initializers differ
    for network in (generator, discriminator):
        network.set_weights(
            [
                rng.normal(0, 0.2, w.shape) if len(w.shape) > 1 else rng.uniform(0.5, 1.5, w.shape)
                for w in network.weights
            ]
        )
    return generator, discriminator


@keras.saving.register_keras_serializable("tests")
class WithGivenNoise(GAN):
    """Its noise is a function of step and row alone, whatever the backend."""

    def draw(self, draw, batch, shape):
        from keras_segen.training.replicas import rows

        step = keras.ops.cast(self.optimizer.iterations.value, "float32")

        def numbers(count):
            waves = keras.ops.arange(count * int(np.prod(shape)), dtype="float32") * 1.7 + 13 * step
            waves = keras.ops.sin(keras.ops.reshape(waves, (count, *shape)))
            return waves if draw is keras.random.normal else (waves + 1) / 2

        return rows(numbers, batch)


KINDS = {
    "dcgan": {"loss": NonSaturating(smoothing=0.1)},
    "spectral": {"loss": Hinge(), "normalization": "spectral"},
    "wgan-gp": {"loss": Wasserstein(), "regularizer": GradientPenalty(), "normalization": None},
    "r1": {"loss": NonSaturating(), "regularizer": R1(1.0, interval=2), "normalization": None},
    "dragan": {"loss": NonSaturating(), "regularizer": DRAGAN(), "normalization": None},
}


def build(kind, **compiling):
    options = dict(KINDS[kind])
    gan = WithGivenNoise(*networks(options.pop("normalization", "batch")), half_life=100, seed=0)
    gan.compile(
        generator_optimizer=keras.optimizers.Adam(1e-3, beta_1=0.5),
        discriminator_optimizer=keras.optimizers.SGD(1e-2),
        **options,
        **compiling,
    )
    return gan


def trained(gan):
    """Losses and weights after five steps on five batches."""
    history = gan.fit(images(), batch_size=BATCH, epochs=1, shuffle=False, verbose=0).history
    return {"losses": {k: v[0] for k, v in history.items()}, "weights": [np.asarray(w).tolist() for w in gan.weights]}


def assert_equal(ours, theirs, tolerance=1e-4):
    assert ours["losses"].keys() == theirs["losses"].keys()
    for name, value in ours["losses"].items():
        np.testing.assert_allclose(theirs["losses"][name], value, rtol=tolerance, atol=tolerance, err_msg=name)
    for mine, other in zip(ours["weights"], theirs["weights"], strict=True):
        np.testing.assert_allclose(other, mine, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("kind", KINDS)
def test_eager_graph_and_xla_take_the_same_steps(kind):
    graph = trained(build(kind, jit_compile=False))
    assert_equal(graph, trained(build(kind, jit_compile=True)))
    assert_equal(graph, trained(build(kind, run_eagerly=True)))


def test_several_steps_an_execution_are_the_same_steps():
    one, four = build("dcgan"), build("dcgan", steps_per_execution=4)
    assert_equal(trained(one), trained(four))


def test_jax_takes_the_same_steps(tmp_path):
    pytest.importorskip("jax")
    code = (
        "import json, test_gan as t\n"
        "print('RESULT', json.dumps({kind: t.trained(t.build(kind)) for kind in t.KINDS}))\n"
    )
    environment = {
        **os.environ,
        "KERAS_BACKEND": "jax",
        "JAX_PLATFORMS": "cpu",
        "PYTHONPATH": str(Path(__file__).parent),
    }
    answer = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True, env=environment)
    assert answer.returncode == 0, answer.stderr[-3000:]
    results = json.loads(answer.stdout.split("RESULT ")[1])
    for kind, result in results.items():
        assert_equal(trained(build(kind)), result)
