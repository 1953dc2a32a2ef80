"""Classical baselines: scoring and drawing segmentation without learning; see `keras_segen.classical`."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np

from keras_segen import plotting
from keras_segen.classical import METHODS, choose, scikit_image
from keras_segen.errors import InputError
from keras_segen_cli.tasks import segmentation
from keras_segen_cli.tasks.segmentation_data import SegmentationData, segmentation_data

# Settings are chosen on the middles of so many training images: more of them take longer and choose the same.
EXAMPLES, SIDE = 32, 256


def load_data(name: str, *, verbose: bool) -> SegmentationData:
    """Read and check a folder with two classes; `InputError` says what is wrong with it, or that nothing can use it."""
    scikit_image()  # before data are read: is it there?
    loaded = segmentation_data(str(Path(name).resolve()), image_size=SIDE, seed=0, verbose=verbose)
    if len(loaded.class_names) != 2:
        raise InputError(
            f"{loaded.name}: holds {len(loaded.class_names)} classes, but a baseline tells objects from ground alone: "
            "name a folder whose masks have two, 0 and 1"
        )
    if loaded.absent:
        raise InputError(f"{loaded.name}: no training mask holds {loaded.absent[0]}: a baseline's settings need it")
    return loaded


def settings(baseline: str, loaded: SegmentationData, *, verbose: bool) -> dict[str, Any]:
    """Choose a method's settings on training images, and print them."""
    examples = [
        (_middle(_seen(image, loaded)), _middle(mask))
        for image, mask in segmentation.examples(loaded.examples(EXAMPLES))
    ]
    chosen, mean_iou = choose(METHODS[baseline], examples, verbose=verbose)
    listed = ", ".join(f"{name} {value}" for name, value in chosen.items())
    print(
        f"{baseline}: {listed}; chosen on {len(examples)} training images (of each the middle, up to {SIDE}×{SIDE} "
        f"pixels), by mean IoU, {100 * mean_iou:.2f} %",
        flush=True,
    )
    return chosen


def score(baseline: str, chosen: dict[str, Any], loaded: SegmentationData, *, verbose: bool) -> dict[str, Any]:
    """Return the scores on the validation images at their own sizes, as a run's are."""
    bar = keras.utils.Progbar(loaded.val_count, unit_name="image") if verbose else None

    def predicted() -> Iterator[tuple[np.ndarray, np.ndarray]]:
        for image, mask in segmentation.examples(loaded.val):
            yield mask, METHODS[baseline](_seen(image, loaded), **chosen)
            if bar:
                bar.add(1)

    return segmentation.score_predictions(predicted(), loaded.class_names)


def draw(baseline: str, chosen: dict[str, Any], loaded: SegmentationData, path: Path) -> None:
    """Draw what the method makes of some validation images."""
    figure = segmentation.compare(
        lambda image: METHODS[baseline](_seen(image, loaded), **chosen), loaded, loaded.class_names
    )
    plotting.save_figure(figure, path)


def _seen(image: np.ndarray, loaded: SegmentationData) -> np.ndarray:
    """Return an image as the methods take it, RGB in [0, 255]."""
    return plotting.displayable(image, loaded.value_range).astype(np.float32)


def _middle(pixels: np.ndarray) -> np.ndarray:
    top, left = (max(length - SIDE, 0) // 2 for length in pixels.shape[:2])
    return pixels[top : top + SIDE, left : left + SIDE]
