"""Checkpoints of the best model, and backups that a later process resumes from."""

import json
import math
import warnings
import zipfile
from pathlib import Path
from typing import Any, Literal

import keras

from keras_segen.files import replacing
from keras_segen.types import PathLike

# Where a backup, which is a zip file as every `.keras` is, says which epoch it ends.
EPOCH = "keras_segen_epoch.json"


def save(model: keras.Model, path: PathLike) -> None:
    """Save a model as `.keras`; an earlier file at `path` stays whole until the new one is complete.

    Args:
        model: The model.
        path: The path of the file, which ends in `.keras`.

    Example:
        >>> model = ks.models.unet(2, filters=(4, 8))
        >>> ks.callbacks.save(model, "model.keras")
        >>> keras.saving.load_model("model.keras").output_shape
        (None, None, None, 2)
    """
    with replacing(path) as temporary:
        model.save(temporary)


def back_up(model: keras.Model, path: PathLike, epoch: int, logs: dict[str, Any]) -> None:
    """Save a model as `save` does, with the last epoch that it has done and its logs in the same file.

    Args:
        model: The model.
        path: The path of the file, which ends in `.keras`.
        epoch: The number of the epoch, counted from 0.
        logs: The logs of the epoch, numbers by name.

    Example:
        >>> model = ks.models.unet(2, filters=(4, 8))
        >>> ks.callbacks.back_up(model, "backup.keras", epoch=4, logs={"loss": 0.25})
        >>> ks.callbacks.read_epoch("backup.keras")
        (4, {'loss': 0.25})
    """
    content = {"epoch": epoch, "logs": {name: float(value) for name, value in logs.items()}}
    with replacing(path) as temporary:
        model.save(temporary)
        with zipfile.ZipFile(temporary, "a") as file:
            file.writestr(EPOCH, json.dumps(content))


def read_epoch(path: PathLike) -> tuple[int, dict[str, float]] | None:
    """Return the epoch that `back_up` wrote and its logs; None for a `.keras` file without them.

    Args:
        path: The path of the file.

    Example:
        >>> model = ks.models.unet(2, filters=(4, 8))
        >>> ks.callbacks.back_up(model, "backup.keras", epoch=4, logs={"loss": 0.25})
        >>> epoch, logs = ks.callbacks.read_epoch("backup.keras")
        >>> epoch + 1  # the `initial_epoch` to go on from
        5
    """
    with zipfile.ZipFile(path) as file:
        if EPOCH not in file.namelist():
            return None
        content = json.loads(file.read(EPOCH))
    return content["epoch"], content["logs"]


class Backup(keras.callbacks.Callback):
    """Save at every epoch's end all that a later process needs to resume exactly from there.

    Keras's `BackupAndRestore` overwrites the file that it replaces, and keeps weights and epoch in two files: a process
    that dies at the wrong moment leaves neither. Here all is in one file, renamed into place.
    `keras.saving.load_model` loads it, and `read_epoch` returns its epoch. Put it before slow callbacks, such as those
    that score: a process that dies there has lost no training.

    Args:
        path: The path of the backup, which ends in `.keras`.

    Raises:
        FloatingPointError: If a loss is not finite at an epoch's end; the file is then that of the epoch before.

    Example:
        >>> model = keras.Sequential([keras.Input((None, None, 3)), keras.layers.Conv2D(2, 3, padding="same")])
        >>> model.compile("adam", ks.losses.CrossEntropy())
        >>> images, masks = np.zeros((2, 16, 16, 3), np.float32), np.zeros((2, 16, 16), np.uint8)
        >>> history = model.fit(images, masks, verbose=0, callbacks=[ks.callbacks.Backup("backup.keras")])
        >>> resumed = keras.saving.load_model("backup.keras")
    """

    def __init__(self, path: PathLike) -> None:
        super().__init__()
        self.path = Path(path)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Save the backup."""
        _require_finite(epoch, {name: value for name, value in (logs or {}).items() if not name.startswith("val_")})
        back_up(self.model, self.path, epoch, logs or {})


class Checkpoint(keras.callbacks.Callback):
    """Keep the best model, and at every epoch's end a backup, from which a later process resumes exactly; see `Backup`.

    The backup comes first. If the score is missing, it is written all the same, and a warning names the scores in the
    logs. An epoch without the score, as with `validation_freq=2`, is never the best.

    Args:
        best: The path of the best model, which ends in `.keras`. It is one file, renamed into place.
        backup: The path of the backup, which ends in `.keras` and includes the optimizer; None if another callback
            writes it.
        monitor: The name of the score in the logs that decides which model is best.
        mode: "max" if a higher score is better, "min" if a lower one is.
        best_score: The best score of the epochs before this process, or None.

    Raises:
        FloatingPointError: If a loss is not finite at an epoch's end; both files are then those of the epoch before,
            the backup that of this epoch if only a validation loss is at fault.

    Example:
        >>> model = keras.Sequential([keras.Input((None, None, 3)), keras.layers.Conv2D(2, 3, padding="same")])
        >>> model.compile("adam", ks.losses.CrossEntropy())
        >>> images, masks = np.zeros((2, 16, 16, 3), np.float32), np.zeros((2, 16, 16), np.uint8)
        >>> checkpoint = ks.callbacks.Checkpoint("best.keras", "backup.keras", monitor="loss", mode="min")
        >>> history = model.fit(images, masks, verbose=0, callbacks=[checkpoint])
    """

    def __init__(
        self,
        best: PathLike,
        backup: PathLike | None = None,
        *,
        monitor: str = "val_mean_iou",
        mode: Literal["max", "min"] = "max",
        best_score: float | None = None,
    ) -> None:
        super().__init__()
        self.best = Path(best)
        self.backup = None if backup is None else Backup(backup)
        self.monitor = monitor
        self.sign = {"max": 1, "min": -1}[mode]
        self.best_score = -self.sign * math.inf if best_score is None else best_score
        self.warned = False

    def set_model(self, model: keras.Model) -> None:
        """Set the model, for the backup too."""
        super().set_model(model)
        if self.backup:
            self.backup.set_model(model)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Save the backup, and the model if it is the best."""
        logs = logs or {}
        if self.backup:
            self.backup.on_epoch_end(epoch, logs)
        _require_finite(epoch, logs)
        if self.monitor not in logs:
            self._warn(epoch, logs)
        elif self.sign * logs[self.monitor] > self.sign * self.best_score:
            self.best_score = logs[self.monitor]
            save(self.model, self.best)

    def _warn(self, epoch: int, logs: dict[str, Any]) -> None:
        if not self.warned:
            warnings.warn(
                f"epoch {epoch + 1} has no {self.monitor!r}, and so cannot become the best: give `validation_data`, or "
                f"as `monitor` one of the scores that there are: {', '.join(sorted(logs)) or 'none'}",
                stacklevel=2,
            )
        self.warned = True


def _require_finite(epoch: int, logs: dict[str, Any]) -> None:
    for name, value in logs.items():
        if name.endswith("loss") and not math.isfinite(value):
            raise FloatingPointError(
                f"the {name} is {value} in epoch {epoch + 1}: try a lower learning rate, or look in the data for "
                "numbers that are not finite and labels that are no class"
            )
