"""`keras-segen train`: from data to a run folder."""

import math
import platform
from contextlib import ExitStack
from pathlib import Path
from types import ModuleType
from typing import Any

import keras
import numpy as np
import tensorflow as tf

import keras_segen
from keras_segen import plotting
from keras_segen.callbacks import Backup, Checkpoint, Validation, back_up, read_epoch, save
from keras_segen.errors import InputError
from keras_segen.files import require_space
from keras_segen.recipes import RECIPES
from keras_segen.recipes.start import start
from keras_segen.runs import Run, load_model, write_json

# Options that are no recipe's own.
_OF_EVERY_RUN = {"seed": 0, "precision": "float32", "jit_compile": "auto", "deterministic": False}
# What of a config may differ between a run and its resumption.
_INCIDENTAL = ("versions", "data", "data_dir")


def train(model: str, *, data: str, out: str | None, resume: bool, verbose: bool, **options: Any) -> Run:
    """Train, score and picture a model; returns the run.

    Args:
        model: a recipe's name.
        data: a data set's name, or a folder.
        out: the run folder, or None for the next free `runs/MODEL-DATA-N`.
        resume: go on with the run in `out` if there is one, perhaps for more epochs than it was begun with.
        verbose: progress bars; otherwise a line an epoch.
        options: the recipe's options; None for its default.

    Raises:
        InputError: for data, options or a folder that cannot be used.
    """
    recipe = RECIPES[model]
    config, given = _config(model, data, options)
    if resume and out is None:
        raise InputError("--resume needs --out, the run folder to go on with")
    run = Run(out or _next_free(f"runs/{model}-{Path(data).resolve().name}"))
    resuming = resume and run.config_json.is_file()
    with ExitStack() as stack:
        if not resuming:
            recipe.check(config)
            run.require_free()
        stack.enter_context(run.held())
        if resuming:
            before = {**_OF_EVERY_RUN, **recipe.DEFAULTS, **run.config()}
            asked = {name: value for name, value in config.items() if name in given or name != "steps_per_epoch"}
            _require_same(run, before, asked)
        else:
            run.require_free()  # still
        _make_repeatable(config["seed"], config["precision"], deterministic=config["deterministic"])
        loaded = recipe.task.load_data(data, config, verbose=verbose)
        if "steps_per_epoch" not in given:
            config["steps_per_epoch"] = max(config["steps_per_epoch"], loaded.count // config["batch_size"])
        config |= {"data": loaded.name, "class_names": list(loaded.class_names), "data_fingerprint": loaded.fingerprint}
        if resuming:
            _require_same(run, before, config)
        # Before there is a config: weights that do not fit leave no folder behind.
        network = _backed_up(run, config) if run.backup.is_file() else start(recipe.build, config)
        require_space(run.path, 4 * _size(network))  # the best, the last, the backup, and the one being written
        if not resuming:
            run.create({**config, "versions": _versions()})
        elif before["epochs"] != config["epochs"]:
            run.create({**run.config(), "epochs": config["epochs"]})
        classes = f", {len(loaded.class_names)} classes" if loaded.class_names else ""
        aside = f" ({loaded.kept_aside} more are kept aside)" if getattr(loaded, "kept_aside", 0) else ""
        print(
            f"{loaded.count} training images{aside}{classes}; {config['epochs']} epochs of "
            f"{config['steps_per_epoch']} steps; run folder {run.path}",
            flush=True,
        )
        _fit(run, network, config, recipe, loaded, verbose=verbose)
        del network  # scoring needs the memory
        _report(run, config, recipe.task, loaded, verbose=verbose)
    return run


def _config(model: str, data: str, options: dict[str, Any]) -> tuple[dict[str, Any], set[str]]:
    """Return the options, defaults included, and the names of those that were given."""
    defaults = {**_OF_EVERY_RUN, **RECIPES[model].DEFAULTS}
    given = {name: value for name, value in options.items() if value is not None}
    for name in given:
        if name not in defaults:
            raise InputError(f"{model} has no --{name.replace('_', '-')}: leave it out")
    for name in {"data_dir", "start_from"} & given.keys():
        given[name] = str(Path(given[name]).resolve())  # the run is looked at from other folders too
    return {"model": model, "data": data, **defaults, **given}, set(given)


def _fit(
    run: Run, network: keras.Model, config: dict[str, Any], recipe: ModuleType, loaded: Any, *, verbose: bool
) -> None:
    for folder in (run.backup.parent, run.figures, run.logs):
        folder.mkdir(exist_ok=True)
    task = recipe.task
    epochs_done, unscored = _progress(run, network, config)
    run.cut_history(epochs_done - (unscored is not None))
    monitor, mode = task.monitor(loaded), task.MODE
    scores = [row[monitor] for row in run.history() if np.isfinite(row.get(monitor, np.nan))]
    best_score = {"max": max, "min": min}[mode](scores) if scores else None

    def go_back(epoch: int, logs: dict[str, Any]) -> None:
        # What ends a training is the collapse watch: the run goes on from the best model, not from the collapsed one.
        if network.stop_training and run.model.is_file():
            network.load_weights(run.model)
            back_up(network, run.backup, epoch, logs)

    # What has been learnt is saved before it is scored, and the row in history.csv says that all the rest is done.
    scoring = [
        Validation(lambda: task.validate(network, loaded, config)),
        *task.callbacks(run, loaded, config),
        Checkpoint(run.model, monitor=monitor, mode=mode, best_score=best_score),
        keras.callbacks.TensorBoard(run.logs, write_graph=False),
        keras.callbacks.LambdaCallback(on_epoch_end=go_back),
        keras.callbacks.LambdaCallback(on_epoch_end=run.add_epoch),
    ]
    network.stop_training = False
    if unscored is not None:
        print(f"epoch {epochs_done} was trained, but not scored: doing that first", flush=True)
        callbacks = keras.callbacks.CallbackList(scoring, model=network, epochs=config["epochs"])
        callbacks.on_train_begin()
        callbacks.on_epoch_end(epochs_done - 1, unscored)
        callbacks.on_train_end()
    if not network.stop_training:
        steps = config["steps_per_epoch"]
        network.fit(
            loaded.train(config["batch_size"], epochs_done * steps * config["batch_size"]),
            steps_per_epoch=steps,
            epochs=config["epochs"],
            initial_epoch=epochs_done,
            shuffle=False,  # the data set does that itself
            verbose=1 if verbose else 2,
            callbacks=[Backup(run.backup), *scoring],
        )
    save(network, run.final_model)


def _progress(run: Run, network: keras.Model, config: dict[str, Any]) -> tuple[int, dict[str, float] | None]:
    """Return how many epochs are done, and what training said of the last if it has not been scored yet."""
    if not run.backup.is_file():
        return 0, None
    found = read_epoch(run.backup)
    if found is None:  # of a version that scored before it saved
        frozen = config.get("frozen_epochs")  # after these the optimizer counts anew
        released = frozen and network.get_layer("backbone").trainable
        steps = int(network.optimizer.iterations)
        return steps // config["steps_per_epoch"] + (frozen if released else 0), None
    epoch, logs = found
    return epoch + 1, logs if len(run.history()) == epoch else None


def _backed_up(run: Run, config: dict[str, Any]) -> keras.Model:
    """Load the backup, its learning rates' courses as long as the run is to be now."""
    network = load_model(run.backup)
    steps = (config["epochs"] - config.get("frozen_epochs", 0)) * config["steps_per_epoch"]
    for optimizer in getattr(network.optimizer, "by_player", {"all": network.optimizer}).values():
        schedule = optimizer._learning_rate
        if isinstance(schedule, keras.optimizers.schedules.LearningRateSchedule):
            schedule.decay_steps = steps
    return network


def _size(network: keras.Model) -> int:
    """Return about how many bytes a model takes as a file, Adam's moments included."""
    return 3 * 4 * sum(math.prod(variable.shape) for variable in network.variables)


def _report(run: Run, config: dict[str, Any], task: ModuleType, loaded: Any, *, verbose: bool) -> None:
    best = run.load_best()
    scores = task.score(run, best, loaded, config, verbose=verbose)
    epoch = run.best_epoch(task.monitor(loaded), task.MODE)
    write_json(run.metrics_json, {**scores, "data": loaded.name, "epoch": epoch})
    picture = task.draw(run, best, loaded, config)
    plotting.save_figure(plotting.curves(run.history()), run.figures / "curves.png")
    print(f"\n{task.table(scores)}\n\nbest model {run.model}\npicture    {picture}", flush=True)


def _make_repeatable(seed: int, precision: str, *, deterministic: bool) -> None:
    keras.utils.set_random_seed(seed)
    keras.config.set_dtype_policy(precision)
    # With several inter-op threads the order of a CPU's sums differs from run to run; with one it does not.
    tf.config.threading.set_inter_op_parallelism_threads(1)
    if deterministic and tf.config.list_physical_devices("GPU"):
        tf.config.experimental.enable_op_determinism()  # which turns XLA off


def _next_free(stem: str) -> Path:
    number = 1
    while Path(f"{stem}-{number}").exists():
        number += 1
    return Path(f"{stem}-{number}")


def _require_same(run: Run, before: dict[str, Any], config: dict[str, Any]) -> None:
    if "data_fingerprint" in config and before.get("data_fingerprint") != config["data_fingerprint"]:
        raise InputError(
            f"{run.path}: the images or masks in {config['data']} are not those that it was begun with: "
            "put them back, or begin a new run"
        )
    if config["epochs"] < before["epochs"]:
        raise InputError(
            f"{run.path}: was begun with {before['epochs']} epochs and cannot go on with {config['epochs']}: "
            f"give --epochs {before['epochs']} or more"
        )
    for name, value in config.items():
        if name not in (*_INCIDENTAL, "epochs") and before.get(name) != value:
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
