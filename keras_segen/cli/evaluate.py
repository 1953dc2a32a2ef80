"""`keras-segen evaluate`: a run's scores."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_segen.errors import InputError
from keras_segen.metrics import MeanIoU, PixelAccuracy
from keras_segen.recipes import RECIPES
from keras_segen.runs import Run, write_json


def evaluate(run_folder: str, *, data: str | None, verbose: bool) -> dict[str, Any]:
    """Score a run's best model on the validation images, print a table and write `metrics.json`.

    Args:
        run_folder: what `train` wrote.
        data: other data with the same classes, or None for the run's own.
        verbose: show progress bars.
    """
    run = Run(run_folder)
    config = run.config()
    if config["model"] not in RECIPES:
        raise InputError(f"{run.config_json}: names a model that this version does not know: {config['model']}")
    model = run.load_best()
    load_data = RECIPES[config["model"]].load_data
    loaded = load_data(data or config["data"], image_size=config["image_size"], seed=config["seed"], verbose=verbose)
    if len(loaded.class_names) > len(config["class_names"]):
        raise InputError(
            f"{loaded.name}: holds {len(loaded.class_names)} classes, but the model knows {len(config['class_names'])} "
            f"({', '.join(config['class_names'])}): score it on data with these"
        )
    scores = evaluate_model(model, loaded.val, config["class_names"], verbose=verbose)
    write_json(run.metrics_json, {**scores, "data": loaded.name})
    print_scores(scores)
    return scores


def evaluate_model(
    model: keras.Model, dataset: tf.data.Dataset, class_names: Sequence[str], *, verbose: bool
) -> dict[str, Any]:
    """Return `images`, `mean_iou`, `pixel_accuracy` and `per_class_iou` over a data set of (images, masks)."""
    mean_iou, pixel_accuracy = MeanIoU(len(class_names)), PixelAccuracy(len(class_names))

    @tf.function(reduce_retracing=True)
    def count(image: Any, mask: Any) -> None:
        logits = model(image, training=False)
        mean_iou.update_state(mask, logits)
        pixel_accuracy.update_state(mask, logits)

    bar = keras.utils.Progbar(int(dataset.cardinality()), unit_name="batch") if verbose else None
    images = 0
    for image, mask in dataset:
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


def print_scores(scores: dict[str, Any]) -> None:
    """Print the scores as a table, percent."""
    rows = [*scores["per_class_iou"].items(), ("mean IoU", scores["mean_iou"])]
    rows.append(("pixel accuracy", scores["pixel_accuracy"]))
    width = max(len(name) for name, _ in rows)
    print(f"\n{'IoU of':{width}}  % over {scores['images']} images")
    for name, value in rows:
        if name == "mean IoU":
            print("-" * (width + 8))
        print(f"{name:{width}}  " + ("   – (occurs nowhere)" if np.isnan(value) else f"{100 * value:6.2f}"))
    print(flush=True)
