import tracemalloc

import numpy as np
import pytest
import scipy.linalg
from hypothesis import given, settings
from hypothesis import strategies as st

from examples.inception_expected import FILE, features
from keras_segen.metrics import (
    Moments,
    frechet_distance,
    inception_score,
    kernel_distance,
    precision_recall_density_coverage,
)
from keras_segen.metrics import _distances as distances


def by_scipy(mean1, cov1, mean2, cov2):
    root = scipy.linalg.sqrtm(cov1 @ cov2).real
    return ((mean1 - mean2) ** 2).sum() + np.trace(cov1 + cov2 - 2 * root)


def moments(x):
    seen = Moments().update(x)
    return seen.mean, seen.covariance


@settings(max_examples=20, deadline=None)
@given(st.integers(2, 30), st.integers(0, 2**32 - 1))
def test_frechet_distance_is_scipys(dimensions, seed):
    rng = np.random.default_rng(seed)
    one, other = (moments(rng.normal(rng.normal(), 1, (200, dimensions)) * rng.uniform(0.5, 2)) for _ in range(2))
    assert frechet_distance(*one, *other) == pytest.approx(by_scipy(*one, *other), rel=1e-8)


@pytest.mark.parametrize(("rank1", "rank2"), [(10, 24), (24, 10), (10, 8)])
def test_below_full_rank(rank1, rank2):
    rng = np.random.default_rng(0)
    one, other = (moments(rng.normal(size=(rank + 1, 24)) * 3 + 1) for rank in (rank1, rank2))
    # SciPy's root of a singular matrix is good to a few digits only; exact: the singular values of the centred rows.
    rows = [np.linalg.cholesky(c + 0) if r == 24 else _rows(c) for c, r in ((one[1], rank1), (other[1], rank2))]
    exact = ((one[0] - other[0]) ** 2).sum() + np.trace(one[1] + other[1])
    exact -= 2 * np.linalg.svd(rows[0].T @ rows[1], compute_uv=False).sum()
    assert frechet_distance(*one, *other) == pytest.approx(exact, rel=1e-8)
    assert frechet_distance(*one, *other) == pytest.approx(by_scipy(*one, *other), rel=1e-5)


def _rows(covariance):
    values, vectors = np.linalg.eigh(covariance)
    return vectors * np.sqrt(np.clip(values, 0, None))


def test_identical_inputs_have_no_distance():
    rng = np.random.default_rng(0)
    full, few = moments(rng.normal(size=(200, 24))), moments(rng.normal(size=(4, 24)))
    assert frechet_distance(*full, *full) == pytest.approx(0, abs=1e-8 * np.trace(full[1]))
    assert frechet_distance(*few, *few) == pytest.approx(0, abs=1e-8 * np.trace(few[1]))


def test_closed_forms():
    rng = np.random.default_rng(0)
    basis = np.linalg.qr(rng.normal(size=(6, 6)))[0]
    a, b = rng.uniform(0, 3, (2, 6))
    mean = rng.normal(size=6)
    # Covariances that commute.
    expected = mean @ mean + ((np.sqrt(a) - np.sqrt(b)) ** 2).sum()
    ours = frechet_distance(mean, basis * a @ basis.T, 0 * mean, basis * b @ basis.T)
    assert ours == pytest.approx(expected, rel=1e-8)
    point = np.zeros(6), np.zeros((6, 6))
    assert frechet_distance(*point, mean, np.diag(a)) == pytest.approx(mean @ mean + a.sum())
    assert frechet_distance(mean, np.diag(a), *point) == pytest.approx(mean @ mean + a.sum())


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(0, 49), max_size=6), st.randoms(use_true_random=False), st.sampled_from([0.0, 1e5]))
def test_moments_of_shards_are_those_of_the_whole(cuts, random, far):
    whole = np.random.default_rng(0).normal(size=(50, 4)).astype("float32") + far
    shards = np.split(whole, sorted(cuts))
    random.shuffle(shards)
    seen = [Moments().update(shard) for shard in shards]
    merged = Moments()
    for one in seen:
        merged.merge(one)
    streamed = Moments()
    for shard in shards:
        streamed.update(shard)
    expected = np.cov(whole, rowvar=False, dtype=np.float64)
    for ours in (merged, streamed):
        assert ours.count == 50
        np.testing.assert_allclose(ours.mean, whole.mean(0, dtype=np.float64), rtol=1e-10, atol=1e-10)
        np.testing.assert_allclose(ours.covariance, expected, rtol=1e-10, atol=1e-10)


