"""Classical segmentation without learning, by scikit-image: a baseline for networks.

Three methods separate objects (1) from ground (0) by brightness. All start from Otsu's threshold; they differ in what
decides on the pixels near it:

    otsu            the threshold itself, for every pixel
    watershed       the line of steepest change between certain ground and certain objects
    region_growing  the neighbouring region of the most similar grey

`choose` finds a method's settings on examples.
"""

import heapq
import itertools
from collections.abc import Callable, Iterable
from typing import Any, Literal

import keras
import numpy as np

from keras_segen._masks import VOID
from keras_segen.errors import InputError
from keras_segen.metrics import MeanIoU

__all__ = ["METHODS", "choose", "otsu", "region_growing", "scikit_image", "watershed"]

Objects = Literal["bright", "dark", "rare"]
GROUND, OBJECT = 1, 2  # of markers, whose 0 is undecided
# What `choose` tries, one setting after the other in this order.
GRID: dict[str, tuple[Any, ...]] = {
    "objects": ("bright", "dark", "rare"),
    "sigma": (0.0, 1.0, 2.0, 4.0),
    "margin": (0.25, 0.5, 0.75, 0.9),
    "min_size": (0, 20, 100, 400),
}


def otsu(image: np.ndarray, *, objects: Objects = "rare", sigma: float = 1.0, min_size: int = 20) -> np.ndarray:
    """Segment by Otsu's threshold on grey, the one that leaves the least variance on its two sides.

    An image of one grey is all ground. Source: Otsu, 1979, "A threshold selection method from gray-level histograms".

    Args:
        image: The image, (height, width, 3) in [0, 255].
        objects: The objects' side of the threshold: "bright", "dark", or "rare", the side with fewer of this image's
            pixels.
        sigma: The standard deviation, in pixels, of the Gaussian that smooths the image first; 0 for no smoothing.
        min_size: The least size of an object, and of a piece of ground beside one, in pixels; smaller objects are
            removed, smaller holes filled.

    Returns:
        The label map, uint8 (height, width): 1 for objects, 0 elsewhere.

    Raises:
        InputError: If scikit-image is not installed.
        ValueError: For an image of another shape or an unknown setting.

    Example:
        >>> image = np.full((64, 64, 3), 30, np.uint8)
        >>> image[16:32, 16:32] = 200
        >>> label_map = ks.classical.otsu(image, objects="bright")
        >>> label_map[24, 24], label_map[48, 48]
        (np.uint8(1), np.uint8(0))
    """
    return _without_specks(_contrast(image, objects, sigma) > 0, min_size)


def watershed(
    image: np.ndarray, *, objects: Objects = "rare", sigma: float = 1.0, margin: float = 0.5, min_size: int = 20
) -> np.ndarray:
    """Segment along edges: flood Sobel's gradient from markers, and put the line where the floods meet.

    Markers are the pixels far from Otsu's threshold on either side, see `margin`. Source: Beucher and Meyer, 1993, "The
    morphological approach to segmentation: the watershed transformation". See `otsu` for errors.

    Args:
        image: The image, (height, width, 3) in [0, 255].
        objects: The objects' side of the threshold: "bright", "dark" or "rare".
        sigma: The standard deviation of the smoothing, in pixels.
        margin: The distance from the threshold at which markers begin, as a share of the way to the mean of their side,
            in [0, 1).
        min_size: The least size of objects and pieces of ground, in pixels.

    Returns:
        The label map, uint8 (height, width): 1 for objects, 0 elsewhere.

    Example:
        >>> image = np.full((64, 64, 3), 30, np.uint8)
        >>> image[16:32, 16:32] = 200
        >>> label_map = ks.classical.watershed(image, objects="bright")
        >>> label_map[24, 24], label_map[48, 48]
        (np.uint8(1), np.uint8(0))
    """
    contrast = _contrast(image, objects, sigma)
    skimage = scikit_image()
    flooded = skimage.segmentation.watershed(skimage.filters.sobel(contrast), _markers(contrast, margin))
    return _without_specks(flooded == OBJECT, min_size)


