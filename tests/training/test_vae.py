import math

import keras
import numpy as np
import pytest
import scipy.stats
import tensorflow as tf
from keras import ops

from examples.generative_examples import assert_equal, in_process
from examples.vaes import (
    BATCH,
    CLASSES,
    KINDS,
    LATENT,
    SHAPE,
    WithGivenNoise,
    build,
    images,
    trained,
    trained_in_a_graph,
)
from keras_segen.losses import Bernoulli, DiscretizedLogistic, Gaussian
from keras_segen.models import vae_decoder, vae_encoder
from keras_segen.training import VAE, active_units


@pytest.mark.parametrize("kind", [pytest.param(kind, marks=[pytest.mark.slow] * (kind != "elbo")) for kind in KINDS])
def test_eager_graph_and_xla_take_the_same_steps(kind):
    graph = trained_in_a_graph(kind)
    assert_equal(graph, trained(build(kind, jit_compile=True)))
    assert_equal(graph, trained(build(kind, run_eagerly=True)))


@pytest.mark.parametrize("kind", KINDS)
def test_the_loss_is_what_the_papers_say(kind):
    vae = build(kind)
    options = {"beta": 1.0, "free_bits": 0.0, "importance_samples": 1, **KINDS[kind]}
    x, labels = images(BATCH), np.arange(BATCH) % CLASSES
    y = [labels] if vae.conditional else []
    data = tf.data.Dataset.from_tensors((x, labels) if y else x)
    logs = vae.evaluate(data, verbose=0, return_dict=True)
    mean, log_variance = (np.asarray(part, "float64") for part in vae.encoder([x, *y] if y else x))
    k = options["importance_samples"]
    noise = np.asarray(vae._draw(None, BATCH, (k, LATENT)), "float64")
    bounds, reconstructions = np.empty((BATCH, k)), np.empty((BATCH, k))
    for i in range(k):  # one sample after another, where the loss takes all at once
        z = mean + np.exp(log_variance / 2) * noise[:, i]
        inputs = [z.astype("float32"), *y]
        log_p = np.asarray(vae.likelihood.log_prob(x, vae.decoder(inputs if y else inputs[0])), "float64")
        log_prior, log_q = scipy.stats.norm.logpdf(z), scipy.stats.norm.logpdf(z, mean, np.exp(log_variance / 2))
        bounds[:, i], reconstructions[:, i] = log_p + (log_prior - log_q).sum(-1), -log_p
    kl = 0.5 * (mean**2 + np.exp(log_variance) - 1 - log_variance)
    assert logs["reconstruction"] == pytest.approx(reconstructions.mean(), rel=1e-4)
    assert logs["kl"] == pytest.approx(kl.sum(-1).mean(), rel=1e-4)
    if k > 1:
        expected = -np.mean(np.logaddexp.reduce(bounds, axis=1) - math.log(k))
    else:
        paid = np.maximum(kl.mean(0), options["free_bits"]).sum()
        if options["free_bits"]:
            assert paid > 1.01 * kl.mean(0).sum()  # some latents are within what is free
        expected = reconstructions.mean() + options["beta"] * paid
    assert logs["vae_loss"] == pytest.approx(expected, rel=1e-4)


@pytest.mark.slow
def test_jax_takes_the_same_steps():
    pytest.importorskip("jax")
    code = "print('RESULT', json.dumps({kind: t.trained(t.build(kind)) for kind in t.KINDS}))"
    results = in_process(code, "examples.vaes", KERAS_BACKEND="jax", JAX_PLATFORMS="cpu")
    for kind, result in results.items():
        assert_equal(trained_in_a_graph(kind), result)


