"""DCGAN's training step, against the keras.io recipe, the loop of PyTorch's tutorial, and the machine.

    python benchmarks/dcgan_step.py [--rounds N]      two minutes on two cores

One step on 64 images of 64×64, both players updated by Adam, on the same networks. keras.io's recipe generates twice,
once for each player, and shows the discriminator real and fake images as one batch; PyTorch's tutorial generates once
and runs the discriminator on what came out twice. Ours generates once and judges each image once. "Of limit" counts our
step's convolutions: it is a share of the machine's arithmetic in our rows alone; the others do more for an update.
"""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from gflop import training_gflop
from harness import Contender, command_line, compare, matrix_products, started

from keras_segen.models import dcgan_discriminator, dcgan_generator
from keras_segen.training import GAN

BATCH, SHAPE, LATENT = 64, (64, 64, 3), 100


def main() -> None:
    options = command_line("Time a DCGAN's training step.", rounds=9).parse_args()
    images = np.random.default_rng(0).uniform(-1, 1, (BATCH, *SHAPE)).astype("float32")
    gflop = step_gflop(images)
    theirs = (images, LATENT)
    contenders = [
        Contender("keras_segen", "dcgan_step", "our_step", (images, "float32"), gflop),
        Contender("keras_segen, bfloat16", "dcgan_step", "our_step", (images, "mixed_bfloat16"), gflop),
        Contender("keras.io's recipe", "dcgan_step", "recipe_step", (images,), gflop),
        Contender("PyTorch's tutorial, contiguous", "torch_dcgan", "step", (*theirs, "contiguous_format"), gflop),
        Contender("PyTorch's tutorial, channels_last", "torch_dcgan", "step", (*theirs, "channels_last"), gflop),
    ]
    with started(contenders) as processes:
        compare(
            f"DCGAN's training step: {BATCH} images of {SHAPE[0]}×{SHAPE[1]}, {gflop:.1f} GFLOP",
            processes,
            limits=matrix_products(),
            rounds=options.rounds,
            clock=options.clock,
        )


def step_gflop(images: np.ndarray) -> float:
    """What one step costs in convolutions, in GFLOP.

    The generator trains on one batch, the discriminator on two; and the discriminator's gradient by its input, a third
    of what training it on a batch costs, is taken once more on the way to the generator.
    """
    generator, discriminator = networks()
    of_discriminator = training_gflop(discriminator, images)
    return training_gflop(generator, np.zeros((BATCH, LATENT), "float32")) + (2 + 1 / 3) * of_discriminator


def networks() -> tuple[keras.Model, keras.Model]:
    return dcgan_generator(SHAPE, latent_dim=LATENT), dcgan_discriminator(SHAPE)


def our_step(images: np.ndarray, policy: str) -> Callable[[], float]:
    keras.config.set_dtype_policy(policy)
    return step(GAN, images)


def recipe_step(images: np.ndarray) -> Callable[[], float]:
    return step(TwoPasses, images)


def step(kind: type[keras.Model], images: np.ndarray) -> Callable[[], float]:
    """One step as `model.fit` runs it: the compiled train function on a tf.data iterator."""
    keras.utils.set_random_seed(0)
    model = kind(*networks())
    model.compile(
        generator_optimizer=keras.optimizers.Adam(2e-4, beta_1=0.5),
        discriminator_optimizer=keras.optimizers.Adam(2e-4, beta_1=0.5),
    )
    model.make_train_function()
    batches = iter(tf.data.Dataset.from_tensors(images).repeat())
    return lambda: float(model.train_function(batches)["generator_loss"])


class TwoPasses(keras.Model):
    """The recipe of keras.io: a discriminator's pass on real and fake as one batch, then a generator's pass."""

    def __init__(self, generator: keras.Model, discriminator: keras.Model) -> None:
        super().__init__()
        self.generator, self.discriminator = generator, discriminator
        self.noise = keras.random.SeedGenerator(0)
        self.cross_entropy = keras.losses.BinaryCrossentropy(from_logits=True)

    def compile(self, generator_optimizer: Any, discriminator_optimizer: Any) -> None:
        """Take an optimizer for each network."""
        super().compile()
        self.generator_optimizer, self.discriminator_optimizer = generator_optimizer, discriminator_optimizer
        generator_optimizer.build(self.generator.trainable_variables)
        discriminator_optimizer.build(self.discriminator.trainable_variables)

    def train_step(self, real: Any) -> dict[str, Any]:
        """Update the discriminator, then the generator."""
        latents = keras.random.normal((BATCH, LATENT), seed=self.noise)
        both = tf.concat([self.generator(latents, training=True), real], 0)
        targets = tf.concat([tf.zeros((BATCH, 1)), tf.ones((BATCH, 1))], 0)
        with tf.GradientTape() as tape:
            discriminator_loss = self.cross_entropy(targets, self.discriminator(both, training=True))
        weights = self.discriminator.trainable_weights
        self.discriminator_optimizer.apply(tape.gradient(discriminator_loss, weights), weights)

        latents = keras.random.normal((BATCH, LATENT), seed=self.noise)
        with tf.GradientTape() as tape:
            logits = self.discriminator(self.generator(latents, training=True), training=True)
            generator_loss = self.cross_entropy(tf.ones((BATCH, 1)), logits)
        weights = self.generator.trainable_weights
        self.generator_optimizer.apply(tape.gradient(generator_loss, weights), weights)
        return {"generator_loss": generator_loss, "discriminator_loss": discriminator_loss}


if __name__ == "__main__":
    main()
