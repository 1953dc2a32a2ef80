"""A VAE's training step, against the same network in PyTorch, and the machine.

    python benchmarks/vae_step.py [--rounds N]      a minute on two cores

One step of Adam on 64 images of 32×32: residual encoder, a latent that is a map of 8×8, residual decoder, discretised
logistic likelihood. PyTorch's loop is written as its users write it, with the same arithmetic. The gradient by the
latents, which the decoder's first convolution passes on, is counted; the encoder's by the images is not, for nobody
takes it.
"""

import argparse
import math
from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf
from harness import Contender, InPyTorch, compare, matrix_products, training_gflop, use_all_cores

from keras_segen.models import vae_decoder, vae_encoder
from keras_segen.training import VAE

BATCH, SHAPE, LATENT, SIDE, FILTERS = 64, (32, 32, 3), 1024, 8, 64


def main() -> None:
    parser = argparse.ArgumentParser(description="Time a VAE's training step.")
    parser.add_argument("--rounds", type=int, default=15, help="turns that count, after two that do not")
    options = parser.parse_args()

    use_all_cores()
    keras.utils.set_random_seed(0)
    levels = np.random.default_rng(0).integers(0, 256, (BATCH, *SHAPE))
    images = (levels / 127.5 - 1).astype("float32")
    gflop = step_gflop(images)
    steps: dict[str, Callable[[], float]] = {
        "keras_segen": keras_step(vae(), images),
        "keras_segen, XLA": keras_step(vae(), images, jit_compile=True),
        "keras_segen, bfloat16": in_bfloat16(images),
        "PyTorch, contiguous": InPyTorch("torch_vae", "step", images, FILTERS, LATENT // SIDE**2, "contiguous_format"),
        "PyTorch, channels_last": InPyTorch("torch_vae", "step", images, FILTERS, LATENT // SIDE**2, "channels_last"),
    }
    compare(
        f"VAE's training step: {BATCH} images of {SHAPE[0]}×{SHAPE[1]}, {gflop:.1f} GFLOP",
        [Contender(name, step, gflop) for name, step in steps.items()],
        limits=matrix_products(),
        rounds=options.rounds,
    )


def networks() -> tuple[keras.Model, keras.Model]:
    return (
        vae_encoder(SHAPE, latent_dim=LATENT, latent_side=SIDE, filters=FILTERS),
        vae_decoder(SHAPE, latent_dim=LATENT, latent_side=SIDE, filters=FILTERS),
    )


def vae() -> VAE:
    return VAE(*networks(), seed=0)


def in_bfloat16(images: np.ndarray) -> Callable[[], float]:
    keras.config.set_dtype_policy("mixed_bfloat16")
    step = keras_step(vae(), images)
    keras.config.set_dtype_policy("float32")
    return step


def step_gflop(images: np.ndarray) -> float:
    encoder, decoder = networks()
    first = next(layer for layer in decoder.layers if isinstance(layer, keras.layers.Conv2D))
    passed_on = 2 * math.prod(first.kernel.shape) * BATCH * SIDE * SIDE / 1e9
    return training_gflop(encoder, images) + training_gflop(decoder, np.zeros((BATCH, LATENT), "float32")) + passed_on


def keras_step(model: VAE, images: np.ndarray, *, jit_compile: bool = False) -> Callable[[], float]:
    """One step as `model.fit` runs it: the compiled train function on a tf.data iterator."""
    model.compile(keras.optimizers.Adam(1e-3), jit_compile=jit_compile)
    model.make_train_function()
    batches = iter(tf.data.Dataset.from_tensors(images).repeat())
    return lambda: float(model.train_function(batches)["vae_loss"])


if __name__ == "__main__":
    main()
