import keras
import numpy as np
import pytest

from keras_segen.callbacks import Checkpoint, save


def small_model():
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile("adam", "mse")
    model.optimizer.build(model.trainable_variables)
    return model


def test_keeps_the_best_and_the_last(tmp_path):
    model = small_model()
    checkpoint = Checkpoint(tmp_path / "best.keras", tmp_path / "last.keras", monitor="score", best_score=0.3)
    checkpoint.set_model(model)
    kept = []
    for epoch, score in enumerate([0.2, 0.5, 0.4, float("nan")]):
        model.layers[0].bias.assign([epoch])
        checkpoint.on_epoch_end(epoch, {"loss": 1.0, "score": score})
        best = tmp_path / "best.keras"
        kept.append(keras.saving.load_model(best).layers[0].bias.numpy()[0] if best.exists() else None)
        assert keras.saving.load_model(tmp_path / "last.keras").layers[0].bias.numpy()[0] == epoch
    assert kept == [None, 1, 1, 1]
    assert checkpoint.best_score == 0.5


def test_less_is_better_where_mode_says_so(tmp_path):
    checkpoint = Checkpoint(tmp_path / "best.keras", tmp_path / "last.keras", monitor="distance", mode="min")
    checkpoint.set_model(small_model())
    for distance in (3.0, 1.0, 2.0):
        checkpoint.on_epoch_end(0, {"distance": distance})
    assert checkpoint.best_score == 1.0


@pytest.mark.parametrize("name", ["loss", "generator_loss"])
@pytest.mark.parametrize("loss", [float("nan"), float("inf")])
def test_a_loss_that_is_not_finite_ends_the_run(tmp_path, name, loss):
    checkpoint = Checkpoint(tmp_path / "best.keras", tmp_path / "last.keras", monitor="score")
    checkpoint.set_model(small_model())
    with pytest.raises(FloatingPointError, match="in epoch 3"):
        checkpoint.on_epoch_end(2, {name: loss, "score": 1.0})
    assert not list(tmp_path.iterdir())


def test_saving_fails_whole(tmp_path, monkeypatch):
    model = small_model()
    save(model, tmp_path / "a.keras")
    before = (tmp_path / "a.keras").read_bytes()

    def full(path):
        path.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(model, "save", full)
    with pytest.raises(OSError, match="No space"):
        save(model, tmp_path / "a.keras")
    assert (tmp_path / "a.keras").read_bytes() == before
    assert np.all([p.name == "a.keras" for p in tmp_path.iterdir()])
