"""Border weights: what makes a network learn the gaps between objects that nearly touch (the U-Net paper's)."""

import numpy as np
from scipy import ndimage

# Beyond so many standard deviations the weights are under 0.0004 of the greatest.
_REACH = 4


def border_weights(instances: np.ndarray, *, weight: float = 10.0, sigma: float = 5.0) -> np.ndarray:
    """Return weights that are great between objects: 1 + weight · exp(-(d₁ + d₂)² / 2 sigma²).

    d₁ and d₂ are a background pixel's distances to the nearest object and to the second nearest, in pixels, from the
    middle of one pixel to the middle of another. Pixels of objects have weight 1: they are to be found, gap or not.

    Source: Ronneberger et al., 2015 (arXiv:1505.04597), section 3, equation 2, there with the classes' weights in the
    place of 1.

    Args:
        instances: The object of each pixel, 0 for none, whole numbers (height, width).
        weight: The greatest weight beside 1, w₀.
        sigma: The reach in pixels.

    Returns:
        Weights float32 (height, width), such as `fit` takes as `sample_weight`. They are smooth to 0.0004 · weight:
        what lies further apart counts as far away.

    Raises:
        ValueError: For instances that are no such array, or numbers that are not above 0.

    Example:
        >>> weights = ks.data.border_weights(np.array([[1, 1, 0, 2, 2, 0, 0]]))
        >>> weights[0].round(2)
        array([ 1.  ,  1.  , 10.23,  1.  ,  1.  ,  7.07,  4.75], dtype=float32)
    """
    instances = np.asarray(instances)
    if instances.ndim != 2 or instances.dtype.kind not in "iu" or instances.min(initial=0) < 0:
        raise ValueError(
            "`instances` must be whole numbers from 0, (height, width). Received: "
            f"{instances.dtype} of shape {instances.shape}"
        )
    if not weight > 0 or not sigma > 0:
        raise ValueError(f"`weight` and `sigma` must be above 0. Received: weight={weight}, sigma={sigma}")
    reach = int(np.ceil(_REACH * sigma))
    nearest, second = np.full((2, *instances.shape), np.inf, np.float32)
    numbers, places = np.unique(instances, return_inverse=True)
    for number, window in enumerate(ndimage.find_objects(places.reshape(instances.shape)), start=1):
        if window is None or numbers[number] == 0:
            continue
        around = tuple(slice(max(part.start - reach, 0), part.stop + reach) for part in window)
        distance = ndimage.distance_transform_edt(instances[around] != numbers[number]).astype(np.float32)
        one, two = nearest[around], second[around]
        two[...] = np.minimum(two, np.maximum(one, distance))
        one[...] = np.minimum(one, distance)
    gaps = np.exp(-((nearest + second) ** 2) / (2 * sigma**2))
    return np.where(instances == 0, 1 + weight * gaps, 1).astype(np.float32)
