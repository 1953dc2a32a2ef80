"""Variational autoencoders: what a VAE's run can do."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np

from keras_segen import plotting
from keras_segen.callbacks import FrechetDistance, SampleGrids
from keras_segen.errors import InputError
from keras_segen.latents import straight, traversal
from keras_segen.losses import kl_divergence
from keras_segen.metrics import (
    MIN_IMAGES,
    PSNR,
    SSIM,
    Moments,
    Reference,
    feature_batches,
    frechet_distance,
    score_name,
)
from keras_segen.ranges import to_floats, to_uint8
from keras_segen.runs import load_model
from keras_segen.training import VAE, Posterior, active_units
from keras_segen_cli.options import Predicting, Scoring
from keras_segen_cli.recipes import vaes
from keras_segen_cli.tasks import generation
from keras_segen_cli.tasks.anomalies import ANOMALIES, SAMPLES, read_anomalies, reconstruct
from keras_segen_cli.tasks.generation import COLUMNS, ROWS, Generative
from keras_segen_cli.tasks.generation_data import GenerationData
from keras_segen_cli.tasks.images import due_images, find_images, require_results
from keras_segen_cli.tasks.sampling import labels_of, sample

IMAGES = 500  # whose log-likelihood is estimated
REACH = 3.0  # of a traversal, standard deviations of the prior


@dataclass(frozen=True)
class Variational(Generative[vaes.VAE]):
    """A VAE's run."""

    @property
    def monitor(self) -> str:
        """The name of the score that says which epoch is best."""
        return "val_vae_loss"

    def load_data(
        self, name: str, *, split: str | None = None, samples: int | None = None, verbose: bool = False
    ) -> GenerationData:
        """Read and check data, held-out images among them; see `Task.load_data`."""
        data = self._read(
            name, labels=self.recipe.conditional, held_out=True, split=split, samples=samples, verbose=verbose
        )
        if len(data.held_out) < MIN_IMAGES:
            raise InputError(
                f"{data.name}: {len(data.held_out)} images kept aside are too few to score a model on: add some, "
                f"{MIN_IMAGES} at least"
            )
        return data

    def validate(self, model: VAE, data: GenerationData) -> dict[str, float]:
        """Return the losses on the held-out images, with the noise that a resumed run has too, whose state stays."""
        with model.same_noise():
            return model.evaluate(data.val, verbose=0, return_dict=True)

    def callbacks(self, data: GenerationData) -> list[keras.callbacks.Callback]:
        """Score the epoch's samples, draw a grid."""
        run, seed = self.run, self.recipe.seed
        latents, labels = generation.grid_inputs(data, self.recipe.latent_dim, seed)
        features = self._watched_features
        reference = generation.reference_of(data, features)
        return [
            FrechetDistance(reference, data.labels, count=generation.SAMPLES, seed=seed, extractor=features),
            SampleGrids(run.figures / "samples", latents, labels, columns=COLUMNS, logs=run.logs / "samples"),
        ]

    def score(self, model: VAE, data: GenerationData, *, scoring: Scoring, verbose: bool) -> dict[str, Any]:
        """Return the model's scores on held-out images, and those of its samples beside real images.

        In nats an image: `elbo`, `reconstruction` and `kl`, with one latent an image, and the importance-weighted
        estimate of the log-likelihood on 500 images, which bears its number of samples in its name. Bits per dimension
        where the likelihood is discrete. `psnr` and `ssim` of what the posterior's means decode to. Latents are drawn
        from the prior; from the mixture of posterior means for the last score, `mixture_frechet_distance_...`.
        """
        extractor, reference = self._references(data, scoring, verbose=verbose)
        seed = self.recipe.seed + 1
        scores = {"images": len(data.held_out), **_score_bound(model, data, verbose=verbose)}
        if self.run.final_model.is_file():
            scores["final_elbo"] = _score_bound(load_model(self.run.final_model), data, verbose=verbose)["elbo"]
        means, _ = model.encode(to_floats(data.held_out), data.held_out_labels)
        scores |= {"latent_dim": model.latent_dim, "active_units": active_units(means)}
        labels = None if data.held_out_labels is None else data.held_out_labels[:IMAGES]
        log_likelihoods = model.log_likelihood(
            to_floats(data.held_out[:IMAGES]), labels, importance_samples=SAMPLES, seed=seed, verbose=verbose
        )
        scores["log_likelihood_images"] = len(log_likelihoods)
        scores[f"log_likelihood_{SAMPLES}_samples"] = float(log_likelihoods.mean())
        if model.likelihood.discrete:
            bits = -float(log_likelihoods.mean()) / (math.prod(model.image_shape) * math.log(2))
            scores[f"bits_per_dim_{SAMPLES}_samples"] = bits
        scores |= _score_reconstructions(model, data)
        scores["generated_images"] = count = scoring.samples or len(data.images)
        scores |= generation.score_samples(model, data, reference, extractor, count=count, seed=seed, verbose=verbose)
        posterior = self._posterior(model, data, log_likelihoods, fewer=scoring.samples is not None)
        labels = generation.sample_labels(data, count)
        latents = posterior.sample(count, labels, seed=seed)
        name = f"mixture_{score_name('frechet_distance', extractor.name)}"
        scores[name] = _distance(generation.sample_batches(model, latents, labels), reference, extractor)
        recognised = generation.score_labels(model, latents, data)
        return scores | {f"mixture_{name}": share for name, share in recognised.items()}

    def _posterior(self, model: VAE, data: GenerationData, log_likelihoods: np.ndarray, *, fewer: bool) -> Posterior:
        """Return what the encoder makes of the run's own data; other data or fewer are scored with what is kept."""
        run = self.run
        if data.fingerprint != self.data_fingerprint or (fewer and run.posterior.is_file()):
            return Posterior.load(run.posterior)
        means, _ = model.encode(to_floats(data.images), data.labels)
        posterior = Posterior.of(means, log_likelihoods, labels=data.labels, seed=self.recipe.seed)
        posterior.save(run.posterior)
        return posterior

    def draw(self, model: VAE, data: GenerationData) -> Path:
        """Draw what the model can do, on held-out images; return the first file."""
        figures, names = self.run.figures, self.class_names
        posterior = Posterior.load(self.run.posterior)
        prior, labels = generation.grid_inputs(data, self.recipe.latent_dim, self.recipe.seed)
        mixture = posterior.sample(len(prior), labels, seed=self.recipe.seed)
        picture = generation.draw_samples(model, prior, labels, names, figures / "samples.png")
        generation.draw_samples(model, mixture, labels, names, figures / "mixture_samples.png")

        images = to_floats(data.held_out[: 4 * COLUMNS])
        labels = None if data.held_out_labels is None else data.held_out_labels[: 4 * COLUMNS]
        means, log_variances = model.encode(images, labels)
        _draw_reconstructions(images, model.reconstruct(images, labels), figures / "reconstructions.png")
        _draw_interpolations(model, means, labels, figures / "interpolation.png")
        divergences = np.asarray(kl_divergence(means, log_variances)).mean(0)
        most_informative = np.argsort(-divergences)[:ROWS]
        label = None if labels is None else labels[0]
        _draw_traversals(model, means[0], label, most_informative, figures / "traversal.png")
        _draw_anomalies(posterior, data.held_out, figures / "anomalies.png")
        return picture

    def predict(
        self, images: Sequence[str], out: Path, *, predicting: Predicting, skip_existing: bool, verbose: bool
    ) -> None:
        """Write `NAME.png`, an image as the model sees it beside its reconstruction, and `anomalies.csv`.

        Raises:
            InputError: before anything is written, for files that are not images, share a name, or have a result.
            OSError: at the end, for images that turned out to be damaged; the others have their results.
        """
        model = self.run.load_best()
        if model.conditional:
            raise InputError(
                f"{self.run.path}: its model is a conditional VAE, which needs labels: use "
                "`VAE.log_likelihood(images, labels)`"
            )
        if predicting != Predicting():
            raise InputError(
                f"{self.run.path}: its model is a VAE, which has no --tile, --overlap, --flip, --scales, --explain "
                "or --polygons"
            )
        posterior = self._kept_posterior(model)
        table = out / ANOMALIES
        rows = read_anomalies(table)
        due = due_images(
            find_images(images, out, lambda path: ["{}.png"]),
            skip_existing=skip_existing,
            is_done=lambda source: str(source.path) in rows,
            further=[table],
        )
        failures: list[InputError] = []
        reconstruct(model, posterior, due, out, rows=rows, failures=failures, verbose=verbose)
        require_results(failures, due)

    def sample(self, count: int, out: Path, *, label: str | None, mixture: bool, seed: int, verbose: bool) -> None:
        """Write generated images, of latents from the prior or from the mixture of posterior means."""
        if not mixture:
            super().sample(count, out, label=label, mixture=False, seed=seed, verbose=verbose)
            return
        model = self.run.load_best()
        labels, _ = labels_of(model, self.class_names, label, count)
        latents = self._kept_posterior(model).sample(count, labels, seed=seed)
        sample(model, latents, out, label=label, class_names=self.class_names, verbose=verbose)

    def _kept_posterior(self, model: VAE) -> Posterior:
        """Load what `evaluate` kept; `InputError` if it is another model's."""
        posterior = Posterior.load(self.run.posterior)
        if posterior.means.shape[1] != model.latent_dim:
            raise InputError(f"{self.run.posterior}: is of another model than {self.run.model}: run `evaluate` again")
        return posterior


