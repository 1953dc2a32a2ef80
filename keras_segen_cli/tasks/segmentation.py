"""Segmentation: what a run of FCN, U-Net or any other segmenter can do."""

import functools
import itertools
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Literal

import keras
import numpy as np
import tensorflow as tf
from matplotlib.figure import Figure

from keras_segen import inference, metrics, plotting
from keras_segen.callbacks import FineTuning
from keras_segen.data import Augmentation, ImageKind
from keras_segen.errors import InputError
from keras_segen.inference import label_maps
from keras_segen_cli.options import Predicting, Scoring
from keras_segen_cli.recipes import Segmenter
from keras_segen_cli.tasks.prediction import write_label_maps
from keras_segen_cli.tasks.segmentation_data import SPLITS, SegmentationData, segmentation_data
from keras_segen_cli.tasks.splits import scored_split
from keras_segen_cli.tasks.task import Task
from keras_segen_cli.warning import warn

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
# Of two classes, the scores of class 1's probability, likewise.
BINARY_MEASURES = {
    "roc_auc": "ROC AUC",
    "average_precision": "average precision",
    "f1": "best F1",
    "calibration_error": "calibration error",
}
_QUANTIZATION_EXAMPLES = 50


@dataclass(frozen=True)
class Segmentation(Task[Segmenter, SegmentationData]):
    """A segmenter's run."""

    mode: ClassVar[Literal["max", "min"]] = "max"

    @property
    def monitor(self) -> str:
        """The name of the score that says which epoch is best."""
        return "val_mean_iou"

    def load_data(
        self, name: str, *, split: str | None = None, samples: int | None = None, verbose: bool = False
    ) -> SegmentationData:
        """Read and check data; see `Task.load_data`."""
        known = self.known_classes
        data = segmentation_data(
            name,
            image_size=self.recipe.image_size,
            seed=self.recipe.seed,
            data_dir=self.recipe.data_dir,
            split=split,
            known_classes=known,
            channels=self.recipe.channels,
            value_range=self.recipe.value_range,
            augmentation=self._augmentation(),
            oversampling=self.recipe.oversampling,
            verbose=verbose,
        )
        if data.channels != 3 or data.value_range is not None:
            span = "8 bits" if data.value_range is None else "values from {:g} to {:g}".format(*data.value_range)
            print(f"{data.name}: images of {data.channels} channel{'s' * (data.channels != 1)}, {span}", flush=True)
        if data.black_and_white:
            print(f"{data.name}: its masks are black and white (0 and 255): white counts as class 1, not as void")
        if known and len(data.class_names) > len(known):
            raise InputError(
                f"{data.name}: holds {len(data.class_names)} classes, but the model knows {len(known)} "
                f"({', '.join(known)}): score it on data with these"
            )
        if known and _are_names(known) and _are_names(data.class_names):
            for i, (theirs, ours) in enumerate(zip(data.class_names, known, strict=False)):
                if theirs != ours:
                    raise InputError(
                        f"{data.name}: class {i} is {theirs}, but the model knows it as {ours}: score it on data with "
                        "the same classes"
                    )
        if data.absent and not known:
            more = f" and {len(data.absent) - 5} more" if len(data.absent) > 5 else ""
            warn(f"no training mask holds {', '.join(data.absent[:5])}{more}: the model cannot learn that")
        return data

    def _augmentation(self) -> Augmentation:
        kind = Augmentation.of(self.recipe.augmentation, strength=self.recipe.augmentation_strength)
        return replace(kind, copy_paste=self.recipe.copy_paste)

    def settings_of(self, data: SegmentationData) -> dict[str, Any]:
        """Return how the images are read, and the classes' weights as numbers."""
        return {
            "channels": data.channels,
            "value_range": data.value_range,
            "class_weights": self._weights(data),
        }

    def _weights(self, data: SegmentationData) -> tuple[float | str, ...] | None:
        given = self.recipe.class_weights
        if given is None or not isinstance(given[0], str):
            return given
        if given[0] != "balanced":
            return self.recipe.weights_of_file(given[0])
        if data.balanced is None:
            raise InputError(
                f"--class-weights balanced: how many pixels the classes of {data.name} have is not known: give numbers"
            )
        listed = ", ".join(f"{name} {w:.3g}" for name, w in zip(data.class_names, data.balanced, strict=True))
        print(f"class weights: {listed}", flush=True)
        return data.balanced

    def default_split(self, name: str) -> str | None:
        """Return the split of other data that is scored if none is named; `InputError` for a folder with several.

        None: the one that models which are trained on these data are validated on.
        """
        return None if name in SPLITS else scored_split(name, target="mask")

    def validate(self, model: keras.Model, data: SegmentationData) -> dict[str, float]:
        """Return `mean_iou` and `pixel_accuracy` on the validation images at their own sizes.

        The images go through as in `score`, in bounded memory. So there is no loss among the scores: a region loss of a
        whole image does not follow from its tiles.
        """
        measures = {name: MEASURES[name][1](len(self.class_names)) for name in ("mean_iou", "pixel_accuracy")}
        _count(predictions(model, data), measures)
        return {name: float(measure.result()) for name, measure in measures.items()}

    def callbacks(self, data: SegmentationData) -> list[keras.callbacks.Callback]:
        """Release a backbone that is frozen at first."""
        recipe, frozen = self.recipe, self.recipe.frozen_epochs
        if not frozen:
            return []
        rate = recipe.released_learning_rate or recipe.learning_rate / 10
        schedule = recipe.rate(rate, recipe.epochs - frozen)
        return [FineTuning(frozen, schedule, frozen_stages=recipe.frozen_stages)]

    def check_scoring(self, scoring: Scoring) -> None:
        """Raise `InputError` for options of generative models."""
        if scoring.extractor or scoring.inception_weights or scoring.reference or scoring.samples:
            raise InputError(
                f"{self.run.path}: is of a segmenter, which has no --extractor, --inception-weights, --reference or "
                "--samples"
            )

    def score(self, model: keras.Model, data: SegmentationData, *, scoring: Scoring, verbose: bool) -> dict[str, Any]:
        """Return the scores on the validation images at their own sizes; see `score_predictions`.

        Of two classes also those of class 1's probability; see `metrics.BinaryScores`.
        With test-time augmentation, they are those of the augmented model, whose settings stand there as `augmented`.
        """
        augmented = scoring.flip or scoring.scales
        scales = list(scoring.scales or [1.0])
        if augmented:
            model = inference.augmented(model, flip=scoring.flip, scales=scales)
        binary = metrics.BinaryScores() if len(self.class_names) == 2 else None
        scores = score_predictions(predictions(model, data, binary=binary, verbose=verbose), self.class_names)
        if binary is not None:
            scores |= binary.result()
        return {**scores, "augmented": {"flip": scoring.flip, "scales": scales}} if augmented else scores

    def table(self, scores: dict[str, Any]) -> str:
        """Return the scores as a table, percent."""
        return table(scores)

    def draw(self, model: keras.Model, data: SegmentationData) -> Path:
        """Draw predictions beside some validation images, and the confusion matrix."""
        picture = self.run.figures / "predictions.png"
        plotting.save_figure(compare(functools.partial(_label_map, model), data, self.class_names), picture)
        confusion = json.loads(self.run.metrics_json.read_text(encoding="utf-8"))["confusion_matrix"]
        figure = plotting.confusions(np.array(confusion), self.class_names)
        plotting.save_figure(figure, self.run.figures / "confusions.png")
        return picture

    def quantization_examples(self) -> list[np.ndarray]:
        """Return some training images, spread over all of them."""
        try:
            data = self.load_data(self.recipe.data)
        except InputError as error:
            raise InputError(f"--quantization learns from the run's training images: {error}") from error
        return [image for image, _ in examples(data.examples(_QUANTIZATION_EXAMPLES))]

    def predict(
        self, images: Sequence[str], out: Path, *, predicting: Predicting, skip_existing: bool, verbose: bool
    ) -> None:
        """Write label maps and overlays; see `write_label_maps`."""
        write_label_maps(
            self.run.load_best(),
            images,
            out,
            kind=ImageKind(self.recipe.channels or 3, self.recipe.value_range),
            class_names=self.class_names,
            predicting=predicting,
            skip_existing=skip_existing,
            verbose=verbose,
        )


