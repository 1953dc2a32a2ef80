"""The run folder: what a training run leaves behind, and where.

config.json     every option as resolved, versions, seed, fingerprint of the data
model.keras     the best model so far
final.keras     the model after the last epoch
backup/         what `--resume` goes on from
history.csv     one row an epoch
metrics.json    scores of model.keras
metrics-*.json  its scores on other data, or with test-time augmentation
posterior.npz   a VAE's: what its encoder makes of the data; see `training.Posterior`
figures/        pictures
logs/           for TensorBoard
"""

import csv
import json
import math
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import filelock
import keras
import numpy as np

from keras_segen.errors import InputError
from keras_segen.files import INCOMPLETE, replacing, require_place
from keras_segen.types import PathLike

__all__ = [
    "MISSING",
    "Run",
    "load_model",
    "write_json",
]

MISSING = "NA"  # in history.csv: a score that an epoch lacks


class Run:
    """A run folder by its path; nothing is read or written before it is asked for."""

    def __init__(self, path: PathLike) -> None:
        self.path = Path(path)
        self.config_json = self.path / "config.json"
        self.model = self.path / "model.keras"
        self.final_model = self.path / "final.keras"
        self.backup = self.path / "backup" / "model.keras"
        self.history_csv = self.path / "history.csv"
        self.metrics_json = self.path / "metrics.json"
        self.posterior = self.path / "posterior.npz"
        self.figures = self.path / "figures"
        self.logs = self.path / "logs"

    def require_free(self) -> None:
        """Raise `InputError` if something lies where the run is to be written, or it cannot be written there."""
        require_place(self.path)
        if self.path.exists() and any(not path.name.startswith(INCOMPLETE) for path in self.path.iterdir()):
            if not self.config_json.is_file():
                raise InputError(f"{self.path}: is not empty, and no run folder: give --out another folder")
            raise InputError(f"{self.path}: is not empty: give --out another folder, or go on with the run by --resume")

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keep other processes from training in the folder; `InputError` if one does already.

        The system lets go of the lock when the process ends, however it ends. A folder that was made for it and in
        which no run was begun goes again.
        """
        require_place(self.path)
        is_new = not self.path.exists()
        self.path.mkdir(parents=True, exist_ok=True)
        lock = filelock.FileLock(self.path / f"{INCOMPLETE}lock")
        try:
            lock.acquire(timeout=0)
        except filelock.Timeout as error:
            raise InputError(
                f"{self.path}: another process is training there: wait until it has ended, or give --out another folder"
            ) from error
        try:
            yield
        finally:
            lock.release()
            if is_new and not self.config_json.exists():
                with suppress(OSError):  # it is not empty
                    Path(lock.lock_file).unlink(missing_ok=True)
                    self.path.rmdir()

    def create(self, config: dict[str, Any]) -> None:
        """Make the folder and write config.json, which makes it a run, before anything else."""
        self.path.mkdir(parents=True, exist_ok=True)
        write_json(self.config_json, config)

    def config(self) -> dict[str, Any]:
        """Read config.json; `InputError` if the folder is no run."""
        if not self.config_json.is_file():
            raise InputError(f"{self.path}: is not a run folder (it holds no config.json): name one that `train` wrote")
        try:
            config = json.loads(self.config_json.read_text(encoding="utf-8"))
        except ValueError as error:
            raise InputError(f"{self.config_json}: is damaged ({error}): train again") from error
        if not isinstance(config, dict) or not {"model", "data", "seed", "image_size", "class_names"} <= config.keys():
            raise InputError(f"{self.config_json}: is not a run's config: name a folder that `train` wrote")
        return config

    def require_best(self) -> None:
        """Raise `InputError` if the run has no best model yet."""
        self.config()
        if not self.model.is_file():
            raise InputError(f"{self.path}: holds no model.keras yet: let `train --resume` finish an epoch first")

    def load_best(self) -> keras.Model:
        """Load the best model; `InputError` if the run has none yet, or a damaged one."""
        self.require_best()
        return load_model(self.model)

    def best_epoch(self, monitor: str, mode: str) -> int | None:
        """Return which epoch's model is the best, counted from 1, by a score where "max" or "min" is best; or None."""
        scores = {int(row["epoch"]) + 1: row.get(monitor, math.nan) for row in self.history()}
        finite_scores = {epoch: score for epoch, score in scores.items() if math.isfinite(score)}
        return {"max": max, "min": min}[mode](finite_scores, key=finite_scores.__getitem__, default=None)

    def history(self) -> list[dict[str, float]]:
        """Read history.csv, one dictionary an epoch; a row that a dying process left unfinished is dropped."""
        names, rows = self._rows()
        try:
            cells = [zip(names, row, strict=True) for row in rows]
            return [{name: float(cell) for name, cell in row if cell != MISSING} for row in cells]
        except ValueError as error:
            raise InputError(f"{self.history_csv}: is damaged ({error}): begin a new run") from error

    def cut_history(self, epochs: int) -> None:
        """Keep of history.csv what it says of the first `epochs`; the others will be run again."""
        names, rows = self._rows()
        if len(rows) < epochs:
            raise InputError(f"{self.history_csv}: does not hold all {epochs} epochs done: put it back, or begin anew")
        if names:
            self._write(names, rows[:epochs])

    def add_epoch(self, epoch: int, logs: dict[str, Any]) -> None:
        """Add an epoch's row to history.csv. A score that other epochs have and this one lacks becomes NA."""
        names, rows = self._rows()
        columns = names or ["epoch"]
        new_columns = sorted(set(logs) - set(columns))
        values = {"epoch": str(epoch), **{name: repr(float(value)) for name, value in logs.items()}}
        rows = [row + [MISSING] * len(new_columns) for row in rows]
        self._write(columns + new_columns, [*rows, [values.get(name, MISSING) for name in columns + new_columns]])

    def _rows(self) -> tuple[list[str], list[list[str]]]:
        """Return the names of history.csv's columns, and its complete rows."""
        if not self.history_csv.is_file():
            return [], []
        with self.history_csv.open(newline="", encoding="utf-8") as file:
            lines = [line for line in file if line.endswith("\n")]
        names, *rows = [*csv.reader(lines)] or [[]]
        return names, [row for row in rows if len(row) == len(names)]

    def _write(self, names: list[str], rows: list[list[str]]) -> None:
        with replacing(self.history_csv) as path, path.open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([names, *rows])


def load_model(path: Path) -> keras.Model:
    """Load a model as `train` left it; `InputError` if the file is damaged."""
    with path.open("rb"):  # a lack of permission says so by itself
        pass
    try:
        if not zipfile.is_zipfile(path):
            raise zipfile.BadZipFile("not a zip file")
        return keras.saving.load_model(path)
    except (OSError, ValueError, KeyError, TypeError, zipfile.BadZipFile) as error:
        reason = str(error).strip().splitlines()[0]
        raise InputError(
            f"{path}: is damaged, or no model that this version can load ({reason}): train again"
        ) from error


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write JSON as the standard has it: numbers of NumPy as plain ones, NaN and infinities as null."""

    def plain(value: Any) -> Any:
        if isinstance(value, dict):
            return {str(k): plain(v) for k, v in value.items()}
        if isinstance(value, list | tuple):
            return [plain(v) for v in value]
        if isinstance(value, np.generic):
            value = value.item()
        return None if isinstance(value, float) and not math.isfinite(value) else value

    with replacing(path) as temporary:
        temporary.write_text(json.dumps(plain(content), indent=2, allow_nan=False) + "\n", encoding="utf-8")
