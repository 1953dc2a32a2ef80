"""The warping error, which counts where objects are split, merged, added or lost, and no shifted borders."""

from collections import deque

import numpy as np

# A pixel's neighbours, clockwise from the right; those at even places share a side with it.
_NEIGHBOURS = ((0, 1), (1, 1), (1, 0), (1, -1), (0, -1), (-1, -1), (-1, 0), (-1, 1))


def warping_error(truth: np.ndarray, predicted: np.ndarray) -> float:
    """Return the share of pixels that still differ after the truth has been warped towards a prediction.

    Warping turns those pixels over that differ, one after another, as long as each leaves the topology as it is: it
    moves borders, and neither joins, splits, adds, nor removes objects or holes. Pixels of objects are neighbours where
    they share a side, those of the background also at corners; what lies outside the image is background. The order is
    fixed, by rows and then outwards from what has changed; it is not sure to find the least error of all orders.

    Sources: Jain et al., 2010 (Boundary learning by optimization with topological constraints), section 3; the ISBI
    2012 challenge on membranes scored by it, cells being the objects.

    Args:
        truth: Where objects are, bool or 0 and 1 (height, width).
        predicted: The same of a prediction.

    Returns:
        The share, from 0 to 1. A prediction whose borders alone are shifted has 0.

    Raises:
        ValueError: For arrays of different shapes, other than two axes, or with other values.

    Example:
        >>> truth, predicted = np.zeros((2, 5, 9), bool)
        >>> truth[1:4, 1:8] = predicted[1:3, 1:8] = True
        >>> ks.metrics.warping_error(truth, predicted)  # a border is shifted
        0.0
        >>> predicted[:, 4] = False  # now the object is split
    """
    truth, predicted = np.asarray(truth), np.asarray(predicted)
    if truth.shape != predicted.shape or truth.ndim != 2 or not truth.size:
        raise ValueError(f"Both must be of one shape (height, width). Received: {truth.shape} and {predicted.shape}")
    for array in (truth, predicted):
        if not np.isin(array, (0, 1)).all():
            raise ValueError(f"Pixels must be 1 (True) in objects, else 0. Received: {np.unique(array)[:5].tolist()}")
    start, wanted = (np.pad(array.astype(bool), 1) for array in (truth, predicted))
    steps = [down * start.shape[1] + right for down, right in _NEIGHBOURS]
    warped, differs = start.ravel().tolist(), (start != wanted).ravel().tolist()
    left = sum(differs)
    queue = deque(place for place, different in enumerate(differs) if different)
    while queue:
        place = queue.popleft()
        if not differs[place] or not _is_simple([warped[place + step] for step in steps]):
            continue
        warped[place] = not warped[place]
        differs[place] = False
        left -= 1
        queue.extend(place + step for step in steps if differs[place + step])
    return left / truth.size


def _is_simple(ring: list[bool]) -> bool:
    """Say whether a pixel with these neighbours can be turned over without a change of topology.

    That is so where its crossing number for neighbours that share a side is 1 (Yokoi, Toriwaki and Fukumura, 1975).
    """
    crossings = [ring[i] and not (ring[i + 1] and ring[(i + 2) % 8]) for i in (0, 2, 4, 6)]
    return sum(crossings) == 1
