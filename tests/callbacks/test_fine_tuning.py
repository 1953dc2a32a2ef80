import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from keras_segen.callbacks import FineTuning, save
from keras_segen.layers import FusedBatchNormalization
from keras_segen.losses import CrossEntropy
from keras_segen.metrics import MeanIoU
from keras_segen.models import fcn, unet


@pytest.fixture
def data():
    rng = np.random.default_rng(0)
    images = rng.uniform(0, 255, (4, 32, 32, 3)).astype("float32")
    masks = rng.integers(0, 3, (4, 32, 32)).astype("uint8")
    return tf.data.Dataset.from_tensor_slices((images, masks)).batch(2)


def compiled(model, rate=1e-2, optimizer=keras.optimizers.Adam):
    model.compile(optimizer(rate), CrossEntropy(), metrics=[MeanIoU(3)], jit_compile=False)
    return model


def small(**options):
    """The least that has a backbone."""
    keras.utils.set_random_seed(0)
    image = keras.Input((None, None, 3))
    features = FusedBatchNormalization()(layers.Conv2D(4, 3, padding="same")(image / 255))
    backbone = keras.Model(image, layers.ReLU()(features), name="backbone")
    image = keras.Input((None, None, 3))
    return compiled(keras.Model(image, layers.Conv2D(3, 1)(backbone(image))), **options)


class Weights(keras.callbacks.Callback):
    """What the backbone and the rest hold after each epoch."""

    def __init__(self):
        super().__init__()
        self.backbone, self.rest, self.rates = [], [], []

    def on_epoch_end(self, epoch, logs=None):
        backbone = self.model.get_layer("backbone")
        self.backbone.append({w.path: w.numpy().copy() for w in backbone.weights})
        self.rest.append(self.model.get_layer("score32").kernel.numpy().copy())
        self.rates.append(float(self.model.optimizer.learning_rate))


@pytest.mark.slow
def test_a_frozen_backbone_does_not_move_in_one_bit_and_a_released_one_does(data):
    keras.utils.set_random_seed(0)
    model, seen = compiled(fcn(3, backbone="mobilenet", backbone_width=0.25, backbone_weights=None)), Weights()
    before = {w.path: w.numpy().copy() for w in model.get_layer("backbone").weights}
    model.fit(data, epochs=4, callbacks=[FineTuning(2, learning_rate=1e-3), seen], verbose=0, shuffle=False)
    for path, value in before.items():
        for epoch in (0, 1):
            np.testing.assert_array_equal(seen.backbone[epoch][path], value, err_msg=path)
        assert (seen.backbone[2][path] != value).any(), path
    statistics = [path for path in before if "moving" in path]
    assert len(statistics) == 2 * 27  # MobileNet's batch normalisation, mean and variance
    assert all((a != b).any() for a, b in zip(seen.rest[:-1], seen.rest[1:], strict=True))
    assert seen.rates == pytest.approx([1e-2, 1e-2, 1e-3, 1e-3])
    assert int(model.optimizer.iterations) == 4  # of the second phase


def test_the_optimizer_keeps_its_settings_and_takes_a_schedule(data):
    schedule = keras.optimizers.schedules.CosineDecay(1e-3, 4)
    model = small(optimizer=lambda rate: keras.optimizers.SGD(rate, momentum=0.75, global_clipnorm=3.0))
    model.fit(data, epochs=2, callbacks=[FineTuning(1, schedule)], verbose=0, shuffle=False)
    assert isinstance(model.optimizer, keras.optimizers.SGD)
    assert (model.optimizer.momentum, model.optimizer.global_clipnorm) == (0.75, 3.0)
    assert float(model.optimizer.learning_rate) == pytest.approx(float(schedule(2)))


@pytest.mark.parametrize("pause", [1, 2, 3])
def test_a_saved_model_goes_on_as_if_it_had_not_stopped(data, tmp_path, pause):
    def fit(model, first, last):
        model.fit(data, initial_epoch=first, epochs=last, callbacks=[FineTuning(2, 1e-3)], verbose=0, shuffle=False)

    whole = small()
    fit(whole, 0, 4)
    begun = small()
    fit(begun, 0, pause)
    save(begun, tmp_path / "begun.keras")
    loaded = keras.saving.load_model(tmp_path / "begun.keras")
    assert loaded.get_layer("backbone").trainable is (pause > 2)
    fit(loaded, pause, 4)
    for one, other in zip(whole.weights, loaded.weights, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-6, err_msg=one.path)


def test_wrong_use_of_fine_tuning_is_refused(data):
    with pytest.raises(ValueError, match="frozen_epochs=0"):
        FineTuning(0, 1e-3)
    model = unet(3, filters=(4, 8))
    model.compile("adam", CrossEntropy())
    with pytest.raises(ValueError, match="no layer 'backbone' to freeze"):
        model.fit(data, callbacks=[FineTuning(1, 1e-3)], verbose=0, shuffle=False)
