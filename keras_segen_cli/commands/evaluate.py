"""`keras-segen evaluate`: a run's scores."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from keras_segen_cli.commands.inputs import require_data, require_run
from keras_segen_cli.commands.process import begin
from keras_segen_cli.commands.score_files import free_file, write_scores
from keras_segen_cli.options import Data, MaxPixels, Name, Scoring


def evaluate(
    run: Name,
    /,
    *,
    data: Data | None = None,
    split: Name | None = None,
    data_dir: Name | None = None,
    scoring: Annotated[Scoring, Parameter(name="*")] = Scoring(),  # noqa: B008 (it is frozen)
    out: Name | None = None,
    max_pixels: MaxPixels = None,
) -> None:
    """Print a run's scores and write them into its folder.

    Scores on other data, on another split, or with test-time augmentation, go into `metrics-NAME.json`.

    Args:
        run: The run folder.
        data: Other data than the run's own: a data set's name, or a folder.
        split: Split to score, such as test, or all. Default: of the run's own data the one that it was validated on; of
            a folder all that is there, or its one split beside train.
        data_dir: Folder of the named data sets, if it is not the one that the run was trained with.
        scoring: How the run is scored.
        out: File (.json) for the scores, instead of one in the run's folder.
        max_pixels: Refuse larger images. Default: 89478485, Pillow's.
    """
    recipe = require_run(run)
    if data is not None:
        require_data(data, recipe)
    asked = free_file(out)
    verbose = begin(max_pixels=max_pixels)
    from keras_segen.files import require_place
    from keras_segen_cli.tasks import open_run
    from keras_segen_cli.tasks.splits import ALL

    if asked is not None:
        require_place(asked.absolute().parent)
    task = open_run(run)
    best = task.run.load_best()  # before data are read: is there one?
    if data_dir is not None:
        task = replace(task, recipe=replace(task.recipe, data_dir=data_dir))
    task.check_scoring(scoring)
    its_own: str = task.recipe.data
    own = data is None or its_own in (data, str(Path(data).resolve()))
    name = its_own if own or data is None else data
    scored = split if own or split else _default_split(task, name)
    loaded = task.load_data(name, split=scored, samples=scoring.samples, verbose=verbose)
    if scored:
        print(f"{loaded.name}: scored on {'all images' if scored == ALL else f'its split {scored}'}", flush=True)
    scores = task.score(best, loaded, scoring=scoring, verbose=verbose)
    special = [split] if split else []
    if scoring.reference is not None:
        statistics = scores["protocol"]
        special.append(f"{Path(statistics['statistics']).stem}-{statistics['fingerprint'][:8]}")
    special += ["flip"] if scoring.flip else []
    special += [f"{scale:g}" for scale in scoring.scales or []]
    # Which model it was: more epochs may bring a better one, beside which older scores stay.
    epoch = task.run.best_epoch(task.monitor, task.mode)
    content = {**scores, "data": loaded.name, "epoch": epoch, **({"split": scored} if scored else {})}
    file = asked
    if file is None:
        file = task.run.metrics_json if own and not special else _scores_file(task.run.path, special, content, own=own)
    write_scores(file, content)
    print(f"\n{task.table(scores)}\n\nscores {file}", flush=True)


def _default_split(task: Any, data: str) -> str | None:
    """Return the split of other data to score; None, as for the run's own, if they are these at another place."""
    from keras_segen.errors import InputError
    from keras_segen_cli.tasks.splits import ALL

    split: str | None = task.default_split(data)
    try:
        # A part of a folder without splits was trained on.
        own = split == ALL and task.load_data(data).fingerprint == task.data_fingerprint
    except InputError:  # it may be too small to be divided
        own = False
    return None if own else split


def _scores_file(run: Path, special: Sequence[str], content: dict[str, Any], *, own: bool) -> Path:
    """Return the file for special scores, named by as many last parts of the data's path as tell it from others.

    A file with scores of the same data, split and test-time augmentation may be overwritten.
    """
    parts = Path(content["data"]).parts
    for count in range(0 if own else 1, len(parts) + 1):
        name = "-".join([*(part.strip("/") for part in parts[len(parts) - count :]), *special])
        file = run / f"metrics-{name}.json"
        if not file.exists() or _same_scores(file, content):
            return file
    from keras_segen.errors import InputError

    raise InputError(f"{file}: holds scores of other data: move it away")


def _same_scores(file: Path, content: dict[str, Any]) -> bool:
    try:
        before = json.loads(file.read_text(encoding="utf-8"))
    except ValueError:
        return False
    before.setdefault("augmented", before.get("looks"))  # as 0.1.0 has it
    return all(before.get(name) == content.get(name) for name in ("data", "split", "augmented"))
