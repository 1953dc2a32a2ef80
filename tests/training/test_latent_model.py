"""What a GAN and a VAE do as any Keras model does: kinds of data, saving, exporting, rates; what they refuse."""

import math

import keras
import numpy as np
import pytest
import tensorflow as tf

from examples.generative_examples import LATENT, SHAPE, images, small_gan, small_vae
from keras_segen.losses import Gaussian
from keras_segen.training import GAN, VAE

BUILD = {"gan": small_gan, "vae": small_vae}
each_model = pytest.mark.parametrize("kind", BUILD)


class Batches(keras.utils.PyDataset):
    def __init__(self, *arrays, batch=4):
        super().__init__()
        self.arrays, self.batch = arrays, batch

    def __len__(self):
        return math.ceil(len(self.arrays[0]) / self.batch)

    def __getitem__(self, index):
        part = slice(index * self.batch, (index + 1) * self.batch)
        parts = tuple(array[part] for array in self.arrays)
        return parts if len(parts) > 1 else parts[0]


def kinds_of_data(*arrays):
    tensors = arrays if len(arrays) > 1 else arrays[0]
    return [
        {"x": arrays[0], "y": arrays[1] if len(arrays) > 1 else None},
        {"x": tf.constant(arrays[0]), "y": tf.constant(arrays[1]) if len(arrays) > 1 else None},
        {"x": tf.data.Dataset.from_tensor_slices(tensors).batch(4)},
        {"x": Batches(*arrays)},
    ]


@each_model
def test_data_of_all_kinds_are_trained_on_alike(kind):
    histories = []
    for data in kinds_of_data(images(9)):
        model = BUILD[kind](run_eagerly=True)
        options = {} if isinstance(data["x"], tf.data.Dataset | Batches) else {"batch_size": 4}
        histories.append(model.fit(**data, **options, shuffle=False, verbose=0).history)
    for history in histories[1:]:
        assert history == histories[0]


@each_model
def test_images_in_another_range_are_refused_whatever_holds_them(kind):
    model = BUILD[kind]()
    from_0_to_1 = (images(8) + 1) / 2
    for given, message in ((from_0_to_1, r"floats in \[0, 1\]"), (np.zeros((8, *SHAPE), "uint8"), "Received: uint8")):
        for data in kinds_of_data(given):
            for use in (model.fit, model.evaluate):
                with pytest.raises(ValueError, match=message):
                    use(**data, verbose=0)
            validation = data["x"] if data.get("y") is None else (data["x"], data["y"])
            with pytest.raises(ValueError, match=message):
                model.fit(images(8), validation_data=validation, verbose=0)


def test_a_vae_encodes_only_images_in_its_range():
    vae = small_vae()
    for use in (vae.encode, vae.reconstruct, vae.log_likelihood):
        for given, message in ((images(8) / 2 + 0.5, r"floats in \[0, 1\]"), (np.ones((8, *SHAPE), "uint8"), "uint8")):
            with pytest.raises(ValueError, match=message):
                use(given)


@each_model
def test_weights_of_images_are_refused(kind):
    model, ones = BUILD[kind](), np.ones(8)
    for data in (
        {"x": images(8), "sample_weight": ones},
        {"x": tf.data.Dataset.from_tensors((images(8), ones, ones))},
        {"x": Batches(images(8), ones, ones)},
    ):
        for use in (model.fit, model.evaluate):
            with pytest.raises(ValueError, match="remove `sample_weight` and `class_weight`"):
                use(**data, verbose=0)
    for options in ({"class_weight": {0: 1.0, 1: 2.0}}, {"validation_data": (images(8), ones, ones)}):
        with pytest.raises(ValueError, match="remove `sample_weight`"):
            model.fit(images(8), ones, verbose=0, **options)
    for use in (model.train_on_batch, model.test_on_batch):
        with pytest.raises(ValueError, match="remove `sample_weight`"):
            use(images(8), sample_weight=ones)
    assert int(model.optimizer.iterations) == 0


