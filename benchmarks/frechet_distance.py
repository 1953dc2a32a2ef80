"""The Fréchet distance at FID's 2048 dimensions, against the formula with SciPy's matrix root, and the machine.

    python benchmarks/frechet_distance.py [--rounds N]      two minutes on two cores

"Of limit" counts what ours does at full rank: a Cholesky factor, two products and eigenvalues, 17/3 d³ operations.
"""

import argparse

import numpy as np
import scipy.linalg
from harness import Contender, compare, use_all_cores

from keras_segen.metrics import Moments, frechet_distance

D = 2048


def main() -> None:
    parser = argparse.ArgumentParser(description="Time the Fréchet distance.")
    parser.add_argument("--rounds", type=int, default=3, help="turns that count, after one that does not")
    options = parser.parse_args()

    use_all_cores()
    rng = np.random.default_rng(0)
    mixing = rng.normal(size=(D, D)) / np.sqrt(D)
    one, other = (moments(rng.normal(size=(2 * D, D)) @ mixing) for _ in range(2))
    few = moments(rng.normal(size=(1000, D)) @ mixing)
    a, b = rng.normal(size=(2, D, D))
    work = 17 / 3 * D**3 / 1e9
    print(f"ours {frechet_distance(*one, *other):.12g}, by SciPy's root {by_root(*one, *other):.12g}")
    compare(
        f"Fréchet distance, {D} dimensions, float64",
        [
            Contender("keras_segen", lambda: frechet_distance(*one, *other), work),
            Contender("keras_segen, 1,000 images", lambda: frechet_distance(*few, *other), work),
            Contender("scipy.linalg.sqrtm", lambda: by_root(*one, *other), work),
        ],
        limits=[Contender("matrix product, NumPy", lambda: a @ b, 2 * D**3 / 1e9)],
        rounds=options.rounds,
        warm_up=1,
    )


def moments(features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    seen = Moments().update(features)
    return seen.mean, seen.covariance


def by_root(mean1: np.ndarray, cov1: np.ndarray, mean2: np.ndarray, cov2: np.ndarray) -> float:
    """The distance as pytorch-fid and others have it."""
    difference = mean1 - mean2
    root = scipy.linalg.sqrtm(cov1 @ cov2).real
    return float(difference @ difference + np.trace(cov1) + np.trace(cov2) - 2 * np.trace(root))


if __name__ == "__main__":
    main()
