"""`keras-segen evaluate`: a run's scores."""

from typing import Any

from keras_segen.errors import InputError
from keras_segen.recipes import RECIPES
from keras_segen.runs import Run, write_json


def evaluate(run_folder: str, *, data: str | None, verbose: bool) -> dict[str, Any]:
    """Score a run's best model, print a table and write `metrics.json`.

    Args:
        run_folder: what `train` wrote.
        data: other data with the same classes, or None for the run's own.
        verbose: show progress bars.
    """
    run = Run(run_folder)
    config = run.config()
    if config["model"] not in RECIPES:
        raise InputError(f"{run.config_json}: names a model that this version does not know: {config['model']}")
    run.load_best()  # before data are read: is there one?
    task = RECIPES[config["model"]].task
    loaded = task.load_data(data or config["data"], config, verbose=verbose)
    scores = task.score(run, loaded, config, verbose=verbose)
    write_json(run.metrics_json, {**scores, "data": loaded.name})
    print(f"\n{task.table(scores)}\n", flush=True)
    return scores
