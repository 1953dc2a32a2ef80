import types

import keras
import numpy as np
import pytest

from keras_segen.callbacks import Checkpoint, CollapseWatch
from keras_segen.data import from_arrays, shapes
from keras_segen.data._cifar10 import read_cifar10
from keras_segen.losses import Hinge, NonSaturating
from keras_segen.metrics import feature_extractor
from keras_segen.models import dcgan_discriminator, dcgan_generator
from keras_segen.training import GAN


def scenes(split, count=256):
    batches = shapes(split, image_size=16, count=count, batch_size=count, target=None)
    return next(iter(batches)).numpy()


class Discriminator:
    """Its logit is an image's mean, plus something for one given image."""

    def __init__(self, favourites=()):
        self.favourites = favourites

    def predict(self, images, **_):
        liked = np.array([any(np.array_equal(image, other) for other in self.favourites) for image in images])
        return images.mean((1, 2, 3)) + 10 * liked


class Model:
    latent_dim = 4
    stop_training = False
    optimizer = types.SimpleNamespace(iterations=1000)

    def __init__(self, samples, discriminator=None):
        self.samples, self.discriminator = samples, discriminator or Discriminator()

    def generate(self, latents, labels):
        return self.samples[: len(latents)]

    def load_weights(self, path):
        self.loaded = path


def watched(watch, model):
    watch.set_model(model)
    logs = {}
    watch.on_epoch_end(0, logs)
    watch.on_train_end()
    return logs


@pytest.fixture(scope="module")
def real():
    return scenes("train")


def test_other_real_images_are_no_collapse(real):
    watch = CollapseWatch(real)
    logs = watched(watch, Model(scenes("val")))
    assert logs["sample_spread"] == pytest.approx(1, abs=0.2)
    assert logs["sample_rank"] == pytest.approx(1, abs=0.2)
    assert logs["separation"] == pytest.approx(0.5, abs=0.1)
    assert watch.warnings == []


def test_one_image_again_and_again_is(real, capsys):
    watch = CollapseWatch(real)
    logs = watched(watch, Model(np.repeat(real[:1], len(real), 0)))
    assert logs["sample_spread"] < 1e-6
    assert logs["sample_rank"] < 0.2
    assert "epoch 1" in watch.warnings[0]
    assert "warning: collapse?" in capsys.readouterr().err


def test_the_first_steps_are_not_judged(real):
    watch = CollapseWatch(real, warm_up=1001)
    assert watched(watch, Model(np.repeat(real[:1], len(real), 0)))["sample_spread"] < 1e-6
    assert watch.warnings == []


def test_two_images_by_turns_are(real):
    watch = CollapseWatch(real)
    logs = watched(watch, Model(np.concatenate([real[:2]] * 128)))
    assert logs["sample_rank"] < 0.3
    assert len(watch.warnings) == 1


def test_a_discriminator_that_has_won_is_told_stopped_and_left(real, tmp_path):
    best = tmp_path / "best.weights.h5"
    best.touch()
    watch = CollapseWatch(real, stop=True, restore=best)
    model = Model(scenes("val"), Discriminator(favourites=real))
    assert watched(watch, model)["separation"] == 1
    assert "100.0 % of pairs" in watch.warnings[0]
    assert model.stop_training
    assert model.loaded == best


