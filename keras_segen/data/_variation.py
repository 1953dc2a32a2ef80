"""Varying batches of images and masks: turning, deforming, mirroring and colouring them as drawn."""

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import tensorflow as tf

from keras_segen._masks import VOID
from keras_segen.data import _composition
from keras_segen.data._augmentation import Augmentation, Variation
from keras_segen.data._order import GRID
from keras_segen.types import Tensor

Finish = Callable[[Tensor, Tensor, Variation], tuple[Tensor, Tensor]]


def varying(augmentation: Augmentation, size: int, *, low: float = 0.0, scale: float = 1.0) -> Finish:
    """Return a function that varies a batch: images, masks, variation -> images, masks.

    Args:
        augmentation: How far images are varied.
        size: The side of the crops, without the margin that images and masks have.
        low: The least value of the images.
        scale: The factor that turns what is above it into [0, 255].
    """
    colour = partial(turn_and_colour, augmentation=augmentation, low=low, scale=scale)

    def finish(images: Tensor, masks: Tensor, variation: Variation) -> tuple[Tensor, Tensor]:
        if augmentation.margin(size):
            images, masks = warp(images, masks, variation, size, elastic=augmentation.elastic)
        images, masks = colour(images, masks, variation)
        if augmentation.noise:
            images = noisy(images, variation, low=low, scale=scale)
        if augmentation.copy_paste:
            images, masks = copy_pasted(images, masks, variation.seed, augmentation.copy_paste)
        return (images, masks) if augmentation.hook is None else hooked(augmentation.hook, images, masks)

    return finish


@tf.function(jit_compile=True, autograph=False)
def warp(images: Tensor, masks: Tensor, variation: Variation, size: int, *, elastic: float) -> tuple[Tensor, Tensor]:
    """Turn and deform crops with a margin, and cut the margin off.

    XLA takes a quarter of the time of the operations one by one, as in `turn_and_colour`.

    Args:
        images: The images, float32 (batch, side, side, channels), interpolated bilinearly.
        masks: The masks, uint8 (batch, side, side), of which the nearest pixel is taken; beyond them all is void.
        variation: The variation of each.
        size: The side of what is returned.
        elastic: The standard deviation of the displacements, as a share of `size`.
    """
    batch, side = tf.shape(images)[0], images.shape[1]
    places = tf.range(size, dtype=tf.float32) - (size - 1) / 2
    sin, cos = tf.sin(variation.angle)[:, None, None], tf.cos(variation.angle)[:, None, None]
    rows = cos * places[:, None] - sin * places + (side - 1) / 2
    columns = sin * places[:, None] + cos * places + (side - 1) / 2
    if elastic:
        weights = _bicubic(size)
        shift = elastic * size * tf.einsum("ri,cj,bijk->brck", weights, weights, variation.displacements)
        rows, columns = rows + shift[..., 0], columns + shift[..., 1]

    first = tf.range(batch)[:, None, None] * side * side
    flat = tf.reshape(images, [-1, images.shape[-1]])

    def cells(rows: Tensor, columns: Tensor) -> Tensor:
        rows, columns = (tf.clip_by_value(tf.cast(x, tf.int32), 0, side - 1) for x in (rows, columns))
        return first + rows * side + columns

    top, left = tf.floor(rows), tf.floor(columns)
    down, right = (rows - top)[..., None], (columns - left)[..., None]
    upper = tf.gather(flat, cells(top, left)) * (1 - right) + tf.gather(flat, cells(top, left + 1)) * right
    lower = tf.gather(flat, cells(top + 1, left)) * (1 - right) + tf.gather(flat, cells(top + 1, left + 1)) * right
    nearest_rows, nearest_columns = tf.round(rows), tf.round(columns)
    beyond = (tf.minimum(nearest_rows, nearest_columns) < 0) | (tf.maximum(nearest_rows, nearest_columns) > side - 1)
    moved = tf.gather(tf.reshape(masks, [-1]), cells(nearest_rows, nearest_columns))
    return upper * (1 - down) + lower * down, tf.where(beyond, tf.cast(VOID, masks.dtype), moved)


def _bicubic(size: int) -> np.ndarray:
    """Return the matrix (size, GRID) that resizes a column bicubically, for which XLA has no operation."""
    with tf.init_scope():
        columns = tf.image.resize(tf.eye(GRID)[..., None], [size, GRID], "bicubic")
    return columns.numpy()[..., 0]


@tf.function(jit_compile=True, autograph=False)
def turn_and_colour(
    images: Tensor,
    masks: Tensor,
    variation: Variation,
    *,
    augmentation: Augmentation = Augmentation(),  # noqa: B008
    low: float = 0.0,
    scale: float = 1.0,
) -> tuple[Tensor, Tensor]:
    """Mirror and turn each of a batch of images and masks or not, vary the images, and keep them in their range.

    XLA makes one pass of it, a quarter of the time of the operations one by one.

    Args:
        images: The images, float32 (batch, size, size, channels). If there are three channels, they are red, green and
            blue.
        masks: The masks, uint8 (batch, size, size).
        variation: The variation of each.
        augmentation: What there is of variations; others cost nothing.
        low: The least value of the images.
        scale: The factor that turns what is above it into [0, 255].
    """
    images, masks = _turned(images, masks, variation, augmentation)
    if (low, scale) != (0.0, 1.0):
        images = (images - low) * scale
    if images.shape[-1] == 3:
        matrix = variation.matrix[:, None, None]
        red, green, blue = images[..., :1], images[..., 1:2], images[..., 2:]
        mixed = red * matrix[..., 0, :] + green * matrix[..., 1, :] + blue * matrix[..., 2, :]
    else:
        mixed = images * variation.contrast[:, None, None, None]
    images = tf.clip_by_value(mixed + variation.offset[:, None, None, None], 0, 255)
    if augmentation.gamma:
        images = 255 * (images / 255) ** variation.gamma[:, None, None, None]
    if augmentation.blur:
        images = _blurred(images, variation.blur, augmentation.blur)
    if (low, scale) != (0.0, 1.0):
        images = images / scale + low
    return images, masks


