"""Inception, the network that defines FID, KID and the inception score: `classify_image_graph_def.pb` of 2015-12-05.

It differs from `keras.applications.InceptionV3` in its weights, its 1008 classes, and its last block, which pools by
the maximum where all others take the mean.
"""

from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import layers, ops

from keras_segen.errors import InputError
from keras_segen.layers import LegacyBilinearResize
from keras_segen.metrics._features import named_extractor
from keras_segen.metrics._inception_weights import PUBLISHED_SHA256, URLS, published_weights, read_weights
from keras_segen.types import PathLike, Tensor

SIDE = 299
# What numbers are called by that come from the published weights; only they are FID, KID and inception score.
NAME = "inception_2015_12_05"
EPSILON = 1e-3  # of the batch normalisation that is folded into the convolutions


def inception_features(weights: PathLike | None = None, *, channels: int = 3) -> keras.Model:
    """Return FID's extractor: images in [-1, 1] of any size -> features (batch, 2048), and logits (batch, 1008).

    Following the published protocol, images are rounded to 256 steps, resized to 299 × 299 by TensorFlow 1's bilinear
    rule, and scaled by (x - 128) / 128; the logits are those without bias, which the inception score needs. The outputs
    equal torch-fidelity's to 1e-4 (tests/metrics/test_inception.py).

    Args:
        weights: A file of the published weights. With None they come from Keras's cache, and are downloaded the first
            time. The model is called `inception_2015_12_05` if the file is the published one by its hash; otherwise its
            name ends in the first digits of the file's SHA-256.
        channels: The number of channels of the images, 1 or 3.

    Raises:
        InputError: For a file that cannot be used, or a failed download; the message says what to fetch from where.

    Example:
        >>> extractor = ks.metrics.inception_features()
        >>> features, logits = extractor(np.zeros((2, 64, 64, 3)))
        >>> features.shape, logits.shape
        (TensorShape([2, 2048]), TensorShape([2, 1008]))
    """
    path = published_weights() if weights is None else Path(weights)
    tensors, digest = read_weights(path)
    network = inception_network()
    try:
        load(network, tensors)
    except ValueError as error:
        raise InputError(f"{path}: {error}: it is not FID's Inception network: fetch {URLS[0]}") from error
    name = NAME if digest == PUBLISHED_SHA256 else f"inception_{digest[:8]}"
    return published_protocol(network, name=name, channels=channels)


def published_protocol(network: keras.Model, *, name: str, channels: int = 3) -> keras.Model:
    """Return the extractor that preprocesses images for `inception_network` as in the published protocol."""
    image = keras.Input((None, None, 3))
    answers = network((LegacyBilinearResize(SIDE)((image + 1) * 127.5) - 128) / 128)
    model = keras.Model(image, [answers["features"], answers["logits_unbiased"]])
    return named_extractor(model, name, channels)


def inception_network() -> keras.Model:
    """Build the network: images (batch, 299, 299, 3) in [-1, 1] -> a dictionary.

    The keys are "features" (batch, 2048), which distances are computed from, and "logits_unbiased" and "logits" (batch,
    1008), without and with the last layer's bias. Batch normalisation is folded into kernels and biases by `load`.
    """
    image = keras.Input((SIDE, SIDE, 3), name="image")
    x = _convolution(image, 32, 3, "Conv2d_1a_3x3", strides=2, padding="valid")
    x = _convolution(x, 32, 3, "Conv2d_2a_3x3", padding="valid")
    x = _convolution(x, 64, 3, "Conv2d_2b_3x3")
    x = layers.MaxPooling2D(3, 2)(x)
    x = _convolution(x, 80, 1, "Conv2d_3b_1x1", padding="valid")
    x = _convolution(x, 192, 3, "Conv2d_4a_3x3", padding="valid")
    x = layers.MaxPooling2D(3, 2)(x)
    for letter, pooled in zip("bcd", (32, 64, 64), strict=True):
        x = _block_35(x, pooled, f"Mixed_5{letter}")
    x = _to_17(x, "Mixed_6a")
    for letter, filters in zip("bcde", (128, 160, 160, 192), strict=True):
        x = _block_17(x, filters, f"Mixed_6{letter}")
    x = _to_8(x, "Mixed_7a")
    x = _block_8(x, layers.AveragePooling2D, "Mixed_7b")
    x = _block_8(x, layers.MaxPooling2D, "Mixed_7c")
    features = layers.GlobalAveragePooling2D(name="features")(x)
    unbiased = layers.Dense(1008, use_bias=False, name="fc")(features)
    logits = _Bias(name="fc_bias")(unbiased)
    outputs = {"features": features, "logits_unbiased": unbiased, "logits": logits}
    return keras.Model(image, outputs, name="inception")