def _score_bound(model: VAE, data: GenerationData, *, verbose: bool) -> dict[str, float]:
    logs = model.evaluate(data.val, verbose=int(verbose), return_dict=True)
    found = {name: float(logs[name]) for name in ("reconstruction", "kl")}
    bits = {"bits_per_dim": float(logs["bits_per_dim"])} if model.likelihood.discrete else {}
    return {"elbo": -sum(found.values()), **found, **bits}


def _score_reconstructions(model: VAE, data: GenerationData) -> dict[str, float]:
    psnr, ssim = PSNR(255), SSIM(255)
    images, labels = data.held_out, data.held_out_labels
    for first in range(0, len(images), generation.BATCH):
        part = slice(first, first + generation.BATCH)
        again = model.reconstruct(to_floats(images[part]), None if labels is None else labels[part])
        for metric in (psnr, ssim):
            metric.update_state(images[part], to_uint8(again))
    return {"psnr": float(psnr.result()), "ssim": float(ssim.result())}


def _distance(samples: Iterator[np.ndarray], reference: Reference, extractor: keras.Model) -> float:
    seen = Moments()
    for features, _ in feature_batches(samples, extractor):
        seen.update(features)
    return frechet_distance(seen.mean, seen.covariance, reference.mean, reference.covariance)


