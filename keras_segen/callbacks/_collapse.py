"""Mode collapse: a warning when a generator repeats a few images, or when the discriminator has won."""

import sys
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_segen._labels import joined
from keras_segen.latents import standard_normal
from keras_segen.metrics._cifar10_features import cifar10_features
from keras_segen.metrics._distances import Moments
from keras_segen.metrics._features import generated_features
from keras_segen.ranges import in_range, require_whole_range
from keras_segen.types import PathLike

# Of what real images have, below which samples count as collapsed; and the share of pairs above which a discriminator
# counts as having won. tests/callbacks/test_collapse.py and the README say what healthy runs keep to.
LEAST_SPREAD = 0.5
LEAST_RANK = 0.3
MOST_SEPARATION = 0.999


class CollapseWatch(keras.callbacks.Callback):
    """Compare an epoch's samples with real images, and warn when they have lost their variety.

    Three signals join each epoch's logs, and so history.csv and TensorBoard:

    - `sample_spread`: the mean squared distance between two samples shrunk to 8×8, divided by that between two real
      images.
    - `sample_rank`: the number of directions in which the features vary (the exponential of the entropy of their
      covariance's eigenvalues; Roy and Vetterli, 2007), divided by that of real images.
    - `separation`: the share of all pairs of a real image and a sample whose real image gets the higher logit. At 1 the
      discriminator has won, and the generator learns nearly nothing from it.

    Args:
        real: Some hundreds of real images (count, height, width, channels), uint8 or floats in [-1, 1].
        labels: The labels of the real images, (count, ...), for a conditional model; samples get the same labels.
        seed: The seed of the samples' latents, the same at each epoch.
        warm_up: The number of steps of training that are measured but not judged: before a generator has learnt its
            first colours, it makes one image.
        stop: Whether to end training after a warning.
        restore: The path of a `.keras` file, such as the best model's, to which a training that is ended returns: to
            its weights, its optimizers' state and its noise. Put the watch before callbacks that save, such as
            `Checkpoint`, so that a later process resumes from there too.
        extractor: The extractor; see `metrics.feature_extractor`. The default is `metrics.cifar10_features`.

    Raises:
        ValueError: For real images in another range.

    Example:
        >>> generator = ks.models.dcgan_generator((16, 16, 3), latent_dim=8, filters=4)
        >>> gan = ks.training.GAN(generator, ks.models.dcgan_discriminator((16, 16, 3), filters=4))
        >>> gan.compile()
        >>> real = np.random.default_rng(0).uniform(-1, 1, (8, 16, 16, 3)).astype(np.float32)
        >>> history = gan.fit(real, verbose=0, callbacks=[ks.callbacks.CollapseWatch(real)])
    """

    def __init__(
        self,
        real: np.ndarray,
        labels: np.ndarray | None = None,
        *,
        seed: int = 0,
        warm_up: int = 300,
        stop: bool = False,
        restore: PathLike | None = None,
        extractor: keras.Model | None = None,
    ) -> None:
        super().__init__()
        self.real = in_range(real)
        require_whole_range(np.min(real), np.max(real), np.asarray(real).dtype)
        self.labels = labels
        self.seed = seed
        self.warm_up = warm_up
        self.stop = stop
        self.restore = restore
        self.extractor = extractor or cifar10_features(self.real.shape[-1])
        self.real_spread, self.real_variances = self._variety(self.real)
        self.warnings: list[str] = []

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Add the signals to the logs, and warn of a collapse."""
        latents = standard_normal(len(self.real), self.model.latent_dim, seed=self.seed)
        samples = self.model.generate(latents, self.labels)
        if not np.isfinite(samples).all():
            return  # the losses report it
        spread, variances = self._variety(samples)
        # Below this a variance is no direction but rounding.
        min_variance = 1e-4 * self.real_variances.mean()
        signals = {
            "sample_spread": spread / self.real_spread,
            "sample_rank": _rank(variances, min_variance) / _rank(self.real_variances, min_variance),
            "separation": self._separation(samples),
        }
        if logs is not None:
            logs.update(signals)
        reasons = _reasons(**signals) if int(self.model.optimizer.iterations) >= self.warm_up else []
        if reasons:
            self.warnings.append(f"epoch {epoch + 1}: {'; '.join(reasons)}")
            print(f"\nwarning: collapse? {self.warnings[-1]}", file=sys.stderr, flush=True)
            if self.stop:
                self._end_training()

    def _end_training(self) -> None:
        self.model.stop_training = True
        if self.restore and Path(self.restore).is_file():
            self.model.load_weights(self.restore)  # the optimizer's state is among them

    def _variety(self, images: np.ndarray) -> tuple[float, np.ndarray]:
        """Return the images' spread, and their features' variances along their principal directions."""
        # Shrunk, because a network that has learnt no more than colours yet has them in all their variety.
        small = ops.convert_to_numpy(ops.image.resize(images, (8, 8), antialias=True))
        spread = 2 * float(small.reshape(len(small), -1).var(0).sum())  # two draws differ by twice the variance
        covariance = Moments().update(generated_features(images, self.extractor)).covariance
        return spread, np.linalg.eigvalsh(covariance)

    def _separation(self, samples: np.ndarray) -> float:
        real, fake = (
            self.model.discriminator.predict(joined(x, self.labels), batch_size=256, verbose=0).ravel()
            for x in (self.real, samples)
        )
        return float((real[:, None] > fake).mean())


def _rank(variances: np.ndarray, min_variance: float) -> float:
    """Return in how many directions something varies, large variances counting more: 1 for one, n for n alike."""
    shares = variances[variances > min_variance]
    shares = shares / shares.sum() if len(shares) else np.ones(1)
    return float(np.exp(-(shares * np.log(shares)).sum()))


def _reasons(sample_spread: float, sample_rank: float, separation: float) -> list[str]:
    reasons = []
    if sample_spread < LEAST_SPREAD:
        reasons.append(f"samples lie {sample_spread:.2f} times as far apart as real images do")
    if sample_rank < LEAST_RANK:
        reasons.append(f"samples vary in {sample_rank:.2f} times as many directions as real images")
    if separation > MOST_SEPARATION:
        reasons.append(f"the discriminator tells real from generated in {100 * separation:.1f} % of pairs")
    return reasons
