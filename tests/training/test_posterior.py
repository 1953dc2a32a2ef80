import numpy as np
import pytest
from sklearn.mixture import GaussianMixture

from keras_segen.errors import InputError
from keras_segen.training import Posterior


def two_clouds(count=2000):
    rng = np.random.default_rng(0)
    factor = np.array([[1.0, 0.0], [0.8, 0.3]])
    clouds = np.stack([rng.normal(size=(count, 2)) @ factor.T + 5, rng.normal(size=(count, 2)) * 0.5 - 5])
    return clouds.reshape(-1, 2), factor


def test_the_mixture_is_found_and_drawn_from():
    means, factor = two_clouds()
    found = Posterior.of(means, np.zeros(3), components=2)
    high = found.means[:, 0].argmax()
    np.testing.assert_allclose(found.weights, [0.5, 0.5], atol=0.01)
    np.testing.assert_allclose(found.means[high], [5, 5], atol=0.1)
    np.testing.assert_allclose(found.factors[high] @ found.factors[high].T, factor @ factor.T, atol=0.1)
    drawn = found.sample(20_000, seed=1)
    assert drawn.dtype == np.float32
    up = drawn[drawn[:, 0] > 0]
    assert len(up) == pytest.approx(10_000, abs=300)
    np.testing.assert_allclose(np.cov(up, rowvar=False), factor @ factor.T, atol=0.05)
    np.testing.assert_array_equal(found.sample(5, seed=1), drawn[:5])
    assert not np.array_equal(found.sample(5, seed=2), drawn[:5])
    # As likely as scikit-learn's own draws are under its own fit.
    theirs = GaussianMixture(2, random_state=0).fit(means)
    assert theirs.score(drawn) == pytest.approx(theirs.score(theirs.sample(20_000)[0]), abs=0.05)


def test_each_label_has_components_of_its_own():
    means, _ = two_clouds(500)
    labels = np.repeat([3, 7], 500)
    found = Posterior.of(means, np.zeros(3), labels=labels, components=2)
    assert found.labels.tolist() == [3, 3, 7, 7]
    assert found.weights.sum() == pytest.approx(1)
    asked = np.tile([7, 3], 100)
    drawn = found.sample(200, asked, seed=0)
    assert (drawn[asked == 3] > 0).mean() > 0.95
    assert (drawn[asked == 7] < 0).mean() > 0.95
    np.testing.assert_array_equal(found.sample(5, asked[:5], seed=0), drawn[:5])
    both = found.sample(200, seed=0)  # without labels, and for one that is not known, from all
    assert 0.3 < (both > 0).mean() < 0.7
    np.testing.assert_array_equal(found.sample(200, np.full(200, 5), seed=0), both)
    attributes = np.stack([labels == 3, labels == 7], -1).astype("float32")
    found = Posterior.of(means, np.zeros(3), labels=attributes, components=1)
    drawn = found.sample(50, np.tile([[1.0, 0]], (50, 1)), seed=0)
    assert (drawn > 0).mean() > 0.95
    one = Posterior.of(means[:3], np.zeros(3), labels=[0, 0, 1])  # a label with a single image
    np.testing.assert_allclose(one.sample(2, [1, 1], seed=0), means[2:3].repeat(2, 0), atol=0.2)
    with pytest.raises(ValueError, match="2 labels for 3 means"):
        Posterior.of(means[:3], np.zeros(3), labels=[0, 1])


@pytest.mark.parametrize(("count", "latent_dim", "components"), [(2, 1, 1), (7, 30, 1), (100, 10, 5), (400, 2, 10)])
def test_few_means_have_few_components(count, latent_dim, components):
    means = np.random.default_rng(0).normal(size=(count, latent_dim))
    means[:, 0] = 0  # a latent that says nothing
    found = Posterior.of(means, np.zeros(3))
    assert len(found.weights) == components
    assert np.isfinite(found.sample(10, seed=0)).all()


def test_unusual_to_both_sides():
    usual = np.random.default_rng(0).normal(-1000, 10, 5000)
    found = Posterior.of(np.zeros((5, 2)), usual)
    np.testing.assert_allclose(found.anomaly_scores(np.array([-1000, -1030, -960])), [0, 3, 4], atol=0.15)
    assert np.isfinite(Posterior.of(np.zeros((5, 2)), np.zeros(9)).anomaly_scores(np.array([1.0]))).all()


def test_saved_and_loaded(tmp_path):
    found = Posterior.of(two_clouds(50)[0], np.arange(4.0), components=2)
    found.save(tmp_path / "posterior.npz")
    again = Posterior.load(tmp_path / "posterior.npz")
    np.testing.assert_array_equal(again.sample(9, seed=0), found.sample(9, seed=0))
    np.testing.assert_array_equal(again.log_likelihoods, found.log_likelihoods)


def test_a_posterior_of_what_it_cannot_fit_is_refused(tmp_path):
    for means in (np.zeros((1, 2)), np.full((3, 2), np.nan), np.zeros(4)):
        with pytest.raises(ValueError, match="two finite means or more"):
            Posterior.of(means, np.zeros(2))
    for likelihoods in (np.zeros(0), [np.inf], np.zeros((2, 2))):
        with pytest.raises(ValueError, match="Log-likelihoods are finite"):
            Posterior.of(np.zeros((3, 2)), likelihoods)
    path = tmp_path / "posterior.npz"
    with pytest.raises(InputError, match="does not exist"):
        Posterior.load(path)
    path.write_bytes(b"nonsense")
    with pytest.raises(InputError, match="is damaged"):
        Posterior.load(path)
    arrays = {
        "weights": np.ones(2),
        "means": np.ones((2, 3)),
        "factors": np.ones((2, 2, 2)),
        "labels": [0, 1],
        "log_likelihoods": [1],
    }
    np.savez(path, **arrays)
    with pytest.raises(InputError, match="do not go together"):
        Posterior.load(path)
    np.savez(path, means=np.array([{}], dtype=object))
    with pytest.raises(InputError, match="is damaged"):
        Posterior.load(path)
