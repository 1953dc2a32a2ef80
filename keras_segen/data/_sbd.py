"""Masks for 8,000 more of Pascal VOC's images: the Semantic Boundaries Dataset (Hariharan et al., 2011)."""

from pathlib import Path

import numpy as np
from scipy.io import loadmat

from keras_segen._downloads import Download
from keras_segen.data._archives import provide
from keras_segen.errors import InputError

_PLACE = "eecs.berkeley.edu/Research/Projects/CS/vision/grouping/semantic_contours"
ARCHIVE = Download(
    "benchmark.tgz",
    "6a5a2918d5c73ce032fdeba876574d150d9d04113ab87540a1304cbcc715be53",
    (f"https://www2.{_PLACE}/benchmark.tgz", f"http://www.{_PLACE}/benchmark.tgz"),
)


def sbd(folder: Path) -> Path:
    """Return the folder `benchmark_RELEASE/dataset` in `folder`, which the archive is fetched into if need be."""
    root = folder / "benchmark_RELEASE" / "dataset"
    if not (root / "cls").is_dir():
        provide(ARCHIVE, folder)
    return root


def read_mat(path: Path) -> np.ndarray:
    """Read the class mask of a .mat file, which executes nothing.

    Returns:
        uint8 (height, width) of class ids as Pascal VOC numbers them. There is no void.

    Raises:
        InputError: If the file is missing, damaged, or holds no mask.
    """
    try:
        with path.open("rb") as file:
            mask = loadmat(file, variable_names=["GTcls"])["GTcls"]["Segmentation"][0, 0]
    except FileNotFoundError as error:
        raise InputError(f"{path}: is not there: unpack the whole of {ARCHIVE.name}") from error
    except Exception as error:  # SciPy stumbles over damaged files in many ways
        raise InputError(f"{path}: is damaged, or holds no mask of SBD's ({error}): fetch {ARCHIVE.urls[0]}") from error
    if mask.ndim != 2 or mask.dtype != np.uint8:
        raise InputError(f"{path}: its mask is {mask.dtype} {mask.shape}, not uint8 in two dimensions: take SBD's own")
    return mask