def _are_names(class_names: Sequence[str]) -> bool:
    """Say whether somebody gave these names."""
    return any(name != f"class_{i}" for i, name in enumerate(class_names))


def examples(data: tf.data.Dataset) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield each image and mask of a data set of batches."""
    for images, masks in data.as_numpy_iterator():
        yield from zip(images, masks, strict=True)


def predictions(
    model: keras.Model,
    loaded: SegmentationData,
    *,
    binary: metrics.BinaryScores | None = None,
    verbose: bool = False,
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield the mask of each validation image, and the label map that a segmenter makes of the image.

    Args:
        model: the segmenter.
        loaded: the data.
        binary: gets the masks and the probabilities of class 1.
        verbose: show a progress bar.
    """
    options: dict[str, Any] = {"count": loaded.val_count, "verbose": verbose}
    if binary is None:
        for _, mask, label_map in label_maps(model, examples(loaded.val), **options):
            yield mask, label_map
        return
    for _, mask, label_map, found in inference.probabilities(model, examples(loaded.val), **options):
        binary.update_state(mask, found[..., 1])
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
    labels = {name: label for name, (label, _) in MEASURES.items()} | BINARY_MEASURES
    measured = [(label, scores[name]) for name, label in labels.items() if name in scores]
    rows = [*scores["per_class_iou"].items(), *measured]
    width = max(len(name) for name, _ in rows)
    lines = [f"{'IoU of':{width}}  % over {scores['images']} images"]
    if "augmented" in scores:
        scales = " ".join(f"{scale:g}" for scale in scores["augmented"]["scales"])
        mirrored = ", and over mirror images" if scores["augmented"]["flip"] else ""
        lines[0] += f", averaged over scales {scales}{mirrored}"
    for i, (name, value) in enumerate(rows):
        if i == len(scores["per_class_iou"]):
            lines.append("-" * (width + 8))
        lines.append(f"{name:{width}}  " + ("   – (nothing to count)" if np.isnan(value) else f"{100 * value:6.2f}"))
    if not np.isnan(scores.get("threshold", np.nan)):
        lines.append(f"best F1: where the probability is {scores['threshold']:.3f} or more")
    occurring = np.flatnonzero(np.sum(scores["confusion_matrix"], 1))
    if len(occurring) == 1:
        name = list(scores["per_class_iou"])[occurring[0]]
        lines.append(
            f"warning: the masks hold no class but {name} (and void): if objects are 255 in them, they count as void"
        )
    return "\n".join(lines)


def _label_map(model: keras.Model, image: np.ndarray) -> np.ndarray:
    (label_map,) = inference.predict(model, [image])
    return label_map


def compare(
    predict: Callable[[np.ndarray], np.ndarray], loaded: SegmentationData, class_names: Sequence[str], count: int = 4
) -> Figure:
    """Draw the first validation images beside their truths and what `predict` makes of one image, a label map."""
    images, truths, predictions = [], [], []
    for image, mask in itertools.islice(examples(loaded.val), count):
        images.append(plotting.displayable(image, loaded.value_range))
        truths.append(mask)
        predictions.append(predict(image))
    return plotting.comparison(images, truths, predictions, class_names)
