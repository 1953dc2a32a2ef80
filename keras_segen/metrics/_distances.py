"""Distances between sets of images, computed in float64 from their features or a classifier's probabilities.

They equal torch-fidelity's and the prdc package's, with the same random draws: see tests/metrics/test_distances.py.
"""

from collections.abc import Iterator
from typing import Any, Self

import numpy as np

# What the subsets of `kernel_distance` and the order of `inception_score` are drawn by; torch-fidelity's number.
SEED = 2020
# Of a block of squared distances, numbers: 64 MiB.
_BLOCK = 2**23


class Moments:
    """Mean and covariance of features that come in batches, in any order and from any number of shards.

    Sums of squares about the mean so far are combined as in Chan, Golub and LeVeque (1983, The American Statistician
    37(3), eq. 2.1), so that nothing is lost to cancellation. It takes two float64 matrices of memory.

    Attributes:
        count: The number of rows so far.
        mean: The mean so far, float64 (d,).

    Example:
        >>> moments = ks.metrics.Moments()
        >>> for features in np.arange(12.0).reshape(3, 2, 2):
        ...     moments = moments.update(features)
        >>> moments.count, moments.mean
        (6, array([5., 6.]))
    """

    def __init__(self) -> None:
        self.count = 0
        self.mean = np.zeros(0)
        self._scatter = np.zeros((0, 0))  # sum of squares about the mean

    def update(self, features: np.ndarray) -> Self:
        """Add features (n, d).

        Raises:
            ValueError: For another shape, another d than before, or features that are not finite.
        """
        features = np.asarray(features, np.float64)
        if features.ndim != 2 or (self.count and features.shape[1] != len(self.mean)):
            expected = f"(n, {len(self.mean)})" if self.count else "(n, d)"
            raise ValueError(f"Moments take features {expected}. Received: shape {features.shape}")
        if not np.isfinite(features).all():
            raise ValueError("The features are not all finite: are there NaN in the images?")
        if len(features):
            mean = features.mean(0)
            self._add(len(features), mean, features - mean)
        return self

    def merge(self, other: "Moments") -> Self:
        """Add the rows that another instance has seen."""
        if self.count and other.count and len(self.mean) != len(other.mean):
            raise ValueError(f"Moments of {len(self.mean)} and {len(other.mean)} features do not go together.")
        if other.count:
            self._add(other.count, other.mean, np.zeros((0, len(other.mean))))
            self._scatter += other._scatter
        return self

    def _add(self, count: int, mean: np.ndarray, centred: np.ndarray) -> None:
        if not self.count:
            self.mean = np.zeros(len(mean))
            self._scatter = np.zeros((len(mean),) * 2)
        total = self.count + count
        # How far the means lie apart counts as one row more.
        apart = (mean - self.mean) * np.sqrt(self.count / total * count)
        rows = np.concatenate([centred, apart[None]])
        self._scatter += rows.T @ rows
        self.mean = self.mean + (mean - self.mean) * (count / total)
        self.count = total

    @property
    def covariance(self) -> np.ndarray:
        """The unbiased covariance, float64 (d, d).

        Raises:
            ValueError: For fewer than two rows.
        """
        if self.count < 2:
            raise ValueError(f"A covariance needs the features of two images or more. Received: {self.count}")
        return self._scatter / (self.count - 1)


def frechet_distance(mean1: np.ndarray, cov1: np.ndarray, mean2: np.ndarray, cov2: np.ndarray) -> float:
    """Return the Fréchet distance of two Gaussians, the square of their Wasserstein-2 distance.

    It is |m1 - m2|² + tr(C1 + C2 - 2 (C1 C2)^½) (Heusel et al., 2017, arXiv:1706.08500, eq. 6), and is called FID only
    with the features of that paper's network.

    The trace of the root is computed as the sum of the roots of the eigenvalues of F' C2 F for any F with F F' = C1.
    This matrix is symmetric, and the result is right below full rank as well.

    Args:
        mean1: The first mean, (d,).
        cov1: The first covariance, (d, d).
        mean2: The second mean, (d,).
        cov2: The second covariance, (d, d).

    Raises:
        ValueError: For shapes that do not go together, or numbers that are not finite.

    Example:
        >>> distance = ks.metrics.frechet_distance(np.zeros(2), np.eye(2), np.ones(2), np.eye(2))
        >>> f"{distance:.4f}"
        '2.0000'
    """
    mean1, cov1, mean2, cov2 = (np.asarray(x, np.float64) for x in (mean1, cov1, mean2, cov2))
    d = len(mean1)
    if mean1.shape != (d,) or mean2.shape != (d,) or cov1.shape != (d, d) or cov2.shape != (d, d):
        raise ValueError(
            "frechet_distance takes mean (d,) and covariance (d, d), twice. "
            f"Received: {mean1.shape}, {cov1.shape}, {mean2.shape}, {cov2.shape}"
        )
    if not all(np.isfinite(x).all() for x in (mean1, cov1, mean2, cov2)):
        raise ValueError("frechet_distance takes finite numbers: are there NaN in the images?")
    factor = _factor(cov1)
    eigenvalues = np.linalg.eigvalsh(factor.T @ cov2 @ factor)
    trace_of_root = np.sqrt(np.clip(eigenvalues, 0, None)).sum()
    difference = mean1 - mean2
    return max(float(difference @ difference + np.trace(cov1) + np.trace(cov2) - 2 * trace_of_root), 0.0)


