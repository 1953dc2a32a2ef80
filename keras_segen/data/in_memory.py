"""Images for generators that lie decoded in memory: 50,000 of 32×32 take 154 MB."""

from typing import Any

import numpy as np
import tensorflow as tf

from keras_segen.data.order import batched, order
from keras_segen.errors import InputError


def dataset(
    images: np.ndarray,
    labels: np.ndarray | None,
    *,
    batch_size: int,
    training: bool,
    seed: int,
    start: int | None = None,
) -> tf.data.Dataset:
    """Turn images into batches; in training they are shuffled, and mirrored left and right every other time.

    Args:
        images: uint8 (count, height, width, channels).
        labels: (count, ...), or None.
        batch_size: images a batch.
        training: shuffle and mirror.
        seed: what order and mirroring follow from.
        start: see `order.order`.

    Returns:
        Batches of image float32 (batch, height, width, channels) in [-1, 1], or of (image, label).

    Raises:
        InputError: for fewer training images than make a batch.
    """
    if training and start is None and len(images) < batch_size:
        raise InputError(f"{len(images)} images do not fill one batch of {batch_size}: lower `batch_size`")
    pixels = tf.constant(images)
    answers = None if labels is None else tf.constant(labels)

    @tf.autograph.experimental.do_not_convert
    def sample(index: Any, draw: Any) -> Any:
        image = prepare(pixels[index], draw, training=training)
        return image if answers is None else (image, answers[index])

    samples = order(len(images), training=training, seed=seed, start=start)
    samples = samples.map(sample, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
    return batched(samples, batch_size, training=training)


def prepare(image: Any, draw: Any, *, training: bool) -> Any:
    """Turn bytes into [-1, 1], in training mirrored every other time."""
    if training:
        image = tf.cond(draw[0] < 0.5, lambda: image[:, ::-1], lambda: image)
    return tf.cast(image, tf.float32) / 127.5 - 1
