"""What a trained VAE makes of its data as a whole: where the posteriors lie, and how likely images are as a rule."""

import warnings
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.mixture import GaussianMixture

from keras_segen.errors import InputError
from keras_segen.files import replacing


@dataclass(frozen=True)
class Posterior:
    """A Gaussian mixture of the posteriors' means, and the log-likelihoods of images that were not trained on.

    What an encoder makes of images does not fill the standard normal evenly: a decoder draws better images from where
    the means lie (Ghosh et al., 2020, arXiv:1903.12436, section 4).

    Attributes:
        weights: of the mixture's components, (components,).
        means: (components, latent_dim).
        factors: lower triangular roots of the covariances, (components, latent_dim, latent_dim).
        log_likelihoods: of held-out images, (count,), in nats; see `VAE.log_likelihood`.
    """

    weights: np.ndarray
    means: np.ndarray
    factors: np.ndarray
    log_likelihoods: np.ndarray

    @classmethod
    def of(cls, means: np.ndarray, log_likelihoods: np.ndarray, *, components: int = 10, seed: int = 0) -> "Posterior":
        """Fit the mixture to posterior means (count, latent_dim).

        Args:
            means: of many images.
            log_likelihoods: of other images.
            components: at most; fewer where images are few, so that each has twice as many as its covariance has rows.
            seed: of where the fit begins.

        Raises:
            ValueError: for fewer than two means, or what is not finite.
        """
        means = np.asarray(means, np.float64)
        if len(means) < 2 or not (np.isfinite(means).all() and np.isfinite(log_likelihoods).all()):
            raise ValueError(f"A mixture is fitted to two or more finite means. Received: shape {means.shape}")
        count, latent_dim = means.shape
        components = int(np.clip(count // (2 * latent_dim), 1, components))
        # So much variance is added, lest a latent that says nothing make a covariance singular.
        least = 1e-5 * max(float(means.var(0).mean()), 1e-6)
        fitted = GaussianMixture(components, reg_covar=least, random_state=seed, max_iter=20, tol=1e-2)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # whose last digits no sample shows
            fitted.fit(means)
        return cls(
            weights=fitted.weights_,
            means=fitted.means_.astype(np.float32),
            factors=np.linalg.cholesky(fitted.covariances_).astype(np.float32),
            log_likelihoods=np.asarray(log_likelihoods, np.float64),
        )

    def sample(self, count: int, *, seed: int) -> np.ndarray:
        """Draw latents from the mixture, float32 (count, latent_dim); a larger draw begins with the smaller one's."""
        rng = np.random.default_rng(seed)
        noise = rng.standard_normal((count, self.means.shape[1]))
        which = np.random.default_rng([seed, 1]).choice(len(self.weights), count, p=self.weights)
        moved = np.empty_like(noise)
        for component in range(len(self.weights)):
            chosen = which == component
            moved[chosen] = self.means[component] + noise[chosen] @ self.factors[component].T
        return moved.astype(np.float32)

    def anomaly_scores(self, log_likelihoods: np.ndarray) -> np.ndarray:
        """Return how far log-likelihoods lie from what is usual, in standard deviations of held-out images', (count,).

        To both sides: a model finds images that are simpler than those it knows likelier than these (Nalisnick et al.,
        2019, arXiv:1810.09136 and 1906.02994). Median and median deviation stand for mean and standard deviation.
        """
        middle = np.median(self.log_likelihoods)
        deviation = 1.4826 * np.median(np.abs(self.log_likelihoods - middle))
        return np.abs(log_likelihoods - middle) / max(deviation, 1e-6)

    def save(self, path: Path | str) -> None:
        """Write it as `.npz`; what lay at `path` stays whole until the new file is complete."""
        with replacing(path) as temporary, temporary.open("wb") as file:
            np.savez(file, **asdict(self))

    @classmethod
    def load(cls, path: Path | str) -> "Posterior":
        """Read what `save` wrote; `InputError` if it is not there, or damaged."""
        try:
            with np.load(path, allow_pickle=False) as arrays:
                found: dict[str, Any] = {name: arrays[name] for name in cls.__dataclass_fields__}
        except FileNotFoundError as error:
            raise InputError(f"{path}: does not exist: let `train` finish the run first") from error
        except Exception as error:  # zipfile, zlib and NumPy each have their own
            raise InputError(f"{path}: is damaged ({error}): train again") from error
        components, latent_dim = found["means"].shape if found["means"].ndim == 2 else (0, 0)
        shapes = [found["weights"].shape, found["factors"].shape]
        if shapes != [(components,), (components, latent_dim, latent_dim)] or not components:
            raise InputError(f"{path}: is damaged (its shapes do not go together): train again")
        return cls(**found)
