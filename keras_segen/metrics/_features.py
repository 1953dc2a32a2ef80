"""Feature extractors: networks whose features distances between sets of images are computed from."""

import hashlib
import json
import re
from collections.abc import Iterator, Sized
from typing import Any

import keras
import numpy as np
from keras import layers, ops

from keras_segen.ranges import in_range, require_whole_range
from keras_segen.types import Tensor


def feature_extractor(network: keras.Model, *, name: str | None = None, channels: int = 3) -> keras.Model:
    """Turn any network into an extractor: images in [-1, 1] of any size -> features, or features and logits.

    Images are rounded to 256 steps, as in a file, and grey ones repeated to three channels. If the network takes only
    one size, they are resized to it, bilinearly with antialiasing. Other preprocessing, such as another range, belongs
    in the network: `keras.Sequential([keras.layers.Rescaling(127.5, 127.5), ...])`.

    Args:
        network: Images (batch, height, width, 3) in [-1, 1] -> features (batch, d), or a list of features and logits
            (batch, classes).
        name: The name in the names of scores made with it; by default the network's. The first digits of a SHA-256 of
            layers and weights follow, so that scores by different features cannot be mistaken for each other.
        channels: The number of channels of the images, 1 or 3.

    Raises:
        ValueError: For another number of channels, or a network whose outputs are not vectors.

    Example:
        >>> network = keras.applications.MobileNet((32, 32, 3), include_top=False, weights=None, pooling="avg")
        >>> extractor = ks.metrics.feature_extractor(network, name="mobilenet")
        >>> extractor.output_shape
        (None, 1024)
    """
    if not getattr(network, "inputs", None):
        raise ValueError("An extractor is made of a Functional model, or a Sequential one that begins with its Input.")
    stem = name or re.sub(r"_\d+$", "", network.name)  # without Keras's own count
    return named_extractor(network, f"{stem}_{_digest(network)[:8]}", channels)


def named_extractor(network: keras.Model, name: str, channels: int) -> keras.Model:
    """Return a `feature_extractor` under exactly this name, which identifies the features by itself."""
    if channels not in (1, 3):
        raise ValueError(f"Features need images of 1 or 3 channels. Received: channels={channels}")
    if any(len(output.shape) != 2 for output in network.outputs) or len(network.outputs) > 2:
        raise ValueError(
            "An extractor gives features (batch, d), and perhaps logits (batch, classes): end it in global pooling. "
            f"Received: {network.name} with outputs {[tuple(output.shape) for output in network.outputs]}"
        )
    image = keras.Input((None, None, channels), name="image")
    x = ops.round((ops.clip(image, -1, 1) + 1) * 127.5) / 127.5 - 1
    x = layers.Concatenate()([x] * 3) if channels == 1 else x
    side = network.input_shape[1:3]
    if None not in side:
        x = ops.image.resize(x, side, interpolation="bilinear", antialias=True, data_format="channels_last")
    answers = network(x)
    if isinstance(answers, dict):
        raise ValueError(f"An extractor gives features, or a list of features and logits. Received: {list(answers)}")
    model = keras.Model(image, answers, name=name if channels == 3 else f"{name}_grey")
    model.trainable = False
    return model


def feature_batches(
    images: Tensor, extractor: keras.Model, *, batch_size: int = 64, verbose: bool = False
) -> Iterator[tuple[np.ndarray, np.ndarray | None]]:
    """Yield the features (batch, d) of images, and their logits (batch, classes) if the extractor gives some, float32.

    Args:
        images: The images (n, height, width, channels), uint8 or floats in [-1, 1]; or batches of them, such as a
            `tf.data.Dataset`.
        extractor: The extractor; see `feature_extractor`.
        batch_size: The number of images in a batch of an array; other batches stay as they are.
        verbose: Whether to show a progress bar.

    Raises:
        ValueError: For images in another range, with NaN, or none at all; for images in [0, 1], after the last one.

    Example:
        >>> images = np.zeros((100, 32, 32, 3), "uint8")
        >>> batches = ks.metrics.feature_batches(images, ks.metrics.cifar10_features())
        >>> [features.shape for features, logits in batches]
        [(64, 192), (36, 192)]
    """
    if hasattr(images, "__array__"):  # an array, or a tensor
        images = np.asarray(images)
        images = [images[first : first + batch_size] for first in range(0, len(images), batch_size)]
    bar = (
        keras.utils.Progbar(len(images) if isinstance(images, Sized) else None, unit_name="batch") if verbose else None
    )
    extremes = []
    channels = extractor.input_shape[-1]
    for batch in images:
        if isinstance(batch, list | tuple):
            raise ValueError("Features are of images alone: give no labels with them (`target=None`).")
        scaled = in_range(batch)
        if scaled.shape[-1] != channels:
            raise ValueError(
                f"The extractor was made for images (batch, height, width, {channels}): make it with `channels=1` for "
                f"grey ones. Received: shape {scaled.shape}"
            )
        yield _extract(scaled, extractor)
        extremes.append((np.min(batch), np.max(batch)))
        if bar:
            bar.add(1)
    if not extremes:
        raise ValueError("There are no images to take features of.")
    require_whole_range(np.min(extremes), np.max(extremes), np.array(extremes).dtype)


def generated_features(images: np.ndarray, extractor: keras.Model, *, batch_size: int = 256) -> np.ndarray:
    """Return the features (count, d) of a generator's images, float32.

    Their range is not checked, because a generator that makes nothing but bright images is bad, but not an error.

    Args:
        images: The images, floats (count, height, width, channels) in [-1, 1].
        extractor: The extractor; see `feature_extractor`.
        batch_size: The number of images that go through the extractor at once.
    """
    starts = range(0, len(images), batch_size)
    return np.concatenate([_extract(images[first : first + batch_size], extractor)[0] for first in starts])


def _extract(images: np.ndarray, extractor: keras.Model) -> tuple[np.ndarray, np.ndarray | None]:
    outputs = extractor.predict_on_batch(images)
    features, *logits = outputs if isinstance(outputs, list) else [outputs]
    return np.asarray(features), np.asarray(logits[0]) if logits else None


def _digest(network: keras.Model) -> str:
    """Return a hash of layers and weights, whatever the layers are called."""
    numbers = {layer.name: f"layer {i}" for i, layer in enumerate([network, *network._flatten_layers()])}

    def nameless(value: Any) -> Any:
        if isinstance(value, dict):
            return {str(k): nameless(v) for k, v in sorted(value.items())}
        if isinstance(value, list | tuple):
            return [nameless(v) for v in value]
        return numbers.get(value, value) if isinstance(value, str) else value

    config = nameless(keras.saving.serialize_keras_object(network))
    digest = hashlib.sha256(json.dumps(config, sort_keys=True, default=str).encode())
    for weights in network.get_weights():
        digest.update(np.ascontiguousarray(weights).data)
    return digest.hexdigest()
