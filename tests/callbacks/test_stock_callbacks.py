"""Keras's own callbacks do with a segmenter, a GAN and a VAE what they do with any model."""

import csv

import keras
import numpy as np
import pytest

from examples.generative_examples import images, small_gan, small_vae
from keras_segen.losses import CrossEntropy
from keras_segen.metrics import MeanIoU
from keras_segen.models import unet

STEPS = 2


def segmenter():
    keras.utils.set_random_seed(0)
    model = unet(2, filters=(2, 4))
    model.compile(keras.optimizers.SGD(0.01), CrossEntropy(), metrics=[MeanIoU(2)], run_eagerly=True)
    return model


def drawn(count):
    rng = np.random.default_rng(count)
    return rng.uniform(0, 255, (count, 8, 8, 3)).astype("float32"), rng.integers(0, 2, (count, 8, 8))


# How to build a model, its data, and a score of its own by name, with which of two is better.
MODELS = {
    "segmenter": (segmenter, drawn, "val_mean_iou", max),
    "gan": (lambda: small_gan(run_eagerly=True), lambda count: (images(count), None), "val_generator_loss", min),
    "vae": (lambda: small_vae(run_eagerly=True), lambda count: (images(count), None), "val_vae_loss", min),
}


class Weights(keras.callbacks.Callback):
    """Keeps the weights after each epoch."""

    def __init__(self):
        super().__init__()
        self.of_epochs = []

    def on_epoch_end(self, epoch, logs=None):
        self.of_epochs.append(self.model.get_weights())


class Trial:
    """A model with its data."""

    def __init__(self, kind, folder):
        self.build, self.data, self.score, self.better = MODELS[kind]
        self.folder, self.weights = folder, Weights()
        self.model = self.build()

    def fit(self, *callbacks, epochs=3, **options):
        (x, y), validation = self.data(4 * STEPS), self.data(4)
        validation = validation if validation[1] is not None else validation[:1]
        options = {"validation_data": validation, "batch_size": 4, "shuffle": False, "verbose": 0, **options}
        return self.model.fit(x, y, epochs=epochs, callbacks=[self.weights, *callbacks], **options)

    def rates(self):
        optimizers = getattr(self.model.optimizer, "by_player", {"all": self.model.optimizer}).values()
        return [float(optimizer.learning_rate) for optimizer in optimizers]


def assert_same(ours, theirs):
    for mine, other in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(mine, other)


def learning_rate_scheduler(trial):
    before = trial.rates()
    history = trial.fit(keras.callbacks.LearningRateScheduler(lambda epoch, rate: [rate, rate / 4, 0.0][epoch])).history
    np.testing.assert_allclose(history["learning_rate"], [before[0], before[0] / 4, 0], rtol=1e-6)
    assert trial.rates() == [0] * len(before)
    first, second, third = (weights[0] for weights in trial.weights.of_epochs)
    assert np.abs(first - second).max() > 0
    np.testing.assert_array_equal(second, third)


def reduce_lr_on_plateau(trial):
    before = trial.rates()
    # By so much nothing improves after the first epoch.
    trial.fit(keras.callbacks.ReduceLROnPlateau(trial.score, factor=0.1, patience=1, min_delta=1e9))
    np.testing.assert_allclose(trial.rates(), np.array(before) / 100, rtol=1e-5)


def terminate_on_nan(trial):
    weight = trial.model.trainable_weights[0]
    weight.assign(weight.numpy() * np.nan)
    batches = []
    counter = keras.callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: batches.append(batch))
    trial.fit(counter, keras.callbacks.TerminateOnNaN(), validation_data=None)
    assert batches == [0]


def early_stopping(trial):
    stopping = keras.callbacks.EarlyStopping(trial.score, min_delta=1e9, restore_best_weights=True)
    history = trial.fit(stopping)
    assert history.epoch == [0, 1]
    assert_same(trial.model.get_weights(), trial.weights.of_epochs[0])


def early_stopping_by_default(trial):
    assert trial.fit(keras.callbacks.EarlyStopping(min_delta=1e9)).epoch == [0, 1]


def model_checkpoint(trial):
    path = trial.folder / "best.keras"
    history = trial.fit(keras.callbacks.ModelCheckpoint(path, monitor=trial.score, save_best_only=True)).history
    best = history[trial.score].index(trial.better(history[trial.score]))
    loaded = keras.saving.load_model(path)
    assert_same(loaded.get_weights(), trial.weights.of_epochs[best])
    assert int(loaded.optimizer.iterations) == STEPS * (best + 1)


def backup_and_restore(trial):
    whole = trial.fit()
    expected = trial.model.get_weights()

    def die(epoch, logs=None):
        if epoch == 1:
            raise RuntimeError("power cut")

    trial.model = trial.build()
    with pytest.raises(RuntimeError, match="power cut"):
        trial.fit(keras.callbacks.BackupAndRestore(trial.folder), keras.callbacks.LambdaCallback(on_epoch_begin=die))
    trial.model = trial.build()
    resumed = trial.fit(keras.callbacks.BackupAndRestore(trial.folder))
    assert (whole.epoch, resumed.epoch) == ([0, 1, 2], [1, 2])
    assert int(trial.model.optimizer.iterations) == 3 * STEPS
    assert_same(trial.model.get_weights(), expected)


def csv_logger(trial):
    history = trial.fit(keras.callbacks.CSVLogger(trial.folder / "log.csv")).history
    with (trial.folder / "log.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert rows[0].keys() == {"epoch", *history}
    assert [float(row[trial.score]) for row in rows] == pytest.approx(history[trial.score])


def tensor_board(trial):
    trial.fit(keras.callbacks.TensorBoard(trial.folder, write_graph=False), epochs=1)
    logged = b"".join(path.read_bytes() for path in trial.folder.rglob("events.*"))
    for name in ("loss", "learning_rate", trial.score.removeprefix("val_")):
        assert b"epoch_" + name.encode() in logged


def lambda_callback(trial):
    seen = []
    trial.fit(keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: seen.append(logs)), epochs=1)
    assert {"loss", "val_loss", trial.score} < seen[0].keys()


@pytest.mark.slow
@pytest.mark.parametrize(
    "check",
    [
        learning_rate_scheduler,
        reduce_lr_on_plateau,
        terminate_on_nan,
        early_stopping,
        early_stopping_by_default,
        model_checkpoint,
        backup_and_restore,
        csv_logger,
        tensor_board,
        lambda_callback,
    ],
    ids=lambda check: check.__name__,
)
@pytest.mark.parametrize("kind", MODELS)
def test_callback(kind, check, tmp_path):
    check(Trial(kind, tmp_path))
