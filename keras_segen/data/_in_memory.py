"""Images in memory, as generators and classifiers take them: 50,000 of 32×32 take 154 MB."""

from typing import Unpack

import numpy as np
import tensorflow as tf

from keras_segen.data._batching import Batching, batches
from keras_segen.types import Tensor


def from_arrays(
    images: np.ndarray, labels: np.ndarray | None = None, *, mirror: bool = True, **batching: Unpack[Batching]
) -> tf.data.Dataset:
    """Turn images into batches; in training they are shuffled, and mirrored left and right every other time.

    Args:
        images: The images, uint8 (count, height, width, channels).
        labels: Their labels (count, ...), or None.
        mirror: Whether they are mirrored in training, which digits must not be.
        batching: `batch_size=16`, `training=False`, `seed=0` and `start=None`; see `Batching`.

    Returns:
        Batches of image float32 (batch, height, width, channels) in [-1, 1], or of (image, label).

    Raises:
        InputError: For fewer training images than make a batch.
        ValueError: For other images, or another number of labels.

    Example:
        >>> images = np.zeros((100, 32, 32, 3), "uint8")
        >>> batches = ks.data.from_arrays(images, np.arange(100) % 10, batch_size=20, training=True)
        >>> image, label = next(iter(batches))
        >>> image.shape, float(image[0, 0, 0, 0])
        (TensorShape([20, 32, 32, 3]), -1.0)
    """
    images = np.asarray(images)
    if images.dtype != np.uint8 or images.ndim != 4 or not len(images):
        raise ValueError(
            "`images` must be uint8 (count, height, width, channels), one at least. Received: "
            f"{images.dtype} {images.shape}"
        )
    if labels is not None and len(labels) != len(images):
        raise ValueError(f"Each image needs a label. Received: {len(images)} images and {len(labels)} labels")
    training = batching.get("training", False)
    pixels = tf.constant(images)
    classes = None if labels is None else tf.constant(labels)

    @tf.autograph.experimental.do_not_convert
    def sample(index: Tensor, draw: Tensor) -> Tensor:
        image = prepare(pixels[index], draw, training=training and mirror)
        return image if classes is None else (image, classes[index])

    return batches(len(images), sample, **batching)


def prepare(image: Tensor, draw: Tensor, *, training: bool) -> Tensor:
    """Turn bytes into [-1, 1], in training mirrored every other time."""
    if training:
        image = tf.cond(draw[0] < 0.5, lambda: image[:, ::-1], lambda: image)
    return tf.cast(image, tf.float32) / 127.5 - 1
