"""Replicas of `tf.distribute`: each one's share of a batch, and its part of the random numbers."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import keras

from keras_segen.types import Tensor


class Share(NamedTuple):
    """The number of images of a batch on this replica, on the replicas before it, and on all."""

    own: Any
    before: Any
    total: Any


_thread = threading.local()  # each replica of a step runs in a thread of its own


def replica_count() -> int:
    """Return the number of replicas on which this step runs; 1 outside `tf.distribute`."""
    if keras.backend.backend() != "tensorflow":
        return 1
    import tensorflow as tf

    return int(tf.distribute.get_strategy().num_replicas_in_sync)


def share_of(own: Tensor) -> Share:
    """Return this replica's share of the batch; all replicas must call it at once.

    Args:
        own: The number of images of this replica. The last batch of a data set may leave it fewer than others, or none.
    """
    if replica_count() == 1:
        return Share(own, 0, own)
    import tensorflow as tf

    context = tf.distribute.get_replica_context()
    places = tf.range(replica_count())
    here = places == context.replica_id_in_sync_group
    counts = context.all_reduce(tf.distribute.ReduceOp.SUM, tf.where(here, tf.cast(own, tf.float32), 0.0))
    before = tf.reduce_sum(tf.where(places < context.replica_id_in_sync_group, counts, 0.0))
    return Share(own, *(tf.cast(count, tf.int32) for count in (before, tf.reduce_sum(counts))))


def stand_in(batch: Tensor) -> Tensor:
    """Return this replica's part of a batch, or the first image of another replica where it has none.

    A mean over nothing is NaN. The image that stands in has no weight: this replica's share is still 0.
    """
    if replica_count() == 1:
        return batch
    import tensorflow as tf

    context = tf.distribute.get_replica_context()
    own = tf.shape(keras.tree.flatten(batch)[0])[0]
    share = share_of(own)
    is_first = tf.logical_and(own > 0, share.before == 0)

    def filled(values: Any) -> Tensor:
        padded = tf.concat([values[:1], tf.zeros([1, *values.shape[1:]], values.dtype)], 0)[:1]
        mine = tf.where(is_first, tf.cast(padded, tf.float32), 0.0)
        first = tf.cast(context.all_reduce(tf.distribute.ReduceOp.SUM, mine), values.dtype)
        return tf.cond(own > 0, lambda: values, lambda: first)

    return keras.tree.map_structure(filled, batch)


@contextmanager
def sharing(share: Share) -> Iterator[None]:
    """Let `rows` draw for this share inside the block."""
    _thread.share = share
    try:
        yield
    finally:
        del _thread.share


def rows(draw: Callable[[Any], Any], batch: Tensor) -> Tensor:
    """Draw random numbers for all replicas' images, and return this replica's rows.

    Every replica's seed generator is in the same state, so a draw of its own share alone would give all of them the
    same numbers. This way they differ, and all together are what one replica would draw for the whole batch.

    Args:
        draw: A function: the number of rows -> a tensor with as many rows.
        batch: The number of rows for this replica.
    """
    if replica_count() == 1:
        return draw(batch)
    share = getattr(_thread, "share", None) or share_of(batch)
    # A replica whose image only stands in takes the last row.
    first = keras.ops.minimum(share.before, share.total - batch)
    return draw(share.total)[first : first + batch]


def as_log(scalar: Tensor) -> Any:
    """Return a scalar in the form that Keras's `fit` can join over replicas: a vector of one with several workers."""
    if keras.backend.backend() != "tensorflow":
        return scalar
    import tensorflow as tf

    several_workers = isinstance(tf.distribute.get_strategy(), tf.distribute.MultiWorkerMirroredStrategy)
    return tf.reshape(scalar, [1]) if several_workers else scalar
