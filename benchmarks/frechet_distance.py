"""The Fréchet distance at FID's 2048 dimensions, against the formula with SciPy's matrix root, and the machine.

    python benchmarks/frechet_distance.py [--rounds N]      two minutes on two cores

That both give the same distance is checked first. "Of limit" counts what ours does at full rank: a Cholesky factor, two
products and eigenvalues, 17/3 d³ operations.
"""

from collections.abc import Callable

import numpy as np
from harness import Contender, command_line, compare, started

from keras_segen import metrics

D = 2048


def main() -> None:
    options = command_line("Time the Fréchet distance.", rounds=3, warm_up=1).parse_args()
    rng = np.random.default_rng(0)
    mixing = rng.normal(size=(D, D)) / np.sqrt(D)
    one, other = (moments(rng.normal(size=(2 * D, D)) @ mixing) for _ in range(2))
    few = moments(rng.normal(size=(1000, D)) @ mixing)
    work = 17 / 3 * D**3 / 1e9
    contenders = [
        Contender("keras_segen", "frechet_distance", "distance", (*one, *other), work),
        Contender("keras_segen, 1,000 images", "frechet_distance", "distance", (*few, *other), work),
        Contender("scipy.linalg.sqrtm", "scipy_frechet", "distance", (*one, *other), work),
    ]
    with started(contenders) as processes:
        ours, theirs = processes[0].result(), processes[2].result()
        print(f"ours {ours:.12g}, by SciPy's root {theirs:.12g}")
        np.testing.assert_allclose(ours, theirs, rtol=1e-6)
        compare(
            f"Fréchet distance, {D} dimensions, float64",
            processes,
            limits=[Contender("matrix product, NumPy", "scipy_frechet", "matrix_product", (D,), 2 * D**3 / 1e9)],
            rounds=options.rounds,
            warm_up=1,
            clock=options.clock,
        )


def moments(features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    seen = metrics.Moments().update(features)
    return seen.mean, seen.covariance


def distance(mean1: np.ndarray, cov1: np.ndarray, mean2: np.ndarray, cov2: np.ndarray) -> Callable[[], float]:
    return lambda: metrics.frechet_distance(mean1, cov1, mean2, cov2)


if __name__ == "__main__":
    main()
