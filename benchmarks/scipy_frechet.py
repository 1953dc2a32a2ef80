"""The Fréchet distance with SciPy's matrix root, and the machine's limit in float64, see `frechet_distance`."""

from collections.abc import Callable

import numpy as np
import scipy.linalg


def distance(mean1: np.ndarray, cov1: np.ndarray, mean2: np.ndarray, cov2: np.ndarray) -> Callable[[], float]:
    """The distance as pytorch-fid and others have it."""

    def run() -> float:
        difference = mean1 - mean2
        root = scipy.linalg.sqrtm(cov1 @ cov2).real
        return float(difference @ difference + np.trace(cov1) + np.trace(cov2) - 2 * np.trace(root))

    return run


def matrix_product(size: int) -> Callable[[], np.ndarray]:
    a, b = np.random.default_rng(0).normal(size=(2, size, size))
    return lambda: a @ b