@each_model
def test_saved_before_it_is_compiled(kind, tmp_path):
    compiled = BUILD[kind]()
    compiled.save(tmp_path / "compiled.keras")
    bare = keras.saving.load_model(tmp_path / "compiled.keras", compile=False)
    bare.save(tmp_path / "bare.keras")
    loaded = keras.saving.load_model(tmp_path / "bare.keras")
    assert not loaded.compiled
    for ours, theirs in zip(compiled.get_weights(), loaded.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    loaded.compile(run_eagerly=True)
    loaded.fit(images(4), verbose=0)
    assert int(loaded.optimizer.iterations) == 1


@each_model
def test_its_export_makes_images(kind, tmp_path):
    model = BUILD[kind]()
    latents = np.random.default_rng(0).normal(size=(2, LATENT)).astype("float32")
    model.export(tmp_path / "saved_model", verbose=False)
    loaded = tf.saved_model.load(tmp_path / "saved_model")
    np.testing.assert_allclose(loaded.serve(latents), model.generate(latents), atol=1e-6)
    model.summary(print_fn=lambda *_, **__: None)


class Subclassed(keras.Model):
    def call(self, x):
        return x


def test_networks_that_do_not_say_what_they_take_are_refused():
    gan, vae = small_gan(), small_vae()
    for build in (
        lambda: GAN(Subclassed(), gan.discriminator, half_life=10),
        lambda: GAN(gan.generator, Subclassed()),
        lambda: GAN(keras.Sequential([keras.layers.Dense(3)]), gan.discriminator),
        lambda: VAE(Subclassed(), vae.decoder, Gaussian(1.0)),
        lambda: VAE(vae.encoder, Subclassed(), Gaussian(1.0)),
    ):
        with pytest.raises(ValueError, match=r"Networks are Functional models.*Received: <"):
            build()


def test_a_gans_rates_are_set_alike():
    gan = small_gan()
    rates = [gan.optimizer.by_player[player].learning_rate for player in ("discriminator", "generator")]
    gan.optimizer.learning_rate = 0.001  # of the discriminator's 0.01, and the generator's 0.02
    np.testing.assert_allclose([float(rate) for rate in rates], [0.001, 0.002], rtol=1e-6)
    gan.optimizer.learning_rate = 0.0
    gan.optimizer.learning_rate = 0.1
    np.testing.assert_allclose([float(rate) for rate in rates], [0.1, 0.2], rtol=1e-6)
    # Either both or none.
    decay = keras.optimizers.schedules.ExponentialDecay(0.1, 10, 0.5)
    gan.compile(generator_optimizer=keras.optimizers.SGD(decay), discriminator_optimizer=keras.optimizers.SGD(0.01))
    with pytest.raises(TypeError, match="LearningRateSchedule"):
        gan.optimizer.learning_rate = 0.001
    assert float(gan.optimizer.learning_rate) == pytest.approx(0.01)


def test_what_a_gan_cannot_be_compiled_with():
    gan = small_gan()
    for options, message in (
        ({"loss": keras.losses.BinaryCrossentropy()}, r"such as keras_segen\.losses\.NonSaturating\(\)\. Received"),
        ({"loss": "hinge"}, "Received: loss=hinge"),
        ({"regularizer": keras.regularizers.L2()}, r"such as keras_segen\.losses\.R1\(\)"),
        ({"augmentation": "flip"}, r"Received: augmentation=flip"),
    ):
        with pytest.raises(ValueError, match=message):
            gan.compile(**options)
    gan.compile(generator_optimizer="adam", discriminator_optimizer="adam")
    both = gan.optimizer.by_player
    assert both["generator"] is not both["discriminator"]


@each_model
@pytest.mark.parametrize("choice", ["auto", True, False])
def test_the_choice_of_xla_is_saved_as_it_was_made(kind, choice, tmp_path):
    model = BUILD[kind](jit_compile=choice)
    model.save(tmp_path / "model.keras")
    assert keras.saving.load_model(tmp_path / "model.keras").get_compile_config()["jit_compile"] == choice


@each_model
def test_it_says_what_it_takes(kind):
    model = BUILD[kind]()
    assert (model.image_shape, model.latent_dim) == (SHAPE, LATENT)
    assert (model.conditional, model.multi_label, model.num_classes) == (False, False, None)
    names = {"gan": ["generator", "discriminator", "average"], "vae": ["decoder", "encoder"]}[kind]
    assert model.networks() == {name: getattr(model, name) for name in names}


@each_model
def test_an_evaluation_with_the_same_noise_leaves_the_training_as_it_was(kind):
    model = BUILD[kind]()
    scores = []
    for _ in range(2):
        with model.same_noise():
            scores.append(model.evaluate(images(8), verbose=0, return_dict=True))
    assert scores[0] == scores[1]
    assert scores[0] == model.evaluate(images(8), verbose=0, return_dict=True)
