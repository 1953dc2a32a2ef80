"""Batches of samples: the arguments that all data sets share, and the way from samples to batches."""

import os
from collections.abc import Callable
from typing import Any, TypedDict

import numpy as np
import tensorflow as tf

from keras_segen.data._order import order
from keras_segen.errors import InputError


class Batching(TypedDict, total=False):
    """The arguments that all data sets share.

    Attributes:
        batch_size: The number of images in a batch, 16 by default.
        training: Whether the data set is for training: shuffled and augmented, without a last batch that is not full.
            False by default.
        seed: The order and the augmentation follow from this number, 0 by default.
        start: None, the default, for one pass an iteration, each shuffled anew. A number for pass after pass without
            end, from behind that many samples: a run that goes on repeats nothing and leaves nothing out.

    Example:
        >>> batching = ks.data.Batching(batch_size=2, training=True, seed=1)
        >>> train = ks.data.shapes("train", image_size=32, count=4, **batching)
        >>> len(train)
        2
    """

    batch_size: int
    training: bool
    seed: int
    start: int | None


def check_batching(batching: Batching, *, image_size: Any = None, crops: bool = False) -> None:
    """Check the arguments of a data set before it reads any file.

    Args:
        batching: The arguments that all data sets share.
        image_size: The side of the images in pixels, or None.
        crops: Whether training takes crops of `image_size`, and therefore needs it.

    Raises:
        TypeError: For an argument that is not one of `Batching`.
        ValueError: For a wrong `batch_size` or `image_size`, or training on crops without `image_size`.
    """
    for name in batching:
        if name not in Batching.__annotations__:
            raise TypeError(f"unexpected argument {name!r}: data sets share {', '.join(Batching.__annotations__)}")
    check_batch_size(batching.get("batch_size", 16))
    check_image_size(image_size)
    if crops and batching.get("training") and image_size is None:
        raise ValueError("Training needs `image_size`, the side of the crops in pixels. Received: image_size=None")


def check_image_size(image_size: Any) -> None:
    """Raise `ValueError` unless this is the side of a square in pixels, or None."""
    if image_size is not None and (not isinstance(image_size, int | np.integer) or image_size < 1):
        raise ValueError(
            "`image_size` must be one whole number of at least 1, the side of a square in pixels. Received: "
            f"image_size={image_size!r}"
        )


def check_batch_size(batch_size: int) -> None:
    """Raise `ValueError` unless this is a number of images, one at least."""
    if not isinstance(batch_size, int | np.integer) or batch_size < 1:
        raise ValueError(f"`batch_size` must be a whole number of at least 1. Received: batch_size={batch_size!r}")


def batches(
    count: int,
    sample: Callable[..., Any],
    *,
    batch_size: int = 16,
    training: bool = False,
    seed: int = 0,
    start: int | None = None,
    plan: Callable[[Any, Any], Any] = lambda indices, draws: (indices, draws),
    parallel: int = tf.data.AUTOTUNE,
    finish: Callable[..., Any] | None = None,
) -> tf.data.Dataset:
    """Make a data set of batches.

    Args:
        count: The number of samples.
        sample: The results of `plan` for a sample -> the sample; by default (index, draw) -> the sample.
        batch_size: The number of images in a batch, as in `Batching`.
        training: Whether the data set is for training, as in `Batching`.
        seed: The seed of order and augmentation, as in `Batching`.
        start: The number of samples to begin after, or None, as in `Batching`.
        plan: A function of the indices and draws of a pass; see `order`.
        parallel: The number of samples that are made at once.
        finish: A function of each batch that returns the batch to use, or None.

    Raises:
        InputError: For a pass of fewer training samples than make a batch.
        ValueError: For a batch without images.
    """
    check_batch_size(batch_size)
    if training and start is None and count < batch_size:
        raise InputError(f"{count} images do not fill one batch of {batch_size}: lower `batch_size`")
    samples = order(count, training=training, seed=seed, start=start, plan=plan)
    samples = samples.map(sample, num_parallel_calls=parallel, deterministic=True)
    return batched(samples, batch_size, training=training, finish=finish)


def batched(
    dataset: tf.data.Dataset, batch_size: int, *, training: bool, finish: Callable[..., Any] | None = None
) -> tf.data.Dataset:
    """Batch, `finish` each batch, and prefetch; in training a last batch that is not full is dropped."""
    check_batch_size(batch_size)
    options = tf.data.Options()
    # The process may have one inter-op thread, which makes training repeatable; decoding wants every core all the same.
    options.threading.private_threadpool_size = os.cpu_count() or 1
    # One thread an operation: the parallelism is across images.
    options.threading.max_intra_op_parallelism = 1
    dataset = dataset.batch(batch_size, drop_remainder=training)
    if finish:
        dataset = dataset.map(finish, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
    # One batch ahead is enough where samples are made in parallel, and AUTOTUNE might hold many.
    return dataset.prefetch(tf.data.AUTOTUNE if training else 1).with_options(options)
