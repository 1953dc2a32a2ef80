"""Labels inside networks: their input, and the ways in which they condition images and logits."""

from typing import Any

import keras
from keras import layers, ops

from keras_segen.layers import FusedBatchNormalization, OneHot
from keras_segen.types import Tensor


def label_input(num_classes: int | None, multi_label: bool) -> tuple[Tensor, Tensor]:
    """Return the input of labels, and the vectors (batch, num_classes) that they become.

    Args:
        num_classes: The number of classes or attributes; None for a network without labels, which has None for both.
        multi_label: Whether labels are vectors of `num_classes` attributes, float (batch, num_classes), instead of
            class ids, int (batch,).

    Raises:
        ValueError: For fewer classes than one.
    """
    if num_classes is None:
        return None, None
    if num_classes < 1:
        raise ValueError(f"`num_classes` must be at least 1. Received: num_classes={num_classes}")
    if multi_label:
        labels = keras.Input((num_classes,), name="label")
        return labels, labels
    labels = keras.Input((), dtype="int32", name="label")
    return labels, OneHot(num_classes, name="one_hot")(labels)


def conditional_normalize(x: Tensor, condition: Tensor, multi_label: bool) -> Tensor:
    """Batch normalisation whose scale and shift follow from the condition; both start as if there were none.

    Source: Miyato and Koyama, 2018 (arXiv:1802.05637), section 4.
    """
    # One class is always on; of attributes perhaps none, and what is left then must still be an image: a bias.
    scaling = {"use_bias": multi_label, "kernel_initializer": "zeros" if multi_label else "ones"}
    x = FusedBatchNormalization(epsilon=1e-5, center=False, scale=False)(x)
    return modulate(x, condition, scaling, {"use_bias": multi_label, "kernel_initializer": "zeros"})


def modulate(x: Tensor, condition: Tensor, scaling: dict[str, Any], shifting: dict[str, Any]) -> Tensor:
    """Scale and shift each channel of a map by what two dense layers make of the condition.

    Source: Perez et al., 2018 (arXiv:1709.07871).

    Args:
        x: (batch, height, width, channels).
        condition: (batch, num_classes).
        scaling: Arguments of the dense layer that gives the scale, whose bias starts at one.
        shifting: Arguments of the dense layer that gives the shift.
    """
    channels = x.shape[-1]
    scale = layers.Dense(channels, bias_initializer="ones", **scaling)(condition)
    shift = layers.Dense(channels, **shifting)(condition)
    return x * layers.Reshape((1, 1, channels))(scale) + layers.Reshape((1, 1, channels))(shift)


def projection(features: Tensor, condition: Tensor, convolution: type[layers.Conv2D]) -> Tensor:
    """Return the products of an image's features with a vector for its class (Miyato and Koyama, 2018, eq. 7).

    Args:
        features: (batch, 1, 1, channels).
        condition: (batch, num_classes).
        convolution: The kind of layer that embeds the classes, such as `SpectralConv2D`.

    Returns:
        (batch, 1, 1, 1).
    """
    vector = layers.Reshape((1, 1, condition.shape[-1]))(condition)
    # A convolution over one pixel is a dense layer; of a one-hot vector, an embedding.
    embedded = convolution(features.shape[-1], 1, use_bias=False, name="embedding")(vector)
    return ops.sum(embedded * features, axis=-1, keepdims=True)
