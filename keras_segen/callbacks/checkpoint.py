"""Keeping the best model, and what a later process goes on from."""

import math
from pathlib import Path
from typing import Any, Literal

import keras

from keras_segen.files import replacing


def save(model: keras.Model, path: Path | str) -> None:
    """Save a model as `.keras`; what lay at `path` stays whole until the new file is complete."""
    with replacing(path) as temporary:
        model.save(temporary)


class Checkpoint(keras.callbacks.Callback):
    """Keep the best model, and at every epoch's end all that a later process needs to go on exactly from there.

    Keras's `ModelCheckpoint` and `BackupAndRestore` write over the file that they replace, and the latter keeps weights
    and epoch in two files: a process that dies at the wrong moment leaves neither. Here each is one file, renamed into
    place; the number of epochs done follows from the optimizer's step count in it.

    Args:
        best: where the best model goes, `.keras`.
        backup: where the last one goes, optimizer included, `.keras`.
        monitor: name of the score in the logs that says which is best.
        mode: "max" where more is better, "min" where less is.
        best_score: best score of the epochs before this process, or None.

    Raises:
        FloatingPointError: if a loss is not finite at an epoch's end; both files are then those of the epoch before.
    """

    def __init__(
        self,
        best: Path | str,
        backup: Path | str,
        *,
        monitor: str = "val_mean_iou",
        mode: Literal["max", "min"] = "max",
        best_score: float | None = None,
    ) -> None:
        super().__init__()
        self.best = Path(best)
        self.backup = Path(backup)
        self.monitor = monitor
        self.sign = {"max": 1, "min": -1}[mode]
        self.best_score = -self.sign * math.inf if best_score is None else best_score

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Save what is due."""
        logs = logs or {}
        for name, value in logs.items():
            if name.endswith("loss") and not math.isfinite(value):
                raise FloatingPointError(f"the {name} is {value} in epoch {epoch + 1}: try a lower learning rate")
        if self.sign * logs[self.monitor] > self.sign * self.best_score:
            self.best_score = logs[self.monitor]
            save(self.model, self.best)
        save(self.model, self.backup)
