"""What training, scoring and picturing a segmenter consist of, whatever its network and its data."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_segen import plotting
from keras_segen.errors import InputError
from keras_segen.metrics import MeanIoU, PixelAccuracy
from keras_segen.recipes.segmentation_data import SegmentationData, segmentation_data
from keras_segen.runs import Run

MODE = "max"


def load_data(name: str, config: dict[str, Any], *, verbose: bool) -> SegmentationData:
    """Read and check the data that `--data` names; `InputError` says what is wrong with them."""
    loaded = segmentation_data(name, image_size=config["image_size"], seed=config["seed"], verbose=verbose)
    known = config.get("class_names")
    if known and len(loaded.class_names) > len(known):
        raise InputError(
            f"{loaded.name}: holds {len(loaded.class_names)} classes, but the model knows {len(known)} "
            f"({', '.join(known)}): score it on data with these"
        )
    if loaded.absent and not known:
        some = ", ".join(loaded.absent[:5]) + (f" and {len(loaded.absent) - 5} more" if len(loaded.absent) > 5 else "")
        print(f"warning: no training mask holds {some}: the model cannot learn that", flush=True)
    return loaded


def monitor(loaded: SegmentationData) -> str:
    """Return the name of the score that says which epoch is best."""
    return "val_mean_iou"


def callbacks(run: Run, loaded: SegmentationData, config: dict[str, Any]) -> list[keras.callbacks.Callback]:
    """Return what an epoch needs beside what every run has: nothing."""
    return []


def score(run: Run, loaded: SegmentationData, config: dict[str, Any], *, verbose: bool) -> dict[str, Any]:
    """Return `images`, `mean_iou`, `pixel_accuracy` and `per_class_iou` of the best model on the validation images."""
    model, class_names = run.load_best(), config["class_names"]
    mean_iou, pixel_accuracy = MeanIoU(len(class_names)), PixelAccuracy(len(class_names))

    @tf.function(reduce_retracing=True)
    def count(image: Any, mask: Any) -> None:
        logits = model(image, training=False)
        mean_iou.update_state(mask, logits)
        pixel_accuracy.update_state(mask, logits)

    bar = keras.utils.Progbar(int(loaded.val.cardinality()), unit_name="batch") if verbose else None
    images = 0
    for image, mask in loaded.val:
        count(image, mask)
        images += len(image)
        if bar:
            bar.add(1)
    return {
        "images": images,
        "mean_iou": float(mean_iou.result()),
        "pixel_accuracy": float(pixel_accuracy.result()),
        "per_class_iou": dict(zip(class_names, mean_iou.per_class().tolist(), strict=True)),
    }


def table(scores: dict[str, Any]) -> str:
    """Return the scores as a table, percent."""
    rows = [*scores["per_class_iou"].items(), ("mean IoU", scores["mean_iou"])]
    rows.append(("pixel accuracy", scores["pixel_accuracy"]))
    width = max(len(name) for name, _ in rows)
    lines = [f"{'IoU of':{width}}  % over {scores['images']} images"]
    for name, value in rows:
        if name == "mean IoU":
            lines.append("-" * (width + 8))
        lines.append(f"{name:{width}}  " + ("   – (occurs nowhere)" if np.isnan(value) else f"{100 * value:6.2f}"))
    return "\n".join(lines)


def draw(run: Run, loaded: SegmentationData, config: dict[str, Any]) -> Path:
    """Draw what the best model makes of some validation images; returns the file."""
    picture = run.figures / "predictions.png"
    plotting.save_figure(_examples(run.load_best(), loaded, config["class_names"]), picture)
    return picture


def _examples(model: keras.Model, loaded: SegmentationData, class_names: Sequence[str], count: int = 4) -> Any:
    images, truths, predictions = [], [], []
    for image, mask in loaded.val.unbatch().take(count):
        images.append(image.numpy())
        truths.append(mask.numpy())
        predictions.append(np.argmax(model(image[None], training=False)[0], -1))
    return plotting.comparison(images, truths, predictions, class_names)
