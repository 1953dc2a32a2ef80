"""The range of generated images and of those that train generators: floats in [-1, 1]."""

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
    """Turn uint8 images into float32 in [-1, 1]; 0 becomes -1 and 255 becomes 1."""
    return images / np.float32(127.5) - 1


def to_uint8(images: np.ndarray) -> np.ndarray:
    """Turn images in [-1, 1] into uint8; what is beyond the range is clipped."""
    return np.round((np.clip(images, -1, 1) + 1) * 127.5).astype(np.uint8)


def in_range(images: Tensor) -> np.ndarray:
    """Return images as float32 in [-1, 1], whether they come so or as uint8.

    Args:
        images: (batch, height, width, channels).

    Raises:
        ValueError: for images that are neither. What one batch does not show, `require_whole_range` finds in all.
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
    """Return images as float32 if they are floats in [-1, 1], as networks take them.

    Args:
        images: an array (batch, ...), as many as there are.

    Raises:
        ValueError: for integers, NaN, and floats in another range; it says what they seem to be.
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

    One batch does not always show it: it may well hold nothing but bright images, or black ones.

    Args:
        low: the least value of all images.
        high: the greatest one.
        dtype: of the images, uint8 or a float.
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
