"""Images of known classes, for training a classifier and for testing it."""

from pathlib import Path

import numpy as np

from keras_segen.data import class_names, read_class_folders, scenes
from keras_segen.errors import InputError
from keras_segen_cli.tasks.generation_data import IN_MEMORY, SCENES, arrays
from keras_segen_cli.tasks.splits import TRAIN, VAL

Labelled = tuple[np.ndarray, np.ndarray]


def classifier_data(
    name: str, *, image_size: int, data_dir: Path | str | None
) -> tuple[Labelled, Labelled, tuple[str, ...]]:
    """Return training and test images uint8 in RGB with labels, and the classes' names.

    Args:
        name: one of `IN_MEMORY`, "shapes", or a folder with one sub-folder a class.
        image_size: side in pixels.
        data_dir: where named data sets lie.

    Raises:
        InputError: for data that cannot be used.
    """
    if name == "celeb_a":
        raise InputError(
            f"CelebA has attributes, not classes: name a folder of class sub-folders, shapes, {', '.join(IN_MEMORY)}"
        )
    if name in IN_MEMORY:
        train, test = (arrays(name, split, image_size, data_dir) for split in ("train", "test"))
        return _in_rgb(train), _in_rgb(test), class_names(name)
    if name == "shapes":
        return scenes("train", SCENES, image_size), scenes("test", 2048, image_size), class_names(name)[1:]
    files, aside = (read_class_folders(split, name) for split in (TRAIN, VAL))
    aside.require_classes_of(files)
    return (files.decode(image_size), files.labels), (aside.decode(image_size), aside.labels), files.class_names


def _in_rgb(labelled: Labelled) -> Labelled:
    images, labels = labelled
    return np.repeat(images, 3 // images.shape[-1], axis=-1), labels
