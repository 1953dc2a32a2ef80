"""Features of images by a classifier that comes with the package, for comparing generators offline.

Scores made with them compare runs with each other, not with papers, because FID is defined by another network.
`cifar10_classifier.md` describes the classifier.
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
    """Return the packaged extractor: images in [-1, 1] of any size -> features (batch, 192), and logits (batch, 10).

    The model's name, which is part of the scores' names, ends in the first digits of its file's SHA-256. See
    `feature_extractor` for the preprocessing of images.

    Args:
        channels: The number of channels of the images, 1 or 3.

    Raises:
        ValueError: For another number of channels.

    Example:
        >>> extractor = ks.metrics.cifar10_features()
        >>> features, logits = extractor(np.zeros((2, 32, 32, 3)))
        >>> features.shape, logits.shape
        (TensorShape([2, 192]), TensorShape([2, 10]))
    """
    network = keras.saving.load_model(FILE, compile=False)
    image = keras.Input((SIDE, SIDE, 3))  # at which it was trained; others are resized to it
    answers = keras.Model(network.inputs, [network.get_layer("features").output, network.output])(image)
    digest = hashlib.sha256(FILE.read_bytes()).hexdigest()
    return named_extractor(keras.Model(image, answers), f"cifar10_features_{digest[:8]}", channels)
