"""The order of a data set's samples, and the random numbers of each: all of it a function of the seed."""

from collections.abc import Callable
from typing import Any

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
