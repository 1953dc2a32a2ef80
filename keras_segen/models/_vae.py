"""Encoders and decoders of variational autoencoders (Kingma and Welling, 2014, arXiv:1312.6114)."""

import math
from collections.abc import Sequence
from typing import Any

import keras
from keras import layers

from keras_segen._labels import joined
from keras_segen.models._conditioning import label_input, modulate
from keras_segen.types import ImageShape, Tensor

# The posterior starts narrow: from one as wide as the prior, which tells the decoder next to nothing, CIFAR-10 took
# several times as long to learn.
STARTS: dict[str, dict[str, Any]] = {
    "mean": {},
    "log_variance": {"kernel_initializer": "zeros", "bias_initializer": keras.initializers.Constant(-3.0)},
}
LEAST_SIDE = 4  # of the last map before a latent of one piece, pixels


def vae_encoder(
    image_shape: ImageShape,
    *,
    latent_dim: int = 128,
    latent_side: int | None = None,
    filters: int = 64,
    blocks: int = 1,
    num_classes: int | None = None,
    multi_label: bool = False,
    name: str = "vae_encoder",
) -> keras.Model:
    """Build a convolutional encoder, which halves the image step by step.

    Args:
        image_shape: The height, width and channels. The shorter side is a power of two from 8, the longer one a
            multiple of its quarter.
        latent_dim: The size of a latent.
        latent_side: With None, a dense layer turns a map of 4×4 into the latent. With a number, the latent is itself a
            map with this shorter side, and each of its numbers describes a place: reconstructions are sharper, samples
            less coherent.
        filters: The channels at half the image's size; each further half has twice as many, up to eight times.
        blocks: The number of residual blocks at each size but the image's own (He et al., 2016, arXiv:1603.05027), from
            0.
        num_classes: The number of classes, or of attributes, that a conditional encoder takes with the images; or None.
        multi_label: Whether labels are vectors of `num_classes` attributes instead of class ids.
        name: The name of the model.

    Returns:
        Images (batch, height, width, channels) in [-1, 1], or [images, labels], -> a list of mean and log-variance of
        the posterior, (batch, latent_dim) both. Labels are integers (batch,) in [0, num_classes), or float
        (batch, num_classes) with `multi_label`.

    Raises:
        ValueError: For an image shape or a latent size that the network cannot have.

    Example:
        >>> encoder = ks.models.vae_encoder((32, 32, 3), latent_dim=8, filters=4)
        >>> mean, log_variance = encoder(np.zeros((2, 32, 32, 3)))
        >>> mean.shape
        TensorShape([2, 8])
    """
    halvings, area = vae_halvings(image_shape, latent_dim, latent_side)
    image = keras.Input(image_shape, name="image")
    labels, condition = label_input(num_classes, multi_label)
    # Nothing is done at full size, where it would cost most.
    x = layers.Conv2D(filters, 4, 2, "same")(image)
    for i in range(1, halvings):
        x = _stage(x, blocks, condition)
        x = layers.Conv2D(filters * min(2**i, 8), 4, 2, "same")(x)
    x = _stage(x, blocks, condition)
    if latent_side is None:
        x = layers.Flatten()(x)
        heads = _dense_heads(x, latent_dim)
    else:
        maps = [layers.Conv2D(latent_dim // area, 1, dtype="float32", **start)(x) for start in STARTS.values()]
        heads = [layers.Flatten(dtype="float32", name=head)(x) for head, x in zip(STARTS, maps, strict=True)]
    return keras.Model(joined(image, labels), heads, name=name)


def vae_decoder(
    image_shape: ImageShape,
    *,
    latent_dim: int = 128,
    parameters: int = 2,
    latent_side: int | None = None,
    filters: int = 64,
    blocks: int = 1,
    num_classes: int | None = None,
    multi_label: bool = False,
    name: str = "vae_decoder",
) -> keras.Model:
    """Build a convolutional decoder, which mirrors the encoder.

    Args:
        image_shape: The height, width and channels, as for the encoder.
        latent_dim: The size of a latent.
        parameters: The channels that the decoder gives for each channel of the image, `likelihood.parameters`: 2 for
            `DiscretizedLogistic`, and for `Gaussian` with a learned scale; otherwise 1.
        latent_side: The shorter side of a latent that is a map, or None, as for the encoder.
        filters: The channels at half the image's size, as for the encoder.
        blocks: The number of residual blocks at each size, as for the encoder.
        num_classes: The number of classes, or of attributes, that a conditional decoder takes with the latents; or
            None.
        multi_label: Whether labels are vectors of `num_classes` attributes instead of class ids.
        name: The name of the model.

    Returns:
        Latents (batch, latent_dim), or [latents, labels], -> what the likelihood takes, (batch, height, width,
        parameters * channels).

    Raises:
        ValueError: For an image shape or a latent size that the network cannot have.

    Example:
        >>> likelihood = ks.losses.DiscretizedLogistic()
        >>> decoder = ks.models.vae_decoder((32, 32, 3), latent_dim=8, parameters=likelihood.parameters, filters=4)
        >>> images = likelihood.mean(decoder(keras.random.normal((2, 8))))
        >>> images.shape
        TensorShape([2, 32, 32, 3])
    """
    halvings, area = vae_halvings(image_shape, latent_dim, latent_side)
    width = filters * min(2 ** (halvings - 1), 8)
    small = (image_shape[0] >> halvings, image_shape[1] >> halvings, width)
    latent = keras.Input((latent_dim,), name="latent")
    labels, condition = label_input(num_classes, multi_label)
    if latent_side is None:
        x = layers.Reshape(small)(layers.Dense(math.prod(small))(latent))
    else:
        x = layers.Conv2D(width, 3, padding="same")(layers.Reshape((*small[:2], latent_dim // area))(latent))
    if condition is not None:
        x = layers.Add()([x, layers.Reshape(small)(layers.Dense(math.prod(small))(condition))])
    for i in reversed(range(halvings - 1)):
        x = _stage(x, blocks, condition)
        x = layers.Conv2DTranspose(filters * min(2**i, 8), 4, 2, "same")(x)
    x = _stage(x, blocks, condition)
    decoded = layers.Conv2DTranspose(parameters * image_shape[-1], 4, 2, "same", dtype="float32", name="decoded")(x)
    return keras.Model(joined(latent, labels), decoded, name=name)


def vae_dense_encoder(
    image_shape: ImageShape,
    *,
    latent_dim: int = 128,
    units: Sequence[int] = (512, 512),
    num_classes: int | None = None,
    multi_label: bool = False,
    name: str = "vae_dense_encoder",
) -> keras.Model:
    """Build a fully connected encoder, for images of any shape; see `vae_encoder`.

    Args:
        image_shape: The height, width and channels.
        latent_dim: The size of a latent.
        units: The number of units of each hidden layer.
        num_classes: The number of classes, or of attributes, that a conditional encoder takes with the images; or None.
        multi_label: Whether labels are vectors of `num_classes` attributes instead of class ids.
        name: The name of the model.

    Example:
        >>> encoder = ks.models.vae_dense_encoder((28, 28, 1), latent_dim=8, units=(32,))
        >>> mean, log_variance = encoder(np.zeros((2, 28, 28, 1)))
        >>> mean.shape
        TensorShape([2, 8])
    """
    image = keras.Input(image_shape, name="image")
    labels, condition = label_input(num_classes, multi_label)
    x = layers.Flatten()(image)
    if condition is not None:
        x = layers.Concatenate()([x, condition])
    for width in units:
        x = layers.Dense(width, "silu")(x)
    return keras.Model(joined(image, labels), _dense_heads(x, latent_dim), name=name)


def vae_dense_decoder(
    image_shape: ImageShape,
    *,
    latent_dim: int = 128,
    parameters: int = 2,
    units: Sequence[int] = (512, 512),
    num_classes: int | None = None,
    multi_label: bool = False,
    name: str = "vae_dense_decoder",
) -> keras.Model:
    """Build a fully connected decoder; see `vae_decoder`.

    Args:
        image_shape: The height, width and channels, as for the encoder.
        latent_dim: The size of a latent.
        parameters: The channels for each channel of the image, `likelihood.parameters`.
        units: The number of units of each hidden layer.
        num_classes: The number of classes, or of attributes, that a conditional decoder takes with the latents; or
            None.
        multi_label: Whether labels are vectors of `num_classes` attributes instead of class ids.
        name: The name of the model.

    Example:
        >>> likelihood = ks.losses.Bernoulli()
        >>> decoder = ks.models.vae_dense_decoder((28, 28, 1), latent_dim=8, parameters=1, units=(32,))
        >>> images = likelihood.mean(decoder(keras.random.normal((2, 8))))
        >>> images.shape
        TensorShape([2, 28, 28, 1])
    """
    latent = keras.Input((latent_dim,), name="latent")
    labels, condition = label_input(num_classes, multi_label)
    x = latent
    if condition is not None:
        x = layers.Concatenate()([x, condition])
    for width in units:
        x = layers.Dense(width, "silu")(x)
    decoded_shape = (*image_shape[:2], parameters * image_shape[2])
    x = layers.Dense(math.prod(decoded_shape), dtype="float32")(x)
    decoded = layers.Reshape(decoded_shape, dtype="float32", name="decoded")(x)
    return keras.Model(joined(latent, labels), decoded, name=name)


def vae_halvings(image_shape: ImageShape, latent_dim: int, latent_side: int | None) -> tuple[int, int]:
    """Return how often the sides are halved, and the pixels of the last map; ValueError where it does not work out."""
    height, width, channels = image_shape
    if latent_dim < 1:
        raise ValueError(f"A latent has one number or more. Received: latent_dim={latent_dim}")
    shorter, side = min(height, width), LEAST_SIDE if latent_side is None else latent_side
    halvings = (shorter // max(side, 1)).bit_length() - 1
    fits = halvings >= 1 and side >= 1 and shorter == side << halvings and max(height, width) % (1 << halvings) == 0
    if not fits or channels < 1:
        raise ValueError(
            "The shorter side of a VAE's images is a power of two times 4 (or `latent_side`), and the longer one is "
            f"halved as often, such as (64, 64, 3). Received: image_shape={tuple(image_shape)}, "
            f"latent_side={latent_side}"
        )
    area = (height >> halvings) * (width >> halvings)
    if latent_side is not None and (latent_dim < 1 or latent_dim % area):
        raise ValueError(
            f"A latent that is a map has as many numbers at each of its {area} places. "
            f"Received: latent_dim={latent_dim}, which is no multiple of {area}"
        )
    return halvings, area


def _dense_heads(x: Tensor, latent_dim: int) -> list[Any]:
    return [layers.Dense(latent_dim, dtype="float32", name=head, **start)(x) for head, start in STARTS.items()]


def _stage(x: Tensor, blocks: int, condition: Tensor) -> Tensor:
    """Add, block after block, what two convolutions find (pre-activation), starting from nothing.

    A condition scales and shifts each channel before (Perez et al., 2018, arXiv:1709.07871). Added to the smallest map
    alone, the class was learnt from the latents instead, and samples were hardly ever of the class asked for.

    Between the blocks of two sizes stands no activation: the straight way through the network is linear, and learns a
    principal component analysis within some hundred steps; the blocks bend it.
    """
    if condition is not None:
        x = modulate(x, condition, {}, {})
    if not blocks:
        return layers.Activation("silu")(x)
    for _ in range(blocks):
        y = layers.Conv2D(x.shape[-1], 3, padding="same")(layers.Activation("silu")(x))
        y = layers.Conv2D(x.shape[-1], 3, padding="same", kernel_initializer="zeros")(layers.Activation("silu")(y))
        x = layers.Add()([x, y])
    return x
