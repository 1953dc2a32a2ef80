"""In which order a data set is read, and with which draws: all of it a function of the seed."""

import os
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

DRAWS = 7
# Images at their own sizes share a batch, and are read ahead, as long as they have no more pixels than these together;
# one alone may have more.
BATCH = 2**19
AHEAD = 2**22


def order(
    count: int,
    *,
    training: bool,
    seed: int = 0,
    start: int | None = None,
    plan: Callable[[Any, Any], Any] = lambda indices, draws: (indices, draws),
) -> tf.data.Dataset:
    """Return the samples' order as a data set of (index, draw).

    Args:
        count: samples in the data set.
        training: shuffle. If False: each index once, in order, and `start` is not looked at.
        seed: what the order and the draws follow from.
        start: None for one pass an iteration, each iteration newly shuffled. A number for pass after pass without end,
            beginning behind that many samples: pass p is then a function of seed and p alone, so that an interrupted
            run goes on exactly where it was.
        plan: what to make of a pass's indices (count,) and draws (count, `DRAWS`) before they are dealt out, sample
            by sample: what is worked out for all at once costs next to nothing.

    Returns:
        What `plan` makes of a sample; by default (index int64 scalar, draw float32 (`DRAWS`,) uniform in [0, 1)). The
        draw is what the sample's augmentation follows from, another for each sample of each pass; 0.5 where nothing is
        drawn.
    """
    if not training:
        indices = tf.range(count, dtype=tf.int64)
        return tf.data.Dataset.from_tensor_slices(plan(indices, tf.fill([count, DRAWS], 0.5)))

    # AutoGraph would translate the Python of each function in a pipeline, which takes seconds and changes nothing.
    @tf.autograph.experimental.do_not_convert
    def one_pass(number: Any) -> tf.data.Dataset:
        key = tf.stack([tf.cast(seed, tf.int64), tf.cast(number, tf.int64)])
        indices = tf.random.experimental.stateless_shuffle(tf.range(count, dtype=tf.int64), key)
        draws = tf.random.stateless_uniform([count, DRAWS], key)
        return tf.data.Dataset.from_tensor_slices(plan(indices, draws))

    if start is None:
        passes = tf.data.Dataset.random(seed=seed, rerandomize_each_iteration=True).take(1)
        return passes.flat_map(one_pass).apply(tf.data.experimental.assert_cardinality(count))
    return tf.data.Dataset.range(start // count, tf.int64.max).flat_map(one_pass).skip(start % count)


def check_image_size(image_size: Any) -> None:
    """Raise `ValueError` unless this is the side of a square in pixels, or None."""
    if image_size is not None and (not isinstance(image_size, int | np.integer) or image_size < 1):
        raise ValueError(
            "`image_size` must be one whole number, the side of a square in pixels. Received: "
            f"image_size={image_size!r}"
        )


def batched(
    dataset: tf.data.Dataset, batch_size: int, *, training: bool, finish: Callable[..., Any] | None = None
) -> tf.data.Dataset:
    """Batch, `finish` each batch, and prefetch; in training a last batch that is not full is dropped."""
    if batch_size < 1:
        raise ValueError(f"`batch_size` must be at least 1. Received: batch_size={batch_size}")
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