@pytest.mark.slow
def test_saved_and_loaded_goes_on_to_the_same_bits(tmp_path):
    whole, first = (build("free bits", cls=VAE) for _ in range(2))
    for vae, epochs in ((whole, 2), (first, 1)):
        keras.utils.set_random_seed(0)
        vae.fit(images(), batch_size=BATCH, epochs=epochs, shuffle=False, verbose=0)
    first.save(tmp_path / "vae.keras")
    second = keras.saving.load_model(tmp_path / "vae.keras")
    second.fit(images(), batch_size=BATCH, epochs=2, initial_epoch=1, shuffle=False, verbose=0)
    for ours, theirs in zip(second.variables, whole.variables, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert (second.free_bits, second.warm_up) == (0.5, 3)
    assert second.likelihood.scale == 0.2
    for kind, options in (("gaussian", (4.0, 1)), ("importance-weighted", (1.0, 3))):
        build(kind, cls=VAE).save(tmp_path / "other.keras")
        other = keras.saving.load_model(tmp_path / "other.keras")
        assert (other.beta, other.importance_samples) == options


# A model whose likelihood is known: x = W z + b + noise of one scale, so x is normal.


@keras.saving.register_keras_serializable("tests")
class WithScale(keras.layers.Layer):
    """Beside each value the logarithm of one learned scale."""

    def build(self, shape):
        self.log_scale = self.add_weight(shape=(), initializer="zeros", name="log_scale")

    def call(self, x):
        return ops.concatenate([x, ops.broadcast_to(self.log_scale, ops.shape(x))], -1)


def linear_vae(latent_dim, side=2):
    image = keras.Input((side, side, 2))
    flat = keras.layers.Flatten()(image)
    mean = keras.layers.Dense(latent_dim)(flat)
    log_variance = keras.layers.Dense(latent_dim, kernel_initializer="zeros")(0 * flat)  # the same for all
    latent = keras.Input((latent_dim,))
    decoded = WithScale()(keras.layers.Reshape((side, side, 2))(keras.layers.Dense(side * side * 2)(latent)))
    return VAE(keras.Model(image, [mean, log_variance]), keras.Model(latent, decoded), Gaussian(None), seed=0)


def correlated(count=2000):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(count, 3)) @ rng.normal(size=(3, 8)) * [[0.12]] + 0.05 * rng.normal(size=(count, 8)) + 0.1
    return np.clip(x, -1, 1).astype("float32").reshape(-1, 2, 2, 2)


@pytest.mark.slow
def test_a_linear_vae_is_probabilistic_pca():
    data = correlated()
    keras.utils.set_random_seed(0)
    vae = linear_vae(3)
    rate = keras.optimizers.schedules.CosineDecay(0.03, 2000)
    vae.compile(keras.optimizers.Adam(rate), steps_per_execution=100)
    batches = tf.data.Dataset.from_tensor_slices(data).cache().shuffle(2000, seed=0).batch(500).repeat()
    vae.fit(batches, steps_per_epoch=2000, epochs=1, shuffle=False, verbose=0)
    x = data.reshape(len(data), -1).astype(np.float64)
    # Tipping and Bishop (1999), eq. 8: the greatest likelihood there is with three directions and one scale.
    values = np.sort(np.linalg.eigvalsh(np.cov(x, rowvar=False, bias=True)))[::-1]
    noise = values[3:].mean()
    best = -0.5 * (8 * math.log(2 * math.pi) + np.log(values[:3]).sum() + 5 * math.log(noise) + 8)
    ours = vae.log_likelihood(data, importance_samples=100).mean()
    assert ours == pytest.approx(best, rel=0.005)
    assert -vae.evaluate(data, verbose=0, return_dict=True)["vae_loss"] == pytest.approx(best, rel=0.005)


@pytest.mark.slow
def test_the_bound_rises_to_the_exact_likelihood():
    keras.utils.set_random_seed(0)
    vae = linear_vae(2)
    vae.decoder.get_layer(index=-1).log_scale.assign(-1.0)
    data = correlated(60)
    kernel, bias = (np.asarray(w, np.float64) for w in vae.decoder.weights[:2])
    exact = scipy.stats.multivariate_normal(bias, kernel.T @ kernel + np.exp(-2) * np.eye(8))
    exact = exact.logpdf(data.reshape(60, 8))
    draws = {1: 50, 10: 20, 100: 5, 3000: 1}  # a bound of few samples is noisier
    bounds = [
        np.mean([vae.log_likelihood(data, importance_samples=k, seed=s) for s in range(n)]) for k, n in draws.items()
    ]
    assert bounds == sorted(bounds)
    np.testing.assert_allclose(vae.log_likelihood(data, importance_samples=3000), exact, atol=0.15)
    # As the loss has it, too.
    for k in (1, 50):
        vae.compile(importance_samples=k)
        of_loss = -vae.evaluate(np.repeat(data, 50, 0), batch_size=3000, verbose=0, return_dict=True)["vae_loss"]
        drawn = np.concatenate([vae.log_likelihood(data, importance_samples=k, seed=seed) for seed in range(2, 52)])
        assert of_loss == pytest.approx(drawn.mean(), abs=5 * drawn.std() / np.sqrt(len(drawn)))


