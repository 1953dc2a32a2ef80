"""Differentiable augmentation for GANs: the generator's gradients go through it."""

from collections.abc import Callable
from typing import Any

import keras
from keras import ops

from keras_segen.types import Tensor


@keras.saving.register_keras_serializable("keras_segen")
class DiffAugment:
    """Vary real and generated images alike before the discriminator sees them, so that few images suffice.

    The variations are those of Zhao et al., 2020 (arXiv:2006.10738), section 3.2 and its code: brightness by ±0.5, and
    contrast and saturation by factors, in images of [-1, 1]; shifts by up to an eighth of the side; a hole of half the
    side. Pixels from outside the image are 0, mid-grey. Each image has a draw of its own.

    Args:
        colour: Whether to vary brightness, saturation and contrast.
        translation: Whether to shift images.
        cutout: Whether to cut a hole.

    Example:
        >>> generator = ks.models.dcgan_generator((16, 16, 3), latent_dim=8, filters=4)
        >>> discriminator = ks.models.dcgan_discriminator((16, 16, 3), filters=4)
        >>> gan = ks.training.GAN(generator, discriminator)
        >>> gan.compile(augmentation=ks.training.DiffAugment(cutout=False))
    """

    def __init__(self, *, colour: bool = True, translation: bool = True, cutout: bool = True) -> None:
        self.colour = colour
        self.translation = translation
        self.cutout = cutout

    def __call__(self, images: Tensor, draw: Callable[..., Any]) -> Tensor:
        """Vary a batch.

        Args:
            images: The images, float (batch, height, width, channels) in [-1, 1].
            draw: A function (function of `keras.random`, batch, shape) -> numbers (batch, *shape).
        """
        batch, height, width = ops.shape(images)[0], images.shape[1], images.shape[2]
        shares = ops.cast(draw(keras.random.uniform, batch, (7,)), images.dtype)
        brightness, saturation, contrast, down, right, top, left = (shares[:, i, None, None, None] for i in range(7))
        if self.colour:
            images = images + brightness - 0.5
            grey = ops.mean(images, axis=-1, keepdims=True)
            images = grey + 2 * saturation * (images - grey)
            mean = ops.mean(images, axis=(1, 2, 3), keepdims=True)
            images = mean + (contrast + 0.5) * (images - mean)
        if self.translation:
            images = ops.einsum("bij,bjwc->biwc", _shift(down[:, 0, 0, 0], height, images.dtype), images)
            images = ops.einsum("bij,bhjc->bhic", _shift(right[:, 0, 0, 0], width, images.dtype), images)
        if self.cutout:
            rows = _hole(top[:, 0, 0, 0], height)[:, :, None, None]
            columns = _hole(left[:, 0, 0, 0], width)[:, None, :, None]
            images = images * ops.cast(ops.logical_not(ops.logical_and(rows, columns)), images.dtype)
        return images

    def get_config(self) -> dict[str, Any]:
        """Return the arguments."""
        return {"colour": self.colour, "translation": self.translation, "cutout": self.cutout}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "DiffAugment":
        """Rebuild it from its arguments."""
        return cls(**config)


def _shift(share: Tensor, side: int, dtype: Any) -> Tensor:
    """Matrices (batch, side, side) that move by up to an eighth of the side, either way; shares lie in [0, 1)."""
    reach = round(side / 8)
    steps = ops.cast(ops.floor(share * (2 * reach + 1)), "int32") - reach
    places = ops.arange(side, dtype="int32")
    return ops.cast(places[None, None, :] == places[None, :, None] - steps[:, None, None], dtype)


def _hole(share: Tensor, side: int) -> Tensor:
    """Where a hole of half the side, whose middle lies anywhere in the image, is: boolean (batch, side)."""
    half = side // 2
    middle = ops.cast(ops.floor(share * (side + 1 - half % 2)), "int32")
    places = ops.arange(side, dtype="int32")[None]
    first = middle[:, None] - half // 2
    return ops.logical_and(places >= first, places < first + half)
