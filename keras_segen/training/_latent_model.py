"""The base class of GAN and VAE: data checks, `generate` and `export`."""

import inspect
from typing import Any

import keras
import numpy as np

from keras_segen._labels import joined, part_of
from keras_segen.layers import OneHot
from keras_segen.ranges import require_floats
from keras_segen.training._players import Players
from keras_segen.types import ImageShape, Tensor


class LatentModel(Players):
    """The base class of GAN and VAE: a network from latents to images, and one that takes images.

    Both may take labels as well. A subclass gives the two, and a `call` that makes images: latents, or [latents,
    labels], -> images in [-1, 1].

    Example:
        >>> generator = ks.models.dcgan_generator((16, 16, 3), latent_dim=8, filters=4)
        >>> discriminator = ks.models.dcgan_discriminator((16, 16, 3), filters=4)
        >>> gan = ks.training.GAN(generator, discriminator)
        >>> isinstance(gan, ks.training.LatentModel), gan.latent_dim, gan.image_shape
        (True, 8, (16, 16, 3))
    """

    def networks(self) -> dict[str, keras.Model]:
        """Return the networks by their names: a GAN's generator, discriminator, average; a VAE's decoder and encoder.

        A method, because Keras saves what it finds in properties a second time.
        """
        raise NotImplementedError

    def sampler(self) -> keras.Model:
        """Return the network that makes images for users, of the same inputs as the one that takes latents."""
        raise NotImplementedError

    @property
    def latent_dim(self) -> int:
        """The size of a latent."""
        return int(self._ends()[0].inputs[0].shape[-1])

    @property
    def image_shape(self) -> ImageShape:
        """The height, width and channels of an image."""
        height, width, channels = self._ends()[1].inputs[0].shape[1:]
        return int(height), int(width), int(channels)

    @property
    def conditional(self) -> bool:
        """Whether the networks take labels."""
        return len(self._ends()[0].inputs) == 2

    @property
    def multi_label(self) -> bool:
        """Whether a label is a vector of attributes (num_classes,), instead of a class id."""
        return self.conditional and len(self._ends()[0].inputs[1].shape) == 2

    @property
    def num_classes(self) -> int | None:
        """The number of classes, or of attributes; None without labels, or where the networks do not say."""
        if not self.conditional:
            return None
        from_latents, _ = self._ends()
        return int(from_latents.inputs[1].shape[-1]) if self.multi_label else _classes(from_latents)

    def _ends(self) -> tuple[keras.Model, keras.Model]:
        """Return the network that takes latents, or [latents, labels], and the one that takes images, or with labels.

        A method, as `networks` is.
        """
        raise NotImplementedError

    def _require_alike(self) -> None:
        """Raise ValueError if one network takes labels and the other does not, or others."""
        ends = self._ends()
        shapes = [network.inputs[1].shape if network.inputs[1:] else None for network in ends]
        classes = [_classes(network) for network in ends]
        if shapes[0] != shapes[1] or (None not in classes and classes[0] != classes[1]):
            raise ValueError(
                "Either both networks take labels as a second input, of as many classes, or neither does. "
                f"Received: {' and '.join(n.name for n in ends)} with labels {shapes} of {classes} classes"
            )

    def generate(self, latents: Tensor, labels: Tensor = None, *, batch_size: int = 256) -> np.ndarray:
        """Generate images, batch by batch.

        Args:
            latents: The latents (count, latent_dim), standard normal.
            labels: The labels for a conditional model: class ids (count,), or attributes (count, num_classes).
            batch_size: The number of images generated at once.

        Returns:
            The images, float32 (count, height, width, channels) in [-1, 1].

        Raises:
            ValueError: For latents or labels that the model does not take.
        """
        latents = np.asarray(latents, np.float32)
        if latents.ndim != 2 or latents.shape[1] != self.latent_dim or not len(latents):
            raise ValueError(f"Latents have the shape (count, {self.latent_dim}). Received: shape {latents.shape}")
        if not np.isfinite(latents).all():
            raise ValueError(f"Latents must be numbers. Received: {np.count_nonzero(~np.isfinite(latents))} NaN or inf")
        if self.conditional != (labels is not None):
            raise ValueError(f"The model takes {'' if self.conditional else 'no '}labels beside latents.")
        if labels is not None:
            labels = np.asarray(labels)
            self._check_labels(labels, len(latents))
        parts = [slice(first, first + batch_size) for first in range(0, len(latents), batch_size)]
        return np.concatenate([self.predict_on_batch(joined(latents[part], part_of(labels, part))) for part in parts])

    def fit(self, x: Tensor = None, y: Any = None, *args: Any, **kwargs: Any) -> Any:
        """Train, as `keras.Model.fit` does.

        Arrays and tensors, and the first batch of a `tf.data.Dataset` or a `PyDataset`, are checked first, also in
        `validation_data`: images must have the networks' shape and lie in [-1, 1], and labels must exist. Networks
        without labels ignore labels that come with the images.

        Raises:
            ValueError: For images or labels that cannot be trained on, and for weights of images or classes.
        """
        given = inspect.signature(keras.Model.fit).bind(self, x, y, *args, **kwargs).arguments
        require_no_weights(given.get("sample_weight"), given.get("class_weight"))
        self._look(x, y)
        if given.get("validation_data") is not None:
            images, labels, weights = keras.utils.unpack_x_y_sample_weight(given["validation_data"])
            require_no_weights(weights)
            self._look(images, labels)
        return super().fit(x, y, *args, **kwargs)

    def evaluate(self, x: Tensor = None, y: Any = None, *args: Any, **kwargs: Any) -> Any:
        """Evaluate, as `keras.Model.evaluate` does, after the same checks of the data as in `fit`."""
        if not kwargs.get("_use_cached_eval_dataset"):  # by which `fit` validates on what it has looked at
            given = inspect.signature(keras.Model.evaluate).bind(self, x, y, *args, **kwargs).arguments
            require_no_weights(given.get("sample_weight"))
            self._look(x, y)
        return super().evaluate(x, y, *args, **kwargs)

    def _look(self, x: Tensor, y: Any) -> None:
        """Raise ValueError for data that the model does not take, as far as they can be seen before they are used."""
        if hasattr(x, "__array__"):
            self._check(np.asarray(x), None if y is None else np.asarray(y))
            return
        if hasattr(x, "take"):  # a tf.data.Dataset
            batch = next(iter(x.take(1)), None)
        elif isinstance(x, keras.utils.PyDataset):
            batch = x[0] if x.num_batches != 0 else None
        else:
            return
        if batch is None:
            raise ValueError("The data set is empty: do its images fill one batch?")
        images, labels, weights = keras.utils.unpack_x_y_sample_weight(batch)
        require_no_weights(weights)
        self._check(np.asarray(images), None if labels is None else np.asarray(labels))

    def export(self, filepath: Any, *args: Any, **kwargs: Any) -> Any:
        """Export the network that makes images, as `keras.Model.export` does; see `sampler`."""
        return self.sampler().export(filepath, *args, **kwargs)

    def _check(self, images: np.ndarray, labels: np.ndarray | None) -> None:
        """Raise ValueError for images or labels that the networks do not take."""
        expected = self.image_shape
        if images.shape[1:] != expected or not len(images):
            raise ValueError(
                f"Images have the shape (batch, {', '.join(map(str, expected))}). Received: {images.shape}"
            )
        require_floats(images)
        if self.conditional and labels is None:
            raise ValueError("The networks take labels beside images. Received: images alone")
        if self.conditional:
            self._check_labels(np.asarray(labels), len(images))

    def _check_labels(self, labels: np.ndarray, count: int) -> None:
        expected = (count, *self._ends()[0].inputs[1].shape[1:])
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


def require_functional(*networks: Any) -> None:
    """Raise ValueError for networks whose inputs and outputs are not known."""
    for network in networks:
        if not isinstance(network, keras.Model) or not getattr(network, "inputs", None):
            raise ValueError(
                "Networks are Functional models, or Sequential ones that begin with their Input: wrap another one in "
                f"keras.Model(inputs, network(inputs)). Received: {network}"
            )


def require_no_weights(*weights: Any) -> None:
    """Raise ValueError for weights of images or classes, which these losses do not support."""
    if any(weight is not None for weight in weights):
        raise ValueError(
            "GANs and VAEs weigh all images alike: remove `sample_weight` and `class_weight`, and repeat the images "
            "that should count more."
        )


def unpacked(data: Any) -> tuple[Tensor, Tensor]:
    """Return a batch's images and its labels or None; ValueError if it has weights too."""
    images, labels, weights = keras.utils.unpack_x_y_sample_weight(data)
    require_no_weights(weights)
    return images, labels


def _classes(network: keras.Model) -> int | None:
    return next((layer.num_classes for layer in network.layers if isinstance(layer, OneHot)), None)
