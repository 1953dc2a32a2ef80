"""Posterior of a trained VAE over a whole data set: a mixture of latents, and typical log-likelihoods."""

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

    The posteriors' means do not fill the standard normal evenly, and a decoder makes better images from latents near
    them (Ghosh et al., 2020, arXiv:1903.12436, section 4). In a conditional model each label has components of its own,
    because latents depend on the class too.

    Attributes:
        weights: The weights of the mixture's components, (components,).
        means: The means of the components, (components, latent_dim).
        factors: The lower triangular roots of the covariances, (components, latent_dim, latent_dim).
        labels: The label of each component, (components, ...); without labels (components, 0).
        log_likelihoods: The log-likelihoods of held-out images, (count,), in nats; see `VAE.log_likelihood`.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> means, log_likelihoods = rng.normal(size=(100, 8)), rng.normal(-3000, 10, size=20)
        >>> posterior = ks.training.Posterior.of(means, log_likelihoods, components=2)
        >>> posterior.sample(3, seed=0).shape
        (3, 8)
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
            means: The posterior means of many images.
            log_likelihoods: The log-likelihoods of other images, (count,).
            labels: The labels of the images with these means, for a conditional model: (count,) or (count,
                num_classes).
            components: The greatest number of components for each label. If there are few images, it is lower, so that
                each component has twice as many images as its covariance has rows.
            seed: The seed of the fit's starting point.

        Raises:
            ValueError: For fewer than two means, numbers that are not finite, or another number of labels than means.
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
            count: The number of latents.
            labels: The labels for a conditional model, (count, ...): each latent is drawn from its label's components,
                or from all if the label has none.
            seed: The seed of the draws.
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
        """Return the distance of log-likelihoods from those of held-out images, in their standard deviations, (count,).

        It counts to both sides, because a model finds images that are simpler than its training images likelier than
        these (Nalisnick et al., 2019, arXiv:1810.09136 and 1906.02994). Median and median deviation stand in for mean
        and standard deviation.
        """
        middle = np.median(self.log_likelihoods)
        deviation = 1.4826 * np.median(np.abs(self.log_likelihoods - middle))
        return np.abs(log_likelihoods - middle) / max(deviation, 1e-6)

    def save(self, path: PathLike) -> None:
        """Write it as `.npz`; an earlier file at `path` stays whole until the new one is complete."""
        with replacing(path) as temporary, temporary.open("wb") as file:
            np.savez(file, **asdict(self))

    @classmethod
    def load(cls, path: PathLike) -> "Posterior":
        """Read a file that `save` wrote; `InputError` if it does not exist, or is damaged."""
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
    # This variance is added, because a latent that says nothing would make a covariance singular.
    regularization = 1e-5 * max(float(means.var(0).mean()), 1e-6)
    fitted = GaussianMixture(components, reg_covar=regularization, random_state=seed, max_iter=20, tol=1e-2)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # whose last digits no sample shows
        fitted.fit(means)
    return fitted
