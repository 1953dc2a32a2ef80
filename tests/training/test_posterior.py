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


@pytest.fixture(scope="module")
def mixture():
    """The posterior of two clouds."""
    return Posterior.of(two_clouds()[0], np.zeros(3), components=2)


@pytest.fixture(scope="module")
def drawn(mixture):
    return mixture.sample(20_000, seed=1)


def test_the_mixture_has_the_clouds_weights(mixture):
    np.testing.assert_allclose(mixture.weights, [0.5, 0.5], atol=0.01)


def test_the_mixture_has_the_clouds_means(mixture):
    np.testing.assert_allclose(mixture.means[mixture.means[:, 0].argmax()], [5, 5], atol=0.1)


def test_the_mixture_has_the_clouds_covariances(mixture):
    found = mixture.factors[mixture.means[:, 0].argmax()]
    _, factor = two_clouds()
    np.testing.assert_allclose(found @ found.T, factor @ factor.T, atol=0.1)


def test_draws_are_of_float32(drawn):
    assert drawn.dtype == np.float32


def test_half_of_the_draws_are_of_each_cloud(drawn):
    assert (drawn[:, 0] > 0).sum() == pytest.approx(10_000, abs=300)


def test_draws_have_the_clouds_covariances(drawn):
    _, factor = two_clouds()
    np.testing.assert_allclose(np.cov(drawn[drawn[:, 0] > 0], rowvar=False), factor @ factor.T, atol=0.05)


def test_one_seed_gives_the_same_draws_however_many(mixture, drawn):
    np.testing.assert_array_equal(mixture.sample(5, seed=1), drawn[:5])


def test_another_seed_gives_other_draws(mixture, drawn):
    assert not np.array_equal(mixture.sample(5, seed=2), drawn[:5])


def test_draws_are_as_likely_as_scikit_learns_own_under_its_own_fit(drawn):
    theirs = GaussianMixture(2, random_state=0).fit(two_clouds()[0])
    assert theirs.score(drawn) == pytest.approx(theirs.score(theirs.sample(20_000)[0]), abs=0.05)


LABELS = np.repeat([3, 7], 500)
ASKED = np.tile([7, 3], 100)


@pytest.fixture(scope="module")
def labelled():
    """The posterior of two clouds that have a label each."""
    return Posterior.of(two_clouds(500)[0], np.zeros(3), labels=LABELS, components=2)


def test_each_label_has_components_of_its_own(labelled):
    assert labelled.labels.tolist() == [3, 3, 7, 7]


def test_weights_of_all_labels_add_up_to_one(labelled):
    assert labelled.weights.sum() == pytest.approx(1)


def test_draws_are_of_the_labels_cloud(labelled):
    drawn = labelled.sample(200, ASKED, seed=0)
    assert (drawn[ASKED == 3] > 0).mean() > 0.95
    assert (drawn[ASKED == 7] < 0).mean() > 0.95


def test_one_seed_gives_the_same_draws_of_labels_however_many(labelled):
    np.testing.assert_array_equal(labelled.sample(5, ASKED[:5], seed=0), labelled.sample(200, ASKED, seed=0)[:5])


def test_draws_without_labels_are_of_all(labelled):
    assert 0.3 < (labelled.sample(200, seed=0) > 0).mean() < 0.7


def test_draws_of_an_unknown_label_are_of_all(labelled):
    np.testing.assert_array_equal(labelled.sample(200, np.full(200, 5), seed=0), labelled.sample(200, seed=0))


def test_labels_may_be_attributes():
    attributes = np.stack([LABELS == 3, LABELS == 7], -1).astype("float32")
    found = Posterior.of(two_clouds(500)[0], np.zeros(3), labels=attributes, components=1)
    assert (found.sample(50, np.tile([[1.0, 0]], (50, 1)), seed=0) > 0).mean() > 0.95


def test_a_label_of_one_image_is_drawn_near_it():
    means = two_clouds(500)[0][:3]
    found = Posterior.of(means, np.zeros(3), labels=[0, 0, 1])
    np.testing.assert_allclose(found.sample(2, [1, 1], seed=0), means[2:3].repeat(2, 0), atol=0.2)


def test_labels_of_another_count_are_refused():
    with pytest.raises(ValueError, match="2 labels for 3 means"):
        Posterior.of(np.zeros((3, 2)), np.zeros(3), labels=[0, 1])


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