@pytest.mark.slow
def test_fifty_thousand_features_stream_in_under_200_megabytes():
    rng = np.random.default_rng(0)
    tracemalloc.start()
    seen = Moments()
    for _ in range(50_000 // 2_000):
        seen.update(rng.random((2_000, 2048), np.float32))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert seen.count == 50_000
    assert peak < 200e6


def test_the_others_say_the_same():
    expected = np.load(FILE)
    x, y, logits = features()
    np.testing.assert_allclose(kernel_distance(x, y, subsets=7, subset_size=50), expected["kernel_distance"], atol=1e-6)
    probabilities = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    np.testing.assert_allclose(inception_score(probabilities, 7), expected["inception_score"], atol=1e-6)
    ours = precision_recall_density_coverage(x, y, k=5)
    np.testing.assert_allclose(list(ours.values()), expected["prdc"], atol=1e-6)
    assert list(ours) == ["precision", "recall", "density", "coverage"]


def test_kernel_distance_has_no_bias():
    rng = np.random.default_rng(0)
    values = [kernel_distance(*rng.normal(size=(2, 20, 8)), subsets=1, subset_size=20)[0] for _ in range(300)]
    assert abs(np.mean(values)) < 3 * np.std(values) / np.sqrt(300)
    by_hand = [[1.0, 0], [0, 2]], [[1.0, 1], [3, 0]]
    # Kernels (x·y/2 + 1)³ of pairs: x 1, y 2.5³, x with y 1.5³, 2.5³, 2³, 1.
    expected = 1 + 2.5**3 - 2 * (1.5**3 + 2.5**3 + 2**3 + 1) / 4
    assert kernel_distance(*by_hand, subsets=3, subset_size=2) == (pytest.approx(expected), pytest.approx(0))


def test_inception_score_by_hand():
    sure = np.eye(4)[np.arange(40) % 4]
    assert inception_score(sure, 1) == (pytest.approx(4), 0)  # sure of each, and all classes alike
    assert inception_score(np.full((40, 4), 0.25), 2) == (pytest.approx(1), pytest.approx(0))
    # Sorted by class and cut as they lie, each split has one class only.
    assert inception_score(np.repeat(np.eye(4), 10, axis=0), 4, seed=None)[0] == pytest.approx(1)


def test_neighbours_by_hand():
    real, fake = np.array([[0.0], [1], [2], [10]]), np.array([[0.5], [0.6], [30]])
    ours = precision_recall_density_coverage(real, fake, k=1)
    # Reals reach 1, 1, 1 and 8; fakes 0.1, 0.1 and 29.4. The fakes lie in 2, 2 and 0 of the reals' balls, the reals in
    # 0, 1, 1 and 1 of the fakes'; the first two reals have a fake in theirs.
    assert ours == {"precision": pytest.approx(2 / 3), "recall": 0.75, "density": pytest.approx(4 / 3), "coverage": 0.5}


def test_blocks_change_nothing(monkeypatch):
    x, y, _ = features()
    whole = precision_recall_density_coverage(x, y)
    monkeypatch.setattr(distances, "_BLOCK", 1000)
    assert precision_recall_density_coverage(x, y) == whole


def test_memory_of_neighbours_is_bounded():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(2, 6000, 4))
    tracemalloc.start()
    precision_recall_density_coverage(x, y)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 250e6  # the whole matrix would be 288 MB, and its comparisons as much again


def test_features_that_cannot_be_compared_are_refused():
    ok = np.zeros((9, 4))
    with pytest.raises(ValueError, match="two images or more. Received: 1"):
        _ = Moments().update(np.zeros((1, 4))).covariance
    for bad in (np.full((3, 4), np.nan), np.full((3, 4), np.inf)):
        for refuse in (
            Moments().update,
            lambda x: kernel_distance(ok, x, subset_size=2),
            lambda x: precision_recall_density_coverage(x, ok, k=1),
        ):
            with pytest.raises(ValueError, match="not all finite"):
                refuse(bad)
    with pytest.raises(ValueError, match=r"take features \(n, 4\)"):
        Moments().update(ok).update(np.zeros((2, 3)))
    with pytest.raises(ValueError, match="4 and 3 features do not go together"):
        Moments().update(ok).merge(Moments().update(np.zeros((2, 3))))
    with pytest.raises(ValueError, match=r"\(3, 3\)"):
        frechet_distance(np.zeros(2), np.zeros((2, 2)), np.zeros(3), np.zeros((3, 3)))
    with pytest.raises(ValueError, match="takes finite numbers"):
        frechet_distance(np.full(2, np.nan), np.eye(2), np.zeros(2), np.eye(2))
    with pytest.raises(ValueError, match=r"subsets of 1000. Received: 9 and 9 images"):
        kernel_distance(ok, ok)
    with pytest.raises(ValueError, match="of one d"):
        kernel_distance(ok, ok[:, :2])
    with pytest.raises(ValueError, match="5-th neighbour need more points. Received: 9 and 5"):
        precision_recall_density_coverage(ok, ok[:5])
    with pytest.raises(ValueError, match="splits=10"):
        inception_score(ok)
    for bad in (np.zeros((20, 4)), np.full((20, 4), np.nan), np.eye(4)[[0] * 20] * 3):
        with pytest.raises(ValueError, match="softmax the logits first"):
            inception_score(bad)