def _factor(covariance: np.ndarray) -> np.ndarray:
    """Return F (d, rank) with F F' = covariance."""
    try:
        return np.linalg.cholesky(covariance)  # a tenth of the eigenvectors' time
    except np.linalg.LinAlgError:  # below full rank
        values, vectors = np.linalg.eigh(covariance)
        counts = values > values[-1] * len(values) * np.finfo(np.float64).eps
        return vectors[:, counts] * np.sqrt(values[counts])


def kernel_distance(
    x: np.ndarray, y: np.ndarray, *, subsets: int = 100, subset_size: int = 1000, seed: int = SEED
) -> tuple[float, float]:
    """Return the kernel distance of two sets of features, and its standard deviation over subsets.

    It is the unbiased squared maximum mean discrepancy under the kernel (x·y / d + 1)³, as a mean over pairs of subsets
    (Bińkowski et al., 2018, arXiv:1801.01401, section 4): KID, with the features of FID's network. Sets of one origin
    may score a little below 0. Unlike the Fréchet distance, it does not depend on the number of images.

    Args:
        x: The features of one set, (n, d).
        y: The features of the other set, (m, d).
        subsets: The number of pairs of subsets, each drawn without replacement.
        subset_size: The number of rows of each subset.
        seed: The seed of the draws.

    Raises:
        ValueError: For shapes that do not go together, fewer rows than a subset has, or features that are not finite.

    Example:
        >>> real = np.random.default_rng(0).normal(size=(200, 8))
        >>> distance, deviation = ks.metrics.kernel_distance(real, real + 1, subset_size=100)
        >>> distance > 3 * deviation
        True
    """
    x, y = _features(x, y)
    if min(len(x), len(y)) < subset_size or subset_size < 2 or subsets < 1:
        raise ValueError(
            f"kernel_distance draws subsets of {subset_size}. Received: {len(x)} and {len(y)} images. "
            "Give more images, or `subset_size` of at most so many and at least 2, and one subset at least."
        )
    draws = np.random.RandomState(seed)
    values = [
        _squared_discrepancy(
            x[draws.choice(len(x), subset_size, replace=False)], y[draws.choice(len(y), subset_size, replace=False)]
        )
        for _ in range(subsets)
    ]
    return float(np.mean(values)), float(np.std(values))


