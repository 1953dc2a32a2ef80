"""Sample grids: pictures of a generator's images from the same latents, epoch after epoch."""

from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_segen import plotting
from keras_segen.ranges import to_uint8
from keras_segen.types import PathLike


class SampleGrids(keras.callbacks.Callback):
    """Write a grid of samples at each epoch's end, for TensorBoard too, and a GIF of all grids at the end of training.

    Args:
        folder: The folder of the grids, `epoch_0001.png` and so on; the GIF is `FOLDER.gif`, beside it.
        latents: The latents (count, latent_dim), the same at each epoch.
        labels: The labels of the samples, (count, ...), for a conditional model.
        columns: The number of images in a row.
        logs: The folder for TensorBoard, or None.

    Example:
        >>> generator = ks.models.dcgan_generator((16, 16, 3), latent_dim=8, filters=4)
        >>> gan = ks.training.GAN(generator, ks.models.dcgan_discriminator((16, 16, 3), filters=4))
        >>> gan.compile()
        >>> grids = ks.callbacks.SampleGrids("samples", np.random.default_rng(0).normal(size=(16, 8)))
        >>> history = gan.fit(np.zeros((4, 16, 16, 3), np.float32), verbose=0, callbacks=[grids])
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
        """Join the grids in a GIF, including those of an interrupted process."""
        if frames := sorted(self.folder.glob("epoch_*.png")):
            plotting.save_animation(frames, self.folder.with_suffix(".gif"))