def test_bits_per_dimension_and_parts():
    vae = build(cls=VAE)
    logs = vae.evaluate(images(), batch_size=40, verbose=0, return_dict=True)
    assert logs["vae_loss"] == pytest.approx(logs["reconstruction"] + logs["kl"], rel=1e-5)
    assert logs["bits_per_dim"] == pytest.approx(logs["vae_loss"] / (16 * 16 * 3 * math.log(2)), rel=1e-5)
    vae.compile(importance_samples=3)  # the bound is higher, the parts are one sample's
    logs = vae.evaluate(images(), batch_size=40, verbose=0, return_dict=True)
    assert logs["vae_loss"] < logs["reconstruction"] + logs["kl"]
    one_sample = logs["reconstruction"] + logs["kl"]
    assert logs["bits_per_dim"] == pytest.approx(one_sample / (16 * 16 * 3 * math.log(2)), rel=1e-5)
    assert "bits_per_dim" not in build("gaussian").evaluate(images(), verbose=0, return_dict=True)


def test_the_divergences_weight_rises():
    losses = []
    for warm_up in (0, 4):
        vae = build(cls=WithGivenNoise)
        vae.compile(keras.optimizers.SGD(0.0), warm_up=warm_up)
        batches = tf.data.Dataset.from_tensors(images(BATCH)).repeat()
        losses.append(vae.fit(batches, epochs=6, steps_per_epoch=1, shuffle=False, verbose=0).history)
    whole, rising = losses
    # Not where it is only measured: epochs are compared by the whole.
    vae = build(cls=WithGivenNoise)
    vae.compile(keras.optimizers.SGD(0.0), warm_up=4)
    logs = vae.evaluate(images(BATCH), batch_size=BATCH, verbose=0, return_dict=True)
    assert logs["vae_loss"] == pytest.approx(logs["reconstruction"] + logs["kl"], rel=1e-5)
    for step in range(6):
        expected = whole["reconstruction"][step] + min(step / 4, 1) * whole["kl"][step]
        assert rising["vae_loss"][step] == pytest.approx(expected, rel=1e-5)


@pytest.fixture(scope="module")
def conditional():
    return build("bernoulli", cls=VAE), np.arange(10) % CLASSES


def test_encode_reconstruct_and_generate_go_together(conditional):
    vae, labels = conditional
    mean, log_variance = vae.encode(images(10), labels)
    assert mean.shape == log_variance.shape == (10, LATENT)
    again = vae.reconstruct(images(10), labels)
    assert again.shape == (10, *SHAPE)
    assert np.abs(again).max() <= 1
    np.testing.assert_array_equal(again, vae.generate(mean, labels))
    assert vae.generate(np.zeros((2, LATENT)), np.array([0, 1])).shape == (2, *SHAPE)
    np.testing.assert_allclose(vae.sampler()([mean, labels]), again, atol=1e-5)


def test_active_units_vary_over_images():
    assert active_units(np.array([[0.0, 1, 0.05], [0, -1, -0.05]])) == 1


