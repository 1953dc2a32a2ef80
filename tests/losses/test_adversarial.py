import keras
import numpy as np
import pytest

from keras_segen.losses import DRAGAN, R1, GradientPenalty, Hinge, LeastSquares, Minimax, NonSaturating, Wasserstein

REAL = np.array([[2.0], [-1.0]], "float32")
FAKE = np.array([[0.5], [-3.0]], "float32")
SHAPE = (2, 3, 1)


def log_sigmoid(x):
    return -np.log1p(np.exp(-np.asarray(x, "float64")))


@pytest.mark.parametrize(
    ("loss", "discriminator", "generator"),
    [
        (
            NonSaturating(),
            -log_sigmoid(REAL).mean() - log_sigmoid(-FAKE).mean(),
            -log_sigmoid(FAKE).mean(),
        ),
        (
            NonSaturating(smoothing=0.1),
            -(0.9 * log_sigmoid(REAL) + 0.1 * log_sigmoid(-REAL)).mean() - log_sigmoid(-FAKE).mean(),
            -log_sigmoid(FAKE).mean(),
        ),
        (Minimax(), -log_sigmoid(REAL).mean() - log_sigmoid(-FAKE).mean(), log_sigmoid(-FAKE).mean()),
        (LeastSquares(), (1 + 4) / 4 + (0.25 + 9) / 4, (0.25 + 16) / 4),
        (Hinge(), (0 + 2) / 2 + (1.5 + 0) / 2, (-0.5 + 3) / 2),
        (Wasserstein(), (0.5 - 3) / 2 - (2 - 1) / 2, (-0.5 + 3) / 2),
    ],
)
def test_values_by_hand(loss, discriminator, generator):
    assert float(loss.discriminator(REAL, FAKE)) == pytest.approx(discriminator, rel=1e-6)
    assert float(loss.generator(FAKE)) == pytest.approx(generator, rel=1e-6)


def linear(weights):
    """D(x) = w·x: its gradient is w, wherever it is taken."""
    images = keras.Input(SHAPE)
    model = keras.Model(images, keras.layers.Dense(1, use_bias=False)(keras.layers.Flatten()(images)))
    model.set_weights([np.reshape(weights, (-1, 1))])
    return model


def draw(function, batch, shape):
    return function((batch, *shape), seed=1)


WEIGHTS = np.array([0.5, -1.0, 2.0, 0.0, 1.5, -0.5], "float32")
NORM = np.linalg.norm(WEIGHTS)


@pytest.mark.parametrize(
    ("regularizer", "step", "expected"),
    [
        (R1(4.0), 3, 4 / 2 * NORM**2),
        (R1(4.0, interval=2), 3, 0),
        (R1(4.0, interval=2), 4, 2 * 4 / 2 * NORM**2),
        (GradientPenalty(10.0), 0, 10 * (NORM - 1) ** 2),
        (DRAGAN(5.0), 0, 5 * (NORM - 1) ** 2),
    ],
)
def test_a_linear_discriminator_has_a_closed_form(regularizer, step, expected):
    rng = np.random.default_rng(0)
    real, fake = (keras.ops.convert_to_tensor(rng.normal(size=(4, *SHAPE)).astype("float32")) for _ in range(2))
    penalty = regularizer(linear(WEIGHTS), real, fake, [], draw=draw, step=keras.ops.convert_to_tensor(step))
    assert float(penalty) == pytest.approx(expected, rel=1e-5)


def quadratic():
    """D(x) = |x|²: its gradient is 2x, so that a penalty tells where it was taken."""
    images = keras.Input(SHAPE)
    return keras.Model(images, keras.ops.sum(keras.ops.square(images), axis=(1, 2))[:, :1])


def test_where_gradients_are_taken():
    rng = np.random.default_rng(0)
    real, fake = (rng.normal(size=(4, *SHAPE)).astype("float32") for _ in range(2))
    step = keras.ops.convert_to_tensor(0)

    def penalty(regularizer, uniform):
        def given(function, batch, shape):
            return keras.ops.full((batch, *shape), uniform)

        both = (keras.ops.convert_to_tensor(x) for x in (real, fake))
        return float(regularizer(quadratic(), *both, [], draw=given, step=step))

    def distance(x):
        return np.mean((2 * np.linalg.norm(x.reshape(4, -1), axis=1) - 1) ** 2)

    assert penalty(GradientPenalty(1.0), 1.0) == pytest.approx(distance(real), rel=1e-5)
    assert penalty(GradientPenalty(1.0), 0.25) == pytest.approx(distance(0.25 * real + 0.75 * fake), rel=1e-5)
    assert penalty(DRAGAN(1.0), 0.0) == pytest.approx(distance(real), rel=1e-5)
    assert penalty(DRAGAN(1.0, spread=0.3), 2.0) == pytest.approx(distance(real + 0.3 * real.std() * 2), rel=1e-4)
    expected = 0.5 * np.mean(np.sum((2 * real) ** 2, axis=(1, 2, 3)))
    assert penalty(R1(1.0), 0.0) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("part", [NonSaturating(0.2), Minimax(), LeastSquares(), R1(2.0, 3), GradientPenalty(3.0)])
def test_each_saves_and_loads(part):
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(part))
    assert type(again) is type(part)
    assert again.get_config() == part.get_config()


def test_bad_arguments_are_named():
    for make, named in [
        (lambda: NonSaturating(1.5), "smoothing=1.5"),
        (lambda: R1(0.0), "weight=0.0"),
        (lambda: R1(1.0, 0), "interval=0"),
    ]:
        with pytest.raises(ValueError, match=named):
            make()