def _squared_discrepancy(x: np.ndarray, y: np.ndarray) -> float:
    def kernel(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        k = a @ b.T / a.shape[1] + 1
        return k * k * k  # a tenth of a power's time

    def mean_of_pairs(a: np.ndarray) -> float:
        k = kernel(a, a)
        return (k.sum() - np.trace(k)) / (len(a) * (len(a) - 1))

    return float(mean_of_pairs(x) + mean_of_pairs(y) - 2 * kernel(x, y).mean())


def inception_score(probabilities: np.ndarray, splits: int = 10, *, seed: int | None = SEED) -> tuple[float, float]:
    """Return the inception score of classifier outputs, and its standard deviation over splits.

    It is exp of the mean divergence of each image's class probabilities from the mean ones of its split (Salimans et
    al., 2016, arXiv:1606.03498, section 4). It is the published score with the softmax of the unbiased logits of the
    2015 Inception network, over 50,000 images in 10 splits; fewer images give a lower score.

    Args:
        probabilities: The class probabilities, (n, classes), rows that sum to 1.
        splits: The number of parts, each scored by itself.
        seed: The seed of the order in which images go into the splits, which matters if they are sorted. With None they
            keep their order.

    Raises:
        ValueError: For fewer images than splits, or rows that are not probabilities.

    Example:
        >>> probabilities = np.eye(10)
        >>> score, deviation = ks.metrics.inception_score(probabilities, splits=1)
        >>> f"{score:.4f}"
        '10.0000'
    """
    p = np.asarray(probabilities, np.float64)
    if p.ndim != 2 or len(p) < splits or splits < 1:
        raise ValueError(
            f"inception_score takes (n, classes), n >= splits >= 1. Received: shape {p.shape}, splits={splits}"
        )
    if not ((p >= 0).all() and np.allclose(p.sum(1), 1, atol=1e-3)):  # NaN fails too
        raise ValueError("inception_score takes probabilities, rows from 0 on that sum to 1: softmax the logits first.")
    if seed is not None:
        p = p[np.random.RandomState(seed).permutation(len(p))]
    scores = []
    for i in range(splits):
        part = p[i * len(p) // splits : (i + 1) * len(p) // splits]
        ratio = np.divide(part, part.mean(0), out=np.ones_like(part), where=part > 0)
        scores.append(np.exp((part * np.log(ratio)).sum(1).mean()))
    return float(np.mean(scores)), float(np.std(scores))


def precision_recall_density_coverage(real: np.ndarray, fake: np.ndarray, k: int = 5) -> dict[str, float]:
    """Return how far two sets of features cover each other: precision, recall, density and coverage.

    All are defined by balls around points that reach to their k-th neighbour. Precision and recall (Kynkäänniemi et
    al., 2019, arXiv:1904.06991, section 2) are the share of fake points in some real point's ball, and of real points
    in some fake point's ball. Density (Naeem et al., 2020, arXiv:2002.09797, section 3) is the number of balls around
    real points that hold a fake point, divided by k; coverage is the share of real points with a fake point in their
    ball. Precision and density measure fidelity, recall and coverage variety. Distances are computed in blocks of 64
    MiB, so memory is bounded.

    Args:
        real: The features of real images, (n, d).
        fake: The features of generated images, (m, d).
        k: The number of the neighbour that balls reach to, the point itself not counted.

    Returns:
        A dictionary of "precision", "recall", "density" and "coverage"; all in [0, 1] but density, which may be over 1.

    Raises:
        ValueError: For shapes that do not go together, no more than k points, or features that are not finite.

    Example:
        >>> features = np.random.default_rng(0).normal(size=(100, 8))
        >>> scores = ks.metrics.precision_recall_density_coverage(features, features)
        >>> scores["precision"], scores["coverage"]
        (1.0, 1.0)
    """
    real, fake = _features(real, fake)
    if min(len(real), len(fake)) <= k or k < 1:
        raise ValueError(f"Balls to the {k}-th neighbour need more points. Received: {len(real)} and {len(fake)}")
    centre = real.mean(0)  # nearer to 0, squares cancel less
    real, fake = real - centre, fake - centre
    real_reach, fake_reach = _squared_reach(real, k), _squared_reach(fake, k)
    balls = np.zeros(len(fake), np.int64)  # of reals, around each fake
    recalled = covered = 0
    for rows, squares in _squared_distances(real, fake):
        within = squares < real_reach[rows, None]
        balls += within.sum(0)
        recalled += (squares < fake_reach).any(1).sum()
        covered += within.any(1).sum()
    return {
        "precision": float((balls > 0).mean()),
        "recall": float(recalled / len(real)),
        "density": float(balls.mean() / k),
        "coverage": float(covered / len(real)),
    }


def _squared_reach(points: np.ndarray, k: int) -> np.ndarray:
    reach = np.empty(len(points))
    for rows, squares in _squared_distances(points, points):
        squares[np.arange(len(squares)), rows] = 0  # each point's to itself, but for rounding
        reach[rows] = np.partition(squares, k, axis=1)[:, k]
    return reach


def _squared_distances(x: np.ndarray, y: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield rows of x, and their squared distances from all of y."""
    lengths = (y**2).sum(1)
    size = max(_BLOCK // len(y), 1)
    for first in range(0, len(x), size):
        rows = np.arange(first, min(first + size, len(x)))
        part = x[rows]
        squares = part @ y.T
        squares *= -2
        squares += (part**2).sum(1)[:, None]
        squares += lengths
        yield rows, np.maximum(squares, 0, out=squares)


def _features(*sets: Any) -> tuple[np.ndarray, ...]:
    arrays = tuple(np.asarray(features, np.float64) for features in sets)
    if any(x.ndim != 2 or x.shape[1:] != arrays[0].shape[1:] for x in arrays):
        raise ValueError(f"Features are (n, d), of one d. Received: shapes {[x.shape for x in arrays]}")
    if not all(np.isfinite(x).all() for x in arrays):
        raise ValueError("The features are not all finite: are there NaN in the images?")
    return arrays
