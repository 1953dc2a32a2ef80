"""Features of images, by a classifier that comes with the package: generators can be compared offline.

The numbers that follow from them compare runs with each other, not with papers: FID is another network's.
"""

import hashlib
from functools import cache
from pathlib import Path

import keras
from keras import layers, ops

# `models.classifier`, trained on CIFAR-10 by `recipes.classifier`, whose docstring says how well.
FILE = Path(__file__).with_name("cifar10_classifier.keras")
SIDE = 32


@cache
def cifar10_features(channels: int = 3) -> keras.Model:
    """Return the extractor: images in [-1, 1] of any size -> features (batch, 192), and logits (batch, 10).

    Images are rounded to 256 steps, as a file would be, grey ones repeated to three channels, and all resized to 32×32
    with antialiasing. The model's name, which the numbers from it bear, ends in the first digits of its file's SHA-256.

    Args:
        channels: of the images, 1 or 3.

    Raises:
        ValueError: for other channels.
    """
    if channels not in (1, 3):
        raise ValueError(f"Features need images of 1 or 3 channels. Received: channels={channels}")
    network = keras.saving.load_model(FILE, compile=False)
    images = keras.Input((None, None, channels), name="image")
    x = ops.round((ops.clip(images, -1, 1) + 1) * 127.5) / 127.5 - 1
    x = layers.Concatenate()([x] * 3) if channels == 1 else x
    x = ops.image.resize(x, (SIDE, SIDE), interpolation="bilinear", antialias=True)
    features = keras.Model(network.inputs, [network.get_layer("features").output, network.output])
    digest = hashlib.sha256(FILE.read_bytes()).hexdigest()
    model = keras.Model(images, features(x), name=f"cifar10_features_{digest[:8]}")
    model.trainable = False
    return model