def region_growing(
    image: np.ndarray, *, objects: Objects = "rare", sigma: float = 1.0, margin: float = 0.5, min_size: int = 20
) -> np.ndarray:
    """Segment by similarity: regions grow from seeds, and the pixel most similar to a region beside it joins it next.

    Each connected piece of `watershed`'s markers is a seed, so that a dim object has a mean grey of its own. Source:
    Adams and Bischof, 1994, "Seeded region growing". It takes about a second for a million pixels. See `watershed` for
    the arguments.

    Example:
        >>> image = np.full((64, 64, 3), 30, np.uint8)
        >>> image[16:32, 16:32] = 200
        >>> label_map = ks.classical.region_growing(image, objects="bright")
        >>> label_map[24, 24], label_map[48, 48]
        (np.uint8(1), np.uint8(0))
    """
    contrast = _contrast(image, objects, sigma)
    markers = _markers(contrast, margin)
    seeds = scikit_image().measure.label(markers, background=0, connectivity=1)
    kinds = np.zeros(seeds.max() + 1, markers.dtype)
    kinds[seeds] = markers
    return _without_specks(kinds[_grown(contrast, seeds)] == OBJECT, min_size)


METHODS: dict[str, Callable[..., np.ndarray]] = {
    "otsu": otsu,
    "watershed": watershed,
    "region_growing": region_growing,
}


def choose(
    method: Callable[..., np.ndarray], examples: Iterable[tuple[np.ndarray, np.ndarray]], *, verbose: bool = False
) -> tuple[dict[str, Any], float]:
    """Find the settings with which a method segments examples best, by mean IoU over all their pixels.

    One setting after the other is tried at each value of `GRID`, with the others as they are at that time: first the
    polarity, then the smoothing, the margin and the least size. On equal scores the first value wins.

    Args:
        method: The method: `otsu`, `watershed` or `region_growing`.
        examples: Pairs of an image (height, width, 3) in [0, 255] and a mask (height, width) of 0, 1 and 255 for void.
            Use training images: settings chosen on validation images make their scores worthless.
        verbose: Whether to show a progress bar.

    Returns:
        The settings, keyword arguments for the method; and the mean IoU that they reach on the examples.

    Raises:
        InputError: If scikit-image is not installed, or for examples of nothing but void.
        ValueError: For another method, or masks with other ids.

    Example:
        >>> mask = np.zeros((64, 64), np.uint8)
        >>> mask[16:32, 16:32] = 1
        >>> image = np.repeat(30 + 170 * mask[..., None], 3, axis=-1)
        >>> settings, mean_iou = ks.classical.choose(ks.classical.otsu, [(image, mask)])
        >>> mask_again = ks.classical.otsu(image, **settings)
    """
    if method not in METHODS.values():
        raise ValueError(f"`method` must be one of the functions {', '.join(METHODS)}. Received: method={method!r}")
    examples = list(examples)
    ids = frozenset().union(*(np.unique(mask).tolist() for _, mask in examples))
    if not ids <= {0, 1, VOID}:
        raise ValueError(f"Masks hold 0 for ground, 1 for objects, {VOID} for void. Received: ids {sorted(ids)}")
    if ids <= {VOID}:
        raise InputError(f"{len(examples)} examples hold no pixel but void: there is nothing to choose settings by")
    chosen = dict(method.__kwdefaults__ or {})
    names = [name for name in GRID if name in chosen]
    bar = keras.utils.Progbar(sum(len(GRID[name]) for name in names), unit_name="setting") if verbose else None
    best = 0.0
    for name in names:
        scores = []
        for value in GRID[name]:
            scores.append(_mean_iou(method, examples, {**chosen, name: value}))
            if bar:
                bar.add(1)
        best = max(scores)
        chosen[name] = GRID[name][scores.index(best)]
    return chosen, best


def _mean_iou(method: Callable[..., np.ndarray], examples: Any, settings: dict[str, Any]) -> float:
    measure = MeanIoU(2)
    for image, mask in examples:
        measure.update_state(mask, method(image, **settings))
    return float(measure.result())


