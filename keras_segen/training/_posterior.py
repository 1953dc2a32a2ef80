"""What a trained VAE makes of its data as a whole: where the posteriors lie, and how likely images are as a rule."""

import warnings
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.mixture import GaussianMixture

from keras_segen.errors import InputError
from keras_segen.files import replacing
from keras_segen.types import PathLike


@dataclass(frozen=True)
class Posterior:
    """A Gaussian mixture of the posteriors' means, and the log-likelihoods of images that were not trained on.

    What an encoder makes of images does not fill the standard normal evenly: a decoder makes better images from where
    the means lie (Ghosh et al., 2020, arXiv:1903.12436, section 4). Of a conditional model each label has components of
    its own, for latents say something of the class too.

    Attributes:
        weights: of the mixture's components, (components,).
        means: (components, latent_dim).
        factors: lower triangular roots of the covariances, (components, latent_dim, latent_dim).
        labels: each component's label, (components, ...); without labels (components, 0).
        log_likelihoods: of held-out images, (count,), in nats; see `VAE.log_likelihood`.
    """

    weights: np.ndarray
    means: np.ndarray
    factors: np.ndarray
    labels: np.ndarray
    log_likelihoods: np.ndarray

    @classmethod
    def of(
        cls,
        means: np.ndarray,
        log_likelihoods: np.ndarray,
        *,
        labels: np.ndarray | None = None,
        components: int = 10,
        seed: int = 0,
    ) -> "Posterior":
        """Fit the mixture to posterior means (count, latent_dim).

        Args:
            means: of many images.
            log_likelihoods: of other images.
            labels: for a conditional model, of the images with these means: (count,) or (count, num_classes).
            components: at most, for each label; fewer where images are few, so that each has twice as many as its
                covariance has rows.
            seed: of where the fit begins.

        Raises:
            ValueError: for fewer than two means, what is not finite, or labels that are not as many.
        """
        means, log_likelihoods = np.asarray(means, np.float64), np.asarray(log_likelihoods, np.float64)
        if means.ndim != 2 or len(means) < 2 or not means.shape[1] or not np.isfinite(means).all():
            raise ValueError(f"A mixture is fitted to two finite means or more. Received: shape {means.shape}")
        if log_likelihoods.ndim != 1 or not len(log_likelihoods) or not np.isfinite(log_likelihoods).all():
            raise ValueError(f"Log-likelihoods are finite numbers, (count,). Received: shape {log_likelihoods.shape}")
        if components < 1:
            raise ValueError(f"A mixture has a component or more. Received: components={components}")
        of_images = np.empty((len(means), 0)) if labels is None else np.asarray(labels)
        if len(of_images) != len(means):
            raise ValueError(f"Each mean wants its label. Received: {len(of_images)} labels for {len(means)} means")
        parts = []
        for label in np.unique(of_images, axis=0):
            chosen = (of_images == label).reshape(len(means), -1).all(1)
            fitted = _fit(means[chosen], components, seed)
            share = chosen.mean()
            parts.append((share * fitted.weights_, fitted.means_, fitted.covariances_, [label] * len(fitted.means_)))
        weights, centres, covariances, their_labels = (np.concatenate(x) for x in zip(*parts, strict=True))
        return cls(
            weights=weights,
            means=centres.astype(np.float32),
            factors=np.linalg.cholesky(covariances).astype(np.float32),
            labels=their_labels,
            log_likelihoods=log_likelihoods,
        )

    def sample(self, count: int, labels: np.ndarray | None = None, *, seed: int) -> np.ndarray:
        """Draw latents from the mixture, float32 (count, latent_dim); a larger draw begins with the smaller one's.

        Args:
            count: latents.
            labels: of a conditional model, (count, ...): each latent is drawn from its label's components, or from all
                where the label has none.
            seed: of the draws.
        """
        rng = np.random.default_rng(seed)
        noise = rng.standard_normal((count, self.means.shape[1]))
        places = np.random.default_rng([seed, 1]).random(count)
        wanted = np.empty((count, 0)) if labels is None else np.asarray(labels)
        latents = np.empty_like(noise)
        for label in np.unique(wanted, axis=0):
            rows = (wanted == label).reshape(count, -1).all(1)
            matching = np.ones(len(self.weights), bool)
            if labels is not None and self.labels.shape[1:] == label.shape:
                matching = (self.labels == label).reshape(len(self.weights), -1).all(1)
            shares = self.weights * (matching if matching.any() else 1)
            which = np.searchsorted(np.cumsum(shares / shares.sum()), places).clip(max=len(shares) - 1)
            for component in np.flatnonzero(shares):
                here = rows & (which == component)
                latents[here] = self.means[component] + noise[here] @ self.factors[component].T
        return latents.astype(np.float32)

    def anomaly_scores(self, log_likelihoods: np.ndarray) -> np.ndarray:
        """Return how far log-likelihoods lie from what is usual, in standard deviations of held-out images', (count,).

        To both sides: a model finds images that are simpler than those it knows likelier than these (Nalisnick et al.,
        2019, arXiv:1810.09136 and 1906.02994). Median and median deviation stand for mean and standard deviation.
        """
        middle = np.median(self.log_likelihoods)
        deviation = 1.4826 * np.median(np.abs(self.log_likelihoods - middle))
        return np.abs(log_likelihoods - middle) / max(deviation, 1e-6)

    def save(self, path: PathLike) -> None:
        """Write it as `.npz`; what lay at `path` stays whole until the new file is complete."""
        with replacing(path) as temporary, temporary.open("wb") as file:
            np.savez(file, **asdict(self))

    @classmethod
    def load(cls, path: PathLike) -> "Posterior":
        """Read what `save` wrote; `InputError` if it is not there, or damaged."""
        try:
            with np.load(path, allow_pickle=False) as arrays:
                fields: dict[str, Any] = {name: arrays[name] for name in cls.__dataclass_fields__}
            components, latent_dim = fields["means"].shape
            shapes = [fields["weights"].shape, fields["factors"].shape, fields["labels"].shape[:1]]
            if shapes != [(components,), (components, latent_dim, latent_dim), (components,)]:
                raise ValueError("its shapes do not go together")
            if not all(np.isfinite(values).all() for values in fields.values()) or not fields["log_likelihoods"].size:
                raise ValueError("it holds what is no number, or nothing")
            if (fields["weights"] < 0).any() or abs(fields["weights"].sum() - 1) > 1e-3:
                raise ValueError("its weights are no shares")
        except FileNotFoundError as error:
            raise InputError(f"{path}: does not exist: `keras-segen evaluate` writes it") from error
        except Exception as error:  # zipfile, zlib and NumPy each have their own
            raise InputError(f"{path}: is damaged ({error}): `keras-segen evaluate` writes it anew") from error
        return cls(**fields)


def _fit(means: np.ndarray, max_components: int, seed: int) -> GaussianMixture:
    count, latent_dim = means.shape
    if count == 1:  # which has no spread
        means = np.repeat(means, 2, axis=0)
    components = int(np.clip(count // (2 * latent_dim), 1, max_components))
    # So much variance is added, lest a latent that says nothing make a covariance singular.
    regularization = 1e-5 * max(float(means.var(0).mean()), 1e-6)
    fitted = GaussianMixture(components, reg_covar=regularization, random_state=seed, max_iter=20, tol=1e-2)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # whose last digits no sample shows
        fitted.fit(means)
    return fitted
