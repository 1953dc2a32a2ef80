"""How far a generator's images are from real ones, epoch by epoch."""

from typing import Any

import keras
import numpy as np

from keras_segen.latents import standard_normal
from keras_segen.metrics.cifar10_features import cifar10_features
from keras_segen.metrics.distances import frechet_distance, moments


class FrechetDistance(keras.callbacks.Callback):
    """Add the Fréchet distance between real and generated images to each epoch's logs, as `name`.

    It depends on the extractor, and on how many images there are: of fewer, it is higher. Put it before callbacks that
    read the logs.

    Args:
        real: images in [-1, 1], an array or batches.
        labels: (count, ...) for a conditional model, of the samples to be generated.
        count: samples.
        seed: of their latents, the same at each epoch.
        extractor: images -> [features, ...]; by default `metrics.cifar10_features`, for three channels.
    """

    def __init__(
        self,
        real: Any,
        labels: np.ndarray | None = None,
        *,
        count: int = 2048,
        seed: int = 0,
        extractor: keras.Model | None = None,
    ) -> None:
        super().__init__()
        self.extractor = extractor or cifar10_features()
        self.name = f"frechet_distance_{self.extractor.name}"
        self.reference = moments(self.extractor.predict(real, batch_size=256, verbose=0)[0])
        self.labels = labels
        self.count = count
        self.seed = seed

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Measure."""
        if logs is not None:
            logs[self.name] = self.measure(self.model)

    def measure(self, model: Any) -> float:
        """Return the distance of a model's samples from the real images; NaN where the samples are not finite."""
        latents = standard_normal(self.count, model.latent_dim, seed=self.seed)
        labels = None if self.labels is None else np.resize(self.labels, (self.count, *self.labels.shape[1:]))
        images = model.generate(latents, labels)
        if not np.isfinite(images).all():
            return float("nan")
        features = self.extractor.predict(images, batch_size=256, verbose=0)[0]
        return frechet_distance(*moments(features), *self.reference)
