"""Run folders of version 0.1.0 load, score, resume and start others as they did."""

import json
import shutil
from pathlib import Path

import keras
import pytest

import keras_segen_cli
from keras_segen.runs import Run
from keras_segen_cli.tasks import open_run

OLD = Path(__file__).parents[1] / "runs_of_0_1_0"
GENERATIVE = ("dcgan", "cgan", "vae")
# The commands that began them, by the names that options have now.
COMMANDS = {
    "unet": ["--filters", "4", "8", "--batch-size", "8", "--image-size", "64", "--learning-rate", "0.01"],
    "dcgan": ["--filters", "4", "--latent-dim", "8", "--batch-size", "8", "--half-life", "200"],
    "vae": ["--filters", "2", "--latent-dim", "4", "--batch-size", "8"],
}

pytestmark = pytest.mark.filterwarnings("ignore:.* are few for 192 features")


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return lambda name: shutil.copytree(OLD / name, tmp_path / name)


@pytest.mark.parametrize("name", ["fcn", "unet", "dcgan", "cgan", "vae"])
def test_an_old_run_is_opened_with_its_settings(name):
    task = open_run(OLD / name)
    config = json.loads((OLD / name / "config.json").read_text())
    for setting in ("image_size", "epochs", "steps_per_epoch", "batch_size", "learning_rate", "seed"):
        assert getattr(task.recipe, setting) == config[setting]
    assert list(task.class_names) == config["class_names"]
    task.recipe.check()


def test_old_options_have_their_present_names():
    recipe = open_run(OLD / "fcn").recipe
    assert (recipe.backbone_width, recipe.backbone_weights, recipe.loss) == (0.05, "none", None)
    assert open_run(OLD / "dcgan").recipe.filters == 4


@pytest.mark.parametrize(
    "name", ["cgan", *(pytest.param(name, marks=pytest.mark.slow) for name in ("fcn", "unet", "dcgan", "vae"))]
)
def test_an_old_model_has_its_old_scores(name, run):
    folder = run(name)
    before = json.loads((folder / "metrics.json").read_text())
    samples = ["--samples", "256"] if name in GENERATIVE else []
    assert keras_segen_cli.main(["evaluate", str(folder), *samples]) == 0
    after = json.loads((folder / "metrics.json").read_text())
    for key, value in before.items():
        if isinstance(value, float):
            assert after[key] == pytest.approx(value, rel=1e-6, abs=1e-6), key
    if "confusion_matrix" in before:
        assert after["confusion_matrix"] == before["confusion_matrix"]


@pytest.mark.slow
@pytest.mark.parametrize("name", COMMANDS)
def test_an_old_run_goes_on(name, run):
    folder = run(name)
    steps = int(keras.saving.load_model(folder / "backup/model.keras").optimizer.iterations)
    command = ["train", name, "--data", "shapes", *COMMANDS[name], "--steps-per-epoch", "200", "--epochs", "2"]
    assert keras_segen_cli.main([*command, "--out", str(folder), "--resume"]) == 0
    assert int(keras.saving.load_model(folder / "final.keras").optimizer.iterations) == steps + 200
    assert len(Run(folder).history()) == 2


@pytest.mark.slow
def test_an_old_run_is_not_resumed_with_other_options(run, capsys):
    command = ["train", "unet", "--data", "shapes", *COMMANDS["unet"], "--steps-per-epoch", "200", "--epochs", "2"]
    assert keras_segen_cli.main([*command, "--dropout", "0.5", "--out", str(run("unet")), "--resume"]) == 2
    assert "was begun with --dropout 0.0 and cannot go on with --dropout 0.5" in capsys.readouterr().err
