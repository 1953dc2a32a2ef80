"""A VAE's training step, against the same network in PyTorch, and the machine.

    python benchmarks/vae_step.py [--rounds N] [--processor-time]      a minute on two cores

One step of Adam on 64 images of 32×32: residual encoder, a latent that is a map of 8×8, residual decoder, discretised
logistic likelihood. PyTorch's loop is written as its users write it, with the same arithmetic. The gradient by the
latents, which the decoder's first convolution passes on, is counted; the encoder's by the images is not, for nobody
takes it.
"""

import math
from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf
from gflop import training_gflop
from harness import Contender, command_line, compare, matrix_products, started

from keras_segen.models import vae_decoder, vae_encoder
from keras_segen.training import VAE

BATCH, SHAPE, LATENT, SIDE, FILTERS = 64, (32, 32, 3), 1024, 8, 64


def main() -> None:
    options = command_line("Time a VAE's training step.", rounds=15).parse_args()
    levels = np.random.default_rng(0).integers(0, 256, (BATCH, *SHAPE))
    images = (levels / 127.5 - 1).astype("float32")
    gflop = step_gflop(images)
    theirs = (images, FILTERS, LATENT // SIDE**2)
    contenders = [
        Contender("keras_segen", "vae_step", "keras_step", (images,), gflop),
        Contender("keras_segen, XLA", "vae_step", "keras_step", (images, "float32", True), gflop),
        Contender("keras_segen, bfloat16", "vae_step", "keras_step", (images, "mixed_bfloat16"), gflop),
        Contender("PyTorch, contiguous", "torch_vae", "step", (*theirs, "contiguous_format"), gflop),
        Contender("PyTorch, channels_last", "torch_vae", "step", (*theirs, "channels_last"), gflop),
    ]
    with started(contenders) as processes:
        compare(
            f"VAE's training step: {BATCH} images of {SHAPE[0]}×{SHAPE[1]}, {gflop:.1f} GFLOP",
            processes,
            limits=matrix_products(),
            rounds=options.rounds,
            clock=options.clock,
        )


def networks() -> tuple[keras.Model, keras.Model]:
    return (
        vae_encoder(SHAPE, latent_dim=LATENT, latent_side=SIDE, filters=FILTERS),
        vae_decoder(SHAPE, latent_dim=LATENT, latent_side=SIDE, filters=FILTERS),
    )


def step_gflop(images: np.ndarray) -> float:
    encoder, decoder = networks()
    first = next(layer for layer in decoder.layers if isinstance(layer, keras.layers.Conv2D))
    passed_on = 2 * math.prod(first.kernel.shape) * BATCH * SIDE * SIDE / 1e9
    return training_gflop(encoder, images) + training_gflop(decoder, np.zeros((BATCH, LATENT), "float32")) + passed_on


def keras_step(images: np.ndarray, policy: str = "float32", jit_compile: bool = False) -> Callable[[], float]:
    """One step as `model.fit` runs it: the compiled train function on a tf.data iterator."""
    keras.utils.set_random_seed(0)
    keras.config.set_dtype_policy(policy)
    model = VAE(*networks(), seed=0)
    model.compile(keras.optimizers.Adam(1e-3), jit_compile=jit_compile)
    model.make_train_function()
    batches = iter(tf.data.Dataset.from_tensors(images).repeat())
    return lambda: float(model.train_function(batches)["vae_loss"])


if __name__ == "__main__":
    main()
