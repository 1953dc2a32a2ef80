"""Validation by any function, where `fit`'s own will not do."""

from collections.abc import Callable, Mapping
from typing import Any

import keras


class Validation(keras.callbacks.Callback):
    """Score the model at every epoch's end, and add the scores to the logs as `val_...`.

    `fit` validates before any callback can save what the epoch has learnt. This comes where it stands in the list:
    `[Backup(path), Validation(score), Checkpoint(best)]` loses nothing if the scoring dies.

    Args:
        score: () -> the scores by name.
    """

    def __init__(self, score: Callable[[], Mapping[str, Any]]) -> None:
        super().__init__()
        self.score = score

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Score."""
        if logs is not None:
            logs.update({f"val_{name}": float(value) for name, value in self.score().items()})
