"""How many images the pipelines of CIFAR-10 and CelebA give, against how many DCGAN's training step takes.

    python benchmarks/gan_pipelines.py [--rounds N]      three minutes on two cores

Both data sets lie decoded in memory, so that what is timed is what training sees: order, mirroring, scaling, batching.
The pixels here are random, which changes none of that. Compare the rates, in thousands of images a second: the rows do
not do the same work. A pipeline gives 2,000 batches of 64, so many that what it had ready from before does not count.
"""

import itertools
from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf
from harness import Contender, command_line, compare, started

from keras_segen.data import _in_memory
from keras_segen.models import dcgan_discriminator, dcgan_generator
from keras_segen.training import GAN

BATCH, READ, TRAINED = 64, 2000, 10


def main() -> None:
    options = command_line("Time the GANs' pipelines.", rounds=5).parse_args()
    read, trained = BATCH * READ / 1000, BATCH * TRAINED / 1000
    contenders = [
        Contender("CIFAR-10's pipeline, 50,000 of 32×32", "gan_pipelines", "reading", (50_000, 32), read),
        Contender("CelebA's pipeline, 20,000 of 64×64", "gan_pipelines", "reading", (20_000, 64), read),
        Contender("DCGAN's training step at 32×32", "gan_pipelines", "training", (32,), trained),
        Contender("DCGAN's training step at 64×64", "gan_pipelines", "training", (64,), trained),
    ]
    with started(contenders) as processes:
        compare(
            f"Batches of {BATCH} images",
            processes,
            unit="1000 images",
            rounds=options.rounds,
            clock=options.clock,
        )


def reading(count: int, side: int) -> Callable[[], None]:
    pixels = np.random.default_rng(0).integers(0, 256, (count, side, side, 3), dtype=np.uint8)
    batches = iter(_in_memory.from_arrays(pixels, None, batch_size=BATCH, training=True, seed=0, start=0))

    def read() -> None:
        for batch in itertools.islice(batches, READ):
            assert len(batch) == BATCH

    return read


def training(side: int) -> Callable[[], None]:
    keras.utils.set_random_seed(0)
    shape = (side, side, 3)
    gan = GAN(dcgan_generator(shape, latent_dim=100), dcgan_discriminator(shape), seed=0)
    gan.compile()
    images = tf.random.uniform((BATCH, *shape), -1, 1)

    def train() -> None:
        for _ in range(TRAINED):
            gan.train_on_batch(images)

    return train


if __name__ == "__main__":
    main()
