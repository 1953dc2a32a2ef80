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
import torch
from harness import Contender, compare, matrix_products, training_gflop, use_all_cores
from torch import nn
from torch.nn.functional import silu, softplus

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
    steps = {
        "keras_segen": keras_step(vae(), images),
        "keras_segen, XLA": keras_step(vae(), images, jit_compile=True),
        "keras_segen, bfloat16": in_bfloat16(images),
        "PyTorch, contiguous": torch_step(images, torch.contiguous_format),
        "PyTorch, channels_last": torch_step(images, torch.channels_last),
    }
    compare(
        f"VAE's training step: {BATCH} images of {SHAPE[0]}×{SHAPE[1]}, {gflop:.1f} GFLOP",
        [Contender(name, step, gflop) for name, step in steps.items()],
        limits=matrix_products(),
        rounds=options.rounds,
    )


def networks() -> tuple[keras.Model, keras.Model]:
    return (
        vae_encoder(SHAPE, LATENT, latent_side=SIDE, filters=FILTERS),
        vae_decoder(SHAPE, LATENT, latent_side=SIDE, filters=FILTERS),
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


class Residual(nn.Module):
    """Two convolutions beside the straight way."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first, self.second = (nn.Conv2d(width, width, 3, padding=1) for _ in range(2))
        nn.init.zeros_(self.second.weight)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Add what the convolutions find."""
        return x + self.second(silu(self.first(silu(x))))


def torch_step(images: np.ndarray, layout: torch.memory_format) -> Callable[[], float]:
    """One step of the usual loop, networks and images in the given memory layout."""
    f, depth = FILTERS, LATENT // SIDE**2
    encoder = nn.Sequential(nn.Conv2d(3, f, 4, 2, 1), Residual(f), nn.Conv2d(f, 2 * f, 4, 2, 1), Residual(2 * f))
    heads = nn.Conv2d(2 * f, depth, 1), nn.Conv2d(2 * f, depth, 1)
    decoder = nn.Sequential(
        nn.Conv2d(depth, 2 * f, 3, padding=1),
        Residual(2 * f),
        nn.ConvTranspose2d(2 * f, f, 4, 2, 1),
        Residual(f),
        nn.ConvTranspose2d(f, 6, 4, 2, 1),
    )
    networks = nn.ModuleList([encoder, *heads, decoder]).to(memory_format=layout)
    real = torch.from_numpy(images).permute(0, 3, 1, 2).contiguous(memory_format=layout)
    optimizer = torch.optim.Adam(networks.parameters(), lr=1e-3)

    def step() -> float:
        x = encoder(real)
        mean, log_variance = (head(x) for head in heads)
        latents = mean + torch.exp(log_variance / 2) * torch.randn_like(mean)
        centre, log_scale = decoder(latents).chunk(2, dim=1)
        precision = torch.exp(-log_scale.clamp(-7, 7))
        above, below = (real - centre + 1 / 255) * precision, (real - centre - 1 / 255) * precision
        inner = torch.log(-torch.expm1(-2 / 255 * precision))
        up_to, from_on = -softplus(-above), -softplus(below)
        log_prob = torch.where(
            real < -1 + 1 / 255, up_to, torch.where(real > 1 - 1 / 255, from_on, up_to + from_on + inner)
        )
        kl = 0.5 * (mean**2 + log_variance.exp() - 1 - log_variance)
        loss = (kl.flatten(1).sum(1) - log_prob.flatten(1).sum(1)).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.item()

    return step


if __name__ == "__main__":
    main()