def noisy(images: Tensor, variation: Variation, *, low: float = 0.0, scale: float = 1.0) -> Tensor:
    """Add Gaussian noise to a batch of images, and keep them in their range.

    Not by XLA, which draws normal numbers in eight times the time.

    Args:
        images: The images, float32 (batch, size, size, channels).
        variation: The variation of each.
        low: The least value of the images.
        scale: The factor that turns what is above it into [0, 255].
    """
    having = tf.where(variation.noise > 0)  # drawing for all would take twice as long
    shape = tf.concat([tf.shape(having)[:1], tf.shape(images)[1:]], 0)
    # One batch has one seed, the first image's: all is drawn at once.
    noise = tf.random.stateless_normal(shape, variation.seed[0])
    deviation = tf.gather_nd(variation.noise, having)[:, None, None, None] / scale
    return tf.clip_by_value(tf.tensor_scatter_nd_add(images, having, deviation * noise), low, low + 255 / scale)


def _turned(images: Tensor, masks: Tensor, variation: Variation, augmentation: Augmentation) -> tuple[Tensor, Tensor]:
    """Mirror left and right, then up and down, then turn by multiples of 90 degrees, counter-clockwise."""
    masks = masks[..., None]

    def where(condition: Tensor, change: Callable[[Tensor], Tensor]) -> None:
        nonlocal images, masks
        condition = condition[:, None, None, None]
        images, masks = (tf.where(condition, change(x), x) for x in (images, masks))

    where(variation.flip, lambda x: x[:, :, ::-1])
    if augmentation.vertical_flip:
        where(variation.vertical_flip, lambda x: x[:, ::-1])
    if augmentation.quarter_turns:
        where(variation.quarter_turns % 2 == 1, lambda x: tf.transpose(x, [0, 2, 1, 3])[:, ::-1])
        where(variation.quarter_turns >= 2, lambda x: x[:, ::-1, ::-1])
    return images, masks[..., 0]


def _blurred(images: Tensor, deviation: Tensor, most: float) -> Tensor:
    """Blur each image with a Gaussian of its own standard deviation, up to `most` pixels; 0 leaves it as it is."""
    radius = math.ceil(3 * most)
    steps = tf.range(-radius, radius + 1, dtype=tf.float32)
    weights = tf.exp(-(steps**2) / (2 * tf.maximum(deviation, 1e-3)[:, None] ** 2))
    weights /= tf.reduce_sum(weights, -1, keepdims=True)
    for axis in (1, 2):
        size = images.shape[axis]
        sides = [(radius, radius) if i == axis else (0, 0) for i in range(4)]
        padded = tf.pad(images, sides, "SYMMETRIC")
        total: Any = 0
        for i in range(2 * radius + 1):
            part = padded[:, i : i + size] if axis == 1 else padded[:, :, i : i + size]
            total += weights[:, i, None, None, None] * part
        images = total
    return images


def copy_pasted(images: Tensor, masks: Tensor, seeds: Tensor, share: float) -> tuple[Tensor, Tensor]:
    """Paste objects of the next image into a share of the images; see `copy_paste`."""

    def call(images: np.ndarray, masks: np.ndarray, seeds: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return _composition.copy_paste(images, masks, seeds, share)

    new_images, new_masks = tf.numpy_function(call, [images, masks, seeds], [images.dtype, masks.dtype], stateful=False)
    return tf.ensure_shape(new_images, images.shape), tf.ensure_shape(new_masks, masks.shape)


def hooked(hook: Callable[..., Any], images: Tensor, masks: Tensor) -> tuple[Tensor, Tensor]:
    """Vary each image and mask by a user's function."""

    def call(images: np.ndarray, masks: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        done = [hook(image, mask) for image, mask in zip(images, masks, strict=True)]
        for pair, image, mask in zip(done, images, masks, strict=True):
            shapes = tuple(np.shape(part) for part in pair)
            if shapes != (image.shape, mask.shape):
                raise ValueError(
                    f"`hook` must return an image and a mask of the shapes {image.shape} and {mask.shape}. Received: "
                    f"{shapes}"
                )
            changed, ids = (np.asarray(part) for part in pair)
            if not np.isfinite(changed).all() or not np.isin(ids, np.arange(256)).all():
                raise ValueError(
                    "`hook` must return an image of finite numbers and a mask of class ids, 255 for void. Received: "
                    f"an image from {changed.min()} to {changed.max()}, ids {np.unique(ids)[:5].tolist()}"
                )
        new_images, new_masks = zip(*done, strict=True)
        return np.stack(new_images).astype(np.float32), np.stack(new_masks).astype(masks.dtype)

    new_images, new_masks = tf.numpy_function(call, [images, masks], [tf.float32, masks.dtype])
    return tf.ensure_shape(new_images, images.shape), tf.ensure_shape(new_masks, masks.shape)