def test_an_images_likelihood_does_not_depend_on_which_others_come_with_it(conditional):
    vae, labels = conditional
    whole = vae.log_likelihood(images(6), labels[:6], importance_samples=8)
    part = vae.log_likelihood(images(6)[2:4], labels[2:4], importance_samples=8, batch_size=1)
    np.testing.assert_allclose(part, whole[2:4], rtol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("extreme", [-100.0, 100.0])
@pytest.mark.parametrize("colour", [-1.0, 1.0])
@pytest.mark.parametrize(
    "likelihood", [DiscretizedLogistic(), Gaussian(None), Gaussian(0.1), Bernoulli()], ids=lambda x: type(x).__name__
)
def test_extremes_stay_finite(extreme, colour, likelihood):
    keras.utils.set_random_seed(0)
    parameters = likelihood.parameters
    encoder, decoder = (
        vae_encoder(SHAPE, latent_dim=1, filters=2),
        vae_decoder(SHAPE, latent_dim=1, parameters=parameters, filters=2),
    )
    head = encoder.get_layer("log_variance")
    head.set_weights([0 * head.kernel.numpy(), 0 * head.bias.numpy() + extreme])
    vae = VAE(encoder, decoder, likelihood, seed=0)
    vae.compile(run_eagerly=True)  # three steps are done before a graph of them is traced
    history = vae.fit(np.full((1, *SHAPE), colour, "float32"), epochs=3, verbose=0).history
    assert np.isfinite(list(history.values())).all()
    assert all(np.isfinite(w).all() for w in vae.get_weights())


def test_networks_that_do_not_fit_together_are_refused():
    encoder, decoder = vae_encoder(SHAPE, latent_dim=4, filters=2), vae_decoder(SHAPE, latent_dim=4, filters=2)
    with pytest.raises(ValueError, match=r"Bernoulli .* takes \(16, 16, 3\) from the decoder"):
        VAE(encoder, decoder, Bernoulli())
    with pytest.raises(ValueError, match="such as Gaussian"):
        VAE(encoder, decoder, "gaussian")
    with pytest.raises(ValueError, match=r"\(None, 4\)\], decoder's input \(None, 5\)"):
        VAE(encoder, vae_decoder(SHAPE, latent_dim=5, filters=2))
    with pytest.raises(ValueError, match="encoder's outputs"):
        VAE(keras.Model(encoder.input, encoder.outputs[0]), decoder)
    labelled = vae_encoder(SHAPE, latent_dim=4, filters=2, num_classes=3)
    for other in ({"num_classes": 5}, {"num_classes": 3, "multi_label": True}, {}):
        with pytest.raises(ValueError, match="Either both networks take labels"):
            VAE(labelled, vae_decoder(SHAPE, latent_dim=4, filters=2, **other))
    with pytest.raises(ValueError, match="power of two times 4"):
        vae_encoder((24, 24, 3), latent_dim=4)


@pytest.fixture(scope="module")
def untrained():
    return VAE(vae_encoder(SHAPE, latent_dim=4, filters=2), vae_decoder(SHAPE, latent_dim=4, filters=2))


def test_options_that_no_training_has_are_refused(untrained):
    vae = untrained
    for options in ({"beta": 2.0}, {"free_bits": 0.1}, {"warm_up": 1}):
        with pytest.raises(ValueError, match="importance-weighted bound"):
            vae.compile(importance_samples=2, **options)
    for name, value in (
        *(("importance_samples", value) for value in (0, -3, 2.5)),
        *((name, value) for name in ("beta", "free_bits", "warm_up") for value in (-1, math.nan, math.inf)),
    ):
        with pytest.raises(ValueError, match=f"Received: {name}={value}"):
            vae.compile(**{name: value})
    with pytest.raises(TypeError, match="metrics"):
        vae.compile(metrics=["mae"])


def test_images_and_latents_that_a_vae_cannot_take_are_refused(untrained):
    vae = untrained
    for call in (
        lambda: vae.encode(images(0)),
        lambda: vae.log_likelihood(images(2), importance_samples=0),
        lambda: vae.log_likelihood(images(2), [0, 1]),
        lambda: vae.generate(np.zeros((0, 4))),
        lambda: vae.generate(np.full((2, 4), np.nan)),
    ):
        with pytest.raises(ValueError, match="Received|takes no labels"):
            call()
    with pytest.raises(ValueError, match=r"Images lie in \[-1, 1\]"):
        vae.encode(np.full((1, *SHAPE), 200.0))
