"""Training: from data to a run folder, with a backup after each epoch."""

import math
import platform
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

import keras_segen
from keras_segen import plotting
from keras_segen.callbacks import Backup, Checkpoint, Validation, back_up, read_epoch, save
from keras_segen.errors import InputError
from keras_segen.files import require_space
from keras_segen.runs import Run, load_model, write_json
from keras_segen_cli.options import Scoring
from keras_segen_cli.recipes import Recipe, Segmenter, as_typed
from keras_segen_cli.tasks import Task, open_run, task_of
from keras_segen_cli.tasks.start import check_start, start
from keras_segen_cli.tasks.task import Data

# Settings that may differ between a run and its resumption.
_INCIDENTAL = ("data", "data_dir", "early_stopping")
# Settings that follow from the data where they are not given.
_LEFT_TO_THE_DATA = ("steps_per_epoch", "channels", "value_range", "class_weights")


def train(recipe: Recipe, *, out: str | None, resume: bool, verbose: bool) -> Run:
    """Train, score and draw a model; return the run.

    Args:
        recipe: the settings.
        out: the run folder, or None for the next free `runs/MODEL-DATA-N`.
        resume: go on with the run in `out` if there is one, perhaps for more epochs than it was begun with.
        verbose: show progress bars; otherwise a line an epoch.

    Raises:
        InputError: for data, settings or a folder that cannot be used.
    """
    recipe = _with_whole_paths(recipe)
    run = Run(out or _next_free(f"runs/{recipe.model}-{Path(recipe.data).resolve().name}"))
    before = open_run(run.path) if resume and run.config_json.is_file() else None
    with ExitStack() as stack:
        if before is None:
            recipe.check()
            check_start(recipe)
            run.require_free()
        stack.enter_context(run.held())
        if before is None:
            run.require_free()  # still
        else:
            _require_same(run, before.recipe, recipe)
        _make_repeatable(recipe.seed, recipe.precision, deterministic=recipe.deterministic)
        asked = task_of(run, recipe)
        data: Data = asked.load_data(recipe.data, verbose=verbose)
        steps = recipe.steps_per_epoch or max(recipe.least_steps, data.count // recipe.batch_size)
        recipe = replace(recipe, data=data.name, steps_per_epoch=steps, **asked.settings_of(data))
        task = task_of(run, recipe, classes=data.class_names, fingerprint=data.fingerprint)
        if before is not None:
            _require_same_data(before, task)
        # Before there is a config: weights that do not fit leave no folder behind.
        network = _backed_up(task) if run.backup.is_file() else start(recipe, data.class_names)
        require_space(run.path, 4 * _size(network))  # the best, the last, the backup, and the one being written
        if before is None:
            run.create({**task.config(), "versions": _versions()})
        elif before.recipe != recipe:  # in what may differ
            run.create({**run.config(), "epochs": recipe.epochs, "early_stopping": recipe.early_stopping})
        classes = f", {len(data.class_names)} classes" if data.class_names else ""
        aside = f" ({data.kept_aside} more are kept aside)" if data.kept_aside else ""
        print(
            f"{data.count} training images{aside}{classes}; "
            f"{recipe.epochs} {'epoch' if recipe.epochs == 1 else 'epochs'} of {steps} steps; "
            f"run folder {run.path}",
            flush=True,
        )
        _fit(task, network, data, verbose=verbose)
        del network  # scoring needs the memory
        _report(task, data, verbose=verbose)
    return run


def _with_whole_paths(recipe: Recipe) -> Recipe:
    """Return the recipe with paths that hold in other folders too."""
    paths = {name: getattr(recipe, name) for name in ("data_dir", "start_from")}
    if isinstance(recipe, Segmenter) and recipe.backbone_weights not in ("imagenet", "none"):
        paths["backbone_weights"] = recipe.backbone_weights
    if isinstance(recipe, Segmenter) and recipe.backbone_file is not None:
        paths["backbone"] = recipe.backbone_file
    whole: dict[str, Any] = {name: str(Path(path).resolve()) for name, path in paths.items() if path is not None}
    return replace(recipe, **whole)


def _fit(task: Task[Any, Any], network: keras.Model, data: Data, *, verbose: bool) -> None:
    run, recipe = task.run, task.recipe
    for folder in (run.backup.parent, run.figures, run.logs):
        folder.mkdir(exist_ok=True)
    epochs_done, unscored = _progress(run, network, recipe)
    run.cut_history(epochs_done - (unscored is not None))
    best_score = _best_score(task)

    def go_back(epoch: int, logs: dict[str, Any]) -> None:
        # What ends a training is the collapse watch: the run goes on from the best model, not from the collapsed one.
        if network.stop_training and run.model.is_file():
            network.load_weights(run.model)
            back_up(network, run.backup, epoch, logs)

    def stop_early(epoch: int, logs: dict[str, Any]) -> None:
        if _is_stopped_early(task):
            network.stop_training = True

    # What has been learnt is saved before it is scored, and the row in history.csv says that all the rest is done.
    scoring = [
        Validation(lambda: task.validate(network, data)),
        *task.callbacks(data),
        Checkpoint(run.model, monitor=task.monitor, mode=task.mode, best_score=best_score),
        keras.callbacks.TensorBoard(run.logs, write_graph=False),
        keras.callbacks.LambdaCallback(on_epoch_end=go_back),
        keras.callbacks.LambdaCallback(on_epoch_end=run.add_epoch),
        keras.callbacks.LambdaCallback(on_epoch_end=stop_early),
    ]
    network.stop_training = _is_stopped_early(task)
    if unscored is not None:
        print(f"epoch {epochs_done} was trained, but not scored: doing that first", flush=True)
        callbacks = keras.callbacks.CallbackList(scoring, model=network, epochs=recipe.epochs)
        callbacks.on_train_begin()
        callbacks.on_epoch_end(epochs_done - 1, unscored)
        callbacks.on_train_end()
    if not network.stop_training:
        network.fit(
            data.train(recipe.batch_size, epochs_done * recipe.steps * recipe.batch_size),
            steps_per_epoch=recipe.steps,
            epochs=recipe.epochs,
            initial_epoch=epochs_done,
            shuffle=False,  # the data set does that itself
            verbose=1 if verbose else 2,
            callbacks=[Backup(run.backup), *scoring],
        )
    save(network, run.final_model)


def _best_score(task: Task[Any, Any]) -> float | None:
    """Return the best score of the epochs so far."""
    epoch = task.run.best_epoch(task.monitor, task.mode)
    return None if epoch is None else task.run.history()[epoch - 1][task.monitor]


def _is_stopped_early(task: Task[Any, Any]) -> bool:
    """Say whether so many epochs as `early_stopping` allows have not brought a better score."""
    patience, best = task.recipe.early_stopping, task.run.best_epoch(task.monitor, task.mode)
    return patience is not None and best is not None and len(task.run.history()) - best >= patience


def _progress(run: Run, network: keras.Model, recipe: Recipe) -> tuple[int, dict[str, float] | None]:
    """Return how many epochs are done, and the logs of the last one's training if it has not been scored yet."""
    if not run.backup.is_file():
        return 0, None
    backed_up = read_epoch(run.backup)
    if backed_up is None:  # of a version that scored before it saved
        frozen = recipe.frozen_epochs if isinstance(recipe, Segmenter) else 0  # after these the optimizer counts anew
        released = frozen and network.get_layer("backbone").trainable
        steps = int(network.optimizer.iterations)
        return steps // recipe.steps + (frozen if released else 0), None
    epoch, logs = backed_up
    return epoch + 1, logs if len(run.history()) == epoch else None


def _backed_up(task: Task[Any, Any]) -> keras.Model:
    """Load the backup; its learning rates' courses become as long as the run is to be now."""
    network, recipe = load_model(task.run.backup), task.recipe
    frozen = recipe.frozen_epochs if isinstance(recipe, Segmenter) else 0
    for optimizer in getattr(network.optimizer, "by_player", {"all": network.optimizer}).values():
        schedule = optimizer._learning_rate
        if isinstance(schedule, keras.optimizers.schedules.LearningRateSchedule):
            schedule.decay_steps = (recipe.epochs - frozen) * recipe.steps - getattr(schedule, "warmup_steps", 0)
    return network


def _size(network: keras.Model) -> int:
    """Return about how many bytes a model takes as a file, Adam's moments included."""
    return 3 * 4 * sum(math.prod(variable.shape) for variable in network.variables)


def _report(task: Task[Any, Any], data: Data, *, verbose: bool) -> None:
    run, best = task.run, task.run.load_best()
    scores = task.score(best, data, scoring=Scoring(), verbose=verbose)
    epoch = run.best_epoch(task.monitor, task.mode)
    write_json(run.metrics_json, {**scores, "data": data.name, "epoch": epoch})
    picture = task.draw(best, data)
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


def _require_same(run: Run, before: Recipe, asked: Recipe) -> None:
    """Raise `InputError` if a run was begun with other settings than those that it is to go on with."""
    if before.model != asked.model:
        raise InputError(
            f"{run.path}: was begun with model {before.model} and cannot go on with {asked.model}: repeat its options, "
            "or begin a new run"
        )
    if asked.epochs < before.epochs:
        raise InputError(
            f"{run.path}: was begun with {before.epochs} epochs and cannot go on with {asked.epochs}: "
            f"give --epochs {before.epochs} or more"
        )
    theirs, ours = before.settings(), asked.settings()
    for name, value in ours.items():
        left_to_the_data = name in _LEFT_TO_THE_DATA and (value is None or _is_word(value))
        if name not in (*_INCIDENTAL, "epochs") and not left_to_the_data and theirs[name] != value:
            raise InputError(
                f"{run.path}: was begun with {as_typed(name, theirs[name])} and cannot go on with "
                f"{as_typed(name, value)}: repeat its options, or begin a new run"
            )


def _is_word(value: Any) -> bool:
    """Say whether a setting names what it stands for, such as the class weights of a file."""
    return isinstance(value, tuple) and len(value) == 1 and isinstance(value[0], str)


def _require_same_data(before: Task[Any, Any], now: Task[Any, Any]) -> None:
    run = now.run
    if before.data_fingerprint != now.data_fingerprint:
        raise InputError(
            f"{run.path}: the images or masks in {now.recipe.data} are not those that it was begun with: "
            "put them back, or begin a new run"
        )
    _require_same(run, before.recipe, now.recipe)
    if before.class_names != now.class_names:
        raise InputError(
            f"{run.path}: was begun with the classes {', '.join(before.class_names)} and cannot go on with "
            f"{', '.join(now.class_names)}: put them back, or begin a new run"
        )


def _versions() -> dict[str, str]:
    return {
        "keras_segen": keras_segen.__version__,
        "keras": keras.__version__,
        "tensorflow": tf.__version__,
        "numpy": np.__version__,
        "python": platform.python_version(),
    }
