"""Augmentation: one random draw moves an image and its mask alike, another changes the image's colours."""

from dataclasses import dataclass
from numbers import Real
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from keras_segen.types import Tensor

# Beyond the image: mid-grey, which the networks' scaling turns into 0.
FILL = 127


@dataclass(frozen=True)
class Augmentation:
    """The augmentation of training images: how far they are varied. Every draw is uniform.

    Attributes:
        scale: The least and the greatest factor by which an image is enlarged before the crop.
        flip: Whether to mirror half of the images left and right.
        brightness: The greatest shift of brightness, as a share of the range [0, 255].
        contrast: The greatest change of the distance to mid-grey, as a share.
        saturation: The greatest change of the distance to grey of the same luminance, as a share.

    Example:
        >>> augmentation = ks.data.Augmentation(scale=(0.8, 1.25), brightness=0.1)
        >>> augmentation.flip
        True
    """

    scale: tuple[float, float] = (0.5, 2.0)
    flip: bool = True
    brightness: float = 0.2
    contrast: float = 0.2
    saturation: float = 0.2

    def __post_init__(self) -> None:
        pair = isinstance(self.scale, tuple | list) and len(self.scale) == 2 and all(map(_is_number, self.scale))
        if not pair or not 0 < self.scale[0] <= self.scale[1]:
            raise ValueError(
                f"`scale` must be two positive factors in order, such as (0.5, 2.0). Received: scale={self.scale!r}"
            )
        for name in ("brightness", "contrast", "saturation"):
            value = getattr(self, name)
            if not _is_number(value) or not 0 <= value <= 1:
                raise ValueError(f"`{name}` must be a number from 0 to 1. Received: {name}={value!r}")


def _is_number(value: Any) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool)


class Variation(NamedTuple):
    """The variations that follow from draws; every attribute is a tensor, with the draws' leading dimensions first.

    Attributes:
        window: The top, left, height and width of the part of the image that becomes the crop, int32 (..., 4). It may
            reach beyond the image.
        flip: Whether to mirror left and right, boolean (...).
        contrast: The factor of images that are not RGB, float32 (...).
        matrix: The matrix that RGB rows are multiplied by instead, float32 (..., 3, 3).
        offset: The number that is then added to the colours, float32 (...).
    """

    window: Any
    flip: Any
    contrast: Any
    matrix: Any
    offset: Any


def vary(augmentation: Augmentation, height: Tensor, width: Tensor, size: int, draw: Tensor) -> Variation:
    """Turn draws, float32 (..., 7) in [0, 1), into variations of images of `height` and `width` for crops of `size`².

    The window is at most as large as the image's longer side, or as the crop if that is larger: shrinking an image
    further would only add void, and enlarging it to fill the crop would train on another scale than is scored. A
    window that is larger than the image holds all of it at a random place; top or left is then negative.
    """
    zoom, top, left, flip, brightness, contrast, saturation = tf.unstack(draw, axis=-1)
    min_scale, max_scale = augmentation.scale
    # Uniform in the logarithm: enlarging by 2 is as likely as shrinking by 2.
    side = tf.cast(tf.round(size / (min_scale * (max_scale / min_scale) ** zoom)), tf.int32)
    side = tf.clip_by_value(side, 1, tf.maximum(tf.maximum(height, width), size))

    def place(extent: Tensor, share: Tensor) -> Tensor:
        return tf.cast(tf.round(tf.cast(extent - side, tf.float32) * share), tf.int32)

    def around(middle: float, reach: float, share: Tensor) -> Tensor:
        return middle + reach * (2 * share - 1)

    # Contrast, saturation and brightness are linear in the colour: one matrix and one offset do all three in one pass.
    c, s = around(1, augmentation.contrast, contrast), around(1, augmentation.saturation, saturation)
    luminance = tf.constant([[0.299] * 3, [0.587] * 3, [0.114] * 3])  # ITU-R BT.601
    saturate = s[..., None, None] * tf.eye(3) + (1 - s)[..., None, None] * luminance
    return Variation(
        window=tf.stack([place(height, top), place(width, left), side, side], -1),
        flip=(flip < 0.5) & augmentation.flip,
        contrast=c,
        matrix=c[..., None, None] * saturate,
        offset=127.5 * (1 - c) + around(0, 255 * augmentation.brightness, brightness),
    )


def plan(
    height: Tensor,
    width: Tensor,
    draw: Tensor,
    *,
    image_size: int | None,
    training: bool,
    augmentation: Augmentation | None,
) -> tuple[Any, ...]:
    """Return the window of each image, its part inside, the padding (see `inside`), and in training the variation."""
    if not training:
        window = fit_in(height, width, image_size or 0)
        return window, *inside(window, height, width)
    varied = vary(augmentation or Augmentation(), height, width, image_size or 0, draw)
    return varied.window, *inside(varied.window, height, width), varied