def test_it_goes_back_to_the_best(real, tmp_path):
    gan = GAN(
        dcgan_generator((16, 16, 3), latent_dim=4, filters=4),
        dcgan_discriminator((16, 16, 3), filters=4),
        half_life=100.0,
    )
    gan.compile()
    gan.save(tmp_path / "best.keras")
    before = [np.array(weight) for weight in gan.weights]
    # Untrained, its samples are all grey.
    watch = CollapseWatch(real, stop=True, restore=tmp_path / "best.keras", warm_up=0)
    history = gan.fit(real, batch_size=64, epochs=3, verbose=0, callbacks=[watch])
    assert history.epoch == [0]
    for ours, theirs in zip(before, gan.weights, strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.slow
def test_what_is_saved_after_a_collapse_is_the_best(real, tmp_path):
    def fresh():
        keras.utils.set_random_seed(0)
        networks = dcgan_generator((16, 16, 3), latent_dim=4, filters=4), dcgan_discriminator((16, 16, 3), filters=4)
        gan = GAN(*networks, half_life=100.0, seed=0)
        gan.compile(run_eagerly=True)
        return gan

    def fit(gan, *callbacks, **options):
        return gan.fit(real[:64], batch_size=16, shuffle=False, verbose=0, callbacks=callbacks, **options)

    def state(gan):
        return [*gan.variables, *gan.optimizer.variables]

    best, backup = tmp_path / "best.keras", tmp_path / "backup.keras"
    # All grey as its samples are, it is judged from its second epoch on.
    watch = CollapseWatch(real[:64], stop=True, restore=best, warm_up=5)
    keeper = Checkpoint(best, backup, monitor="sample_spread", mode="min")
    stopped = fresh()
    assert fit(stopped, watch, keeper, epochs=5).epoch == [0, 1]
    healthy = fresh()
    fit(healthy, epochs=1)
    saved = keras.saving.load_model(backup)
    for model in (stopped, saved):
        assert int(model.optimizer.iterations) == 4
        for ours, theirs in zip(
            [*model.variables, *model.optimizer.variables],
            [*healthy.variables, *healthy.optimizer.variables],
            strict=True,
        ):
            np.testing.assert_array_equal(ours, theirs)
    # A later process goes on as if there had been no second epoch.
    for model in (saved, healthy):
        model.run_eagerly = True
        fit(model, initial_epoch=1, epochs=2)
    for ours, theirs in zip(saved.variables, healthy.variables, strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.slow
def test_real_images_may_be_bytes_but_not_in_another_range(real):
    levels = np.round((real + 1) * 127.5).astype("uint8")
    watch = CollapseWatch(levels)
    assert watched(watch, Model(scenes("val")))["sample_spread"] == pytest.approx(
        watched(CollapseWatch(real), Model(scenes("val")))["sample_spread"], rel=1e-2
    )
    assert watch.warnings == []
    for images, message in ((levels / 255, r"floats in \[0, 1\]"), (levels.astype(float), r"divide bytes by 127\.5")):
        with pytest.raises(ValueError, match=message):
            CollapseWatch(images)


def test_an_extractor_of_features_alone_will_do(real):
    image = keras.Input((None, None, 3))
    colours = feature_extractor(keras.Model(image, keras.layers.GlobalAveragePooling2D()(image)))
    assert watched(CollapseWatch(real, extractor=colours), Model(real))["sample_rank"] == pytest.approx(1)


@pytest.mark.slow
def test_a_run_made_to_collapse_is_reported_and_a_healthy_one_is_not(real_data):
    images, _ = read_cifar10("train", real_data("tfds/cifar10").parent)

    def warnings(normalization, generator_rate, discriminator_rate, loss, epochs):
        keras.utils.set_random_seed(0)
        gan = GAN(
            dcgan_generator((32, 32, 3), latent_dim=64, filters=16),
            dcgan_discriminator((32, 32, 3), filters=16, normalization=normalization),
            half_life=3000,
            seed=0,
        )
        gan.compile(
            generator_optimizer=keras.optimizers.Adam(generator_rate, beta_1=0.5),
            discriminator_optimizer=keras.optimizers.Adam(discriminator_rate, beta_1=0.5),
            loss=loss,
        )
        watch = CollapseWatch(images[:512] / np.float32(127.5) - 1)
        batches = from_arrays(images, None, batch_size=64, training=True, seed=0, start=0)
        gan.fit(batches, steps_per_epoch=200, epochs=epochs, shuffle=False, verbose=0, callbacks=[watch])
        return watch.warnings

    # A discriminator far too strong: without norm, at ten times the generator's rate.
    assert warnings(None, 5e-4, 5e-3, NonSaturating(), epochs=2)
    assert warnings("spectral", 2e-3, 8e-4, Hinge(), epochs=3) == []
