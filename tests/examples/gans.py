"""GANs whose noise is given, so that other backends, replicas and PyTorch can take the same steps."""

import functools

import keras
import numpy as np

from keras_segen.losses import DRAGAN, R1, GradientPenalty, Hinge, NonSaturating, Wasserstein
from keras_segen.models import cgan_discriminator, cgan_generator, dcgan_discriminator, dcgan_generator
from keras_segen.training import GAN, DiffAugment

SHAPE, LATENT, CLASSES, BATCH, STEPS = (16, 16, 3), 8, 3, 8, 5


def images(count=BATCH * STEPS):
    return np.random.default_rng(1).uniform(-1, 1, (count, *SHAPE)).astype("float32")


def networks(normalization="batch", synchronized=False):
    keras.utils.set_random_seed(0)
    if normalization in ("projection", "concat"):
        generator = cgan_generator(SHAPE, latent_dim=LATENT, num_classes=CLASSES, conditioning=normalization, filters=4)
        discriminator = cgan_discriminator(SHAPE, num_classes=CLASSES, conditioning=normalization, filters=4)
    else:
        generator = dcgan_generator(SHAPE, latent_dim=LATENT, filters=4)
        discriminator = dcgan_discriminator(SHAPE, filters=4, normalization=normalization)
    if synchronized:
        generator = with_synchronized_normalization(generator)
    rng = np.random.default_rng(2)  # the backends' own initializers differ
    for network in (generator, discriminator):
        network.set_weights(
            [
                rng.normal(0, 0.2, w.shape) if len(w.shape) > 1 else rng.uniform(0.5, 1.5, w.shape)
                for w in network.weights
            ]
        )
    return generator, discriminator


def with_synchronized_normalization(network):
    def synchronized(layer):
        if not isinstance(layer, keras.layers.BatchNormalization):
            return layer.__class__.from_config(layer.get_config())
        return keras.layers.BatchNormalization(momentum=layer.momentum, epsilon=layer.epsilon, synchronized=True)

    return keras.models.clone_model(network, clone_function=synchronized)


@keras.saving.register_keras_serializable("tests")
class WithGivenNoise(GAN):
    """Its noise is a function of step and row alone, whatever the backend."""

    def _draw(self, random, batch, shape):
        from keras_segen.training._replicas import rows

        step = keras.ops.cast(self.optimizer.iterations.value, "float32")

        def numbers(count):
            waves = keras.ops.arange(count * int(np.prod(shape)), dtype="float32") * 1.7 + 13 * step
            waves = keras.ops.sin(keras.ops.reshape(waves, (count, *shape)))
            return waves if random is keras.random.normal else (waves + 1) / 2

        return rows(numbers, batch)


KINDS = {
    "dcgan": {"loss": NonSaturating(smoothing=0.1)},
    "spectral": {"loss": Hinge(), "normalization": "spectral"},
    "wgan-gp": {"loss": Wasserstein(), "regularizer": GradientPenalty(), "normalization": None},
    "r1": {"loss": NonSaturating(), "regularizer": R1(1.0, interval=2), "normalization": None},
    "dragan": {"loss": NonSaturating(), "regularizer": DRAGAN(), "normalization": None},
    "projection": {"loss": Hinge(), "normalization": "projection"},
    "concat": {"loss": NonSaturating(), "regularizer": R1(), "normalization": "concat"},
    "matching": {"loss": Hinge(), "normalization": "projection", "matching_aware": True},
    "two-to-one": {"loss": Hinge(), "discriminator_steps": 2, "augmentation": DiffAugment()},
}


def build(kind, synchronized=False, **compiling):
    options = dict(KINDS[kind])
    both = networks(options.pop("normalization", "batch"), synchronized)
    gan = WithGivenNoise(*both, half_life=100, discriminator_steps=options.pop("discriminator_steps", 1), seed=0)
    gan.compile(
        generator_optimizer=keras.optimizers.Adam(1e-3, beta_1=0.5),
        discriminator_optimizer=keras.optimizers.SGD(1e-2),
        **options,
        **compiling,
    )
    return gan


def trained(gan):
    """Losses and weights after five steps on five batches."""
    labels = np.arange(BATCH * STEPS) % CLASSES if gan.conditional else None
    history = gan.fit(images(), labels, batch_size=BATCH, epochs=1, shuffle=False, verbose=0).history
    return {"losses": {k: v[0] for k, v in history.items()}, "weights": [np.asarray(w).tolist() for w in gan.weights]}


@functools.cache
def trained_in_a_graph(kind):
    """The training that others are compared with: in a graph of TensorFlow's, without XLA."""
    return trained(build(kind, jit_compile=False))
