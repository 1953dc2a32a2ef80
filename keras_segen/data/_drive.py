"""DRIVE (Staal et al., 2004): 20 and 20 photographs of the retina with their vessels, from its published folders."""

from functools import partial
from pathlib import Path
from typing import Literal, Unpack

import numpy as np
import tensorflow as tf

from keras_segen._masks import VOID
from keras_segen.data import _images, _pairs
from keras_segen.data._augmentation import Augmentation
from keras_segen.data._batching import Batching, check_batching
from keras_segen.data._in_threads import in_threads
from keras_segen.errors import InputError
from keras_segen.types import PathLike

CLASS_NAMES = ("background", "vessel")
# By split, the folder, after which its files are called.
_FOLDERS = {"train": "training", "test": "test"}
SPLITS = tuple(_FOLDERS)
NEARLY = 8
_PLACE = "https://drive.grand-challenge.org"


def drive(
    split: str,
    *,
    data_dir: PathLike,
    observer: Literal[1, 2] = 1,
    image_size: int | None = None,
    augmentation: Augmentation | None = None,
    verbose: bool = False,
    **batching: Unpack[Batching],
) -> tf.data.Dataset:
    """Read DRIVE's retinas and vessels as a data set that is ready for `fit`.

    Args:
        split: The split: "train" or "test".
        data_dir: The folder with `training` and `test` as DRIVE publishes them, or one that holds it as `drive` or
            `DRIVE`. It is not downloaded, because that takes a registration.
        observer: Whose drawing is the mask: the first observer's, or the second's, which there is of "test" alone.
        image_size: The side of the images in pixels, as for `folder`.
        augmentation: The variation of training images; by default `Augmentation()`.
        verbose: Whether to show a progress bar while files are read and checked.
        batching: `batch_size=16`, `training=False`, `seed=0` and `start=None`; see `Batching`.

    Returns:
        Batches of (image float32 (batch, height, width, 3) in [0, 255], mask uint8 (batch, height, width): 1 for
        vessels, 255 outside the field of view).

    Raises:
        InputError: If the folder is missing, or a file of it cannot be used; the message names it.
        ValueError: For an unknown split or observer.

    Example:
        >>> train = ks.data.drive("train", data_dir="datasets", image_size=160, batch_size=8, training=True)
        >>> model = ks.models.unet(2, filters=(16, 32, 64, 128))
        >>> model.compile("adam", ks.losses.CrossEntropy(), metrics=[ks.metrics.MeanIoU(2)])
        >>> history = model.fit(train, epochs=10, shuffle=False)
    """
    check_batching(batching, image_size=image_size, crops=True)
    pairs = read_drive(split, data_dir, observer=observer, verbose=verbose)
    return pairs.dataset(image_size=image_size, augmentation=augmentation, **batching)


def read_drive(split: str, data_dir: PathLike, *, observer: Literal[1, 2] = 1, verbose: bool = False) -> _pairs.Pairs:
    """Find, read and check every pair of a split, in the order of their numbers; see `drive`.

    Example:
        >>> pairs = ks.data.read_drive("test", "datasets")
        >>> len(pairs)
        20
    """
    if split not in SPLITS or observer not in (1, 2) or (split, observer) == ("train", 2):
        raise ValueError(
            'DRIVE has the splits "train" and "test", and of "test" alone a second observer. '
            f"Received: split={split!r}, observer={observer!r}"
        )
    folder = _FOLDERS[split]
    root = _root(Path(data_dir)) / folder
    drawings = sorted((root / ("1st_manual" if observer == 1 else "2nd_manual")).glob(f"*_manual{observer}.gif"))
    if not drawings:
        raise InputError(f"{root}: holds no drawings of observer {observer}: take DRIVE's folders as it publishes them")

    def read(drawing: Path) -> _pairs.Pair:
        number = drawing.name.split("_")[0]
        photograph, field = root / "images" / f"{number}_{folder}.tif", root / "mask" / f"{number}_{folder}_mask.gif"
        return _pairs.read_pair(photograph, drawing, read_mask=partial(_vessels, field=field))

    return _pairs.Pairs(in_threads(read, drawings, verbose=verbose), CLASS_NAMES)


def _root(folder: Path) -> Path:
    for place in (folder, folder / "drive", folder / "DRIVE"):
        if (place / "training").is_dir() or (place / "test").is_dir():
            return place
    raise InputError(
        f"{folder}: holds neither DRIVE's training and test nor a folder drive: fetch it from {_PLACE}, which takes a "
        "registration, and unpack it there"
    )


def _vessels(drawing: Path, *, field: Path) -> np.ndarray:
    """Return 1 where vessels are drawn, 0 elsewhere, and void outside the field of view."""
    vessels, seen = _is_white(drawing), _is_white(field)
    if vessels.shape != seen.shape:
        raise InputError(f"{field}: is of another size than {drawing.name}: take DRIVE's own files")
    return np.where(seen, vessels.astype(np.uint8), np.uint8(VOID))


def _is_white(path: Path) -> np.ndarray:
    levels = np.asarray(_images.decode(_images.read_bytes(path), path).image.convert("L"))
    # The second observer's palette has black at 3 and white at 253.
    if np.any((levels > NEARLY) & (levels < 255 - NEARLY)):
        raise InputError(f"{path}: holds other levels than black and white: take DRIVE's own files")
    return levels > 127
