"""What training, scoring and picturing a VAE consist of, whatever its networks and its data."""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np

from keras_segen import plotting
from keras_segen.callbacks import FrechetDistance, SampleGrids
from keras_segen.errors import InputError
from keras_segen.latents import straight, traversal
from keras_segen.losses import Bernoulli, DiscretizedLogistic, Gaussian
from keras_segen.losses.variational import Likelihood, kl_divergence
from keras_segen.metrics import PSNR, SSIM, Moments, Reference, cifar10_features, frechet_distance
from keras_segen.metrics.features import feature_batches
from keras_segen.metrics.image_sets import FEWEST, score_name
from keras_segen.recipes import generation
from keras_segen.recipes.generation import COLUMNS, ROWS, default_split, table
from keras_segen.recipes.generation_data import GenerationData
from keras_segen.runs import Run, load_model
from keras_segen.training import VAE, Posterior, active_units

__all__ = ["MODE", "callbacks", "default_split", "draw", "load_data", "monitor", "score", "table", "validate"]

MODE = "min"
SAMPLES = 64  # of each image's log-likelihood
IMAGES = 500  # whose log-likelihood is estimated
REACH = 3.0  # of a traversal, standard deviations of the prior


def likelihood(config: dict[str, Any]) -> Likelihood:
    """Return the likelihood that a run's config names."""
    if config["likelihood"] == "gaussian":
        return Gaussian(config["scale"])
    return {"discretized_logistic": DiscretizedLogistic, "bernoulli": Bernoulli}[config["likelihood"]]()


def load_data(name: str, config: dict[str, Any], *, split: str | None = None, verbose: bool) -> GenerationData:
    """Read and check the data that `--data` names, held-out images among them; `InputError` says what is wrong."""
    loaded = generation.load_data(name, config, held_out=True, split=split, verbose=verbose)
    if len(loaded.held_out) < FEWEST:
        count = len(loaded.held_out)
        raise InputError(f"{loaded.name}: {count} images kept aside are too few to score a model on: {FEWEST} at least")
    return loaded


def monitor(loaded: GenerationData) -> str:
    """Return the name of the score that says which epoch is best."""
    return "val_vae_loss"


def validate(model: VAE, loaded: GenerationData, config: dict[str, Any]) -> dict[str, float]:
    """Return the losses on the held-out images, with the same noise as a resumed run has it, whose state stays."""
    with model.same_noise():
        return model.evaluate(loaded.val, verbose=0, return_dict=True)


def callbacks(run: Run, loaded: GenerationData, config: dict[str, Any]) -> list[keras.callbacks.Callback]:
    """Score the epoch's samples, draw a grid."""
    latents, labels = generation.grid_inputs(config, loaded.labels)
    reference = generation.reference_of(loaded, cifar10_features())
    return [
        FrechetDistance(reference, loaded.labels, count=generation.SAMPLES, seed=config["seed"]),
        SampleGrids(run.figures / "samples", latents, labels, columns=COLUMNS, logs=run.logs / "samples"),
    ]


def score(
    run: Run,
    best: VAE,
    loaded: GenerationData,
    config: dict[str, Any],
    *,
    verbose: bool,
    extractor: keras.Model | None = None,
    reference: Reference | None = None,
) -> dict[str, Any]:
    """Return the best model's scores on held-out images, and those of its samples beside real images.

    In nats an image: `elbo`, `reconstruction` and `kl`, with one latent an image, and the importance-weighted
    estimate of the log-likelihood on some images, which bears its number of samples in its name. Bits per dimension
    where the likelihood is discrete. `psnr` and `ssim` of what the posterior's means decode to. Latents are drawn from
    the prior; from the mixture of posterior means for the last score, `mixture_frechet_distance_...`. See
    `generation.score` for the arguments.
    """
    extractor = extractor or cifar10_features()
    reference = reference or generation.reference_of(loaded, extractor, verbose=verbose)
    seed = config["seed"] + 1
    scores = {"images": len(loaded.held_out), **_score_bound(best, loaded, verbose=verbose)}
    if run.final_model.is_file():
        scores["final_elbo"] = _score_bound(load_model(run.final_model), loaded, verbose=verbose)["elbo"]
    means, _ = best.encode(_floats(loaded.held_out), loaded.held_out_labels)
    scores |= {"latent_dim": best.latent_dim, "active_units": active_units(means)}
    some = slice(IMAGES)
    labels = None if loaded.held_out_labels is None else loaded.held_out_labels[some]
    log_likelihoods = best.log_likelihood(
        _floats(loaded.held_out[some]), labels, importance_samples=SAMPLES, seed=seed, verbose=verbose
    )
    scores["log_likelihood_images"] = len(log_likelihoods)
    scores[f"log_likelihood_{SAMPLES}_samples"] = float(log_likelihoods.mean())
    if best.likelihood.discrete:
        bits = -float(log_likelihoods.mean()) / (math.prod(best.image_shape) * math.log(2))
        scores[f"bits_per_dim_{SAMPLES}_samples"] = bits
    scores |= _score_reconstructions(best, loaded)
    scores["generated_images"] = count = generation.sample_count(loaded, config)
    scores |= generation.score_samples(best, loaded, reference, extractor, count=count, seed=seed, verbose=verbose)
    posterior = _posterior(run, best, loaded, config, log_likelihoods)
    labels = generation.sample_labels(loaded, count)
    latents = posterior.sample(count, labels, seed=seed)
    name = f"mixture_{score_name('frechet_distance', extractor.name)}"
    scores[name] = _distance(generation.sample_batches(best, latents, labels), reference, extractor)
    return scores | {f"mixture_{name}": x for name, x in generation.score_labels(best, latents, loaded).items()}


