"""Recipes: what their options are, that defaults stand once, and that the named ones can be trained."""

import json
import re
from dataclasses import MISSING, fields, replace
from pathlib import Path

import keras
import numpy as np
import pytest
from rich.console import Console

import keras_segen_cli
from keras_segen.models import _applications
from keras_segen_cli.commands import app
from keras_segen_cli.options import BACKBONES
from keras_segen_cli.recipes import MODELS, NAMED, UNet, WrongUseError, by_present_names
from keras_segen_cli.recipes.segmenter import Segmenter

OF_TRAIN = {"out", "resume", "max_pixels"}


def typed(value) -> str:
    """A value as it is typed."""
    return " ".join(map(str, value)) if isinstance(value, tuple) else str(value)


def help_of(name: str) -> dict[str, str]:
    """Return the options that `train NAME --help` lists, each with its help."""
    console = Console(width=400, record=True, quiet=False, file=open("/dev/null", "w"))  # noqa: SIM115, PTH123
    app.help_print(["train", name], console=console)
    console.file.close()
    rows = re.findall(r"--([a-z0-9-]+)\s+([^│]*)│", console.export_text())
    return {option.replace("-", "_"): text for option, text in rows}


@pytest.mark.parametrize("name", [*MODELS, *NAMED])
def test_help_lists_the_models_options_alone(name):
    recipe = MODELS[name] if name in MODELS else type(NAMED[name].recipe)
    assert set(help_of(name)) == {each.name for each in fields(recipe)} | OF_TRAIN


@pytest.mark.parametrize("name", MODELS)
def test_defaults_in_the_help_are_those_of_the_settings(name):
    settings = MODELS[name](data="shapes").settings()
    for option, text in help_of(name).items():
        shown = re.search(r"\[default: (.*?)\]\s*$", text.strip())
        if option in settings and settings[option] not in (None, ()) and option != "data":
            assert shown, option
            assert shown.group(1) == typed(settings[option]), option
        else:
            assert not shown or option in OF_TRAIN, option
    assert help_of(name)["data"].strip().endswith("[required]")


@pytest.mark.parametrize("name", NAMED)
def test_the_help_of_a_named_recipe_shows_its_settings(name):
    recipe, shown = NAMED[name].recipe, help_of(name)
    for each in fields(recipe):
        value = getattr(recipe, each.name)
        if value not in (each.default, "") or (each.default is MISSING and value):
            assert f"[default: {typed(value)}]" in shown[each.name]


@pytest.mark.parametrize("name", MODELS)
def test_help_comes_without_tensorflow(name, capsys):
    assert keras_segen_cli.main(["train", name, "--help"]) == 0
    assert "--learning-rate" in capsys.readouterr().out


@pytest.mark.parametrize("name", MODELS)
def test_settings_survive_json(name):
    recipe = MODELS[name](data="shapes", epochs=3, seed=5)
    read = MODELS[name].from_settings(by_present_names(json.loads(json.dumps(recipe.settings()))))
    assert read == recipe


