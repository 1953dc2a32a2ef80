"""CelebA (Liu et al., 2015, arXiv:1411.7766): 202,599 aligned faces of 178×218 with 40 attributes."""

from collections.abc import Sequence
from typing import Any, Unpack

import keras
import numpy as np
import tensorflow as tf

from keras_segen.data import _in_memory
from keras_segen.data._batching import Batching, check_batching, check_image_size
from keras_segen.data._named import prepared
from keras_segen.types import PathLike, Tensor

# The middle 140×140 pixels, as in the papers on score-based models (Song and Ermon, 2020; Song et al., 2021): a number
# that is to be compared with theirs depends on it.
CROP = 140
SPLITS = {"train": "train", "val": "validation", "test": "test"}
BY_HAND = (
    "its host, Google Drive, has a daily quota. Fetch img_align_celeba.zip, list_attr_celeba.txt, "
    "list_eval_partition.txt and list_landmarks_align_celeba.txt by hand from "
    "https://mmlab.ie.cuhk.edu.hk/projects/CelebA.html into "
    "~/tensorflow_datasets/downloads/manual, or copy a prepared celeb_a/2.1.0 into `data_dir`"
)


def celeb_a(
    split: str,
    *,
    data_dir: PathLike | None = None,
    image_size: int | None = 64,
    target: Sequence[str] | None = None,
    verbose: bool = False,
    **batching: Unpack[Batching],
) -> tf.data.Dataset:
    """Read CelebA as a data set that is ready for `fit`.

    Each image is the middle square of `CROP` pixels, resized with antialiasing. All are decoded once and held in memory
    as bytes: 2.0 GB for the whole training split at 64×64.

    Args:
        split: The split: "train", "val" or "test".
        data_dir: The folder in which TensorFlow Datasets keeps data sets. CelebA is downloaded there if it is missing.
        image_size: The side of the images in pixels; None for `CROP`.
        target: The names of attributes, such as "Smiling" and "Eyeglasses", or None for images alone.
        verbose: Whether to show a progress bar while files are read and checked.
        batching: `batch_size=16`, `training=False`, `seed=0` and `start=None`; see `Batching`. In
            training images are mirrored left and right every other time.

    Returns:
        Batches of image float32 (batch, image_size, image_size, 3) in [-1, 1]; with a target, of (image, label
        float32 (batch, attributes), 1 where the face has it, else 0).

    Raises:
        InputError: If the data are missing and cannot be downloaded.
        ValueError: For an unknown split or attribute.

    Example:
        >>> faces = ks.data.celeb_a("train", data_dir="datasets", image_size=64, target=["Smiling"], training=True)
        >>> images, labels = next(iter(faces))
        >>> images.shape, labels.shape
        (TensorShape([16, 64, 64, 3]), TensorShape([16, 1]))
    """
    if split not in SPLITS:
        raise ValueError(f"CelebA's splits are {', '.join(SPLITS)}. Received: split={split!r}")
    check_batching(batching, image_size=image_size)
    attributes = (target,) if isinstance(target, str) else tuple(target or ())
    images, labels = read_celeb_a(split, data_dir, image_size=image_size, attributes=attributes, verbose=verbose)
    return _in_memory.from_arrays(images, labels if attributes else None, **batching)


def read_celeb_a(
    split: str,
    data_dir: PathLike | None = None,
    *,
    image_size: int | None = 64,
    attributes: Sequence[str] = (),
    verbose: bool = False,
) -> tuple[np.ndarray, np.ndarray]:
    """Return images uint8 (count, side, side, 3) and labels float32 (count, attributes) of a split; see `celeb_a`.

    Example:
        >>> images, smiling = ks.data.read_celeb_a("val", image_size=64, attributes=["Smiling"])
        >>> batches = ks.data.from_arrays(images, smiling)
    """
    builder = prepared("celeb_a:2.1.0", data_dir, by_hand=BY_HAND)
    names = sorted(builder.info.features["attributes"])
    unknown = tuple(name for name in attributes if name not in names)
    if unknown:
        raise ValueError(f"CelebA's attributes are {', '.join(names)}. Received: {unknown}")
    check_image_size(image_size)
    size = image_size or CROP

    @tf.autograph.experimental.do_not_convert
    def face(example: Any) -> Tensor:
        image = tf.image.resize_with_crop_or_pad(example["image"], CROP, CROP)
        image = tf.image.resize(image, [size, size], antialias=True)
        label = tf.stack([tf.cast(example["attributes"][name], tf.float32) for name in attributes] or [0.0])
        return tf.cast(tf.clip_by_value(tf.round(image), 0, 255), tf.uint8), label

    split = SPLITS[split]
    examples = builder.as_dataset(split=split, shuffle_files=False).map(face, num_parallel_calls=tf.data.AUTOTUNE)
    count = builder.info.splits[split].num_examples
    bar = keras.utils.Progbar(count, unit_name="image") if verbose else None
    images = np.empty((count, size, size, 3), np.uint8)
    labels = np.empty((count, len(attributes)), np.float32)
    first = 0
    for batch, its_labels in examples.batch(256).as_numpy_iterator():
        part = slice(first, first + len(batch))
        images[part], labels[part] = batch, its_labels[:, : len(attributes)]
        first += len(batch)
        if bar:
            bar.update(first)
    return images[:first], labels[:first]
