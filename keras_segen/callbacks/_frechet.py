"""Fréchet distance between a generator's images and real ones, epoch by epoch."""

from typing import Any

import keras
import numpy as np

from keras_segen.latents import standard_normal
from keras_segen.metrics._cifar10_features import cifar10_features
from keras_segen.metrics._distances import Moments, frechet_distance
from keras_segen.metrics._features import generated_features
from keras_segen.metrics._image_sets import score_name
from keras_segen.metrics._reference import Reference


class FrechetDistance(keras.callbacks.Callback):
    """Add the Fréchet distance between real and generated images to each epoch's logs, as `name`.

    It depends on the extractor, and on the number of images: with fewer, it is higher. Put it before callbacks that
    read the logs, such as `Checkpoint(best, backup, monitor=distance.name, mode="min")`, which keeps the best.

    Args:
        real: The real images, uint8 or floats in [-1, 1], an array or batches; or a `metrics.Reference`.
        labels: The labels of the samples, (count, ...), for a conditional model.
        count: The number of samples.
        seed: The seed of the samples' latents, the same at each epoch.
        extractor: The extractor; see `metrics.feature_extractor`. The default is `metrics.cifar10_features`, for three
            channels.
        every: The number of epochs from one score to the next; in between it is NaN, which is never the best.

    Example:
        >>> generator = ks.models.dcgan_generator((16, 16, 3), latent_dim=8, filters=4)
        >>> gan = ks.training.GAN(generator, ks.models.dcgan_discriminator((16, 16, 3), filters=4))
        >>> gan.compile()
        >>> real = np.random.default_rng(0).uniform(-1, 1, (8, 16, 16, 3)).astype(np.float32)
        >>> history = gan.fit(real, verbose=0, callbacks=[ks.callbacks.FrechetDistance(real, count=8)])
    """

    def __init__(
        self,
        real: Any,
        labels: np.ndarray | None = None,
        *,
        count: int = 2048,
        seed: int = 0,
        extractor: keras.Model | None = None,
        every: int = 1,
    ) -> None:
        super().__init__()
        self.extractor = extractor or cifar10_features()
        self.name = score_name("frechet_distance", self.extractor.name)
        self.reference = real if isinstance(real, Reference) else Reference.of(real, self.extractor)
        self.labels = labels
        self.count = count
        self.seed = seed
        self.every = every

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Add the distance to the logs."""
        if logs is not None:
            logs[self.name] = self.measure(self.model) if (epoch + 1) % self.every == 0 else float("nan")

    def measure(self, model: Any) -> float:
        """Return the distance of a model's samples from the real images; NaN where the samples are not finite."""
        latents = standard_normal(self.count, model.latent_dim, seed=self.seed)
        labels = None if self.labels is None else np.resize(self.labels, (self.count, *self.labels.shape[1:]))
        images = model.generate(latents, labels)
        if not np.isfinite(images).all():
            return float("nan")
        samples = Moments().update(generated_features(images, self.extractor))
        return frechet_distance(samples.mean, samples.covariance, self.reference.mean, self.reference.covariance)
