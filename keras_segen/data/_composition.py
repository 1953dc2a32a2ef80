"""Composition: objects of one picture, cut out by their mask and pasted into another picture with soft edges.

This is Simple Copy-Paste (Ghiasi et al., 2021, arXiv:2012.07177), in NumPy.
"""

import math
from typing import NamedTuple

import numpy as np
from scipy import ndimage

from keras_segen._masks import VOID

BACKGROUND = 0
# The standard deviation, in pixels, of the Gaussian that smooths the edges of what is pasted. The paper gives none.
SOFTNESS = 1.0
# So many standard deviations away the Gaussian is cut off.
REACH = 3


class Object(NamedTuple):
    """An object of a mask.

    Attributes:
        class_id: Its class.
        box: The rows and columns in which it lies.
        cut: Where it is inside the box, boolean (rows, columns).
    """

    class_id: int
    box: tuple[slice, slice]
    cut: np.ndarray


def find_objects(mask: np.ndarray, instances: np.ndarray | None = None) -> list[Object]:
    """Find the objects of a mask; background (0) and void (255) are none.

    Args:
        mask: The class ids, uint8 (height, width).
        instances: Which object each pixel belongs to, whole numbers (height, width), 0 for none. An object's class is
            then the one that most of its pixels have, and other pixels of it are left out. None: an object is what
            hangs together, over corners too, and is of one class.
    """
    if instances is None:
        return [
            Object(int(class_id), box, labels[box] == i)
            for class_id in np.flatnonzero(np.bincount(mask.ravel()))
            if class_id not in (BACKGROUND, VOID)
            for labels in [ndimage.label(mask == class_id, structure=np.ones((3, 3)))[0]]
            for i, box in enumerate(ndimage.find_objects(labels), start=1)
        ]
    ids, numbers = np.unique(instances, return_inverse=True)
    numbers = numbers.reshape(mask.shape)
    counts = np.bincount((numbers * 256 + mask).ravel(), minlength=256 * len(ids)).reshape(-1, 256)
    counts[:, [BACKGROUND, VOID]] = 0
    counts[ids == 0] = 0
    # Without a pixel of any class, this is the background.
    class_ids = counts.argmax(1)
    labels = np.where((mask == class_ids[numbers]) & (mask != BACKGROUND), numbers + 1, 0)
    return [
        Object(int(class_ids[i]), box, labels[box] == i + 1)
        for i, box in enumerate(ndimage.find_objects(labels))
        if box is not None
    ]


def margin(softness: float) -> int:
    """Return how many pixels around an object its soft edge reaches."""
    return math.ceil(REACH * softness)


def paste(
    image: np.ndarray,
    mask: np.ndarray,
    pixels: np.ndarray,
    objects: np.ndarray,
    *,
    corner: tuple[int, int] = (0, 0),
    softness: float = SOFTNESS,
    instances: np.ndarray | None = None,
    instance_id: int = 0,
) -> None:
    """Paste objects into an image, its mask and its instance map, which are changed.

    With α, which is 1 where the objects are and 0 elsewhere, smoothed by a Gaussian, the image becomes
    α · pixels + (1 − α) · image. Mask and instance map change where the objects are, and nowhere else.

    Args:
        image: The image, of any numbers (height, width, channels).
        mask: Its class ids, uint8 (height, width).
        pixels: The piece of another image that holds the objects, (rows, columns, channels).
        objects: The class ids of the objects in it, uint8 (rows, columns); 0 where they are not. Objects that touch
            the end of the piece are taken to go on behind it.
        corner: The row and column of the image at which the piece begins; either may be negative.
        softness: The standard deviation of the Gaussian, in pixels; 0 for hard edges.
        instances: The instance map, whole numbers (height, width), or None.
        instance_id: The number that the objects get in it.
    """
    there, part = [], []
    for first, length, extent in zip(corner, objects.shape, mask.shape, strict=True):
        start = min(max(first, 0), extent)
        end = max(start, min(first + length, extent))
        there.append(slice(start, end))
        part.append(slice(start - first, end - first))
    place, inside = tuple(there), tuple(part)

    alpha = (objects != BACKGROUND).astype(np.result_type(image.dtype, np.float32))
    if softness:
        alpha = ndimage.gaussian_filter(alpha, softness, mode="nearest", radius=margin(softness))
    alpha = alpha[inside][..., None]
    # In this form α = 0 and α = 1 give exactly the one and the other.
    blended = alpha * pixels[inside] + (1 - alpha) * image[place]
    image[place] = blended if image.dtype.kind == "f" else np.rint(blended)

    objects = objects[inside]
    cut = objects != BACKGROUND
    mask[place][cut] = objects[cut]
    if instances is not None:
        instances[place][cut] = instance_id


def copy_paste(images: np.ndarray, masks: np.ndarray, seeds: np.ndarray, share: float) -> tuple[np.ndarray, np.ndarray]:
    """Paste objects of the next image into a share of a batch's images, each in its place, and return the batch.

    Of the next image (of the last one it is the first) each object is taken with probability one half, and one at
    least. Where it has none, and in a batch of one image, nothing is pasted.

    Args:
        images: The images, float32 (batch, height, width, channels).
        masks: The masks, uint8 (batch, height, width).
        seeds: What the draws of each image follow from, whole numbers (batch, 2) of at least 0.
        share: The share of images into which something is pasted.
    """
    pasted_images, pasted_masks = images.copy(), masks.copy()
    for i, seed in enumerate(seeds if len(images) > 1 else ()):
        rng = np.random.default_rng(seed)
        if rng.random() >= share:
            continue
        following = (i + 1) % len(images)
        found = find_objects(masks[following])
        if not found:
            continue
        taken = rng.random(len(found)) < 0.5
        taken[rng.integers(len(found))] |= not taken.any()
        # All are pasted as one, so that there is no seam where objects of two classes touch.
        objects = np.zeros_like(masks[following])
        for (class_id, box, cut), is_taken in zip(found, taken, strict=True):
            if is_taken:
                objects[box][cut] = class_id
        box = _around(objects, margin(SOFTNESS))
        corner = box[0].start, box[1].start
        paste(pasted_images[i], pasted_masks[i], images[following][box], objects[box], corner=corner)
    return pasted_images, pasted_masks


def _around(objects: np.ndarray, distance: int) -> tuple[slice, slice]:
    """Return the rows and columns that lie around all objects at this distance, as far as there are any."""
    rows, columns = (np.flatnonzero(objects.any(axis)) for axis in (1, 0))
    return (
        slice(max(rows[0] - distance, 0), rows[-1] + distance + 1),
        slice(max(columns[0] - distance, 0), columns[-1] + distance + 1),
    )
