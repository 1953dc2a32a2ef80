import keras
import numpy as np
import pytest

from keras_segen.callbacks import Checkpoint, FrechetDistance
from keras_segen.metrics import Reference
from keras_segen.metrics._features import named_extractor
from keras_segen.models import dcgan_discriminator, dcgan_generator
from keras_segen.training import GAN


@pytest.fixture
def extractor():
    keras.utils.set_random_seed(0)
    image = keras.Input((None, None, 3))
    return named_extractor(keras.Model(image, keras.layers.GlobalAveragePooling2D()(image)), "colour", 3)


@pytest.fixture
def gan():
    model = GAN(
        dcgan_generator((16, 16, 3), latent_dim=4, filters=2), dcgan_discriminator((16, 16, 3), filters=2), seed=0
    )
    model.compile()
    return model


IMAGES = np.random.default_rng(0).uniform(-1, 1, (16, 16, 16, 3)).astype("float32")


def test_scores_every_other_epoch_and_keeps_the_best(gan, extractor, tmp_path):
    distance = FrechetDistance(IMAGES, count=16, extractor=extractor, every=2)
    assert distance.name == "frechet_distance_colour"
    keeper = Checkpoint(tmp_path / "best.keras", tmp_path / "last.keras", monitor=distance.name, mode="min")
    history = gan.fit(IMAGES, batch_size=8, epochs=4, verbose=0, callbacks=[distance, keeper]).history[distance.name]
    assert np.isnan(history[::2]).all()
    assert np.isfinite(history[1::2]).all()
    assert keeper.best_score == min(history[1::2])
    best = keras.saving.load_model(tmp_path / "best.keras")
    assert distance.measure(best) == pytest.approx(min(history[1::2]), rel=1e-5)


def test_a_reference_serves_as_well_as_images(gan, extractor):
    by_images = FrechetDistance(IMAGES, count=16, extractor=extractor).measure(gan)
    by_bytes = FrechetDistance(np.round((IMAGES + 1) * 127.5).astype("uint8"), count=16, extractor=extractor)
    reference = FrechetDistance(Reference.of(IMAGES, extractor), count=16, extractor=extractor)
    assert by_images == reference.measure(gan) == pytest.approx(by_bytes.measure(gan), rel=1e-5)


def test_images_that_are_no_numbers_have_no_distance(gan, extractor):
    gan.generator.set_weights([w * np.nan for w in gan.generator.get_weights()])
    assert np.isnan(FrechetDistance(IMAGES, count=16, extractor=extractor).measure(gan))


def test_a_generator_of_bright_images_alone_is_scored(gan, extractor):
    output = gan.generator.layers[-2]
    output.set_weights([0 * output.kernel.numpy(), 0 * output.bias.numpy() + 0.2])  # tanh(0.2), about a tenth over grey
    assert FrechetDistance(IMAGES, count=16, extractor=extractor).measure(gan) > 0.05