def load(network: keras.Model, tensors: dict[str, np.ndarray]) -> None:
    """Set the weights of `inception_network` to those that `read_weights` gives.

    Raises:
        ValueError: If one is missing, has another shape, or holds impossible values.
    """

    def tensor(name: str, shape: tuple[int, ...]) -> np.ndarray:
        if name not in tensors:
            raise ValueError(f"holds no {name}")
        if tensors[name].shape != shape:
            raise ValueError(f"{name} has shape {tensors[name].shape}, not {shape}")
        tensor = tensors[name].astype(np.float64)
        if not np.isfinite(tensor).all() or (name.endswith("running_var") and tensor.min() < 0):
            raise ValueError(f"{name} holds what cannot be, such as NaN or a variance below 0")
        return tensor

    for layer in network.layers:
        if isinstance(layer, layers.Conv2D):
            *size, inputs, outputs = layer.kernel.shape
            kernel = tensor(f"{layer.name}.conv.weight", (outputs, inputs, *size)).transpose(2, 3, 1, 0)
            scale, shift, mean, variance = (
                tensor(f"{layer.name}.bn.{part}", (outputs,))
                for part in ("weight", "bias", "running_mean", "running_var")
            )
            scale = scale / np.sqrt(variance + EPSILON)
            layer.set_weights([kernel * scale, shift - mean * scale])
    network.get_layer("fc").set_weights([tensor("fc.weight", (1008, 2048)).T])
    network.get_layer("fc_bias").set_weights([tensor("fc.bias", (1008,))])


class _Bias(layers.Layer):
    def build(self, input_shape: Any) -> None:
        self.bias = self.add_weight(shape=(input_shape[-1],), initializer="zeros", name="bias")

    def call(self, x: Tensor) -> Tensor:
        return x + self.bias


def _convolution(
    x: Tensor, filters: int, size: Tensor, name: str, *, strides: int = 1, padding: str = "same"
) -> Tensor:
    return layers.Conv2D(filters, size, strides, padding, activation="relu", name=name)(x)


def _block_35(x: Tensor, pooled: int, name: str) -> Tensor:
    one = _convolution(x, 64, 1, f"{name}.branch1x1")
    five = _convolution(x, 48, 1, f"{name}.branch5x5_1")
    five = _convolution(five, 64, 5, f"{name}.branch5x5_2")
    double = _convolution(x, 64, 1, f"{name}.branch3x3dbl_1")
    double = _convolution(double, 96, 3, f"{name}.branch3x3dbl_2")
    double = _convolution(double, 96, 3, f"{name}.branch3x3dbl_3")
    pool = layers.AveragePooling2D(3, 1, "same")(x)
    pool = _convolution(pool, pooled, 1, f"{name}.branch_pool")
    return ops.concatenate([one, five, double, pool], -1)


def _to_17(x: Tensor, name: str) -> Tensor:
    three = _convolution(x, 384, 3, f"{name}.branch3x3", strides=2, padding="valid")
    double = _convolution(x, 64, 1, f"{name}.branch3x3dbl_1")
    double = _convolution(double, 96, 3, f"{name}.branch3x3dbl_2")
    double = _convolution(double, 96, 3, f"{name}.branch3x3dbl_3", strides=2, padding="valid")
    return ops.concatenate([three, double, layers.MaxPooling2D(3, 2)(x)], -1)


def _block_17(x: Tensor, filters: int, name: str) -> Tensor:
    one = _convolution(x, 192, 1, f"{name}.branch1x1")
    seven = _convolution(x, filters, 1, f"{name}.branch7x7_1")
    seven = _convolution(seven, filters, (1, 7), f"{name}.branch7x7_2")
    seven = _convolution(seven, 192, (7, 1), f"{name}.branch7x7_3")
    double = _convolution(x, filters, 1, f"{name}.branch7x7dbl_1")
    double = _convolution(double, filters, (7, 1), f"{name}.branch7x7dbl_2")
    double = _convolution(double, filters, (1, 7), f"{name}.branch7x7dbl_3")
    double = _convolution(double, filters, (7, 1), f"{name}.branch7x7dbl_4")
    double = _convolution(double, 192, (1, 7), f"{name}.branch7x7dbl_5")
    pool = layers.AveragePooling2D(3, 1, "same")(x)
    pool = _convolution(pool, 192, 1, f"{name}.branch_pool")
    return ops.concatenate([one, seven, double, pool], -1)


def _to_8(x: Tensor, name: str) -> Tensor:
    three = _convolution(x, 192, 1, f"{name}.branch3x3_1")
    three = _convolution(three, 320, 3, f"{name}.branch3x3_2", strides=2, padding="valid")
    seven = _convolution(x, 192, 1, f"{name}.branch7x7x3_1")
    seven = _convolution(seven, 192, (1, 7), f"{name}.branch7x7x3_2")
    seven = _convolution(seven, 192, (7, 1), f"{name}.branch7x7x3_3")
    seven = _convolution(seven, 192, 3, f"{name}.branch7x7x3_4", strides=2, padding="valid")
    return ops.concatenate([three, seven, layers.MaxPooling2D(3, 2)(x)], -1)


def _block_8(x: Tensor, pooling: Any, name: str) -> Tensor:
    one = _convolution(x, 320, 1, f"{name}.branch1x1")
    three = _convolution(x, 384, 1, f"{name}.branch3x3_1")
    wide = _convolution(three, 384, (1, 3), f"{name}.branch3x3_2a")
    high = _convolution(three, 384, (3, 1), f"{name}.branch3x3_2b")
    double = _convolution(x, 448, 1, f"{name}.branch3x3dbl_1")
    double = _convolution(double, 384, 3, f"{name}.branch3x3dbl_2")
    double_wide = _convolution(double, 384, (1, 3), f"{name}.branch3x3dbl_3a")
    double_high = _convolution(double, 384, (3, 1), f"{name}.branch3x3dbl_3b")
    pool = _convolution(pooling(3, 1, "same")(x), 192, 1, f"{name}.branch_pool")
    return ops.concatenate([one, wide, high, double_wide, double_high, pool], -1)
