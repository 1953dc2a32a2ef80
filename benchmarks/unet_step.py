"""A U-Net's training step, against the same network in PyTorch and against the machine.

    python benchmarks/unet_step.py [--compile] [--rounds N]     two minutes on two cores, half a minute more to compile

One step on 8 images of 128×128 with the paper's widths: forward, backward, Adam, as `model.fit` runs it. PyTorch trains
the same network from the same weights in both memory layouts, with its fused Adam; that the networks have equally many
weights and the same first loss is checked before anything is timed. The limit is the rate of a large float32 matrix
product, so "of limit" says which share of the machine's arithmetic goes into the convolutions. The rest is memory
traffic: normalisation, ReLU, joins, Adam's 31 million weights.
Read "ratio" across the rows of one run; times move from run to run with the machine.
"""

import argparse
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from harness import Contender, InPyTorch, compare, matrix_products, training_gflop, use_all_cores

from keras_segen.losses import CrossEntropy
from keras_segen.models import unet

BATCH, SIZE, CLASSES = 8, 128, 4
FILTERS = (64, 128, 256, 512, 1024)
LAYOUTS: dict[str, tuple[Any, ...]] = {
    "PyTorch, contiguous": ("contiguous_format",),
    "PyTorch, channels_last": ("channels_last",),
    "PyTorch, channels_last, compiled": ("channels_last", True),
}


def main() -> None:
    parser = argparse.ArgumentParser(description="Time a U-Net's training step.")
    parser.add_argument("--rounds", type=int, default=9, help="turns that count, after two that do not")
    parser.add_argument("--compile", action="store_true", help="torch.compile too, which needs a C++ compiler")
    options = parser.parse_args()

    use_all_cores()
    keras.utils.set_random_seed(0)
    rng = np.random.default_rng(0)
    images = rng.uniform(0, 255, (BATCH, SIZE, SIZE, 3)).astype("float32")
    masks = rng.integers(0, CLASSES, (BATCH, SIZE, SIZE), "int32")

    model = unet(CLASSES, filters=FILTERS)
    gflop = training_gflop(model, images)
    weights = [weight.numpy() for weight in model.trainable_weights]
    given = ((FILTERS, weights), images, masks)
    steps: dict[str, Callable[[], float]] = {"keras_segen": keras_step(model, images, masks)}
    for name, arguments in LAYOUTS.items():
        if "compiled" not in name or options.compile:
            steps[name] = InPyTorch("torch_unet", "step", *given, *arguments)
    losses = [step() for step in steps.values()]
    np.testing.assert_allclose(losses, losses[0], rtol=1e-4)

    size = f"{BATCH} images of {SIZE}×{SIZE}, {count_weights(model):,} trainable weights, {gflop:.1f} GFLOP"
    compare(
        f"U-Net's training step: {size}",
        [Contender(n, s, gflop) for n, s in steps.items()],
        limits=matrix_products(),
        rounds=options.rounds,
    )


def keras_step(model: keras.Model, images: np.ndarray, masks: np.ndarray) -> Callable[[], float]:
    """One step as `model.fit` runs it: the compiled train function on a tf.data iterator."""
    model.compile(optimizer=keras.optimizers.Adam(1e-4), loss=CrossEntropy())
    model.make_train_function()
    batches = iter(tf.data.Dataset.from_tensors((images, masks)).repeat())
    return lambda: float(model.train_function(batches)["loss"])


def count_weights(model: keras.Model) -> int:
    return sum(weight.numpy().size for weight in model.trainable_weights)


if __name__ == "__main__":
    main()
