"""Distances between sets of images, from arrays of their features."""

import numpy as np


def moments(features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return mean (d,) and unbiased covariance (d, d) of features (n, d), in float64.

    Raises:
        ValueError: for fewer than two rows, or features that are not finite.
    """
    features = np.asarray(features, np.float64)
    if features.ndim != 2 or len(features) < 2:
        raise ValueError(f"Moments need features (n, d) of two images or more. Received: shape {features.shape}")
    if not np.isfinite(features).all():
        raise ValueError("The features are not all finite: are there NaN in the images?")
    mean = features.mean(0)
    centred = features - mean
    return mean, centred.T @ centred / (len(features) - 1)


def frechet_distance(mean1: np.ndarray, cov1: np.ndarray, mean2: np.ndarray, cov2: np.ndarray) -> float:
    """Return the Fréchet distance of two Gaussians, the square of their Wasserstein-2 distance.

    |m1 - m2|² + tr(C1 + C2 - 2 (C1 C2)^½) (Heusel et al., 2017, arXiv:1706.08500, eq. 6). It is FID only for the
    features of that paper's network; of other features, it belongs to them.

    The trace of the root is the sum of the roots of the eigenvalues of C1^½ C2 C1^½, which is symmetric: this needs no
    root of an unsymmetric matrix, and is right below full rank.

    Args:
        mean1: (d,).
        cov1: (d, d).
        mean2: (d,).
        cov2: (d, d).

    Raises:
        ValueError: for shapes that do not go together.
    """
    mean1, cov1, mean2, cov2 = (np.asarray(x, np.float64) for x in (mean1, cov1, mean2, cov2))
    d = len(mean1)
    if mean1.shape != (d,) or mean2.shape != (d,) or cov1.shape != (d, d) or cov2.shape != (d, d):
        raise ValueError(
            "frechet_distance takes mean (d,) and covariance (d, d), twice. "
            f"Received: {mean1.shape}, {cov1.shape}, {mean2.shape}, {cov2.shape}"
        )
    values, vectors = np.linalg.eigh(cov1)
    root = vectors * np.sqrt(np.clip(values, 0, None)) @ vectors.T
    products = np.linalg.eigvalsh(root @ cov2 @ root)
    trace_of_root = np.sqrt(np.clip(products, 0, None)).sum()
    difference = mean1 - mean2
    return max(float(difference @ difference + np.trace(cov1) + np.trace(cov2) - 2 * trace_of_root), 0.0)
