"""A U-Net's training step, against the same network in PyTorch and against the machine.

    python benchmarks/unet_step.py [--compile] [--rounds N]     two minutes on two cores, half a minute more to compile

One step on 8 images of 128×128 with the paper's widths: forward, backward, Adam, as `model.fit` runs it. PyTorch trains
the same network from the same weights in both memory layouts, with its fused Adam; that the networks have equally many
weights and the same first loss is checked before anything is timed. The limit is the rate of a large float32 matrix
product, so "of limit" says which share of the machine's arithmetic goes into the convolutions. The rest is memory
traffic: normalisation, ReLU, joins, Adam's 31 million weights.
Read "ratio" across the rows of one run; times move from run to run with the machine.
"""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from gflop import training_gflop
from harness import Contender, command_line, compare, matrix_products, started

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
    parser = command_line("Time a U-Net's training step.", rounds=9)
    parser.add_argument("--compile", action="store_true", help="torch.compile too, which needs a C++ compiler")
    options = parser.parse_args()

    keras.utils.set_random_seed(0)
    rng = np.random.default_rng(0)
    images = rng.uniform(0, 255, (BATCH, SIZE, SIZE, 3)).astype("float32")
    masks = rng.integers(0, CLASSES, (BATCH, SIZE, SIZE), "int32")

    model = unet(CLASSES, filters=FILTERS)
    gflop = training_gflop(model, images)
    weights = [weight.numpy() for weight in model.trainable_weights]
    given = ((FILTERS, weights), images, masks)
    contenders = [
        Contender("keras_segen", "unet_step", "keras_step", given, gflop),
        *(
            Contender(name, "torch_unet", "step", (*given, *layout), gflop)
            for name, layout in LAYOUTS.items()
            if "compiled" not in name or options.compile
        ),
    ]
    count = sum(weight.size for weight in weights)
    with started(contenders) as processes:
        losses = [process.result() for process in processes]
        np.testing.assert_allclose(losses, losses[0], rtol=1e-4)
        compare(
            f"U-Net's training step: {BATCH} images of {SIZE}×{SIZE}, {count:,} trainable weights, {gflop:.1f} GFLOP",
            processes,
            limits=matrix_products(),
            rounds=options.rounds,
            clock=options.clock,
        )


def keras_step(
    description: tuple[tuple[int, ...], list[np.ndarray]], images: np.ndarray, masks: np.ndarray
) -> Callable[[], float]:
    """One step as `model.fit` runs it: the compiled train function on a tf.data iterator."""
    filters, weights = description
    model = unet(CLASSES, filters=filters)
    for variable, weight in zip(model.trainable_weights, weights, strict=True):
        variable.assign(weight)
    model.compile(optimizer=keras.optimizers.Adam(1e-4), loss=CrossEntropy())
    model.make_train_function()
    batches = iter(tf.data.Dataset.from_tensors((images, masks)).repeat())
    return lambda: float(model.train_function(batches)["loss"])


if __name__ == "__main__":
    main()