def _contrast(image: np.ndarray, objects: str, sigma: float) -> np.ndarray:
    """Return how far each pixel's grey is from Otsu's threshold, objects positive: float64 (height, width)."""
    image = np.asarray(image, np.float64)
    if image.ndim != 3 or image.shape[2] != 3 or image.size == 0:
        raise ValueError(f"An image has shape (height, width, 3), and a pixel at least. Received: {image.shape}")
    if not np.isfinite(image).all():
        raise ValueError("An image holds numbers. Received: NaN or inf")
    if sigma < 0:
        raise ValueError(f"`sigma` must be at least 0. Received: sigma={sigma}")
    if objects not in GRID["objects"]:
        raise ValueError(f'`objects` must be "bright", "dark" or "rare". Received: objects={objects!r}')
    skimage = scikit_image()
    grey = skimage.filters.gaussian(skimage.color.rgb2gray(image), sigma)
    if np.ptp(grey) < 1e-6:  # of 255: one grey but for rounding, which has no threshold
        return np.zeros_like(grey)
    # `threshold_otsu` is the middle of the last of 256 bins on the dark side, whose upper end is the threshold.
    contrast = grey - (skimage.filters.threshold_otsu(grey) + np.ptp(grey) / 512)
    bright_is_rare = np.count_nonzero(contrast > 0) <= contrast.size / 2
    return contrast if objects == "bright" or (objects == "rare" and bright_is_rare) else -contrast


def _markers(contrast: np.ndarray, margin: float) -> np.ndarray:
    """Mark what is surely ground or surely object, int32 (height, width); 0 is undecided, as all of one grey is."""
    if not 0 <= margin < 1:
        raise ValueError(f"`margin` must be from 0 to below 1. Received: margin={margin}")
    markers = np.zeros(contrast.shape, np.int32)
    for kind, side in ((GROUND, -contrast), (OBJECT, contrast)):
        if (side > 0).any():
            markers[side > margin * side[side > 0].mean()] = kind
    return markers


def _grown(values: np.ndarray, seeds: np.ndarray) -> np.ndarray:
    """Grow seeds until no pixel is left over.

    Args:
        values: float (height, width), what likeness is judged by.
        seeds: (height, width) of region numbers from 1; 0 is undecided.

    Returns:
        (height, width) of region numbers, none 0 unless there is no seed.
    """
    # Lists, because single elements of arrays are slow; a frame that no region can take saves asking for the border.
    regions = np.pad(seeds, 1, constant_values=-1).ravel().tolist()
    greys = np.pad(values, 1).ravel().tolist()
    sums = np.bincount(seeds.ravel(), values.ravel()).tolist()
    counts = np.bincount(seeds.ravel()).tolist()
    width = values.shape[1] + 2
    queue: list[tuple[float, int, int, int]] = []  # unlikeness, arrival, which decides between equals, pixel, region
    arrival = itertools.count()

    def reach_out(pixel: int) -> None:
        region = regions[pixel]
        for neighbour in (pixel - width, pixel - 1, pixel + 1, pixel + width):
            if regions[neighbour] == 0:
                unlikeness = abs(greys[neighbour] - sums[region] / counts[region])
                heapq.heappush(queue, (unlikeness, next(arrival), neighbour, region))

    for pixel in range(len(regions)):
        if regions[pixel] > 0:
            reach_out(pixel)
    while queue:
        _, _, pixel, region = heapq.heappop(queue)
        if regions[pixel] == 0:
            regions[pixel] = region
            sums[region] += greys[pixel]
            counts[region] += 1
            reach_out(pixel)
    return np.array(regions).reshape(-1, width)[1:-1, 1:-1]


def _without_specks(objects: np.ndarray, min_size: int) -> np.ndarray:
    if min_size < 0:
        raise ValueError(f"`min_size` must be at least 0. Received: min_size={min_size}")
    morphology = scikit_image().morphology
    if min_size > 1:
        objects = morphology.remove_small_objects(objects, max_size=min_size - 1)
    if min_size > 1 and objects.any():  # else all of a small image would be a hole
        objects = morphology.remove_small_holes(objects, max_size=min_size - 1)
    return objects.astype(np.uint8)


def scikit_image() -> Any:
    """Return the module `skimage`, an optional dependency; `InputError` if it is not installed.

    Example:
        >>> skimage = ks.classical.scikit_image()
        >>> skimage.__name__
        'skimage'
    """
    try:
        import skimage
    except ImportError as error:
        raise InputError("classical methods need scikit-image: pip install 'keras-segen[classical]'") from error
    return skimage
