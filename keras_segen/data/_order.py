"""Order of a data set's samples, and the random numbers of each: all a function of the seed."""

from collections.abc import Callable
from typing import Any

import tensorflow as tf

# The numbers of each sample's augmentation. Those that came with further kinds of it are drawn apart, so that the first
# stay what they were.
FIRST, FURTHER = 7, 8
# Displacements are drawn on a grid of so many places each way (Ronneberger et al., 2015, section 3.1).
GRID = 3
DRAWS = FIRST + FURTHER + 2 * GRID**2
FURTHER_KEY = (0, 2**40)
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
        count: The number of samples in the data set.
        training: Whether to shuffle. If False, each index comes once, in order, and `start` is ignored.
        seed: The seed of the order and the draws.
        start: None for one pass in each iteration, newly shuffled. A number for pass after pass without end, beginning
            after as many samples: pass p is then a function of the seed and p alone, so that an interrupted run resumes
            exactly where it was.
        plan: A function of a pass's indices (count,) and draws (count, `DRAWS`), which is called before they are dealt
            out, sample by sample, because computing it for all at once costs next to nothing.

    Returns:
        The results of `plan` for each sample; by default (index int64 scalar, draw float32 (`DRAWS`,) uniform in
        [0, 1)). The draw determines the sample's augmentation, and differs for each sample of each pass; it is 0.5
        where nothing is drawn.
    """
    if not training:
        indices = tf.range(count, dtype=tf.int64)
        return tf.data.Dataset.from_tensor_slices(plan(indices, tf.fill([count, DRAWS], 0.5)))

    # AutoGraph would translate the Python of each function in a pipeline, which takes seconds and changes nothing.
    @tf.autograph.experimental.do_not_convert
    def one_pass(number: Any) -> tf.data.Dataset:
        key = tf.stack([tf.cast(seed, tf.int64), tf.cast(number, tf.int64)])
        indices = tf.random.experimental.stateless_shuffle(tf.range(count, dtype=tf.int64), key)
        draws = tf.concat(
            [
                tf.random.stateless_uniform([count, FIRST], key),
                tf.random.stateless_uniform([count, DRAWS - FIRST], key + FURTHER_KEY),
            ],
            -1,
        )
        return tf.data.Dataset.from_tensor_slices(plan(indices, draws))

    if start is None:
        passes = tf.data.Dataset.random(seed=seed, rerandomize_each_iteration=True).take(1)
        return passes.flat_map(one_pass).apply(tf.data.experimental.assert_cardinality(count))
    return tf.data.Dataset.range(start // count, tf.int64.max).flat_map(one_pass).skip(start % count)
