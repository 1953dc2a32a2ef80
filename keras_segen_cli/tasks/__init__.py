"""Tasks: what a run can do, by the kind of its model."""

from pathlib import Path
from typing import Any

from keras_segen.errors import InputError
from keras_segen.runs import Run
from keras_segen_cli.recipes import MODELS, VAE, Recipe, Segmenter, WrongUseError, by_present_names
from keras_segen_cli.recipes.gans import GANRecipe
from keras_segen_cli.tasks.generation import Generation
from keras_segen_cli.tasks.segmentation import Segmentation
from keras_segen_cli.tasks.task import Task
from keras_segen_cli.tasks.variational import Variational

__all__ = ["Task", "open_run", "task_of"]


def task_of(
    run: Run, recipe: Recipe, *, classes: tuple[str, ...] | None = None, fingerprint: str = ""
) -> Task[Any, Any]:
    """Return what can be done with a run of this recipe, on data with these classes if they are known."""
    if isinstance(recipe, Segmenter):
        return Segmentation(run, recipe, classes, fingerprint)
    if isinstance(recipe, GANRecipe):
        return Generation(run, recipe, classes, fingerprint)
    assert isinstance(recipe, VAE)
    return Variational(run, recipe, classes, fingerprint)


def open_run(folder: str | Path) -> Task[Any, Any]:
    """Return what can be done with the run in a folder, this version's or an earlier one's.

    Raises:
        InputError: for a folder that is not a run.
    """
    run = Run(folder)
    config = {"channels": 3, **by_present_names(run.config())}  # version 0.1.0 had RGB alone
    if not isinstance(config["model"], str) or config["model"] not in MODELS:
        raise InputError(f"{run.config_json}: names a model that this version does not know: {config['model']}")
    try:
        recipe = MODELS[config["model"]].from_settings(config)
    except WrongUseError as error:
        raise InputError(f"{run.config_json}: {error}") from error
    return task_of(run, recipe, classes=tuple(config["class_names"]), fingerprint=config.get("data_fingerprint") or "")
