"""Sizes of images that generators build up from 4×4."""

from keras_segen.types import ImageShape


def image_doublings(image_shape: ImageShape) -> int:
    """Return how often 4 must be doubled to give the image's side; ValueError where none does."""
    height, width, channels = image_shape
    doublings = max(height, 4).bit_length() - 3
    if height != width or height != 4 * 2**doublings or doublings < 2 or channels < 1:
        raise ValueError(
            "Images are square, and their side is a power of two from 16, such as (64, 64, 3). "
            f"Received: image_shape={tuple(image_shape)}"
        )
    return doublings
