import keras
import numpy as np
import pytest
import scipy.integrate
import scipy.stats
from keras import ops

from keras_segen.losses import Bernoulli, DiscretizedLogistic, Gaussian
from keras_segen.losses._variational import kl_divergence

LEVELS = np.arange(256, dtype="float32") / np.float32(127.5) - 1


def test_kl_is_the_closed_form_and_a_monte_carlo_estimate():
    rng = np.random.default_rng(0)
    mean, log_variance = rng.normal(size=(2, 3, 4)).astype("float32")
    ours = ops.convert_to_numpy(kl_divergence(mean, log_variance))
    deviation = np.exp(log_variance / 2)
    expected = -np.log(deviation) + (deviation**2 + mean**2) / 2 - 0.5
    np.testing.assert_allclose(ours, expected, rtol=1e-5)
    drawn = rng.normal(mean, deviation, (400_000, 3, 4))
    ratio = scipy.stats.norm.logpdf(drawn, mean, deviation) - scipy.stats.norm.logpdf(drawn)
    np.testing.assert_allclose(ours, ratio.mean(0), atol=4 * ratio.std(0).max() / np.sqrt(400_000))
    np.testing.assert_array_equal(kl_divergence(np.zeros((1, 2)), np.zeros((1, 2))), np.zeros((1, 2)))


def test_gaussian_is_scipys_and_integrates_to_one():
    rng = np.random.default_rng(0)
    x, mean, log_scale = rng.normal(size=(3, 5, 4, 4, 2)).astype("float32")
    fixed = Gaussian(0.3).log_prob(x, mean)
    np.testing.assert_allclose(fixed, scipy.stats.norm.logpdf(x, mean, 0.3).sum((1, 2, 3)), rtol=1e-5)
    learned = Gaussian(None).log_prob(x, np.concatenate([mean, log_scale], -1))
    np.testing.assert_allclose(learned, scipy.stats.norm.logpdf(x, mean, np.exp(log_scale)).sum((1, 2, 3)), rtol=1e-5)
    grid = np.linspace(-12, 12, 20_001, dtype="float32")[:, None]
    for likelihood, decoded in ((Gaussian(0.3), [0.2]), (Gaussian(None), [0.2, -0.5])):
        density = np.exp(likelihood.log_prob(grid, np.tile(np.float32(decoded), (len(grid), 1))))
        assert scipy.integrate.trapezoid(density, grid[:, 0]) == pytest.approx(1, abs=1e-4)


def test_bernoulli_is_scipys_and_sums_to_one():
    rng = np.random.default_rng(0)
    x = rng.choice([-1.0, 1.0], (5, 4, 4, 1)).astype("float32")
    logits = rng.normal(0, 3, x.shape).astype("float32")
    expected = scipy.stats.bernoulli.logpmf((x + 1) / 2, scipy.special.expit(logits)).sum((1, 2, 3))
    np.testing.assert_allclose(Bernoulli().log_prob(x, logits), expected, rtol=1e-4)
    both = [float(np.exp(Bernoulli().log_prob(np.float32([[v]]), np.float32([[1.3]])))[0]) for v in (-1, 1)]
    assert sum(both) == pytest.approx(1)


@pytest.mark.parametrize("mean", [-1.5, -1.0, 0.003, 0.9, 4.0])
@pytest.mark.parametrize("log_scale", [-7.0, -4.0, -1.0, 3.0])
def test_discretized_logistic_is_scipys_and_sums_to_one(mean, log_scale):
    decoded = np.tile(np.float32([mean, log_scale]), (256, 1))
    ours = ops.convert_to_numpy(DiscretizedLogistic().log_prob(LEVELS[:, None], decoded)).astype(np.float64)
    assert np.exp(ours).sum() == pytest.approx(1, abs=1e-4)
    logistic = scipy.stats.logistic(np.float64(np.float32(mean)), np.exp(np.float64(np.float32(log_scale))))
    edges = np.concatenate([[-np.inf], (np.arange(255) + 0.5) / 127.5 - 1, [np.inf]])
    exact = logistic.cdf(edges[1:]) - logistic.cdf(edges[:-1])
    counts = exact > 1e-12  # below, SciPy's difference has lost its digits
    np.testing.assert_allclose(ours[counts], np.log(exact[counts]), atol=2e-3)


@pytest.mark.parametrize("likelihood", [Gaussian(0.1), Gaussian(None), Bernoulli(), DiscretizedLogistic()])
@pytest.mark.parametrize("value", [-1.0, 0.0, 1.0])
@pytest.mark.parametrize("decoded", [0.0, 100.0, -100.0])
def test_extremes_are_finite(likelihood, value, decoded):
    import tensorflow as tf

    images = tf.fill((1, 4, 4, 1), value)
    output = tf.Variable(tf.fill((1, 4, 4, likelihood.parameters), decoded))
    with tf.GradientTape() as tape:
        loss = -likelihood.log_prob(images, output)
    assert np.isfinite(loss).all()
    assert np.isfinite(tape.gradient(loss, output)).all()
    assert np.abs(likelihood.mean(output)).max() <= 1


def test_likelihoods_are_saved_and_what_cannot_be_is_refused():
    for likelihood in (Gaussian(0.3), Gaussian(None), Bernoulli(), DiscretizedLogistic()):
        again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(likelihood))
        assert type(again) is type(likelihood)
        assert again.get_config() == likelihood.get_config()
        assert again.parameters == likelihood.parameters
    with pytest.raises(ValueError, match="scale=0"):
        Gaussian(0)
