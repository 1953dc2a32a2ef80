"""DCGAN (Radford, Metz and Chintala, 2016, arXiv:1511.06434), at any power of two from 16."""

from collections.abc import Callable
from typing import Any, Literal

import keras
from keras import layers

from keras_segen.layers import FusedBatchNormalization, SpectralConv2D
from keras_segen.models._image_sizes import image_doublings
from keras_segen.types import ImageShape, Tensor

# Section 4 of the paper.
SLOPE = 0.2
SPREAD = 0.02
# A multiple of the stride 2, unlike the paper's 5: each output pixel is then covered equally often, which avoids
# checkerboards (Odena et al., 2016).
KERNEL = 4


def dcgan_generator(
    image_shape: ImageShape, *, latent_dim: int = 128, filters: int = 64, name: str = "dcgan_generator"
) -> keras.Model:
    """Build DCGAN's generator.

    Latents become 4×4 positions, and transposed convolutions of stride 2 double them up to the image; each but the last
    is followed by batch normalisation and ReLU, the last by tanh.

    Args:
        image_shape: The height, width and channels; height and width are equal, and a power of two of at least 16.
        latent_dim: The size of a latent; the paper has 100.
        filters: The channels of the last layer before the image; each layer before it has twice as many.
        name: The name of the model.

    Returns:
        Latents (batch, latent_dim), standard normal -> images (batch, height, width, channels) in [-1, 1].

    Raises:
        ValueError: For an image shape that the network cannot have.

    Example:
        >>> generator = ks.models.dcgan_generator((32, 32, 3), latent_dim=16, filters=4)
        >>> generator(keras.random.normal((2, 16))).shape
        TensorShape([2, 32, 32, 3])
    """
    latents = keras.Input((latent_dim,), name="latent")
    return keras.Model(latents, image_from(latents, image_shape, filters, normalize), name=name)


def dcgan_discriminator(
    image_shape: ImageShape,
    *,
    filters: int = 64,
    normalization: Literal["batch", "spectral"] | None = "batch",
    name: str = "dcgan_discriminator",
) -> keras.Model:
    """Build DCGAN's discriminator: convolutions of stride 2 down to 4×4, LeakyReLU, and one logit.

    Args:
        image_shape: The height, width and channels, as for `dcgan_generator`.
        filters: The channels of the first layer; each layer after it has twice as many.
        normalization: "batch", on all but the first and the last layer, as in the paper; "spectral", on every layer
            (Miyato et al., 2018); or None, as gradient penalties need it.
        name: The name of the model.

    Returns:
        Images (batch, height, width, channels) in [-1, 1] -> logits (batch, 1).

    Raises:
        ValueError: For an image shape that the network cannot have, or an unknown normalization.

    Example:
        >>> discriminator = ks.models.dcgan_discriminator((32, 32, 3), filters=4)
        >>> discriminator(np.zeros((2, 32, 32, 3))).shape
        TensorShape([2, 1])
    """
    doublings = image_doublings(image_shape)
    images = keras.Input(image_shape, name="image")
    x = halved(images, doublings, filters, normalization)
    x = convolution(normalization)(1, KERNEL, kernel_initializer=initializer())(x)
    logits = layers.Flatten(dtype="float32", name="logit")(x)
    return keras.Model(images, logits, name=name)


def convolution(normalization: str | None) -> type[layers.Conv2D]:
    """Return the kind of convolution that a discriminator's normalisation asks for; ValueError for another one."""
    if normalization not in ("batch", "spectral", None):
        raise ValueError(f'`normalization` is "batch", "spectral" or None. Received: normalization={normalization!r}')
    return SpectralConv2D if normalization == "spectral" else layers.Conv2D


def halved(x: Tensor, doublings: int, filters: int, normalization: str | None) -> Tensor:
    """Halve an image down to 4×4 by the discriminator's layers."""
    for i in range(doublings):
        normalized = normalization == "batch" and i > 0
        x = convolution(normalization)(
            filters * 2**i, KERNEL, 2, "same", use_bias=not normalized, kernel_initializer=initializer()
        )(x)
        x = normalize(x) if normalized else x
        x = layers.LeakyReLU(SLOPE)(x)
    return x


def image_from(vector: Tensor, image_shape: ImageShape, filters: int, normalize: Callable[[Any], Any]) -> Tensor:
    """Enlarge (batch, n) to 4×4 and, doubling, to the image in [-1, 1], by the generator's layers."""
    doublings = image_doublings(image_shape)
    x = layers.Reshape((1, 1, vector.shape[-1]))(vector)
    for i in range(doublings):
        strides, padding = (1, "valid") if i == 0 else (2, "same")  # 4×4 at first
        width = filters * 2 ** (doublings - 1 - i)
        x = layers.Conv2DTranspose(width, KERNEL, strides, padding, use_bias=False, kernel_initializer=initializer())(x)
        x = layers.ReLU()(normalize(x))
    x = layers.Conv2DTranspose(image_shape[-1], KERNEL, 2, "same", kernel_initializer=initializer())(x)
    # float32 whatever the policy: images are what losses and users see.
    return layers.Activation("tanh", dtype="float32", name="image")(x)


def normalize(x: Tensor) -> Tensor:
    """Batch normalisation as the paper starts it."""
    return FusedBatchNormalization(epsilon=1e-5, gamma_initializer=keras.initializers.RandomNormal(1.0, SPREAD))(x)


def initializer() -> keras.initializers.Initializer:
    """Return a new initializer of weights, section 4."""
    return keras.initializers.RandomNormal(0.0, SPREAD)
