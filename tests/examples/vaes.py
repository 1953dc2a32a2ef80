"""VAEs whose noise is given, so that other backends can take the same steps."""

import functools

import keras
import numpy as np
from keras import ops

from keras_segen.losses import Bernoulli, DiscretizedLogistic, Gaussian
from keras_segen.models import vae_decoder, vae_encoder
from keras_segen.training import VAE

SHAPE, LATENT, CLASSES, BATCH, STEPS = (16, 16, 3), 6, 3, 8, 5


def images(count=BATCH * STEPS, seed=1):
    levels = np.random.default_rng(seed).integers(0, 256, (count, *SHAPE)).astype("float32")
    return levels / np.float32(127.5) - 1


@keras.saving.register_keras_serializable("tests")
class WithGivenNoise(VAE):
    """Its noise is a function of step and row alone, whatever the backend."""

    def _draw(self, random, batch, shape):
        step = ops.cast(self.optimizer.iterations.value, "float32")
        waves = ops.arange(batch * int(np.prod(shape)), dtype="float32") * 1.7 + 13 * step
        return ops.sin(ops.reshape(waves, (batch, *shape)))


KINDS = {
    "elbo": {},
    "gaussian": {"likelihood": Gaussian(None), "beta": 4.0},
    "free bits": {"likelihood": Gaussian(0.2), "free_bits": 0.5, "warm_up": 3},
    "bernoulli": {"likelihood": Bernoulli(), "num_classes": CLASSES},
    "importance-weighted": {"importance_samples": 3, "num_classes": CLASSES},
}


def build(kind="elbo", cls=WithGivenNoise, **compiling):
    options = dict(KINDS[kind])
    likelihood, classes = options.pop("likelihood", DiscretizedLogistic()), options.pop("num_classes", None)
    encoder = vae_encoder(SHAPE, latent_dim=LATENT, filters=4, num_classes=classes)
    decoder = vae_decoder(SHAPE, latent_dim=LATENT, parameters=likelihood.parameters, filters=4, num_classes=classes)
    rng = np.random.default_rng(2)  # the backends' own initializers differ
    for network in (encoder, decoder):
        network.set_weights([rng.normal(0, 0.1, w.shape) for w in network.weights])
    vae = cls(encoder, decoder, likelihood, seed=0)
    # With so large an epsilon, rounding does not decide where a gradient is nearly nothing.
    vae.compile(keras.optimizers.Adam(1e-3, epsilon=1.0), **options, **compiling)
    return vae


def trained(vae):
    labels = np.arange(BATCH * STEPS) % CLASSES if vae.conditional else None
    history = vae.fit(images(), labels, batch_size=BATCH, epochs=1, shuffle=False, verbose=0).history
    return {"losses": {k: v[0] for k, v in history.items()}, "weights": [np.asarray(w).tolist() for w in vae.weights]}


@functools.cache
def trained_in_a_graph(kind):
    """The training that others are compared with: in a graph of TensorFlow's, without XLA."""
    return trained(build(kind, jit_compile=False))
