"""Pascal VOC's segmentation pairs, read from the devkit's own folders."""

from pathlib import Path

import tensorflow as tf

from keras_segen.data import pairs
from keras_segen.data.augmentation import Augmentation
from keras_segen.data.in_threads import in_threads
from keras_segen.errors import InputError

CLASS_NAMES = (
    "background",
    "aeroplane",
    "bicycle",
    "bird",
    "boat",
    "bottle",
    "bus",
    "car",
    "cat",
    "chair",
    "cow",
    "diningtable",
    "dog",
    "horse",
    "motorbike",
    "person",
    "pottedplant",
    "sheep",
    "sofa",
    "train",
    "tvmonitor",
)
HOST = "http://host.robots.ox.ac.uk/pascal/VOC"
# By year, the splits and the archive that holds each.
ARCHIVES = {
    2007: {
        "train": f"{HOST}/voc2007/VOCtrainval_06-Nov-2007.tar",
        "val": f"{HOST}/voc2007/VOCtrainval_06-Nov-2007.tar",
        "trainval": f"{HOST}/voc2007/VOCtrainval_06-Nov-2007.tar",
        "test": f"{HOST}/voc2007/VOCtest_06-Nov-2007.tar",
    },
    2012: dict.fromkeys(("train", "val", "trainval"), f"{HOST}/voc2012/VOCtrainval_11-May-2012.tar"),
}


def voc(
    split: str,
    *,
    data_dir: Path | str | None = None,
    image_size: int | None = None,
    batch_size: int = 16,
    training: bool = False,
    seed: int = 0,
    year: int = 2012,
    augmentation: Augmentation | None = None,
    start: int | None = None,
) -> tf.data.Dataset:
    """Read Pascal VOC's segmentation pairs as a data set that is ready for `fit` (Everingham et al., 2010).

    Args:
        split: "train", "val" or "trainval"; of 2007 also "test".
        data_dir: the folder `VOCdevkit`, as its archives unpack, or the folder that holds it; None for
            `~/tensorflow_datasets`.
        image_size: as for `folder`.
        batch_size: images a batch.
        training: shuffle and augment.
        seed: what order and augmentation follow from.
        year: 2012 or 2007.
        augmentation: how far training images are varied; by default `Augmentation()`.
        start: samples already seen, for a run that goes on; see `order.order`.

    Returns:
        Batches of (image float32 (batch, height, width, 3) in [0, 255], mask uint8 (batch, height, width) of indices
        into `CLASS_NAMES`, 255 void).

    Raises:
        InputError: if the devkit is not there, or a file of it cannot be used; the message names it.
        ValueError: for another year or split.
    """
    return pairs.dataset(
        read_voc(split, data_dir, year=year),
        image_size=image_size,
        batch_size=batch_size,
        training=training,
        seed=seed,
        augmentation=augmentation,
        start=start,
    )


def read_voc(
    split: str, data_dir: Path | str | None = None, *, year: int = 2012, verbose: bool = False
) -> list[pairs.Pair]:
    """Find, read and check every pair of a split, in the split file's order; see `voc`."""
    if year not in ARCHIVES or split not in ARCHIVES[year]:
        splits = "; ".join(f"{y}: {', '.join(names)}" for y, names in ARCHIVES.items())
        raise ValueError(f"Pascal VOC's splits with masks are {splits}. Received: split={split!r}, year={year}")
    root = _find(split, data_dir, year)
    names = _names(root / "ImageSets" / "Segmentation" / f"{split}.txt")
    paths = [(root / "JPEGImages" / f"{name}.jpg", root / "SegmentationClass" / f"{name}.png") for name in names]
    found = in_threads(lambda both: pairs.read_pair(*both), paths, verbose=verbose)
    pairs.check_ids(found, len(CLASS_NAMES))
    return found


def _find(split: str, data_dir: Path | str | None, year: int) -> Path:
    """Return the devkit's folder of a year, wherever in `data_dir` it begins."""
    base = Path.home() / "tensorflow_datasets" if data_dir is None else Path(data_dir)
    for root in (base / "VOCdevkit" / f"VOC{year}", base / f"VOC{year}", base):
        if (root / "SegmentationClass").is_dir():
            return root
    raise InputError(
        f"{base}: holds no VOCdevkit/VOC{year} with SegmentationClass: fetch {ARCHIVES[year][split]} "
        "and unpack it there"
    )


def _names(path: Path) -> list[str]:
    if not path.is_file():
        raise InputError(f"{path}: is not there: take the whole devkit, with ImageSets/Segmentation")
    try:
        names = path.read_text(encoding="ascii").split()
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: is no list of image names: take the devkit's own") from error
    if not names or len(set(names)) < len(names):
        raise InputError(f"{path}: must name images, each once: take the devkit's own")
    return names
