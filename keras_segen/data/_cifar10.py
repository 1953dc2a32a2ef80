"""CIFAR-10 (Krizhevsky, 2009): 50,000 and 10,000 photographs of 32×32 in ten classes."""

from typing import Literal, Unpack

import numpy as np
import tensorflow as tf

from keras_segen.data import _in_memory
from keras_segen.data._batching import Batching, check_batching
from keras_segen.data._named import check_target, prepared
from keras_segen.types import PathLike

CLASS_NAMES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
SPLITS = ("train", "test")
BY_HAND = (
    "fetch https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz elsewhere, prepare it there by "
    "tfds.load('cifar10'), and copy ~/tensorflow_datasets/cifar10 into `data_dir`"
)


def cifar10(
    split: str,
    *,
    data_dir: PathLike | None = None,
    image_size: int | None = None,
    target: Literal["label"] | None = "label",
    **batching: Unpack[Batching],
) -> tf.data.Dataset:
    """Read CIFAR-10 as a data set that is ready for `fit`; it is held decoded in memory.

    Args:
        split: The split: "train" or "test".
        data_dir: The folder in which TensorFlow Datasets keeps data sets. CIFAR-10 is downloaded there if it is
            missing.
        image_size: The side of the images in pixels: 32, or None for the same.
        target: The target beside the image: "label" or None.
        batching: `batch_size=16`, `training=False`, `seed=0` and `start=None`; see `Batching`. In
            training images are mirrored left and right every other time.

    Returns:
        Batches of (image float32 (batch, 32, 32, 3) in [-1, 1], label int32 (batch,) of indices into `CLASS_NAMES`), or
        of image alone.

    Raises:
        InputError: If the data are missing and cannot be downloaded.
        ValueError: For an unknown split or target, or another size.

    Example:
        >>> train = ks.data.cifar10("train", data_dir="datasets", batch_size=128, training=True)
        >>> images, labels = next(iter(train))
        >>> images.shape, labels.shape
        (TensorShape([128, 32, 32, 3]), TensorShape([128]))
    """
    check_target(target)
    check_batching(batching)
    images, labels = read_cifar10(split, data_dir, image_size=image_size)
    return _in_memory.from_arrays(images, labels if target == "label" else None, **batching)


def read_cifar10(
    split: str, data_dir: PathLike | None = None, *, image_size: int | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Return images uint8 (count, 32, 32, 3) and labels int32 (count,); arguments and errors as `cifar10`.

    Example:
        >>> images, labels = ks.data.read_cifar10("train")
        >>> batches = ks.data.from_arrays(images, labels, training=True)
    """
    if split not in SPLITS or image_size not in (None, 32):
        raise ValueError(
            'cifar10 has the splits "train" and "test", and images of 32×32. '
            f"Received: split={split!r}, image_size={image_size}"
        )
    builder = prepared("cifar10:3.0.2", data_dir, by_hand=BY_HAND)
    whole = builder.as_dataset(split=split, batch_size=-1, shuffle_files=False)
    return whole["image"].numpy(), whole["label"].numpy().astype(np.int32)
