"""Counting a confusion matrix: our metrics against Keras's `MeanIoU`, and beside a training step.

    python benchmarks/confusion_matrix.py [--alpha 0.25] [--rounds 9] [--processor-time]       two minutes on two cores

One update on a batch of masks and logits of 21 classes, as a compiled training step has it: sizes known but for the
batch. "Sizes unknown" is what `evaluate` does on images of all sizes, operation by operation; Keras's metric takes the
logits too (`sparse_y_pred=False`). What both make of the same batch is printed and compared. The limit is a sum over
the logits, which reads each once.
Then the training step of FCN-8s on MobileNet, as narrow as --alpha says, in turns without metrics, with one and with
two, and the share of the step that counting takes.
"""

from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from harness import Contender, command_line, compare, machine, measure, started

from keras_segen.losses import CrossEntropy
from keras_segen.metrics import MeanIoU, PixelAccuracy
from keras_segen.models import fcn

CLASSES, VOID = 21, 255
SIZES = ((8, 320), (2, 512))  # images, and their side; the step is measured with the first


def main() -> None:
    parser = command_line("Time the counting of confusion matrices.", rounds=9)
    parser.add_argument("--alpha", type=float, default=0.25, help="MobileNet's width in the step")
    options = parser.parse_args()
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
    ours, theirs = (float(metric(masks, logits)) for metric in made(["MeanIoU", "keras.metrics.MeanIoU"]))
    print(f"mean IoU: {ours:.9f}, Keras's {theirs:.9f}")
    np.testing.assert_allclose(theirs, ours, rtol=1e-5)  # theirs is float32
    sizes, unknown = (None, *masks.shape[1:]), (None, None, None)
    updates = {
        "MeanIoU": (["MeanIoU"], sizes),
        "MeanIoU and PixelAccuracy": (["MeanIoU", "PixelAccuracy"], sizes),
        "MeanIoU, sizes unknown": (["MeanIoU"], unknown),
        "keras.metrics.MeanIoU": (["keras.metrics.MeanIoU"], sizes),
    }
    pixels = masks.size / 1e6
    contenders = [
        Contender(name, "confusion_matrix", "update", (masks, logits, *arguments), pixels)
        for name, arguments in updates.items()
    ]
    with started(contenders) as processes:
        compare(
            f"{len(masks)} masks of {masks.shape[1]}×{masks.shape[2]}, {CLASSES} classes",
            processes,
            limits=[Contender("sum of the logits", "confusion_matrix", "total", (logits,), pixels)],
            unit="Mpixel",
            **how,
        )
    print()


def beside_a_step(count: int, side: int, alpha: float, **how: Any) -> None:
    """Print what metrics add to a training step, and the share of a step that one update is."""
    masks, logits = batch(count, side)
    images = np.random.default_rng(0).uniform(0, 255, (*masks.shape, 3)).astype("float32")
    steps = {
        "step without metrics": [],
        "step with MeanIoU": ["MeanIoU"],
        "step with both": ["MeanIoU", "PixelAccuracy"],
        "step with Keras's MeanIoU": ["keras.metrics.MeanIoU"],
    }
    updating = (masks, logits, ["MeanIoU"], (None, side, side))
    contenders = [
        *(
            Contender(name, "confusion_matrix", "step", (images, masks, alpha, metrics), 1)
            for name, metrics in steps.items()
        ),
        Contender("one update of MeanIoU", "confusion_matrix", "update", updating, 1),
    ]
    print(f"FCN-8s on MobileNet, alpha {alpha:g}: {count} images of {side}×{side}\n{machine()}\n")
    with started(contenders) as processes:
        times = measure(processes, **how)
    for contender, t in zip(contenders, times, strict=True):
        print(f"{contender.name:26}  {t * 1e3:7.1f} ms  {t / times[0]:7.1%} of the step without")


def made(names: Sequence[str]) -> list[keras.metrics.Metric]:
    """Metrics by the names that the tables have for them."""
    makers: dict[str, Callable[[], keras.metrics.Metric]] = {
        "MeanIoU": lambda: MeanIoU(CLASSES),
        "PixelAccuracy": lambda: PixelAccuracy(CLASSES),
        "keras.metrics.MeanIoU": lambda: keras.metrics.MeanIoU(CLASSES, sparse_y_pred=False, ignore_class=VOID),
    }
    return [makers[name]() for name in names]


def update(
    masks: np.ndarray, logits: np.ndarray, names: Sequence[str], sizes: tuple[int | None, ...]
) -> Callable[[], None]:
    """One update of metrics in a graph that knows so much of the sizes."""
    metrics = made(names)
    signature = [tf.TensorSpec(sizes, tf.uint8), tf.TensorSpec((*sizes, CLASSES), tf.float32)]

    @tf.function(input_signature=signature)
    def compiled(y_true: tf.Tensor, y_pred: tf.Tensor) -> None:
        for metric in metrics:
            metric.update_state(y_true, y_pred)

    y_true, y_pred = tf.constant(masks), tf.constant(logits)
    return lambda: compiled(y_true, y_pred)


def total(logits: np.ndarray) -> Callable[[], tf.Tensor]:
    y_pred = tf.constant(logits)
    return lambda: tf.reduce_sum(y_pred)


def step(images: np.ndarray, masks: np.ndarray, alpha: float, names: Sequence[str]) -> Callable[[], float]:
    """One step as `model.fit` runs it: the compiled train function on a tf.data iterator."""
    keras.utils.set_random_seed(0)
    model = fcn(CLASSES, backbone="mobilenet", backbone_width=alpha, backbone_weights=None)
    model.compile(optimizer=keras.optimizers.Adam(1e-4), loss=CrossEntropy(), metrics=made(names))
    model.make_train_function()
    batches = iter(tf.data.Dataset.from_tensors((images, masks)).repeat())
    return lambda: float(model.train_function(batches)["loss"])


if __name__ == "__main__":
    main()
