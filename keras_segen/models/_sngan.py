"""SNGAN's residual generator and discriminator (Miyato et al., 2018, arXiv:1802.05957, appendix B.4)."""

from collections.abc import Callable
from typing import Any, Literal

import keras
from keras import layers, ops

from keras_segen._labels import joined
from keras_segen.layers import FusedBatchNormalization, SpectralConv2D
from keras_segen.models._conditioning import conditional_normalize, label_input, projection
from keras_segen.models._image_sizes import image_doublings
from keras_segen.types import ImageShape, Tensor


def sngan_generator(
    image_shape: ImageShape,
    *,
    latent_dim: int = 128,
    num_classes: int | None = None,
    multi_label: bool = False,
    filters: int = 256,
    name: str = "sngan_generator",
) -> keras.Model:
    """Build SNGAN's residual generator: 4×4 positions, doubled by residual blocks up to the image.

    Args:
        image_shape: The height, width and channels; height and width are equal, and a power of two of at least 16.
        latent_dim: The size of a latent.
        num_classes: The number of classes, or of attributes, of a conditional generator, whose batch normalisations
            have a scale and a shift for each class (Miyato and Koyama, 2018); or None.
        multi_label: Whether labels are vectors of `num_classes` attributes instead of class ids.
        filters: The channels of every block. The default is that of the paper's network for CIFAR-10.
        name: The name of the model.

    Returns:
        Latents (batch, latent_dim), or [latents, labels] -> images (batch, height, width, channels) in [-1, 1].

    Raises:
        ValueError: For an image shape that the network cannot have.

    Example:
        >>> generator = ks.models.sngan_generator((32, 32, 3), latent_dim=16, filters=4)
        >>> generator(keras.random.normal((2, 16))).shape
        TensorShape([2, 32, 32, 3])
    """
    doublings = image_doublings(image_shape)
    latents = keras.Input((latent_dim,), name="latent")
    labels, condition = label_input(num_classes, multi_label)

    def normalize(x: Tensor) -> Tensor:
        return _normalize(x) if condition is None else conditional_normalize(x, condition, multi_label)

    x = layers.Reshape((4, 4, filters))(layers.Dense(16 * filters, kernel_initializer="glorot_uniform")(latents))
    for _ in range(doublings):
        x = _block_up(x, filters, normalize)
    x = layers.ReLU()(_normalize(x))
    x = layers.Conv2D(image_shape[-1], 3, padding="same")(x)
    # float32 whatever the policy: images are what losses and users see.
    images = layers.Activation("tanh", dtype="float32", name="image")(x)
    return keras.Model(joined(latents, labels), images, name=name)


def sngan_discriminator(
    image_shape: ImageShape,
    *,
    num_classes: int | None = None,
    multi_label: bool = False,
    normalization: Literal["spectral"] | None = "spectral",
    filters: int = 128,
    name: str = "sngan_discriminator",
) -> keras.Model:
    """Build SNGAN's residual discriminator: blocks that halve down to 8×8, two more, and a sum over all positions.

    Args:
        image_shape: The height, width and channels, as for `sngan_generator`.
        num_classes: The number of classes, or of attributes, of a conditional discriminator, whose logit is one of the
            features plus their product with a vector for the class (Miyato and Koyama, 2018, arXiv:1802.05637, eq. 7);
            or None.
        multi_label: Whether labels are vectors of `num_classes` attributes instead of class ids.
        normalization: "spectral", on every layer, as in the paper; or None, as gradient penalties need it.
        filters: The channels of every block. The default is that of the paper's network for CIFAR-10.
        name: The name of the model.

    Returns:
        Images (batch, height, width, channels) in [-1, 1], or [images, labels] -> logits (batch, 1).

    Raises:
        ValueError: For an image shape that the network cannot have, or an unknown normalization.

    Example:
        >>> discriminator = ks.models.sngan_discriminator((32, 32, 3), filters=4)
        >>> discriminator(np.zeros((2, 32, 32, 3))).shape
        TensorShape([2, 1])
    """
    if normalization not in ("spectral", None):
        raise ValueError(f'`normalization` is "spectral" or None. Received: normalization={normalization!r}')
    convolution = SpectralConv2D if normalization == "spectral" else layers.Conv2D
    halvings = max(image_doublings(image_shape) - 1, 1)
    images = keras.Input(image_shape, name="image")
    x = images
    for i in range(halvings):
        x = _block_down(x, filters, convolution, first=i == 0, halve=True)
    for _ in range(2):
        x = _block_down(x, filters, convolution, first=False, halve=False)
    features = ops.sum(layers.ReLU()(x), axis=(1, 2), keepdims=True)
    logit = convolution(1, 1)(features)
    labels, condition = label_input(num_classes, multi_label)
    if condition is not None:
        logit = logit + projection(features, condition, convolution)
    logits = layers.Flatten(dtype="float32", name="logit")(logit)
    return keras.Model(joined(images, labels), logits, name=name)


def _normalize(x: Tensor) -> Tensor:
    return FusedBatchNormalization(epsilon=1e-5)(x)


def _block_up(x: Tensor, filters: int, normalize: Callable[[Any], Any]) -> Tensor:
    """Double the sides. The shortcut is convolved before it is doubled: the same, at a quarter of the cost."""
    doubled = _doubled(layers.ReLU()(normalize(x)))
    doubled = layers.Conv2D(filters, 3, padding="same")(doubled)
    doubled = layers.Conv2D(filters, 3, padding="same")(layers.ReLU()(normalize(doubled)))
    return doubled + _doubled(layers.Conv2D(filters, 1)(x))


def _doubled(x: Tensor) -> Tensor:
    """Repeat each pixel to its right and below, by operations whose shapes LiteRT knows, unlike `UpSampling2D`'s."""
    _, height, width, channels = x.shape
    rows = layers.Reshape((height, 2 * width * channels))(layers.Concatenate()([x, x]))
    return layers.Reshape((2 * height, 2 * width, channels))(layers.Concatenate()([rows, rows]))


def _block_down(x: Tensor, filters: int, convolution: type[layers.Conv2D], *, first: bool, halve: bool) -> Tensor:
    """Two convolutions beside a shortcut; the first block has no ReLU before it, for it would cut off the image."""

    def convolve(x: Tensor, kernel: int) -> Tensor:
        return convolution(filters, kernel, padding="same", kernel_initializer="glorot_uniform")(x)

    y = convolve(x if first else layers.ReLU()(x), 3)
    y = convolve(layers.ReLU()(y), 3)
    y = layers.AveragePooling2D(2)(y) if halve else y
    # Pooling and a 1×1 convolution commute: pooled first, it costs a quarter.
    shortcut = layers.AveragePooling2D(2)(x) if halve else x
    return y + (convolve(shortcut, 1) if first or halve else shortcut)
