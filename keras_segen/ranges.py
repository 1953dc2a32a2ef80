"""Ranges of images: conversion between uint8 and the floats in [-1, 1] of generative models, and checks."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from keras_segen.types import Tensor

__all__ = [
    "to_floats",
    "to_uint8",
]

SLACK = 0.01  # over 1, as interpolation leaves it
# Floats that begin between 0 and this, and do not end in mid-grey, are taken for images in [0, 1]: there nearly every
# image has something so dark, and in [-1, 1] hardly any set of images has nothing darker.
DARK = 0.25
GREY = 0.1


def to_floats(images: np.ndarray) -> np.ndarray:
    """Turn uint8 images into float32 in [-1, 1]; 0 becomes -1 and 255 becomes 1.

    Args:
        images: The images, uint8 of any shape.

    Example:
        >>> ks.ranges.to_floats(np.array([0, 255], np.uint8))
        array([-1.,  1.], dtype=float32)
    """
    return images / np.float32(127.5) - 1


def to_uint8(images: np.ndarray) -> np.ndarray:
    """Turn images in [-1, 1] into uint8; values beyond the range are clipped.

    Args:
        images: The images, floats of any shape.

    Example:
        >>> ks.ranges.to_uint8(np.array([-1.0, 0.0, 1.2]))
        array([  0, 128, 255], dtype=uint8)
    """
    return np.round((np.clip(images, -1, 1) + 1) * 127.5).astype(np.uint8)


def in_range(images: Tensor) -> np.ndarray:
    """Return images as float32 in [-1, 1], from such floats or from uint8.

    Args:
        images: The images, (batch, height, width, channels).

    Raises:
        ValueError: For images in another range or of another type. `require_whole_range` finds what a single batch does
            not show.

    Example:
        >>> images = ks.ranges.in_range(np.full((1, 32, 32, 3), 255, np.uint8))
        >>> float(images.max())
        1.0
    """
    images = np.asarray(images)
    if images.ndim != 4 or not images.size:
        raise ValueError(f"Images are (batch, height, width, channels). Received: shape {images.shape}")
    if images.dtype == np.uint8:
        return to_floats(images)
    if images.dtype.kind in "iub":
        raise ValueError(f"Images are uint8, or floats in [-1, 1]. Received: {images.dtype}")
    return _floats_in_range(images)


def require_floats(images: Tensor) -> np.ndarray:
    """Return images as float32 if they are floats in [-1, 1], the range that networks take.

    Args:
        images: All images, an array (batch, ...).

    Raises:
        ValueError: For integers, NaN, and floats in another range; the message says what they seem to be.

    Example:
        >>> images = ks.ranges.require_floats(np.linspace(-1, 1, 3072).reshape(1, 32, 32, 3))
        >>> images.dtype
        dtype('float32')
    """
    images = np.asarray(images)
    if images.dtype.kind in "iub":
        raise ValueError(
            "Images are floats in [-1, 1]: divide bytes by 127.5 and subtract 1. "
            f"Received: {images.dtype} from {images.min()} to {images.max()}"
        )
    images = _floats_in_range(images)
    require_whole_range(images.min(), images.max(), images.dtype)
    return images


def require_whole_range(low: Any, high: Any, dtype: Any) -> None:
    """Raise ValueError if a whole set of images seems to be in [0, 1].

    One batch does not always show it: it may hold nothing but bright images, or black ones.

    Args:
        low: The least value of all images.
        high: The greatest value of all images.
        dtype: The type of the images, uint8 or a float.

    Example:
        >>> ks.ranges.require_whole_range(-1.0, 1.0, np.float32)
        >>> ks.ranges.require_whole_range(0.0, 1.0, np.float32)
        Traceback (most recent call last):
        ValueError: The images are floats in [0, 1], where [-1, 1] is due: ...
    """
    if np.dtype(dtype) == np.uint8:
        if high == 1:
            raise ValueError("The images are uint8 and all 0 or 1, so black: multiply them by 255, or give floats.")
    elif -1e-3 < low < DARK and high > GREY:
        raise ValueError(
            "The images are floats in [0, 1], where [-1, 1] is due: give them as x * 2 - 1. "
            f"Received: floats from {low:g} to {high:g}"
        )


def _floats_in_range(images: np.ndarray) -> np.ndarray:
    images = images.astype(np.float32)
    if not np.isfinite(images).all():
        raise ValueError(f"Images must be numbers. Received: {np.count_nonzero(~np.isfinite(images))} NaN or inf")
    low, high = images.min(), images.max()
    if low < -1 - SLACK or high > 1 + SLACK:
        raise ValueError(
            f"Images lie in [-1, 1]: divide bytes by 127.5 and subtract 1. Received: floats from {low:g} to {high:g}"
        )
    return images


def check_value_range(value_range: Sequence[float] | None) -> None:
    """Raise `ValueError` unless these are two numbers in order, the values that become 0 and 255, or None."""
    if value_range is None:
        return
    if len(value_range) != 2 or not all(map(math.isfinite, value_range)) or not value_range[0] < value_range[1]:
        raise ValueError(
            "`value_range` must be two numbers in order, such as (0, 4095): the values that become 0 and 255. "
            f"Received: value_range={value_range!r}"
        )