def _draw_reconstructions(images: np.ndarray, again: np.ndarray, path: Path) -> None:
    parts = [slice(first, first + COLUMNS) for first in range(0, len(images) - COLUMNS + 1, COLUMNS)]
    rows = [to_uint8(x[part]) for part in parts or [slice(None)] for x in (images, again)]
    plotting.save_figure(plotting.labelled_rows(rows, ["image", "again"] * (len(rows) // 2)), path)


def _draw_interpolations(model: VAE, means: np.ndarray, labels: np.ndarray | None, path: Path) -> None:
    starts = range(0, min(len(means) - 1, 2 * COLUMNS), 2)
    latents = np.concatenate([straight(means[i], means[i + 1], ROWS) for i in starts])
    along = None if labels is None else np.repeat(labels[list(starts)], ROWS, axis=0)
    plotting.save_image(plotting.grid(to_uint8(model.generate(latents, along)), ROWS), path)


def _draw_traversals(model: VAE, latent: np.ndarray, label: Any, which: np.ndarray, path: Path) -> None:
    values = np.linspace(-REACH, REACH, ROWS - 1)
    latents = np.concatenate([traversal(latent, i, values) for i in which])
    labels = None if label is None else np.repeat(label[None], len(latents), axis=0)
    rows = np.split(to_uint8(model.generate(latents, labels)), len(which))
    plotting.save_figure(plotting.labelled_rows(rows, [f"latent {i}" for i in which]), path)


def _draw_anomalies(posterior: Posterior, images: np.ndarray, path: Path) -> None:
    order = np.argsort(posterior.anomaly_scores(posterior.log_likelihoods))
    kinds = {"usual": order[:COLUMNS], "unusual": order[::-1][:COLUMNS]}
    plotting.save_figure(plotting.labelled_rows([images[i] for i in kinds.values()], list(kinds)), path)