def test_a_config_trains_the_same_and_options_override_it(tmp_path, monkeypatch):
    trained = []
    monkeypatch.setattr("keras_segen_cli.tasks.training.train", lambda recipe, **options: trained.append(recipe))
    recipe = UNet(data="shapes", filters=(4, 8), loss=("dice",), learning_rate=0.01, refinement=True, seed=3)
    file = tmp_path / "config.json"
    file.write_text(json.dumps({**recipe.settings(), "class_names": ["a"], "versions": {"keras": "3"}}))
    assert keras_segen_cli.main(["train", "--config", str(file)]) == 0
    assert keras_segen_cli.main(["train", "--config", str(file), "--epochs", "9", "--loss", "focal"]) == 0
    assert keras_segen_cli.main(["train", "--config", str(file), "--no-refinement", "--no-deterministic"]) == 0
    assert trained == [recipe, replace(recipe, epochs=9, loss=("focal",)), replace(recipe, refinement=False)]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "is damaged"),
        ("[]", "is not a run's config"),
        ('{"model": "unet"}', "is not a run's config, it lacks data"),
        ('{"model": "unet", "data": "shapes", "epoch": 50}', "epoch is not a setting of unet: remove it"),
        ('{"model": "unet", "data": "shapes", "epochs": 1.5}', "must be a whole number, not '1.5'"),
        ('{"model": "foo", "data": "x", "filters": [1, 2]}', "names a model that this version does not know: foo"),
        ('{"model": ["unet"], "data": "x"}', "names a model that this version does not know"),
        ("[" * 100_000, "is damaged"),
        ('{"model": "gan", "data": "x"}', "names a model that this version does not know: gan"),
        ('{"model": "unet", "data": "shapes", "epochs": 0}', "from 1"),
        ('{"model": "unet", "data": "shapes", "filters": ["x"]}', 'unable to convert "x" into int'),
    ],
)
def test_a_config_that_cannot_be_used_is_refused(content, message, tmp_path, capsys):
    file = tmp_path / "config.json"
    file.write_text(content)
    assert keras_segen_cli.main(["train", "--config", str(file)]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert "config.json" in error
    assert error.count("\n") == 1


def test_a_folder_is_not_a_config(tmp_path, capsys):
    assert keras_segen_cli.main(["train", "--config", str(tmp_path)]) == 2
    assert f"{tmp_path}: is a folder: name the config.json in it" in capsys.readouterr().err


def test_recipes_lists_all_by_name(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    assert keras_segen_cli.main(["recipes"]) == 0
    listed = capsys.readouterr().out
    for name, named in NAMED.items():
        assert name in listed
        assert named.score in listed


@pytest.mark.parametrize("name", NAMED)
def test_a_named_recipe_holds_together(name):
    NAMED[name].recipe.check()


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMED)
def test_a_named_recipe_trains_for_a_step(name):
    recipe = NAMED[name].recipe
    size = min(recipe.image_size, 64)
    recipe = replace(recipe, image_size=size, batch_size=1, steps_per_epoch=1)
    rng = np.random.default_rng(0)
    if isinstance(recipe, Segmenter):
        # Published weights are not here; a step is the same with others.
        no_weights = {"backbone_weights": "none"} if recipe.backbone else {}
        network = replace(recipe, **no_weights).build(["a", "b"])
        data = rng.integers(0, 256, (1, size, size, 3), np.uint8), rng.integers(0, 2, (1, size, size), np.uint8)
    else:
        network = recipe.build(["a", "b"])
        labels = (
            [np.array([[0, 1]], "float32") if network.multi_label else np.array([0])] if network.conditional else []
        )
        data = (rng.uniform(-1, 1, (1, size, size, 3)).astype("float32"), *labels)
    logs = network.fit(*data, batch_size=1, verbose=0).history
    assert all(np.isfinite(values).all() for values in logs.values())


@pytest.fixture
def trained(monkeypatch):
    """The recipes that were to be trained."""
    recipes = []
    monkeypatch.setattr("keras_segen_cli.tasks.training.train", lambda recipe, **_: recipes.append(recipe))
    return recipes


def test_a_flag_of_a_named_recipe_can_be_taken_back(trained, tmp_path):
    command = ["train", "fcn8s-nuclei-refined", "--data", str(tmp_path)]
    assert keras_segen_cli.main(command) == keras_segen_cli.main([*command, "--no-refinement"]) == 0
    assert [recipe.refinement for recipe in trained] == [True, False]


def test_a_value_of_a_named_recipe_can_be_taken_back(trained, tmp_path):
    command = ["train", "fcn8s-voc-animals", "--data", str(tmp_path)]
    assert keras_segen_cli.main(command) == keras_segen_cli.main([*command, "--released-learning-rate", "none"]) == 0
    assert [recipe.released_learning_rate for recipe in trained] == [0.0005, None]


def test_a_number_can_be_taken_back(trained, tmp_path):
    command = ["train", "unet-voc-animals", "--data", str(tmp_path), "--steps-per-epoch", "none"]
    assert keras_segen_cli.main(command) == 0
    assert [recipe.steps_per_epoch for recipe in trained] == [None]


def test_a_schedule_warms_up_and_ends_at_nothing():
    for schedule, options in (("cosine", {}), ("polynomial", {}), ("cosine", {"warm_up_steps": 5})):
        recipe = UNet(data="shapes", schedule=schedule, steps_per_epoch=10, epochs=2, learning_rate=0.5, **options)
        rate = recipe.rate(0.5, 2)
        rises = bool(options)
        assert float(rate(0)) == pytest.approx(0 if rises else 0.5)
        assert float(rate(5)) == pytest.approx(0.5) if rises else float(rate(5)) < 0.5
        assert float(rate(20)) == pytest.approx(0, abs=1e-7)
    assert UNet(data="shapes", schedule="constant", steps_per_epoch=10).rate(0.5, 2) == 0.5


def test_optimizer_options_reach_the_optimizer():
    recipe = UNet(data="shapes", steps_per_epoch=1, filters=(2, 4), weight_decay=0.01, clip_norm=2.0)
    optimizer = recipe.build(["a", "b"]).optimizer
    assert isinstance(optimizer, keras.optimizers.Adam)
    assert (optimizer.weight_decay, optimizer.global_clipnorm) == (0.01, 2.0)
    assert replace(recipe, optimizer="sgd").build(["a", "b"]).optimizer.momentum == 0.9


def test_class_weights_reach_the_losses():
    recipe = UNet(data="shapes", steps_per_epoch=1, filters=(2, 4), class_weights=(1.0, 3.0))
    losses = recipe.build(["a", "b"]).loss.losses
    assert [loss.class_weights for loss in losses] == [[1.0, 3.0]] * 2
    with pytest.raises(WrongUseError, match="--class-weights has 2 weights, and the data have 3 classes"):
        recipe.build(["a", "b", "c"])


@pytest.mark.parametrize(
    ("weights", "words"),
    [
        ((1.0, "balanced"), "--class-weights balanced: give numbers alone, or balanced, or one file"),
        (("nowhere.txt",), "--class-weights nowhere.txt: is neither balanced nor a file of numbers"),
        ((-1.0, 2.0), "--class-weights must be numbers from 0 to 1,000,000"),
        ((float("nan"), 2.0), "--class-weights must be numbers from 0"),
        (("zeros.txt",), "--class-weights zeros.txt: must hold numbers from 0 to 1,000,000, not all of them 0"),
        (("words.txt",), "--class-weights words.txt: is neither balanced nor a file of numbers"),
    ],
)
def test_wrong_class_weights_are_said(weights, words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("zeros.txt").write_text("0\n0\n")
    Path("words.txt").write_text("one\ntwo\n")
    with pytest.raises(WrongUseError, match=re.escape(words)):
        UNet(data="x", class_weights=weights).check()


def test_wrong_copying_and_pasting_is_said():
    with pytest.raises(WrongUseError, match="--copy-paste: shapes are drawn anew for each training: remove the option"):
        UNet(data="shapes", copy_paste=0.5).check()
    with pytest.raises(WrongUseError, match="--copy-paste: class 0 of coco is no background"):
        UNet(data="coco", copy_paste=0.5).check()
    with pytest.raises(WrongUseError, match="--copy-paste takes objects of the batch's next image: give"):
        UNet(data="x", copy_paste=0.5, batch_size=1).check()
    UNet(data="x", copy_paste=0.5).check()


def test_settings_without_copying_and_pasting_have_none():
    settings = UNet(data="x", copy_paste=0.5).settings()
    assert UNet.from_settings(settings).copy_paste == 0.5
    del settings["copy_paste"]
    assert UNet.from_settings(settings).copy_paste == 0


@pytest.mark.parametrize("model", ["dcgan", "cgan"])
@pytest.mark.parametrize("options", [{}, {"architecture": "sngan", "regularizer": "r1"}, {"regularizer": "dragan"}])
def test_a_gans_options_reach_its_networks_and_its_loss(model, options):
    recipe = MODELS[model](data="shapes", steps_per_epoch=1, image_size=16, filters=4, latent_dim=4, **options)
    gan = recipe.build(["a", "b"])
    assert ("sngan" in gan.generator.name) == (recipe.architecture == "sngan")
    assert type(gan.regularizer).__name__ == {"none": "NoneType", "r1": "R1", "dragan": "DRAGAN"}[recipe.regularizer]
    assert gan.regularizer is None or gan.regularizer.weight == 10
    assert gan.conditional == (model == "cgan")


def test_a_dense_vae_is_built():
    recipe = MODELS["vae"](data="shapes", steps_per_epoch=1, architecture="dense", units=(8, 6), latent_dim=3)
    vae = recipe.build([])
    dense = [layer.units for layer in vae.encoder.layers if isinstance(layer, keras.layers.Dense)]
    assert dense[:2] == [8, 6]
    with pytest.raises(WrongUseError, match="--blocks needs --architecture convolutional"):
        replace(recipe, blocks=2).check()
    with pytest.raises(WrongUseError, match="--units needs --architecture dense"):
        replace(recipe, architecture="convolutional").check()


@pytest.mark.parametrize(
    ("name", "value"), [("data", 3), ("epochs", "8"), ("deterministic", 1), ("learning_rate", "x")]
)
def test_a_run_with_a_setting_of_another_kind_is_refused(name, value, tmp_path, capsys):
    config = {**UNet(data="shapes").settings(), "class_names": ["a"], name: value}
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert keras_segen_cli.main(["evaluate", str(tmp_path)]) == 2
    error = capsys.readouterr().err
    assert f"config.json: {name} is {value!r}, which is not a setting of this kind" in error
    assert error.count("\n") == 1


def test_backbones_by_command_are_the_librarys():
    assert BACKBONES == _applications.BACKBONES
