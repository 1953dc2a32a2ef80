"""Run folders: the files that a training run writes.

config.json     every option as resolved, versions, seed, fingerprint of the data
model.keras     the best model so far
final.keras     the model after the last epoch
backup/         the state that `--resume` continues from
history.csv     one row an epoch
metrics.json    scores of model.keras
metrics-*.json  its scores on other data, or with test-time augmentation
posterior.npz   a VAE's posterior over the data; see `training.Posterior`
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
from typing import Any, Literal

import filelock
import keras
import numpy as np

from keras_segen.errors import InputError
from keras_segen.files import INCOMPLETE, replacing, require_place
from keras_segen.types import PathLike

__all__ = [
    "Run",
    "load_model",
    "write_json",
]

MISSING = "NA"  # in history.csv: a score that an epoch lacks


class Run:
    """A run folder, by its path; making one reads and writes nothing.

    Args:
        path: The path of the folder.

    Example:
        >>> run = ks.runs.Run("runs/nuclei")
        >>> run.create({"model": "unet", "data": "nuclei", "seed": 0, "image_size": 256, "class_names": None})
        >>> run.add_epoch(0, {"loss": 0.7})
        >>> run.history()
        [{'epoch': 0.0, 'loss': 0.7}]
    """

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
        """Raise `InputError` if the folder is not empty, or cannot be written to."""
        require_place(self.path)
        if self.path.exists() and any(not path.name.startswith(INCOMPLETE) for path in self.path.iterdir()):
            if not self.config_json.is_file():
                raise InputError(f"{self.path}: is not empty, and no run folder: give --out another folder")
            raise InputError(
                f"{self.path}: is not empty: give --out another folder, or go on with the run by `train --resume`"
            )

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keep other processes from training in the folder; `InputError` if one does already.

        The system releases the lock when the process ends, however it ends. A folder that was made for the lock is
        removed if no run was begun in it.
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
        """Make the folder and write config.json, the file that makes it a run, over an earlier one."""
        self.path.mkdir(parents=True, exist_ok=True)
        write_json(self.config_json, config)

    def config(self) -> dict[str, Any]:
        """Read config.json; `InputError` if the folder is not a run."""
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

    def best_epoch(self, monitor: str, mode: Literal["max", "min"]) -> int | None:
        """Return the best epoch, counted from 1, by a score of which "max" or "min" is best; None without scores."""
        if mode not in ("max", "min"):
            raise ValueError(f'`mode` must be "max" or "min". Received: mode={mode!r}')
        scores = {int(row["epoch"]) + 1: row.get(monitor, math.nan) for row in self.history()}
        finite_scores = {epoch: score for epoch, score in scores.items() if math.isfinite(score)}
        return {"max": max, "min": min}[mode](finite_scores, key=finite_scores.__getitem__, default=None)

    def history(self) -> list[dict[str, float]]:
        """Read history.csv, one dictionary for each epoch, without an unfinished row of an interrupted process.

        A run has none before its first epoch has ended; `InputError` if there is no such folder.
        """
        if not self.path.is_dir():
            raise InputError(f"{self.path}: does not exist: name a run folder that `train` wrote")
        names, rows = self._rows()
        try:
            cells = [zip(names, row, strict=True) for row in rows]
            return [{name: float(cell) for name, cell in row if cell != MISSING} for row in cells]
        except ValueError as error:
            raise InputError(f"{self.history_csv}: is damaged ({error}): begin a new run") from error

    def cut_history(self, epochs: int) -> None:
        """Keep the first `epochs` rows of history.csv, because the others will be run again."""
        names, rows = self._rows()
        if len(rows) < epochs:
            raise InputError(f"{self.history_csv}: does not hold all {epochs} epochs done: put it back, or begin anew")
        if names:
            self._write(names, rows[:epochs])

    def add_epoch(self, epoch: int, logs: dict[str, Any]) -> None:
        """Add an epoch's row to history.csv, with NA for scores of other epochs that this one lacks."""
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


def load_model(path: PathLike) -> keras.Model:
    """Load a model that `train` saved; `InputError` if the file is damaged.

    Args:
        path: The path of the `.keras` file.

    Example:
        >>> ks.models.unet(2, filters=(4, 8)).save("model.keras")
        >>> ks.runs.load_model("model.keras").output_shape
        (None, None, None, 2)
    """
    with Path(path).open("rb"):  # a lack of permission says so by itself
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


def write_json(path: PathLike, content: dict[str, Any]) -> None:
    """Write standard JSON: NumPy's numbers as plain ones, NaN and infinities as null.

    Args:
        path: The path of the file.
        content: The content of the file.

    Example:
        >>> from pathlib import Path
        >>> ks.runs.write_json("metrics.json", {"mean_iou": np.float32(0.5), "psnr": float("nan")})
        >>> print(Path("metrics.json").read_text().strip())
        {
          "mean_iou": 0.5,
          "psnr": null
        }
    """

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
