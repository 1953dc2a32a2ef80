"""Features of images, by a classifier that comes with the package: generators can be compared offline.

The numbers that follow from them compare runs with each other, not with papers: FID is another network's.
`cifar10_classifier.md` tells what the classifier is.
"""

import hashlib
from functools import cache
from pathlib import Path

import keras

from keras_segen.metrics._features import named_extractor

# `models.classifier`, trained on CIFAR-10 by `recipes.classifier`.
FILE = Path(__file__).with_name("cifar10_classifier.keras")
SIDE = 32


@cache
def cifar10_features(channels: int = 3) -> keras.Model:
    """Return the extractor: images in [-1, 1] of any size -> features (batch, 192), and logits (batch, 10).

    The model's name, which the numbers from it bear, ends in the first digits of its file's SHA-256. See
    `feature_extractor` for what is done to the images.

    Args:
        channels: of the images, 1 or 3.

    Raises:
        ValueError: for other channels.
    """
    network = keras.saving.load_model(FILE, compile=False)
    image = keras.Input((SIDE, SIDE, 3))  # at which it was trained; others are resized to it
    answers = keras.Model(network.inputs, [network.get_layer("features").output, network.output])(image)
    digest = hashlib.sha256(FILE.read_bytes()).hexdigest()
    return named_extractor(keras.Model(image, answers), f"cifar10_features_{digest[:8]}", channels)
