"""The last batch of an epoch is smaller than others: than a discriminator's steps, or than there are replicas."""

import numpy as np
import pytest

from examples.generative_examples import (
    MODELS,
    TWO_REPLICAS,
    assert_equal,
    images,
    in_process,
    small_gan,
    trained_on_remainders,
)
from keras_segen.losses import DRAGAN, R1, GradientPenalty


def everywhere(code):
    return f"{code}print('RESULT', json.dumps({{name: t.trained_on_remainders(name) for name in t.MODELS}}))"


REPLICATED = f"""{TWO_REPLICAS}
with strategy.scope():
    models = {{name: build() for name, build in t.MODELS.items()}}
t.MODELS = {{name: lambda model=model: model for name, model in models.items()}}
"""


@pytest.fixture(scope="module")
def on_one_device():
    return {name: trained_on_remainders(name) for name in MODELS}


def assert_finite(trained):
    assert np.isfinite([*trained["losses"].values()]).all()
    assert all(np.isfinite(weight).all() for weight in trained["weights"])


def test_one_device_stays_finite(on_one_device):
    for trained in on_one_device.values():
        assert_finite(trained)


@pytest.mark.slow
def test_two_replicas_do_as_one_device_does(on_one_device):
    replicated = in_process(everywhere(REPLICATED), "examples.generative_examples")
    for trained in replicated.values():
        assert_finite(trained)
    # Replicas normalise by their own images' statistics, and split their own images into rounds.
    for name in ("gan", "vae"):
        assert_equal(on_one_device[name], replicated[name], 1e-5)


@pytest.mark.slow
def test_jax_does_as_tensorflow_does(on_one_device):
    pytest.importorskip("jax")
    on_jax = in_process(everywhere(""), "examples.generative_examples", KERAS_BACKEND="jax", JAX_PLATFORMS="cpu")
    for name, trained in on_jax.items():
        assert_finite(trained)
        assert_equal(on_one_device[name], trained)


@pytest.mark.parametrize("steps", [1, 2, 4])
@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 7, 8])
def test_every_image_is_used_and_no_round_is_empty(count, steps):
    gan = small_gan(steps=steps)
    rounds = gan._rounds(images(count))
    parts = [np.asarray(part[0]) for part, _ in rounds]
    sizes = [len(part) for part in parts]
    assert len(parts) == steps
    assert min(sizes) >= 1
    assert max(sizes) - min(sizes) <= 1
    joined = np.concatenate(parts)
    np.testing.assert_array_equal(np.unique(joined, axis=0), np.unique(images(count), axis=0))
    if count >= steps:
        np.testing.assert_array_equal(joined, images(count))  # each once
    assert [players for _, players in rounds] == [["discriminator"]] * (steps - 1) + [["discriminator", "generator"]]


@pytest.mark.slow
@pytest.mark.parametrize("regularizer", [GradientPenalty(), DRAGAN(), R1(interval=2)], ids=lambda x: type(x).__name__)
def test_penalties_of_a_single_image_are_finite(regularizer):
    gan = small_gan(steps=4, regularizer=regularizer)
    logs = gan.train_on_batch(np.zeros((1, 4, 4, 1), "float32"), return_dict=True)
    assert np.isfinite([*logs.values()]).all()
    assert all(np.isfinite(weight).all() for weight in gan.get_weights())
