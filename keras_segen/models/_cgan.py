"""Conditional GANs on DCGAN's networks: images of a class, or with attributes, that the user names."""

from typing import Literal

import keras
from keras import layers, ops

from keras_segen.models._conditioning import conditional_normalize, label_input, projection
from keras_segen.models._dcgan import KERNEL, convolution, halved, image_from, initializer, normalize
from keras_segen.models._image_sizes import image_doublings
from keras_segen.types import ImageShape

Conditioning = Literal["projection", "concat"]


def cgan_generator(
    image_shape: ImageShape,
    *,
    num_classes: int,
    latent_dim: int = 128,
    conditioning: Conditioning = "projection",
    multi_label: bool = False,
    filters: int = 64,
    name: str = "cgan_generator",
) -> keras.Model:
    """Build a conditional generator: DCGAN's, which is also given the class.

    Args:
        image_shape: The height, width and channels; height and width are equal, and a power of two of at least 16.
        num_classes: The number of classes, or of attributes.
        latent_dim: The size of a latent.
        conditioning: With "concat" the one-hot class is joined to the latent (Mirza and Osindero, 2014,
            arXiv:1411.1784). With "projection", in addition, every batch normalisation has a scale and a shift for each
            class (Miyato and Koyama, 2018, arXiv:1802.05637, section 4), as Brock et al. (2019, arXiv:1809.11096) have
            both; the discriminator of the pair is then the projection discriminator.
        multi_label: Whether labels are vectors of `num_classes` attributes instead of class ids.
        filters: The channels of the last layer before the image; each layer before it has twice as many.
        name: The name of the model.

    Returns:
        [latents (batch, latent_dim), labels] -> images (batch, height, width, channels) in [-1, 1]. Labels are integers
        (batch,) in [0, num_classes), or float (batch, num_classes) with `multi_label`.

    Raises:
        ValueError: For an image shape that the network cannot have, or an unknown conditioning.

    Example:
        >>> generator = ks.models.cgan_generator((32, 32, 3), num_classes=10, latent_dim=16, filters=4)
        >>> latents, labels = np.zeros((2, 16)), np.array([3, 7])
        >>> generator([latents, labels]).shape
        TensorShape([2, 32, 32, 3])
    """
    _check(conditioning)
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
    image_shape: ImageShape,
    *,
    num_classes: int,
    conditioning: Conditioning = "projection",
    multi_label: bool = False,
    normalization: Literal["batch", "spectral"] | None = "spectral",
    filters: int = 64,
    name: str = "cgan_discriminator",
) -> keras.Model:
    """Build a conditional discriminator: DCGAN's, which is also given the class.

    Args:
        image_shape: The height, width and channels, as for `cgan_generator`.
        num_classes: The number of classes, or of attributes.
        conditioning: With "projection" the logit is one of the image's features plus their product with a vector for
            the class (Miyato and Koyama, 2018, eq. 7). With "concat" the one-hot class becomes further channels of the
            image.
        multi_label: Whether labels are vectors of `num_classes` attributes instead of class ids.
        normalization: The normalisation, as for `dcgan_discriminator`. The projection discriminator was published with
            "spectral".
        filters: The channels of the first layer; each layer after it has twice as many.
        name: The name of the model.

    Returns:
        [images (batch, height, width, channels) in [-1, 1], labels as the generator's] -> logits (batch, 1).

    Raises:
        ValueError: For an image shape that the network cannot have, or an unknown conditioning or normalization.

    Example:
        >>> discriminator = ks.models.cgan_discriminator((32, 32, 3), num_classes=10, filters=4)
        >>> images, labels = np.zeros((2, 32, 32, 3)), np.array([3, 7])
        >>> discriminator([images, labels]).shape
        TensorShape([2, 1])
    """
    _check(conditioning)
    doublings = image_doublings(image_shape)
    images = keras.Input(image_shape, name="image")
    labels, condition = label_input(num_classes, multi_label)
    x = images
    if conditioning == "concat":
        vector = layers.Reshape((1, 1, num_classes))(condition)
        x = layers.Concatenate()([x, layers.UpSampling2D(image_shape[:2])(vector)])
    x = halved(x, doublings, filters, normalization)
    if conditioning == "concat":
        x = convolution(normalization)(1, KERNEL, kernel_initializer=initializer())(x)
    else:
        # Sums over the 4×4 positions, by the root of their number: pooling then stretches nothing, as spectral norm has
        # it for the layers. With bare sums the discriminator won within an epoch on CIFAR-10.
        features = ops.sum(x, axis=(1, 2), keepdims=True) / 4
        product = projection(features, condition, convolution(normalization))
        x = convolution(normalization)(1, 1)(features) + product
    logits = layers.Flatten(dtype="float32", name="logit")(x)
    return keras.Model([images, labels], logits, name=name)


def _check(conditioning: str) -> None:
    if conditioning not in ("projection", "concat"):
        raise ValueError(f'`conditioning` is "projection" or "concat". Received: conditioning={conditioning!r}')
