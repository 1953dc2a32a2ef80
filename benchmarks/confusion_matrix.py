"""Counting a confusion matrix: our metrics against Keras's `MeanIoU`, and beside a training step.

    python benchmarks/confusion_matrix.py [--alpha 0.25] [--rounds 9] [--processor-time]       two minutes on two cores

One update on a batch of masks and logits of 21 classes, as a compiled training step has it: sizes known but for the
batch. "Sizes unknown" is what `evaluate` does on images of all sizes, operation by operation; Keras's metric takes the
logits too (`sparse_y_pred=False`). What both make of the same batch is printed and compared. The limit is a sum over
the logits, which reads each once.
Then the training step of FCN-8s on MobileNet, as narrow as --alpha says, in turns without metrics, with one and with
two, and the share of the step that counting takes.
"""

import argparse
import functools
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from harness import Contender, add_clock, compare, machine, measure, use_all_cores

from keras_segen.losses import CrossEntropy
from keras_segen.metrics import MeanIoU, PixelAccuracy
from keras_segen.models import fcn

CLASSES, VOID = 21, 255
SIZES = ((8, 320), (2, 512))  # images, and their side; the step is measured with the first


def main() -> None:
    parser = argparse.ArgumentParser(description="Time the counting of confusion matrices.")
    parser.add_argument("--rounds", type=int, default=9, help="turns that count, after two that do not")
    parser.add_argument("--alpha", type=float, default=0.25, help="MobileNet's width in the step")
    add_clock(parser)
    options = parser.parse_args()

    use_all_cores()
    keras.utils.set_random_seed(0)
    for count, side in SIZES:
        masks, logits = batch(count, side)
        race(masks, logits, rounds=options.rounds, clock=options.clock)
    beside_a_step(*SIZES[0], options.alpha, rounds=options.rounds, clock=options.clock)


def batch(count: int, side: int) -> tuple[np.ndarray, np.ndarray]:
    """Masks of regions with void between them, and logits that are right more often than not."""
    rng = np.random.default_rng(0)
    masks = np.kron(rng.integers(0, CLASSES, (count, side // 32, side // 32)), np.ones((1, 32, 32), int))
    logits = rng.normal(0, 1, (*masks.shape, CLASSES)) + 3 * np.eye(CLASSES)[masks]
    masks[:, ::32] = masks[:, :, ::32] = VOID
    return masks.astype("uint8"), logits.astype("float32")


def race(masks: np.ndarray, logits: np.ndarray, **how: Any) -> None:
    """Check that both give the same score, and print the table of one size."""
    ours, theirs = MeanIoU(CLASSES), keras_mean_iou()
    sizes, unknown = (None, *masks.shape[1:]), (None, None, None)
    updates = {
        "MeanIoU": update([ours], sizes),
        "MeanIoU and PixelAccuracy": update([MeanIoU(CLASSES), PixelAccuracy(CLASSES)], sizes),
        "MeanIoU, sizes unknown": update([MeanIoU(CLASSES)], unknown),
        "keras.metrics.MeanIoU": update([theirs], sizes),
    }
    y_true, y_pred = tf.constant(masks), tf.constant(logits)
    for run in updates.values():
        run(y_true, y_pred)
    print(f"mean IoU: {float(ours.result()):.9f}, Keras's {float(theirs.result()):.9f}")
    np.testing.assert_allclose(float(theirs.result()), float(ours.result()), rtol=1e-5)  # theirs is float32
    pixels = masks.size / 1e6
    compare(
        f"{len(masks)} masks of {masks.shape[1]}×{masks.shape[2]}, {CLASSES} classes",
        [Contender(name, functools.partial(run, y_true, y_pred), pixels) for name, run in updates.items()],
        limits=[Contender("sum of the logits", lambda: tf.reduce_sum(y_pred), pixels)],
        unit="Mpixel",
        **how,
    )
    print()


def keras_mean_iou() -> keras.metrics.Metric:
    return keras.metrics.MeanIoU(CLASSES, sparse_y_pred=False, ignore_class=VOID)


def update(metrics: Sequence[keras.metrics.Metric], sizes: tuple[int | None, ...]) -> Callable[..., Any]:
    signature = [tf.TensorSpec(sizes, tf.uint8), tf.TensorSpec((*sizes, CLASSES), tf.float32)]

    @tf.function(input_signature=signature)
    def run(y_true: tf.Tensor, y_pred: tf.Tensor) -> None:
        for metric in metrics:
            metric.update_state(y_true, y_pred)

    return run


def beside_a_step(count: int, side: int, alpha: float, **how: Any) -> None:
    """Print what metrics add to a training step, and the share of a step that one update is."""
    masks, logits = batch(count, side)
    run, y_true, y_pred = update([MeanIoU(CLASSES)], (None, side, side)), tf.constant(masks), tf.constant(logits)
    images = np.random.default_rng(0).uniform(0, 255, (*masks.shape, 3)).astype("float32")
    contenders = [
        Contender("step without metrics", step(images, masks, alpha, []), 1),
        Contender("step with MeanIoU", step(images, masks, alpha, [MeanIoU(CLASSES)]), 1),
        Contender("step with both", step(images, masks, alpha, [MeanIoU(CLASSES), PixelAccuracy(CLASSES)]), 1),
        Contender("step with Keras's MeanIoU", step(images, masks, alpha, [keras_mean_iou()]), 1),
        Contender("one update of MeanIoU", functools.partial(run, y_true, y_pred), 1),
    ]
    print(f"FCN-8s on MobileNet, alpha {alpha:g}: {count} images of {side}×{side}\n{machine()}\n")
    times = measure(contenders, **how)
    for contender, t in zip(contenders, times, strict=True):
        print(f"{contender.name:26}  {t * 1e3:7.1f} ms  {t / times[0]:7.1%} of the step without")


def step(
    images: np.ndarray, masks: np.ndarray, alpha: float, metrics: list[keras.metrics.Metric]
) -> Callable[[], float]:
    """One step as `model.fit` runs it: the compiled train function on a tf.data iterator."""
    model = fcn(CLASSES, backbone="mobilenet", backbone_width=alpha, backbone_weights=None)
    model.compile(optimizer=keras.optimizers.Adam(1e-4), loss=CrossEntropy(), metrics=metrics)
    model.make_train_function()
    batches = iter(tf.data.Dataset.from_tensors((images, masks)).repeat())
    return lambda: float(model.train_function(batches)["loss"])


if __name__ == "__main__":
    main()
