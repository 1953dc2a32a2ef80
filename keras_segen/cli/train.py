"""`keras-segen train`: from data to a run folder."""

import platform
from pathlib import Path
from types import ModuleType
from typing import Any

import keras
import numpy as np
import tensorflow as tf

import keras_segen
from keras_segen import plotting
from keras_segen.callbacks import Checkpoint, save
from keras_segen.errors import InputError
from keras_segen.recipes import RECIPES
from keras_segen.runs import Run, load_model, write_json

# Options that are no recipe's own.
_OF_EVERY_RUN = ("seed", "precision", "jit_compile")
# What of a config may differ between a run and its resumption.
_INCIDENTAL = ("versions", "data", "data_dir")


def train(model: str, *, data: str, out: str | None, resume: bool, verbose: bool, **options: Any) -> Run:
    """Train, score and picture a model; returns the run.

    Args:
        model: a recipe's name.
        data: a data set's name, or a folder.
        out: the run folder, or None for the next free `runs/MODEL-DATA-N`.
        resume: go on with the run in `out` if there is one.
        verbose: progress bars; otherwise a line an epoch.
        options: the recipe's options; None for its default.

    Raises:
        InputError: for data, options or a folder that cannot be used.
    """
    recipe = RECIPES[model]
    given = {name: value for name, value in options.items() if value is not None}
    for name in given:
        if name not in recipe.DEFAULTS and name not in _OF_EVERY_RUN:
            raise InputError(f"{model} has no --{name.replace('_', '-')}: leave it away")
    for name in {"data_dir", "start_from"} & given.keys():
        given[name] = str(Path(given[name]).resolve())  # the run is looked at from other folders too
    config = {"model": model, "data": data, **recipe.DEFAULTS, **given}
    if resume and out is None:
        raise InputError("--resume needs --out, the run folder to go on with")
    run = Run(out or _next_free(f"runs/{model}-{Path(data).resolve().name}"))
    resuming = resume and run.config_json.is_file()
    if not resuming:
        recipe.check(config)
        run.require_free()

    _make_repeatable(config["seed"], config["precision"])
    loaded = recipe.task.load_data(data, config, verbose=verbose)
    if "steps_per_epoch" not in given:
        config["steps_per_epoch"] = max(config["steps_per_epoch"], loaded.count // config["batch_size"])
    config |= {"data": loaded.name, "class_names": list(loaded.class_names), "data_fingerprint": loaded.fingerprint}
    if resuming:
        _require_same(run, config)
    # Before there is a folder: weights that do not fit leave none behind.
    network = load_model(run.backup) if run.backup.is_file() else recipe.build(config)
    if not resuming:
        run.create({**config, "versions": _versions()})
    classes = f", {len(loaded.class_names)} classes" if loaded.class_names else ""
    aside = f" ({loaded.kept_aside} more are kept aside)" if getattr(loaded, "kept_aside", 0) else ""
    print(
        f"{loaded.count} training images{aside}{classes}; {config['epochs']} epochs of "
        f"{config['steps_per_epoch']} steps; run folder {run.path}",
        flush=True,
    )
    _fit(run, network, config, recipe, loaded, verbose=verbose)
    _report(run, config, recipe.task, loaded, verbose=verbose)
    return run


def _fit(
    run: Run, network: keras.Model, config: dict[str, Any], recipe: ModuleType, loaded: Any, *, verbose: bool
) -> None:
    for folder in (run.backup.parent, run.figures, run.logs):
        folder.mkdir(exist_ok=True)
    steps = config["steps_per_epoch"]
    epochs_done = _epochs_done(network, config) if run.backup.is_file() else 0
    run.cut_history(epochs_done)
    monitor, mode = recipe.task.monitor(loaded), recipe.task.MODE
    scores = [row[monitor] for row in run.history() if np.isfinite(row[monitor])]
    best_score = {"max": max, "min": min}[mode](scores) if scores else None
    network.fit(
        loaded.train(config["batch_size"], epochs_done * steps * config["batch_size"]),
        steps_per_epoch=steps,
        epochs=config["epochs"],
        initial_epoch=epochs_done,
        validation_data=getattr(loaded, "val", None),
        shuffle=False,  # the data set does that itself
        verbose=1 if verbose else 2,
        callbacks=[
            *recipe.task.callbacks(run, loaded, config),
            keras.callbacks.CSVLogger(run.history_csv, append=True),
            keras.callbacks.TensorBoard(run.logs, write_graph=False),
            Checkpoint(run.model, run.backup, monitor=monitor, mode=mode, best_score=best_score),
        ],
    )
    save(network, run.final_model)


def _epochs_done(network: keras.Model, config: dict[str, Any]) -> int:
    frozen = config.get("frozen_epochs")  # after these the optimizer counts anew
    released = frozen and network.get_layer("backbone").trainable
    return int(network.optimizer.iterations) // config["steps_per_epoch"] + (frozen if released else 0)


def _report(run: Run, config: dict[str, Any], task: ModuleType, loaded: Any, *, verbose: bool) -> None:
    scores = task.score(run, loaded, config, verbose=verbose)
    write_json(run.metrics_json, {**scores, "data": loaded.name})
    plotting.save_figure(plotting.curves(run.history()), run.figures / "curves.png")
    picture = task.draw(run, loaded, config)
    print(f"\n{task.table(scores)}\n\nbest model {run.model}\npicture    {picture}", flush=True)


def _make_repeatable(seed: int, precision: str) -> None:
    keras.utils.set_random_seed(seed)
    keras.config.set_dtype_policy(precision)
    # With several inter-op threads the order of a CPU's sums differs from run to run; with one it does not.
    tf.config.threading.set_inter_op_parallelism_threads(1)
    if tf.config.list_physical_devices("GPU"):
        tf.config.experimental.enable_op_determinism()


def _next_free(stem: str) -> Path:
    number = 1
    while Path(f"{stem}-{number}").exists():
        number += 1
    return Path(f"{stem}-{number}")


def _require_same(run: Run, config: dict[str, Any]) -> None:
    before = run.config()
    if before.get("data_fingerprint") != config["data_fingerprint"]:
        raise InputError(
            f"{run.path}: the images or masks in {config['data']} are not those that it was begun with: "
            "put them back, or begin a new run"
        )
    for name, value in config.items():
        if name not in _INCIDENTAL and before.get(name) != value:
            raise InputError(
                f"{run.path}: was begun with {name} {before.get(name)} and cannot go on with {value}: "
                "repeat its options, or begin a new run"
            )


def _versions() -> dict[str, str]:
    return {
        "keras_segen": keras_segen.__version__,
        "keras": keras.__version__,
        "tensorflow": tf.__version__,
        "numpy": np.__version__,
        "python": platform.python_version(),
    }
