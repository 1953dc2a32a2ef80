"""What training, scoring and picturing a segmenter consist of, whatever its network and its data."""

import functools
import itertools
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from matplotlib.figure import Figure

from keras_segen import inference, metrics, plotting
from keras_segen.data.folder import existing_folder, find_splits
from keras_segen.data.split import scored_split
from keras_segen.errors import InputError
from keras_segen.inference.batches import label_maps
from keras_segen.recipes import segmenters
from keras_segen.recipes.segmentation_data import SPLITS, SegmentationData, segmentation_data
from keras_segen.runs import Run

MODE = "max"
# What is measured, by its name in metrics.json and in the table.
MEASURES: dict[str, tuple[str, Any]] = {
    "mean_iou": ("mean IoU", metrics.MeanIoU),
    "pixel_accuracy": ("pixel accuracy", metrics.PixelAccuracy),
    "mean_class_accuracy": ("mean class accuracy", metrics.MeanClassAccuracy),
    "frequency_weighted_iou": ("frequency-weighted IoU", metrics.FrequencyWeightedIoU),
    "mean_dice": ("mean Dice (F1)", metrics.MeanDice),
    "boundary_iou": ("boundary IoU", metrics.BoundaryIoU),
    "boundary_f1": ("boundary F1", metrics.BoundaryF1),
}


def load_data(name: str, config: dict[str, Any], *, split: str | None = None, verbose: bool) -> SegmentationData:
    """Read and check the data that `--data` names, or one split of them; `InputError` says what is wrong with them."""
    known = config.get("class_names")
    loaded = segmentation_data(
        name,
        image_size=config["image_size"],
        seed=config["seed"],
        data_dir=config.get("data_dir"),
        split=split,
        class_names=known,
        verbose=verbose,
    )
    if loaded.black_and_white:
        print(f"{loaded.name}: its masks are black and white (0 and 255): white counts as class 1, not as void")
    if known and len(loaded.class_names) > len(known):
        raise InputError(
            f"{loaded.name}: holds {len(loaded.class_names)} classes, but the model knows {len(known)} "
            f"({', '.join(known)}): score it on data with these"
        )
    if known and _are_names(known) and _are_names(loaded.class_names):
        for i, (theirs, ours) in enumerate(zip(loaded.class_names, known, strict=False)):
            if theirs != ours:
                raise InputError(
                    f"{loaded.name}: class {i} is {theirs}, but the model knows it as {ours}: score it on data with "
                    "the same classes"
                )
    if loaded.absent and not known:
        some = ", ".join(loaded.absent[:5]) + (f" and {len(loaded.absent) - 5} more" if len(loaded.absent) > 5 else "")
        print(f"warning: no training mask holds {some}: the model cannot learn that", flush=True)
    return loaded


def default_split(name: str) -> str | None:
    """Return the split of other data than a run's own on which its model is scored if none is named.

    None: the one that models which are trained on these data are validated on.

    Raises:
        InputError: for a folder with several.
    """
    return None if name in SPLITS else scored_split(Path(name), find_splits(existing_folder(name)))


def _are_names(class_names: Sequence[str]) -> bool:
    """Say whether somebody gave these names."""
    return any(name != f"class_{i}" for i, name in enumerate(class_names))


def monitor(loaded: SegmentationData) -> str:
    """Return the name of the score that says which epoch is best."""
    return "val_mean_iou"


def callbacks(run: Run, loaded: SegmentationData, config: dict[str, Any]) -> list[keras.callbacks.Callback]:
    """Return what an epoch needs beside what every run has: the release of a backbone that is frozen at first."""
    return segmenters.fine_tuning(config)


def validate(model: keras.Model, loaded: SegmentationData, config: dict[str, Any]) -> dict[str, float]:
    """Return `mean_iou` and `pixel_accuracy` on the validation images at their own sizes.

    The images go through as in `score`, in bounded memory. So there is no loss among the scores: a region loss of a
    whole image does not follow from its tiles.

    Args:
        model: a segmenter.
        loaded: the data whose validation images are looked at.
        config: the run's, for the names of its classes.
    """
    measures = {name: MEASURES[name][1](len(config["class_names"])) for name in ("mean_iou", "pixel_accuracy")}
    _count(predictions(model, loaded), measures)
    return {name: float(measure.result()) for name, measure in measures.items()}


