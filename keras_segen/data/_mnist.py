"""MNIST (LeCun et al., 1998) and Fashion-MNIST (Xiao et al., 2017): 60,000 and 10,000 grey images of 28×28."""

from typing import Literal, Unpack

import numpy as np
import tensorflow as tf

from keras_segen.data import _in_memory
from keras_segen.data._batching import Batching, check_batching
from keras_segen.data._named import check_target, prepared
from keras_segen.types import PathLike

DIGITS = ("0", "1", "2", "3", "4", "5", "6", "7", "8", "9")
# As their authors call them, but "T-shirt/top", which could not name a folder.
CLOTHES = (
    "T-shirt or top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)
SPLITS = ("train", "test")
_SIZES = (None, 28, 32)


def mnist(
    split: str,
    *,
    data_dir: PathLike | None = None,
    image_size: int | None = None,
    target: Literal["label"] | None = "label",
    **batching: Unpack[Batching],
) -> tf.data.Dataset:
    """Read MNIST's digits as a data set that is ready for `fit`; it is held decoded in memory.

    Args:
        split: The split: "train" or "test".
        data_dir: The folder in which TensorFlow Datasets keeps data sets. MNIST is downloaded there if it is missing.
        image_size: The side of the images in pixels: 28, None for the same, or 32, with two pixels of black around, for
            networks that double their maps.
        target: The target beside the image: "label" or None.
        batching: `batch_size=16`, `training=False`, `seed=0` and `start=None`; see `Batching`. Images are not mirrored.

    Returns:
        Batches of (image float32 (batch, side, side, 1) in [-1, 1], label int32 (batch,)), or of image alone, in the
        order of the official files.

    Raises:
        InputError: If the data are missing and cannot be downloaded.
        ValueError: For an unknown split or target, or another size.

    Example:
        >>> train = ks.data.mnist("train", data_dir="datasets", image_size=32, batch_size=128, training=True)
        >>> images, labels = next(iter(train))
        >>> images.shape, labels.shape
        (TensorShape([128, 32, 32, 1]), TensorShape([128]))
    """
    check_target(target)
    check_batching(batching)
    images, labels = read_mnist(split, data_dir, image_size=image_size)
    return _in_memory.from_arrays(images, labels if target == "label" else None, mirror=False, **batching)


def fashion_mnist(
    split: str,
    *,
    data_dir: PathLike | None = None,
    image_size: int | None = None,
    target: Literal["label"] | None = "label",
    **batching: Unpack[Batching],
) -> tf.data.Dataset:
    """Read Fashion-MNIST's clothes as a data set that is ready for `fit`; arguments, result and errors as `mnist`.

    Example:
        >>> train = ks.data.fashion_mnist("train", data_dir="datasets", batch_size=128, training=True)
        >>> images, labels = next(iter(train))
        >>> images.shape, labels.shape
        (TensorShape([128, 28, 28, 1]), TensorShape([128]))
    """
    check_target(target)
    check_batching(batching)
    images, labels = read_fashion_mnist(split, data_dir, image_size=image_size)
    return _in_memory.from_arrays(images, labels if target == "label" else None, mirror=False, **batching)


def read_mnist(
    split: str, data_dir: PathLike | None = None, *, image_size: int | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Return images uint8 (count, side, side, 1) and labels int32 (count,); arguments, order and errors as `mnist`.

    Example:
        >>> images, labels = ks.data.read_mnist("train")
        >>> batches = ks.data.from_arrays(images, labels, training=True, mirror=False)
    """
    return _read("mnist:3.0.1", "https://storage.googleapis.com/cvdf-datasets/mnist/", split, data_dir, image_size)


def read_fashion_mnist(
    split: str, data_dir: PathLike | None = None, *, image_size: int | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Return images and labels of Fashion-MNIST as `read_mnist` does.

    Example:
        >>> images, labels = ks.data.read_fashion_mnist("train")
        >>> batches = ks.data.from_arrays(images, labels, training=True, mirror=False)
    """
    place = "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/"
    return _read("fashion_mnist:3.0.1", place, split, data_dir, image_size)


def _read(
    name: str, place: str, split: str, data_dir: PathLike | None, image_size: int | None
) -> tuple[np.ndarray, np.ndarray]:
    short = name.split(":", maxsplit=1)[0]
    if split not in SPLITS or image_size not in _SIZES:
        raise ValueError(
            f'{short} has the splits "train" and "test", and images of 28×28, or 32×32 with black around. '
            f"Received: split={split!r}, image_size={image_size}"
        )
    by_hand = (
        f"prepare it elsewhere by tfds.load('{short}'), which reads {place}, and copy ~/tensorflow_datasets/{short} "
        "into `data_dir`"
    )
    builder = prepared(name, data_dir, by_hand=by_hand)
    whole = builder.as_dataset(split=split, batch_size=-1, shuffle_files=False)
    images, labels = whole["image"].numpy(), whole["label"].numpy().astype(np.int32)
    order = _official_order(split, len(labels))
    margin = ((image_size or 28) - 28) // 2
    return np.pad(images[order], [(0, 0), (margin, margin), (margin, margin), (0, 0)]), labels[order]


def _official_order(split: str, count: int) -> np.ndarray:
    """Return where each image of the official file lies in TensorFlow Datasets' files, which its hash has sorted."""
    from tensorflow_datasets.core.hashing import Hasher

    hasher = Hasher(split)
    return np.argsort(np.argsort(np.array([hasher.hash_key(i) for i in range(count)], object)))
