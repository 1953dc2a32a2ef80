"""A picture of what a generator makes of the same latents, epoch after epoch."""

from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_segen import plotting
from keras_segen.ranges import to_uint8
from keras_segen.types import PathLike


class SampleGrids(keras.callbacks.Callback):
    """Write a grid of samples an epoch, for TensorBoard too, and at the end of training a GIF of them all.

    Args:
        folder: where `epoch_0001.png` and its like go; the GIF is `FOLDER.gif`, beside it.
        latents: (count, latent_dim), the same at each epoch.
        labels: (count, ...) for a conditional model.
        columns: images in a row.
        logs: folder for TensorBoard, or None.
    """

    def __init__(
        self,
        folder: PathLike,
        latents: np.ndarray,
        labels: np.ndarray | None = None,
        *,
        columns: int = 8,
        logs: PathLike | None = None,
    ) -> None:
        super().__init__()
        self.folder = Path(folder)
        self.latents = latents
        self.labels = labels
        self.columns = columns
        self.writer = None if logs is None else tf.summary.create_file_writer(str(logs))

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Write the epoch's grid."""
        images = to_uint8(self.model.generate(self.latents, self.labels))
        picture = plotting.grid(images, self.columns)
        self.folder.mkdir(parents=True, exist_ok=True)
        plotting.save_image(picture, self.folder / f"epoch_{epoch + 1:04}.png")
        if self.writer:
            with self.writer.as_default():
                tf.summary.image("samples", picture[None], step=epoch)
            self.writer.flush()

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        """Join the grids, those of an interrupted process too."""
        if frames := sorted(self.folder.glob("epoch_*.png")):
            plotting.save_animation(frames, self.folder.with_suffix(".gif"))
