"""FCN, backbones, fine-tuning and output codes by command."""

import json
from pathlib import Path

import keras
import numpy as np
import pytest

import keras_segen_cli
from keras_segen.callbacks import Checkpoint

SMALL = ["--epochs", "3", "--steps-per-epoch", "2", "--batch-size", "2", "--image-size", "32"]
OPTIONS = ["--backbone-weights", "none", *SMALL]
FCN = ["--backbone", "mobilenet", "--backbone-width", "0.25", *SMALL]
MOBILENET = [*FCN, "--backbone-weights", "none"]


def run(*arguments) -> int:
    return keras_segen_cli.main([str(a) for a in arguments])


@pytest.fixture
def root(make_folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return make_folder()


def weights(path):
    model = keras.saving.load_model(path)
    return [np.asarray(v) for v in (*model.variables, *model.optimizer.variables)]


# Where training ends by an exception, Keras leaves history.csv to the garbage collector.
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_fine_tuning_goes_on_where_it_was_stopped(root, monkeypatch):
    # Three epochs, the first with a frozen backbone; the process dies after that, and again after the one that follows.
    arguments = ["train", "fcn", "--data", root, *MOBILENET, "--frozen-epochs", "1"]
    assert run(*arguments, "--out", "whole") == 0
    end = Checkpoint.on_epoch_end

    def die(self, epoch, logs=None):
        end(self, epoch, logs)
        if epoch < 2:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Checkpoint, "on_epoch_end", die)
        for _ in range(2):
            assert run(*arguments, "--out", "broken", "--resume") == keras_segen_cli.INTERRUPTED
    assert run(*arguments, "--out", "broken", "--resume") == 0
    assert Path("whole/history.csv").read_text() == Path("broken/history.csv").read_text()
    for ours, theirs in zip(weights("whole/final.keras"), weights("broken/final.keras"), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    model = keras.saving.load_model("whole/final.keras")
    assert int(model.optimizer.iterations) == 4  # of the second phase
    assert isinstance(model.optimizer._learning_rate, keras.optimizers.schedules.CosineDecay)
    assert model.optimizer._learning_rate.initial_learning_rate == pytest.approx(1e-4)


@pytest.mark.slow
def test_staged_training_starts_from_a_coarser_run(root, capsys):
    arguments = ["train", "fcn", "--data", root, *FCN, "--optimizer", "sgd", "--schedule", "constant"]
    at_first = ["--stride", 32, "--weight-decay", 0.0005, "--backbone-weights", "none"]
    assert run(*arguments, *at_first, "--out", "coarse") == 0
    model = keras.saving.load_model("coarse/final.keras")
    assert (model.optimizer.momentum, model.optimizer.weight_decay) == (0.9, 0.0005)
    assert float(model.optimizer.learning_rate) == pytest.approx(1e-3)
    still = ["--learning-rate", "1e-30"]
    capsys.readouterr()
    assert run(*arguments, "--stride", 16, "--start-from", "coarse", *still, "--out", "fine") == 0
    assert (
        "layers are taken; 1 layers are new, or new in what belongs to the classes: score16" in capsys.readouterr().out
    )
    best = keras.saving.load_model("coarse/model.keras")
    finer = keras.saving.load_model("fine/model.keras")
    np.testing.assert_allclose(finer.get_layer("score32").kernel, best.get_layer("score32").kernel, atol=1e-20)
    capsys.readouterr()
    assert run(*arguments, "--stride", 32, "--start-from", "fine", "--out", "no") == 2
    assert "is an FCN-16s, which is finer than --stride 32" in capsys.readouterr().err
    assert run(*arguments, "--start-from", "nowhere", "--out", "no") == 2
    assert run("train", "fcn", "--data", root, *SMALL, "--start-from", "fine", "--out", "no") == 2
    assert "was trained with backbone_width 0.25, not 1.0" in capsys.readouterr().err
    assert run(*arguments, "--backbone-weights", "none", "--start-from", "fine", "--out", "no") == 2
    assert "remove --backbone-weights" in capsys.readouterr().err
    (root / "classes.txt").write_text("ground\ndisc\nunicorn\n")
    assert not Path("no").exists()
    assert run(*arguments, "--stride", 16, "--start-from", "fine", *still, "--out", "further") == 0
    assert "2 layers are new, or new in what belongs to the classes: score" in capsys.readouterr().out
    further, fine = (keras.saving.load_model(f"{name}/model.keras") for name in ("further", "fine"))
    assert further.output_shape[-1] == 3
    for name in ("conv1", "conv_pw_13"):
        ours, theirs = (model.get_layer("backbone").get_layer(name).kernel for model in (further, fine))
        np.testing.assert_allclose(ours, theirs, atol=1e-20)


@pytest.mark.slow
def test_what_does_not_fit_leaves_no_run_behind(root, capsys):
    Path("text.h5").write_text("hello")
    arguments = ["train", "fcn", "--data", root, *FCN]
    assert run(*arguments, "--backbone-weights", "text.h5", "--out", "run") == 2
    assert "text.h5" in capsys.readouterr().err
    assert not Path("run").exists()
    coded = [*arguments, "--output-codes", "1"]
    assert (
        run(*coded, "--refinement", "--backbone-weights", "none", "--stride", "32", "--epochs", "1", "--out", "coded")
        == 0
    )
    assert "output codes of 1 bits, any two at least 1 apart" in capsys.readouterr().out
    assert run(*coded, "--start-from", "coded", "--out", "finer") == 2
    assert "ends in a refinement stage, which would be lost" in capsys.readouterr().err


@pytest.mark.slow
def test_output_codes_refinement_and_deep_supervision_by_command(root, capsys):
    small = ["--filters", "4", "8", "16", *SMALL]
    coded = ["--output-codes", "hadamard", "--refinement", "--out", "codes"]
    assert run("train", "unet", "--data", root, *small, *coded) == 0
    model = keras.saving.load_model("codes/model.keras")
    assert model.get_layer("refine_logits").kernel.shape == (4, 4, 1, 32)
    assert model.output_shape == (None, None, None, 2)
    assert model.get_layer("classes").codebook.shape == (2, 1)
    assert 0 <= json.loads(Path("codes/metrics.json").read_text())["mean_iou"] <= 1
    assert (
        run("train", "unet", "--data", root, *small, "--deep-supervision", "--loss", "focal", "lovasz", "--out", "deep")
        == 0
    )
    assert run("export", "deep", "--out", "saved_models/deep") == 0
    assert type(keras.saving.load_model("deep/model.keras")).__name__ == "DeeplySupervised"
    capsys.readouterr()
    assert run("train", "unet", "--data", root, *small, "--output-codes", "5", "--out", "no") == 2
    assert "--output-codes 5: 2 classes have codes of 1 to 1 bits" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["fcn", "--backbone-width", "0.5", "--backbone", "vgg16"], "add --backbone mobilenet"),
        (["unet", "--frozen-epochs", "1"], "needs --backbone"),
        (["unet", "--backbone-weights", "mine.h5"], "needs --backbone"),
        (["fcn", "--released-learning-rate", "0.1"], "needs --frozen-epochs"),
        (["fcn", "--frozen-epochs", "3", "--epochs", "3"], "leaves the whole network none of the 3 epochs"),
        (["fcn", "--backbone-weights", "nowhere.h5"], "nowhere.h5: is not a file"),
        (["unet", "--stride", "8"], "Unknown option: --stride"),
        (["fcn", "--padding", "valid"], "Unknown option: --padding"),
        (["unet", "--backbone", "mobilenet", "--padding", "valid"], "remove --backbone or --padding"),
        (["unet", "--backbone", "mobilenet", "--filters", "8", "8"], "use --decoder-filters"),
        (["unet", "--backbone", "mobilenet", "--decoder-filters", "8", "8"], "needs five widths, not 8 8"),
        (["unet", "--decoder-filters", "8", "8", "8", "8", "8"], "--decoder-filters needs --backbone"),
        (["unet", "--deep-supervision", "--output-codes", "hadamard"], "remove one of them"),
        (["unet", "--deep-supervision", "--refinement"], "does not go with --refinement"),
        (["fcn", "--output-codes", "hadamard", "--loss", "dice"], "remove --loss"),
    ],
)
def test_wrong_options_are_said_in_one_line(root, capsys, arguments, message):
    assert run("train", arguments[0], "--data", root, "--out", "no", *arguments[1:]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


@pytest.mark.parametrize(
    "arguments",
    [
        ["unet", "--loss", "hinge"],
        ["dcgan", "--loss", "dice"],
        ["dcgan", "--loss", "hinge", "minimax"],
        ["fcn", "--stride", "4"],
        ["unet", "--output-codes", "walsh"],
    ],
)
def test_wrong_values_are_refused_in_one_line(arguments, capsys):
    assert run("train", arguments[0], "--data", "shapes", *arguments[1:]) == 2
    assert capsys.readouterr().err.count("\n") == 1
