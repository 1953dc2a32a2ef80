"""Images of known classes, for training a classifier and for testing it."""

from pathlib import Path
from typing import Any

import numpy as np

from keras_segen.data import shapes
from keras_segen.data.cifar10 import CLASS_NAMES as CIFAR10_NAMES
from keras_segen.data.cifar10 import read_cifar10
from keras_segen.data.class_folders import LAYOUT, read_class_folders
from keras_segen.data.folder import existing_folder
from keras_segen.data.shapes import CLASS_NAMES as SHAPES_NAMES
from keras_segen.errors import InputError
from keras_segen.recipes.generation_data import SCENES

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
        if image_size != 32:
            raise InputError(f"CIFAR-10's images are of 32 pixels, not {image_size}: give --image-size 32")
        return read_cifar10("train", data_dir), read_cifar10("test", data_dir), CIFAR10_NAMES
    if name == "shapes":
        return _scenes("train", SCENES, image_size), _scenes("test", 2048, image_size), SHAPES_NAMES[1:]
    root = existing_folder(name, LAYOUT)
    train, test = (read_class_folders(split, root) for split in ("train", "val"))
    if train.class_names != test.class_names:
        raise InputError(f"{name}: train and val have not the same sub-folders: give both the same classes")
    return (train.decode(image_size), train.labels), (test.decode(image_size), test.labels), train.class_names


def _scenes(split: str, count: int, size: int) -> Any:
    batches = list(shapes(split, image_size=size, batch_size=256, count=count, target="label"))
    images = np.concatenate([np.round((image + 1) * 127.5).astype(np.uint8) for image, _ in batches])
    return images, np.concatenate([label for _, label in batches])