def score(
    run: Run,
    best: keras.Model,
    loaded: SegmentationData,
    config: dict[str, Any],
    *,
    verbose: bool,
    looks: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Return the best model's scores on the validation images at their own sizes; see `score_predictions`.

    With `looks`, arguments of `inference.augmented`, they are those of the augmented model, and `looks` among them.
    """
    model = inference.augmented(best, **looks) if looks else best
    scores = score_predictions(predictions(model, loaded, verbose=verbose), config["class_names"])
    return {**scores, "looks": looks} if looks else scores


def examples(data: tf.data.Dataset) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield each image and mask of a data set of batches."""
    for images, masks in data.as_numpy_iterator():
        yield from zip(images, masks, strict=True)


def predictions(
    model: keras.Model, loaded: SegmentationData, *, verbose: bool = False
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield the mask of each validation image, and the label map that a segmenter makes of the image."""
    for _, mask, label_map in label_maps(model, examples(loaded.val), count=loaded.val_count, verbose=verbose):
        yield mask, label_map


def score_predictions(predicted: Iterable[tuple[np.ndarray, np.ndarray]], class_names: Sequence[str]) -> dict[str, Any]:
    """Return the scores of label maps.

    `images`, all of `MEASURES` by their names, `per_class_iou`, and the `confusion_matrix`, rows the truth.

    Args:
        predicted: masks and label maps uint8 (height, width), of any sizes, read one by one.
        class_names: one a class.
    """
    measures = {name: measure(len(class_names)) for name, (_, measure) in MEASURES.items()}
    images = _count(predicted, measures)
    mean_iou = measures["mean_iou"]
    return {
        "images": images,
        **{name: float(measure.result()) for name, measure in measures.items()},
        "per_class_iou": dict(zip(class_names, mean_iou.per_class().tolist(), strict=True)),
        "confusion_matrix": mean_iou.confusion_matrix.tolist(),
    }


def _count(predicted: Iterable[tuple[np.ndarray, np.ndarray]], measures: dict[str, Any]) -> int:
    """Show masks and label maps to metrics, one by one as their sizes differ, and return how many there were.

    There is no graph around the updates: outside one `BoundaryF1` looks at outlines alone, faster on large images.
    """
    images = 0
    for mask, label_map in predicted:
        for measure in measures.values():
            measure.update_state(mask[None], label_map[None])
        images += 1
    return images


def table(scores: dict[str, Any]) -> str:
    """Return the scores as a table, percent."""
    rows = [*scores["per_class_iou"].items(), *((label, scores[name]) for name, (label, _) in MEASURES.items())]
    width = max(len(name) for name, _ in rows)
    lines = [f"{'IoU of':{width}}  % over {scores['images']} images"]
    if "looks" in scores:
        scales = " ".join(f"{scale:g}" for scale in scores["looks"]["scales"])
        lines[0] += f", each looked at in scales {scales}{', and flipped' * scores['looks']['flip']}"
    for i, (name, value) in enumerate(rows):
        if i == len(scores["per_class_iou"]):
            lines.append("-" * (width + 8))
        lines.append(f"{name:{width}}  " + ("   – (nothing to count)" if np.isnan(value) else f"{100 * value:6.2f}"))
    occurring = np.flatnonzero(np.sum(scores["confusion_matrix"], 1))
    if len(occurring) == 1:
        name = list(scores["per_class_iou"])[occurring[0]]
        lines.append(
            f"warning: the masks hold no class but {name} (and void): if objects are 255 in them, they count as void"
        )
    return "\n".join(lines)


def draw(run: Run, best: keras.Model, loaded: SegmentationData, config: dict[str, Any]) -> Path:
    """Draw what the best model makes of some validation images, and its confusions; returns the first file."""
    picture = run.figures / "predictions.png"
    label_map_of = functools.partial(_label_map, best)
    plotting.save_figure(compare(label_map_of, loaded, config["class_names"]), picture)
    confusion = json.loads(run.metrics_json.read_text(encoding="utf-8"))["confusion_matrix"]
    figure = plotting.confusions(np.array(confusion), config["class_names"])
    plotting.save_figure(figure, run.figures / "confusions.png")
    return picture


def _label_map(model: keras.Model, image: np.ndarray) -> np.ndarray:
    (label_map,) = inference.predict(model, [image])
    return label_map


def compare(
    predict: Callable[[np.ndarray], np.ndarray], loaded: SegmentationData, class_names: Sequence[str], count: int = 4
) -> Figure:
    """Draw the first validation images beside their truths and what `predict` makes of one image, a label map."""
    images, truths, predictions = [], [], []
    for image, mask in itertools.islice(examples(loaded.val), count):
        images.append(image)
        truths.append(mask)
        predictions.append(predict(image))
    return plotting.comparison(images, truths, predictions, class_names)
