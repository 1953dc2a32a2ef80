"""CelebA (Liu et al., 2015, arXiv:1411.7766): 202,599 aligned faces of 178×218 with 40 attributes."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_segen.data import in_memory
from keras_segen.data.named import prepared
from keras_segen.data.order import check_image_size

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
    data_dir: Path | str | None = None,
    image_size: int | None = 64,
    batch_size: int = 16,
    training: bool = False,
    seed: int = 0,
    attributes: Sequence[str] = (),
    start: int | None = None,
) -> tf.data.Dataset:
    """Read CelebA as a data set that is ready for `fit`.

    Each image is the middle `CROP` pixels, resized with antialiasing. All are decoded once and held in memory as bytes:
    2.0 GB for the whole training split at 64×64.

    Args:
        split: "train", "val" or "test".
        data_dir: where TensorFlow Datasets keeps data sets; it is downloaded there if it is not there yet.
        image_size: side of the images in pixels; None for `CROP`.
        batch_size: images a batch.
        training: shuffle, and mirror left and right every other time.
        seed: what order and mirroring follow from.
        attributes: names such as "Smiling" and "Eyeglasses", for labels; none for images alone.
        start: samples already seen, for a run that goes on; see `order.order`.

    Returns:
        Batches of image float32 (batch, image_size, image_size, 3) in [-1, 1]; with attributes, of (image, label
        float32 (batch, attributes), 1 where the face has it, else 0).

    Raises:
        InputError: if the data are not there and cannot be downloaded.
        ValueError: for another split or an attribute that there is not.
    """
    if split not in SPLITS:
        raise ValueError(f"CelebA's splits are {', '.join(SPLITS)}. Received: split={split!r}")
    images, labels = read_celeb_a(split, data_dir, image_size=image_size, attributes=attributes)
    return in_memory.dataset(
        images,
        labels if attributes else None,
        batch_size=batch_size,
        training=training,
        seed=seed,
        start=start,
    )


def read_celeb_a(
    split: str,
    data_dir: Path | str | None = None,
    *,
    image_size: int | None = 64,
    attributes: Sequence[str] = (),
    verbose: bool = False,
) -> tuple[np.ndarray, np.ndarray]:
    """Return images uint8 (count, side, side, 3) and labels float32 (count, attributes) of a split; see `celeb_a`."""
    builder = prepared("celeb_a:2.1.0", data_dir, by_hand=BY_HAND)
    known = sorted(builder.info.features["attributes"])
    unknown = [name for name in attributes if name not in known]
    if unknown:
        raise ValueError(f"CelebA's attributes are {', '.join(known)}. Received: attributes={tuple(unknown)}")
    check_image_size(image_size)
    size = image_size or CROP

    @tf.autograph.experimental.do_not_convert
    def face(example: Any) -> Any:
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
    for some, answers in examples.batch(256).as_numpy_iterator():
        images[first : first + len(some)], labels[first : first + len(some)] = some, answers[:, : len(attributes)]
        first += len(some)
        if bar:
            bar.update(first)
    return images[:first], labels[:first]
