import numpy as np
import pytest
import scipy.linalg
from hypothesis import given, settings
from hypothesis import strategies as st

from keras_segen.metrics import frechet_distance, moments


def by_scipy(mean1, cov1, mean2, cov2):
    root = scipy.linalg.sqrtm(cov1 @ cov2).real
    return ((mean1 - mean2) ** 2).sum() + np.trace(cov1 + cov2 - 2 * root)


@settings(max_examples=20, deadline=None)
@given(st.integers(2, 30), st.integers(0, 2**32 - 1))
def test_frechet_distance_is_scipys(dimensions, seed):
    rng = np.random.default_rng(seed)
    one, other = (moments(rng.normal(rng.normal(), 1, (200, dimensions)) * rng.uniform(0.5, 2)) for _ in range(2))
    assert frechet_distance(*one, *other) == pytest.approx(by_scipy(*one, *other), rel=1e-8)


def test_closed_forms():
    rng = np.random.default_rng(0)
    basis = np.linalg.qr(rng.normal(size=(6, 6)))[0]
    a, b = rng.uniform(0, 3, (2, 6))
    mean = rng.normal(size=6)
    # Covariances that commute.
    expected = mean @ mean + ((np.sqrt(a) - np.sqrt(b)) ** 2).sum()
    ours = frechet_distance(mean, basis * a @ basis.T, 0 * mean, basis * b @ basis.T)
    assert ours == pytest.approx(expected, rel=1e-8)
    few = moments(rng.normal(size=(4, 6)))  # rank 3
    assert frechet_distance(*few, *few) == pytest.approx(0, abs=1e-6)
    point = np.zeros(6), np.zeros((6, 6))
    assert frechet_distance(*point, mean, np.diag(a)) == pytest.approx(mean @ mean + a.sum())


def test_moments():
    features = np.random.default_rng(0).normal(size=(50, 4)).astype("float32")
    mean, covariance = moments(features)
    np.testing.assert_allclose(mean, features.mean(0, dtype=np.float64))
    np.testing.assert_allclose(covariance, np.cov(features, rowvar=False, dtype=np.float64))


def test_what_cannot_be_is_refused():
    with pytest.raises(ValueError, match=r"shape \(1, 4\)"):
        moments(np.zeros((1, 4)))
    with pytest.raises(ValueError, match="not all finite"):
        moments(np.full((3, 4), np.nan))
    with pytest.raises(ValueError, match=r"\(3, 3\)"):
        frechet_distance(np.zeros(2), np.zeros((2, 2)), np.zeros(3), np.zeros((3, 3)))
