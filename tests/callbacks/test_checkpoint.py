import keras
import numpy as np
import pytest

from keras_segen.callbacks import Backup, Checkpoint, Validation, read_epoch, save
from keras_segen.models import dcgan_discriminator, dcgan_generator
from keras_segen.training import GAN


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


def fit(model, *callbacks, **options):
    x, y = np.ones((4, 2), "float32"), np.ones((4, 1), "float32")
    return model.fit(x, y, verbose=0, callbacks=list(callbacks), **options)


def test_an_epoch_without_the_score_is_saved_and_the_scores_that_there_are_are_named(tmp_path):
    model = small_model()
    with pytest.warns(UserWarning, match="epoch 1 has no 'val_mean_iou'.*: loss$") as caught:
        fit(model, Checkpoint(tmp_path / "best.keras", tmp_path / "last.keras"), epochs=2)
    assert sum("has no" in str(warning.message) for warning in caught) == 1  # and not at every epoch
    assert not (tmp_path / "best.keras").exists()
    last = keras.saving.load_model(tmp_path / "last.keras")
    np.testing.assert_array_equal(last.layers[0].kernel, model.layers[0].kernel)
    assert read_epoch(tmp_path / "last.keras")[0] == 1


def test_validation_every_other_epoch(tmp_path):
    checkpoint = Checkpoint(tmp_path / "best.keras", tmp_path / "last.keras", monitor="val_loss", mode="min")
    with pytest.warns(UserWarning, match="epoch 1 has no 'val_loss'"):
        history = fit(
            small_model(), checkpoint, epochs=4, validation_data=(np.ones((1, 2)), np.ones((1, 1))), validation_freq=2
        )
    assert checkpoint.best_score == min(history.history["val_loss"])
    assert int(keras.saving.load_model(tmp_path / "best.keras").optimizer.iterations) == 4  # after the fourth epoch
    assert read_epoch(tmp_path / "last.keras")[0] == 3


def test_a_gan_with_the_default_score(tmp_path):
    gan = GAN(
        dcgan_generator((16, 16, 3), latent_dim=2, filters=2), dcgan_discriminator((16, 16, 3), filters=2), seed=0
    )
    gan.compile()
    images = np.zeros((2, 16, 16, 3), "float32")
    with pytest.warns(UserWarning, match="has no 'val_mean_iou'.*discriminator_loss.*generator_loss"):
        gan.fit(images, verbose=0, callbacks=[Checkpoint(tmp_path / "best.keras", tmp_path / "last.keras")])
    assert int(keras.saving.load_model(tmp_path / "last.keras").optimizer.iterations) == 1


def test_what_dies_in_scoring_has_saved_its_epoch(tmp_path):
    model, seen = small_model(), []

    def score():
        seen.append(read_epoch(tmp_path / "last.keras"))
        if len(seen) == 2:
            raise OSError("the disk is gone")
        return {"score": np.float32(0.5)}

    checkpoint = Checkpoint(tmp_path / "best.keras", monitor="val_score")
    with pytest.raises(OSError, match="gone"):
        fit(model, Backup(tmp_path / "last.keras"), Validation(score), checkpoint, epochs=3)
    assert [epoch for epoch, _ in seen] == [0, 1]
    assert [set(logs) for _, logs in seen] == [{"loss"}, {"loss"}]
    assert checkpoint.best_score == 0.5
    assert int(keras.saving.load_model(tmp_path / "best.keras").optimizer.iterations) == 1
    assert int(keras.saving.load_model(tmp_path / "last.keras").optimizer.iterations) == 2
    save(model, tmp_path / "plain.keras")
    assert read_epoch(tmp_path / "plain.keras") is None


def test_a_validation_loss_that_is_not_finite_ends_the_run_but_the_epoch_is_saved(tmp_path):
    checkpoint = Checkpoint(tmp_path / "best.keras", tmp_path / "last.keras", monitor="val_loss", mode="min")
    checkpoint.set_model(small_model())
    with pytest.raises(FloatingPointError, match="val_loss is nan in epoch 3"):
        checkpoint.on_epoch_end(2, {"loss": 1.0, "val_loss": float("nan")})
    assert [path.name for path in tmp_path.iterdir()] == ["last.keras"]
