"""A classifier trained from scratch: what `metrics.cifar10_features` is, and what tells the worth of generated images.

python -m keras_segen.recipes.classifier --data-dir DIR --out cifar10_classifier.keras
    21 minutes on two cores; 86.1 % of the test images right. The file that comes with the package is this.
"""

import argparse

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from keras_segen import models
from keras_segen.callbacks import save
from keras_segen.data import in_memory
from keras_segen.data.cifar10 import CLASS_NAMES, read_cifar10

BATCH = 128
PEAK = 0.15  # learning rate, reached after a fifth of the steps and left along a cosine
WEIGHT_DECAY = 5e-4


def train_classifier(
    images: np.ndarray, labels: np.ndarray, num_classes: int, *, steps: int, seed: int = 0, verbose: int = 2
) -> keras.Model:
    """Train `models.classifier` on images that are mirrored and shifted by up to an eighth.

    Args:
        images: uint8 (count, height, width, 3).
        labels: int (count,).
        num_classes: classes.
        steps: of `BATCH` images.
        seed: what weights, order and augmentation follow from.
        verbose: as `fit`'s.

    Returns:
        Images in [-1, 1] -> logits.
    """
    keras.utils.set_random_seed(seed)
    network = models.classifier(images.shape[1:], num_classes)
    image = keras.Input(images.shape[1:])
    shifted = layers.RandomTranslation(0.125, 0.125, fill_mode="reflect", interpolation="nearest", seed=seed)(image)
    model = keras.Model(image, network(shifted))
    rate = keras.optimizers.schedules.CosineDecay(0.01, steps - steps // 5, warmup_target=PEAK, warmup_steps=steps // 5)
    model.compile(
        optimizer=keras.optimizers.SGD(rate, momentum=0.9, nesterov=True, weight_decay=WEIGHT_DECAY),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    batches = in_memory.dataset(images, labels, batch_size=BATCH, training=True, seed=seed, start=0)
    epochs = max(steps // 100, 1)  # a line or a bar for each
    model.fit(batches, epochs=epochs, steps_per_epoch=steps // epochs, shuffle=False, verbose=verbose)
    return network


def accuracy(network: keras.Model, images: np.ndarray, labels: np.ndarray) -> float:
    """Return the share of images uint8 (count, height, width, 3) whose class the network finds."""
    right = 0
    for first in range(0, len(images), 256):
        part = slice(first, first + 256)
        logits = network.predict_on_batch(images[part] / np.float32(127.5) - 1)
        right += int((logits.argmax(-1) == labels[part]).sum())
    return right / len(images)


def main() -> None:
    """Train the one that comes with the package."""
    parser = argparse.ArgumentParser(description="Train the classifier behind metrics.cifar10_features.")
    parser.add_argument("--data-dir", help="where CIFAR-10 lies; default: TensorFlow Datasets' own place")
    parser.add_argument("--steps", type=int, default=4680, help="of 128 images; default: 4680, twelve passes")
    parser.add_argument("--out", required=True, metavar="FILE.keras")
    options = parser.parse_args()
    tf.config.threading.set_inter_op_parallelism_threads(1)
    network = train_classifier(*read_cifar10("train", options.data_dir), len(CLASS_NAMES), steps=options.steps)
    save(network, options.out)
    print(f"test accuracy {accuracy(network, *read_cifar10('test', options.data_dir)):.4f}")


if __name__ == "__main__":
    main()