def _score_bound(model: VAE, loaded: GenerationData, *, verbose: bool) -> dict[str, float]:
    logs = model.evaluate(loaded.val, verbose=int(verbose), return_dict=True)
    found = {name: float(logs[name]) for name in ("reconstruction", "kl")}
    bits = {"bits_per_dim": float(logs["bits_per_dim"])} if model.likelihood.discrete else {}
    return {"elbo": -sum(found.values()), **found, **bits}


def _score_reconstructions(model: VAE, loaded: GenerationData) -> dict[str, float]:
    psnr, ssim = PSNR(255), SSIM(255)
    images, labels = loaded.held_out, loaded.held_out_labels
    for first in range(0, len(images), generation.BATCH):
        part = slice(first, first + generation.BATCH)
        again = model.reconstruct(_floats(images[part]), None if labels is None else labels[part])
        for metric in (psnr, ssim):
            metric.update_state(images[part], plotting.to_uint8(again))
    return {"psnr": float(psnr.result()), "ssim": float(ssim.result())}


def _posterior(
    run: Run, model: VAE, loaded: GenerationData, config: dict[str, Any], log_likelihoods: np.ndarray
) -> Posterior:
    """Return what the encoder makes of the run's own data; other data or fewer are scored with what is kept."""
    if loaded.fingerprint != config["data_fingerprint"] or ("samples" in config and run.posterior.is_file()):
        return Posterior.load(run.posterior)
    means, _ = model.encode(_floats(loaded.images), loaded.labels)
    posterior = Posterior.of(means, log_likelihoods, labels=loaded.labels, seed=config["seed"])
    posterior.save(run.posterior)
    return posterior


def _distance(samples: Iterator[np.ndarray], reference: Reference, extractor: keras.Model) -> float:
    seen = Moments()
    for features, _ in feature_batches(samples, extractor):
        seen.update(features)
    return frechet_distance(seen.mean, seen.covariance, reference.mean, reference.covariance)


def draw(run: Run, best: VAE, loaded: GenerationData, config: dict[str, Any]) -> Path:
    """Draw what the best model can do, on held-out images; returns the first file."""
    posterior = Posterior.load(run.posterior)
    prior, labels = generation.grid_inputs(config, loaded.labels)
    better = posterior.sample(len(prior), labels, seed=config["seed"])
    picture = generation.draw_samples(best, prior, labels, config, run.figures / "samples.png")
    generation.draw_samples(best, better, labels, config, run.figures / "mixture_samples.png")

    images = _floats(loaded.held_out[: 4 * COLUMNS])
    labels = None if loaded.held_out_labels is None else loaded.held_out_labels[: 4 * COLUMNS]
    means, log_variances = best.encode(images, labels)
    _draw_reconstructions(images, best.reconstruct(images, labels), run.figures / "reconstructions.png")
    _draw_interpolations(best, means, labels, run.figures / "interpolation.png")
    # The latents that say most.
    most = np.argsort(-np.asarray(kl_divergence(means, log_variances)).mean(0))[:ROWS]
    _draw_traversals(best, means[0], None if labels is None else labels[0], most, run.figures / "traversal.png")
    _draw_anomalies(posterior, loaded.held_out, run.figures / "anomalies.png")
    return picture


def _draw_reconstructions(images: np.ndarray, again: np.ndarray, path: Path) -> None:
    parts = [slice(first, first + COLUMNS) for first in range(0, len(images) - COLUMNS + 1, COLUMNS)]
    rows = [plotting.to_uint8(x[part]) for part in parts or [slice(None)] for x in (images, again)]
    plotting.save_figure(plotting.labelled_rows(rows, ["image", "again"] * (len(rows) // 2)), path)


def _draw_interpolations(model: VAE, means: np.ndarray, labels: np.ndarray | None, path: Path) -> None:
    starts = range(0, min(len(means) - 1, 2 * COLUMNS), 2)
    latents = np.concatenate([straight(means[i], means[i + 1], ROWS) for i in starts])
    along = None if labels is None else np.repeat(labels[list(starts)], ROWS, axis=0)
    plotting.save_image(plotting.grid(plotting.to_uint8(model.generate(latents, along)), ROWS), path)


def _draw_traversals(model: VAE, latent: np.ndarray, label: Any, which: np.ndarray, path: Path) -> None:
    values = np.linspace(-REACH, REACH, ROWS - 1)
    latents = np.concatenate([traversal(latent, i, values) for i in which])
    labels = None if label is None else np.repeat(label[None], len(latents), axis=0)
    rows = np.split(plotting.to_uint8(model.generate(latents, labels)), len(which))
    plotting.save_figure(plotting.labelled_rows(rows, [f"latent {i}" for i in which]), path)


def _draw_anomalies(posterior: Posterior, images: np.ndarray, path: Path) -> None:
    order = np.argsort(posterior.anomaly_scores(posterior.log_likelihoods))
    kinds = {"usual": order[:COLUMNS], "unusual": order[::-1][:COLUMNS]}
    plotting.save_figure(plotting.labelled_rows([images[i] for i in kinds.values()], list(kinds)), path)


def _floats(images: np.ndarray) -> np.ndarray:
    return images / np.float32(127.5) - 1
