"""Conditional GANs on DCGAN's networks: images of a class, or with attributes, that the user names."""

from typing import Any, Literal

import keras
from keras import layers, ops

from keras_segen.layers import FusedBatchNormalization, OneHot, SpectralConv2D
from keras_segen.models.dcgan import KERNEL, SLOPE, image_doublings, image_from, initializer, normalize

Conditioning = Literal["projection", "concat"]


def cgan_generator(
    image_shape: tuple[int, int, int],
    latent_dim: int,
    num_classes: int,
    *,
    conditioning: Conditioning = "projection",
    multi_label: bool = False,
    filters: int = 64,
    name: str = "cgan_generator",
) -> keras.Model:
    """Build a conditional generator: DCGAN's, told the class.

    Args:
        image_shape: height, width and channels; height and width are equal, and a power of two of at least 16.
        latent_dim: numbers in a latent.
        num_classes: classes, or attributes.
        conditioning: "concat": the one-hot class is joined to the latent (Mirza and Osindero, 2014, arXiv:1411.1784).
            "projection": beside that, every batch normalisation has a scale and a shift for each class (Miyato and
            Koyama, 2018, arXiv:1802.05637, section 4), as Brock et al. (2019, arXiv:1809.11096) have both; the other
            half of the pair is the projection discriminator.
        multi_label: labels are vectors of `num_classes` attributes, not class ids.
        filters: of the last layer before the image; each layer before has twice as many.
        name: of the model.

    Returns:
        [latents (batch, latent_dim), labels] -> images (batch, height, width, channels) in [-1, 1]. Labels are integers
        (batch,) in [0, num_classes), or float (batch, num_classes) with `multi_label`.

    Raises:
        ValueError: for an image that the network cannot have, or another conditioning.
    """
    check_condition(conditioning)
    latents = keras.Input((latent_dim,), name="latent")
    labels, condition = label_input(num_classes, multi_label)
    conditional = conditioning == "projection"
    images = image_from(
        layers.Concatenate()([latents, condition]),
        image_shape,
        filters,
        (lambda x: conditional_normalize(x, condition, multi_label)) if conditional else normalize,
    )
    return keras.Model([latents, labels], images, name=name)


def cgan_discriminator(
    image_shape: tuple[int, int, int],
    num_classes: int,
    *,
    conditioning: Conditioning = "projection",
    multi_label: bool = False,
    filters: int = 64,
    name: str = "cgan_discriminator",
) -> keras.Model:
    """Build a conditional discriminator: DCGAN's with spectral norm, told the class.

    Args:
        image_shape: as the generator's.
        num_classes: classes, or attributes.
        conditioning: "projection": the logit is one of the image's features plus their product with a vector for the
            class (Miyato and Koyama, 2018, eq. 7). "concat": the one-hot class becomes further channels of the image.
        multi_label: as the generator's.
        filters: of the first layer; each layer after has twice as many.
        name: of the model.

    Returns:
        [images (batch, height, width, channels) in [-1, 1], labels as the generator's] -> logits (batch, 1).

    Raises:
        ValueError: for an image that the network cannot have, or another conditioning.
    """
    check_condition(conditioning)
    doublings = image_doublings(image_shape)
    images = keras.Input(image_shape, name="image")
    labels, condition = label_input(num_classes, multi_label)
    x = images
    vector = layers.Reshape((1, 1, num_classes))(condition)
    if conditioning == "concat":
        x = layers.Concatenate()([x, layers.UpSampling2D(image_shape[:2])(vector)])
    for i in range(doublings):
        x = SpectralConv2D(filters * 2**i, KERNEL, 2, "same", kernel_initializer=initializer())(x)
        x = layers.LeakyReLU(SLOPE)(x)
    if conditioning == "concat":
        x = SpectralConv2D(1, KERNEL, kernel_initializer=initializer())(x)
    else:
        # Sums over the 4×4 positions, by the root of their number: pooling then stretches nothing, as spectral norm has
        # it for the layers. With bare sums the discriminator won within an epoch on CIFAR-10.
        features = ops.sum(x, axis=(1, 2), keepdims=True) / 4
        # A convolution over one pixel is a dense layer, here with spectral norm; of a one-hot vector, an embedding.
        embedded = SpectralConv2D(features.shape[-1], 1, use_bias=False, name="embedding")(vector)
        x = SpectralConv2D(1, 1)(features) + ops.sum(embedded * features, axis=-1, keepdims=True)
    logits = layers.Flatten(dtype="float32", name="logit")(x)
    return keras.Model([images, labels], logits, name=name)


def check_condition(conditioning: str) -> None:
    """Raise `ValueError` for a conditioning that there is not."""
    if conditioning not in ("projection", "concat"):
        raise ValueError(f'`conditioning` is "projection" or "concat". Received: conditioning={conditioning!r}')


def label_input(num_classes: int, multi_label: bool) -> tuple[Any, Any]:
    """Return the input of labels, and the vectors (batch, num_classes) that they become."""
    if num_classes < 1:
        raise ValueError(f"`num_classes` must be at least 1. Received: num_classes={num_classes}")
    if multi_label:
        labels = keras.Input((num_classes,), name="label")
        return labels, labels
    labels = keras.Input((), dtype="int32", name="label")
    return labels, OneHot(num_classes, name="one_hot")(labels)


def conditional_normalize(x: Any, condition: Any, multi_label: bool) -> Any:
    """Batch normalisation whose scale and shift follow from the condition; both start as if there were none."""
    channels = x.shape[-1]
    # One class is always on; of attributes perhaps none, and what is left then must still be an image: a bias.
    scaling = {"use_bias": multi_label, "kernel_initializer": "zeros" if multi_label else "ones"}
    x = FusedBatchNormalization(epsilon=1e-5, center=False, scale=False)(x)
    scale = layers.Dense(channels, bias_initializer="ones", **scaling)(condition)
    shift = layers.Dense(channels, use_bias=multi_label, kernel_initializer="zeros")(condition)
    return x * layers.Reshape((1, 1, channels))(scale) + layers.Reshape((1, 1, channels))(shift)
