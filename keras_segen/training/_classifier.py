"""Training a classifier from scratch, such as the one behind `metrics.cifar10_features`."""

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from keras_segen.ranges import to_floats

PEAK = 0.15  # learning rate, reached after a fifth of the steps and left along a cosine
WEIGHT_DECAY = 5e-4


def train_classifier(
    network: keras.Model, batches: tf.data.Dataset, *, steps: int, seed: int = 0, verbose: int = 2
) -> keras.Model:
    """Train a network such as `models.classifier` on images, shifted by up to an eighth.

    Args:
        network: Images in [-1, 1] (batch, height, width, channels) -> logits (batch, num_classes).
        batches: Batches of (images, labels) without end: float32 (batch, height, width, channels) in [-1, 1], mirrored
            at random, and class ids int (batch,).
        steps: The number of steps.
        seed: The seed of the shifts.
        verbose: The verbosity, as in `fit`.

    Returns:
        The network.

    Example:
        >>> images, labels = ks.data.scenes("train", count=64, image_size=16)
        >>> batches = ks.data.from_arrays(images, labels, batch_size=8, training=True, start=0)
        >>> network = ks.training.train_classifier(ks.models.classifier((16, 16, 3), 5), batches, steps=5, verbose=0)
        >>> network.output_shape
        (None, 5)
    """
    image = keras.Input(network.input_shape[1:])
    shifted = layers.RandomTranslation(0.125, 0.125, fill_mode="reflect", interpolation="nearest", seed=seed)(image)
    model = keras.Model(image, network(shifted))
    rate = keras.optimizers.schedules.CosineDecay(0.01, steps - steps // 5, warmup_target=PEAK, warmup_steps=steps // 5)
    model.compile(
        optimizer=keras.optimizers.SGD(rate, momentum=0.9, nesterov=True, weight_decay=WEIGHT_DECAY),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    epochs = max(steps // 100, 1)  # a line or a bar for each
    model.fit(batches, epochs=epochs, steps_per_epoch=steps // epochs, shuffle=False, verbose=verbose)
    return network


def accuracy(network: keras.Model, images: np.ndarray, labels: np.ndarray) -> float:
    """Return the share of images uint8 (count, height, width, 3) whose class the network finds.

    Example:
        >>> network = ks.models.classifier((32, 32, 3), 6)
        >>> images, labels = np.zeros((6, 32, 32, 3), "uint8"), np.arange(6)
        >>> round(6 * ks.training.accuracy(network, images, labels))
        1
    """
    right = 0
    for first in range(0, len(images), 256):
        part = slice(first, first + 256)
        logits = network.predict_on_batch(to_floats(images[part]))
        right += int((logits.argmax(-1) == labels[part]).sum())
    return right / len(images)