def fit_in(height: Tensor, width: Tensor, size: int) -> Tensor:
    """Return the least square of `size` or more around each image as its window, int32 (..., 4)."""
    side = tf.maximum(tf.maximum(height, width), size)
    return tf.stack([(height - side) // 2, (width - side) // 2, side, side], -1)


def inside(window: Tensor, height: Tensor, width: Tensor) -> tuple[Tensor, Tensor]:
    """Split windows, int32 (..., 4), into the parts inside the images, likewise, and the padding, int32 (..., 3, 2)."""
    extent = tf.stack([height, width], -1)
    corner, end = window[..., :2], window[..., :2] + window[..., 2:]
    first, last = tf.clip_by_value(corner, 0, extent), tf.clip_by_value(end, 0, extent)
    padding = tf.stack([first - corner, end - last], -1)
    channels = tf.zeros_like(padding[..., :1, :])
    return tf.concat([first, last - first], -1), tf.concat([padding, channels], -2)


def place_image(part: Tensor, padding: Tensor, size: int, *, antialias: bool = False, fill: float = FILL) -> Tensor:
    """Pad an image (height, width, channels) with grey and resize it, bilinear, to float32 (size, size, channels)."""
    part = tf.cast(part, tf.float32)  # TensorFlow resizes floats in half the time that bytes take
    part = tf.cond(tf.reduce_any(padding > 0), lambda: tf.pad(part, padding, constant_values=fill), lambda: part)
    return tf.image.resize(part, [size, size], antialias=antialias)


def place_mask(turned: Tensor, window: Tensor, size: int) -> Tensor:
    """Cut the window out of a mask and resize it, nearest neighbour, to uint8 (size, size).

    Args:
        turned: The mask transposed, with a last row and column of void, uint8 (width + 1, height + 1).
        window: The top, left, height and width, int32 (4,). It may reach beyond the mask, where all is void.
        size: The side of the result in pixels.
    """
    cells = _cells(window, size)
    last = tf.shape(turned)[::-1, None] - 1
    rows, columns = tf.unstack(tf.where((cells < 0) | (cells > last), last, cells))
    # Crop, padding and resizing at once. Whole rows are gathered quickly, single columns are not: hence turned.
    return tf.gather(tf.transpose(tf.gather(turned, columns)), rows)


def place_pixels(pixels: Tensor, window: Tensor, size: int, *, void: int) -> Tensor:
    """Do the same as `place_mask` to a mask that was just decoded, where transposing would cost more than it saves.

    Args:
        pixels: The mask, uint8 (height, width, channels).
        window: The top, left, height and width, int32 (4,), as for `place_mask`.
        size: The side of the result in pixels.
        void: The value beyond the mask, in every channel.

    Returns:
        The result, uint8 (size, size, channels).
    """
    cells = _cells(window, size)
    last = tf.shape(pixels)[:2, None] - 1
    beyond = (cells < 0) | (cells > last)
    rows, columns = tf.unstack(tf.clip_by_value(cells, 0, last))
    placed = tf.gather(tf.gather(pixels, rows), columns, axis=1)
    return tf.where((beyond[0, :, None] | beyond[1])[..., None], tf.cast(void, placed.dtype), placed)


def _cells(window: Tensor, size: int) -> Tensor:
    """Return the rows and columns, int32 (2, size), in which the centres of the result's pixels lie."""
    centres = (np.arange(size, dtype=np.float32) + 0.5) / size
    return window[:2, None] + tf.cast(centres * tf.cast(window[2:, None], tf.float32), tf.int32)


@tf.function(jit_compile=True, autograph=False)
def flip_and_colour(
    images: Tensor, masks: Tensor, variation: Variation, *, low: float = 0.0, scale: float = 1.0
) -> tuple[Tensor, Tensor]:
    """Mirror each of a batch of images and masks or not, vary the images' colours and keep them in their range.

    XLA makes one pass of it, a quarter of the time of the operations one by one.

    Args:
        images: The images, float32 (batch, size, size, channels). If there are three channels, they are red, green and
            blue.
        masks: The masks, uint8 (batch, size, size).
        variation: The variation of each.
        low: The least value of the images.
        scale: The factor that turns what is above it into [0, 255].
    """
    flip = variation.flip[:, None, None]
    masks = tf.where(flip, masks[:, :, ::-1], masks)
    images = tf.where(flip[..., None], images[:, :, ::-1], images)
    if (low, scale) != (0.0, 1.0):
        images = (images - low) * scale
    if images.shape[-1] == 3:
        matrix = variation.matrix[:, None, None]
        red, green, blue = images[..., :1], images[..., 1:2], images[..., 2:]
        mixed = red * matrix[..., 0, :] + green * matrix[..., 1, :] + blue * matrix[..., 2, :]
    else:
        mixed = images * variation.contrast[:, None, None, None]
    varied = tf.clip_by_value(mixed + variation.offset[:, None, None, None], 0, 255)
    if (low, scale) != (0.0, 1.0):
        varied = varied / scale + low
    return varied, masks
