"""What models that make images of latents share beside the training step: a look at the data, and images when asked."""

from typing import Any

import keras
import numpy as np

from keras_segen.layers import OneHot
from keras_segen.training.players import Players


class LatentModel(Players):
    """A model with a network from latents to images and one that takes images, each with labels beside or without.

    A subclass gives the two, and a `call` that makes images: latents, or [latents, labels], -> images in [-1, 1].
    """

    def ends(self) -> tuple[keras.Model, keras.Model]:
        """Return the network that takes latents, or [latents, labels], and the one that takes images, or with labels.

        A method, because Keras saves what it finds in properties a second time.
        """
        raise NotImplementedError

    def sampler(self) -> keras.Model:
        """Return the network that makes images for users, of the same inputs as the one that takes latents."""
        raise NotImplementedError

    @property
    def latent_dim(self) -> int:
        """Numbers in a latent."""
        return int(self.ends()[0].inputs[0].shape[-1])

    @property
    def conditional(self) -> bool:
        """Whether the networks take labels."""
        return len(self.ends()[0].inputs) == 2

    def require_alike(self) -> None:
        """Raise ValueError if one network takes labels and the other does not, or others."""
        shapes, classes = zip(
            *((n.inputs[1].shape if n.inputs[1:] else None, _classes(n)) for n in self.ends()), strict=True
        )
        if shapes[0] != shapes[1] or (None not in classes and classes[0] != classes[1]):
            raise ValueError(
                "Either both networks take labels as a second input, of as many classes, or neither does. "
                f"Received: {' and '.join(n.name for n in self.ends())} with labels {shapes} of {classes} classes"
            )

    @property
    def num_classes(self) -> int | None:
        """Classes, or attributes, that the model knows; None without labels, or where it does not say."""
        if not self.conditional:
            return None
        from_latents, _ = self.ends()
        if len(from_latents.inputs[1].shape) == 2:
            return int(from_latents.inputs[1].shape[-1])
        return _classes(from_latents)

    def generate(self, latents: Any, labels: Any = None, *, batch_size: int = 256) -> np.ndarray:
        """Generate images, batch by batch.

        Args:
            latents: (count, latent_dim), standard normal.
            labels: for a conditional model: class ids (count,), or attributes (count, num_classes).
            batch_size: images at once.

        Returns:
            float32 (count, height, width, channels) in [-1, 1].

        Raises:
            ValueError: for latents or labels that the model does not take.
        """
        latents = np.asarray(latents, np.float32)
        if latents.ndim != 2 or latents.shape[1] != self.latent_dim or not len(latents):
            raise ValueError(f"Latents have the shape (count, {self.latent_dim}). Received: shape {latents.shape}")
        if not np.isfinite(latents).all():
            raise ValueError(f"Latents must be numbers. Received: {np.count_nonzero(~np.isfinite(latents))} NaN or inf")
        if self.conditional != (labels is not None):
            raise ValueError(f"The model takes {'' if self.conditional else 'no '}labels beside latents.")
        inputs = [latents]
        if labels is not None:
            inputs.append(np.asarray(labels))
            self._check_labels(inputs[1], len(latents))
        images = []
        for first in range(0, len(latents), batch_size):
            part = [values[first : first + batch_size] for values in inputs]
            images.append(self.predict_on_batch(part if self.conditional else part[0]))
        return np.concatenate(images)

    def fit(self, x: Any = None, y: Any = None, *args: Any, **kwargs: Any) -> Any:
        """Train, as `keras.Model.fit` does.

        Arrays, and the first batch of a data set, are looked at before: images of the networks' shape in
        [-1, 1], and labels that it knows. Networks without labels do not look at those that come with the images.

        Raises:
            ValueError: for images or labels that cannot be trained on.
        """
        if isinstance(x, np.ndarray):
            self.check(x, y)
        elif hasattr(x, "element_spec"):  # a tf.data.Dataset
            images, labels, _ = keras.utils.unpack_x_y_sample_weight(next(iter(x.take(1)), None))
            if images is None:
                raise ValueError("The data set is empty: do its images fill one batch?")
            self.check(np.asarray(images), None if labels is None else np.asarray(labels))
        return super().fit(x, y, *args, **kwargs)

    def check(self, images: np.ndarray, labels: np.ndarray | None) -> None:
        """Raise ValueError for images or labels that the networks do not take."""
        expected = tuple(self.ends()[1].inputs[0].shape[1:])
        if images.shape[1:] != expected or not len(images):
            raise ValueError(
                f"Images have the shape (batch, {', '.join(map(str, expected))}). Received: {images.shape}"
            )
        if not np.isfinite(images).all():
            raise ValueError(f"Images must be numbers. Received: {np.count_nonzero(~np.isfinite(images))} NaN or inf")
        if images.min() < -1.01 or images.max() > 1.01:
            raise ValueError(
                "Images lie in [-1, 1]: divide bytes by 127.5 and subtract 1. "
                f"Received: {images.min()} to {images.max()}"
            )
        if self.conditional and labels is None:
            raise ValueError("The networks take labels beside images. Received: images alone")
        if self.conditional:
            self._check_labels(np.asarray(labels), len(images))

    def _check_labels(self, labels: np.ndarray, count: int) -> None:
        expected = (count, *self.ends()[0].inputs[1].shape[1:])
        if labels.shape != expected:
            raise ValueError(f"Labels of {count} images have the shape {expected}. Received: {labels.shape}")
        if labels.dtype.kind not in "biuf":
            raise ValueError(f"Labels are numbers. Received: {labels.dtype}")
        if labels.ndim == 2:
            if not ((labels >= 0) & (labels <= 1)).all():
                raise ValueError(f"Attributes lie in [0, 1]. Received: {labels.min()} to {labels.max()}")
            return
        classes = self.num_classes or np.inf
        if not ((labels >= 0) & (labels < classes) & (labels == np.round(labels))).all():
            raise ValueError(
                f"Labels are class ids from 0 to {classes - 1}. Received: {labels.min()} to {labels.max()}"
            )


def _classes(network: keras.Model) -> int | None:
    return next((layer.num_classes for layer in network.layers if isinstance(layer, OneHot)), None)
