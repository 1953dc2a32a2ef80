"""Validation by any function, for scores that `fit`'s own validation cannot compute."""

from collections.abc import Callable, Mapping
from typing import Any

import keras


class Validation(keras.callbacks.Callback):
    """Score the model at every epoch's end, and add the scores to the logs as `val_...`.

    `fit` validates before any callback can save the epoch's weights. This callback runs at its place in the list:
    `[Backup(path), Validation(score), Checkpoint(best)]` loses nothing if the process dies while scoring.

    Args:
        score: A function without arguments that returns the scores by name.

    Example:
        >>> model = keras.Sequential([keras.Input((None, None, 3)), keras.layers.Conv2D(2, 3, padding="same")])
        >>> model.compile("adam", ks.losses.CrossEntropy())
        >>> images, masks = np.zeros((2, 16, 16, 3), np.float32), np.zeros((2, 16, 16), np.uint8)
        >>> validation = ks.callbacks.Validation(lambda: model.evaluate(images, masks, verbose=0, return_dict=True))
        >>> history = model.fit(images, masks, verbose=0, callbacks=[validation])  # logs "val_loss"
    """

    def __init__(self, score: Callable[[], Mapping[str, Any]]) -> None:
        super().__init__()
        self.score = score

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Add the scores to the logs."""
        if logs is not None:
            logs.update({f"val_{name}": float(value) for name, value in self.score().items()})
