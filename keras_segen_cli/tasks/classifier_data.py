"""Images of known classes, for training a classifier and for testing it."""

from pathlib import Path

import numpy as np

from keras_segen.data._cifar10 import CLASS_NAMES as CIFAR10_NAMES
from keras_segen.data._class_folders import LAYOUT, read_class_folders, require_trained
from keras_segen.data._folder import existing_folder
from keras_segen.data._shapes import CLASS_NAMES as SHAPES_NAMES
from keras_segen.data._shapes import scenes
from keras_segen.data._split import TRAIN, VAL
from keras_segen.errors import InputError
from keras_segen_cli.tasks.generation_data import SCENES, cifar10_arrays

Labelled = tuple[np.ndarray, np.ndarray]


def classifier_data(
    name: str, *, image_size: int, data_dir: Path | str | None
) -> tuple[Labelled, Labelled, tuple[str, ...]]:
    """Return training and test images uint8 with labels, and the classes' names.

    Args:
        name: "cifar10", "shapes", or a folder with one sub-folder a class.
        image_size: side in pixels.
        data_dir: where named data sets lie.

    Raises:
        InputError: for data that cannot be used.
    """
    if name == "celeb_a":
        raise InputError("CelebA has attributes, not classes: name a folder of class sub-folders, cifar10 or shapes")
    if name == "cifar10":
        train, test = (cifar10_arrays(split, image_size, data_dir) for split in ("train", "test"))
        return train, test, CIFAR10_NAMES
    if name == "shapes":
        return scenes("train", SCENES, image_size), scenes("test", 2048, image_size), SHAPES_NAMES[1:]
    root = existing_folder(name, LAYOUT)
    files, aside = (read_class_folders(split, root) for split in (TRAIN, VAL))
    require_trained(files, aside)
    return (files.decode(image_size), files.labels), (aside.decode(image_size), aside.labels), files.class_names
