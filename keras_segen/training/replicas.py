"""How a step knows its share of the batch when `tf.distribute` runs it once on each of several devices."""

from collections.abc import Callable
from typing import Any

import keras


def replica_count() -> int:
    """Return on how many replicas this step runs; 1 outside `tf.distribute`."""
    if keras.backend.backend() != "tensorflow":
        return 1
    import tensorflow as tf

    return int(tf.distribute.get_strategy().num_replicas_in_sync)


def rows(draw: Callable[[int], Any], batch: Any) -> Any:
    """Draw random numbers for all replicas' images, and return this replica's rows.

    Every replica's seed generator is in the same state, so a draw of its own share alone would give all of them the
    same numbers. This way they differ, and all together are what one replica would draw for the whole batch.

    Args:
        draw: number of rows -> tensor with so many rows.
        batch: images of this replica, the same on each.
    """
    replicas = replica_count()
    if replicas == 1:
        return draw(batch)
    import tensorflow as tf

    first = tf.distribute.get_replica_context().replica_id_in_sync_group * batch
    return draw(batch * replicas)[first : first + batch]


def as_log(scalar: Any) -> Any:
    """Return a scalar as Keras's `fit` can join it over replicas: with several workers, as a vector of one."""
    if keras.backend.backend() != "tensorflow":
        return scalar
    import tensorflow as tf

    several_workers = isinstance(tf.distribute.get_strategy(), tf.distribute.MultiWorkerMirroredStrategy)
    return tf.reshape(scalar, [1]) if several_workers else scalar
