"""Generation: what a GAN's run can do, and what a VAE's shares with it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Literal, TypeVar

import keras
import numpy as np

from keras_segen import plotting
from keras_segen.callbacks import CollapseWatch, FrechetDistance, SampleGrids
from keras_segen.errors import InputError
from keras_segen.latents import slerp, standard_normal
from keras_segen.metrics import MIN_IMAGES, Reference, cifar10_features, image_set_scores, score_name
from keras_segen.ranges import to_floats, to_uint8
from keras_segen.runs import load_model
from keras_segen.training import LatentModel
from keras_segen_cli.options import Scoring
from keras_segen_cli.recipes.gans import GANRecipe
from keras_segen_cli.recipes.generator import Generator
from keras_segen_cli.tasks.features import extractor_of, reference_from
from keras_segen_cli.tasks.generation_data import SPLITS, GenerationData, generation_data
from keras_segen_cli.tasks.sampling import sample
from keras_segen_cli.tasks.splits import scored_split
from keras_segen_cli.tasks.task import Task

WATCHED = 512  # images that the collapse watch compares
SAMPLES = 2048  # of each epoch's score; the run's are of as many as there are real images to compare with
BATCH = 256  # images that are generated at once
COLUMNS = 8
ROWS = 10  # of a picture, at most
_COLOURS = {1: "grey", 3: "in colour"}  # by channels

R = TypeVar("R", bound=Generator)


@dataclass(frozen=True)
class Generative(Task[R, GenerationData]):
    """What the runs of GANs and VAEs share."""

    mode: ClassVar[Literal["max", "min"]] = "min"

    @property
    def _channels(self) -> int:
        return self.recipe.image_shape[-1]

    @property
    def _watched_features(self) -> keras.Model:
        """The network by whose features the samples are scored after each epoch."""
        return cifar10_features(self._channels)

    def _read(
        self, name: str, *, labels: bool, held_out: bool, split: str | None, samples: int | None, verbose: bool
    ) -> GenerationData:
        """Read and check data; see `Task.load_data` and `generation_data`."""
        recipe = self.recipe
        data = generation_data(
            name,
            image_size=recipe.image_size,
            seed=recipe.seed,
            labels=labels,
            attributes=getattr(recipe, "attributes", ()),
            data_dir=recipe.data_dir,
            samples=samples,
            held_out=held_out,
            split=split,
            verbose=verbose,
        )
        if split:  # not what the run was trained on, even where the images are the same
            data = replace(data, fingerprint=f"{data.fingerprint}-{split}")
        count = len(data.images)
        if count < MIN_IMAGES:
            raise InputError(
                f"{data.name}: {count} images are too few to compare samples with: add some, {MIN_IMAGES} at least"
            )
        if split is None and data.count < recipe.batch_size:
            raise InputError(
                f"{data.name}: {data.count} training images ({data.kept_aside} are kept aside) do not fill one batch "
                f"of {recipe.batch_size}: lower --batch-size"
            )
        theirs, ours = data.images.shape[-1], self._channels
        if theirs != ours:
            raise InputError(
                f"{data.name}: its images are {_COLOURS[theirs]}, but the model's are {_COLOURS[ours]}: score it on "
                "data of its own kind"
            )
        known = self.known_classes
        if known is not None and known != data.class_names:
            raise InputError(
                f"{data.name}: its classes are {', '.join(data.class_names)}, but the model's are {', '.join(known)}: "
                "score it on data with these"
            )
        return data

    def default_split(self, name: str) -> str | None:
        """Return the split of other data that is scored if none is named."""
        return None if name in SPLITS else scored_split(name, target="label")

    def table(self, scores: dict[str, Any]) -> str:
        """Return the scores as a table."""
        return table(scores)

    def sample(self, count: int, out: Path, *, label: str | None, mixture: bool, seed: int, verbose: bool) -> None:
        """Write generated images; see `sampling.sample`."""
        if mixture:
            raise InputError(f"--mixture is for VAEs, and {self.run.path} is of a {self.recipe.model}: remove it")
        model = self.run.load_best()
        latents = standard_normal(count, model.latent_dim, seed=seed)
        sample(model, latents, out, label=label, class_names=self.class_names, verbose=verbose)

    def check_scoring(self, scoring: Scoring) -> None:
        """Raise `InputError` for options of segmenters, and for a network or a reference that cannot be had."""
        if scoring.flip or scoring.scales:
            raise InputError(f"{self.run.path}: is not of a segmenter: remove --flip and --scales")
        extractor = extractor_of(scoring, channels=self._channels)
        if scoring.reference is not None:
            Reference.from_statistics(scoring.reference, extractor)

    def _references(self, data: GenerationData, scoring: Scoring, *, verbose: bool) -> tuple[keras.Model, Reference]:
        """Return the network that images are compared by, and what is known of the real ones."""
        extractor = extractor_of(scoring, channels=self._channels)
        if scoring.reference is not None:
            return extractor, reference_from(scoring.reference, extractor)
        return extractor, reference_of(data, extractor, verbose=verbose)


@dataclass(frozen=True)
class Generation(Generative[GANRecipe]):
    """A GAN's run."""

    @property
    def monitor(self) -> str:
        """The name of the score that says which epoch is best."""
        return score_name("frechet_distance", self._watched_features.name)

    def load_data(
        self, name: str, *, split: str | None = None, samples: int | None = None, verbose: bool = False
    ) -> GenerationData:
        """Read and check data; see `Task.load_data`."""
        labels = self.recipe.model == "cgan"
        return self._read(name, labels=labels, held_out=False, split=split, samples=samples, verbose=verbose)

    def validate(self, model: keras.Model, data: GenerationData) -> dict[str, float]:
        """Return nothing: a GAN's losses on other images say little, and a callback scores its samples."""
        return {}

    def callbacks(self, data: GenerationData) -> list[keras.callbacks.Callback]:
        """Score the epoch's samples, draw a grid, watch for collapse."""
        run, seed = self.run, self.recipe.seed
        watched = to_floats(data.images[:WATCHED])
        labels = None if data.labels is None else data.labels[:WATCHED]
        latents, grid_labels = grid_inputs(data, self.recipe.latent_dim, seed)
        features = self._watched_features
        return [
            FrechetDistance(reference_of(data, features), data.labels, count=SAMPLES, seed=seed, extractor=features),
            SampleGrids(run.figures / "samples", latents, grid_labels, columns=COLUMNS, logs=run.logs / "samples"),
            # Last, because it goes back to the best model.
            CollapseWatch(watched, labels, seed=seed, stop=self.recipe.stop_on_collapse, restore=run.model),
        ]

    def score(self, model: LatentModel, data: GenerationData, *, scoring: Scoring, verbose: bool) -> dict[str, Any]:
        """Return all scores of the model's samples beside the real images, and the last model's Fréchet distance.

        With CIFAR-10's classes also `recognised_...`: the share of samples that the classifier finds to be of the class
        asked for.
        """
        extractor, reference = self._references(data, scoring, verbose=verbose)
        count, seed = scoring.samples or len(data.images), self.recipe.seed + 1
        scores: dict[str, Any] = {"images": count}
        scores |= score_samples(model, data, reference, extractor, count=count, seed=seed, verbose=verbose)
        if self.run.final_model.is_file():
            distance = FrechetDistance(reference, data.labels, count=count, seed=seed, extractor=extractor)
            scores[f"final_{distance.name}"] = distance.measure(load_model(self.run.final_model))
        return scores

    def draw(self, model: LatentModel, data: GenerationData) -> Path:
        """Draw the model's samples, and interpolations between latents; return the first file."""
        recipe, figures = self.recipe, self.run.figures
        latents, labels = grid_inputs(data, recipe.latent_dim, recipe.seed)
        picture = draw_samples(model, latents, labels, self.class_names, figures / "samples.png")
        ends = standard_normal(2 * COLUMNS, model.latent_dim, seed=recipe.seed + 2).reshape(COLUMNS, 2, -1)
        path = np.concatenate([slerp(start, end, ROWS) for start, end in ends])
        step = 1 if labels is None else max(len(labels) // COLUMNS, 1)
        path_labels = None if labels is None else np.repeat(labels[::step][:COLUMNS], ROWS, axis=0)
        images = to_uint8(model.generate(path, path_labels))
        plotting.save_image(plotting.grid(images, ROWS), figures / "interpolation.png")
        return picture


def score_samples(
    model: LatentModel,
    data: GenerationData,
    reference: Reference,
    extractor: keras.Model,
    *,
    count: int,
    seed: int,
    verbose: bool,
) -> dict[str, Any]:
    """Return all scores of so many samples beside real images; see `score`."""
    latents = standard_normal(count, model.latent_dim, seed=seed)
    samples = sample_batches(model, latents, sample_labels(data, count))
    scores: dict[str, Any] = {
        "reference_images": reference.count,
        "reference": Reference.path(reference.protocol).stem,
        "protocol": reference.protocol,
        **image_set_scores(samples, reference, extractor, verbose=verbose),
    }
    return scores | score_labels(model, latents, data)


def sample_labels(data: GenerationData, count: int) -> np.ndarray | None:
    """Return the labels of so many samples: the real images' in turn, again from the first on where these are fewer."""
    return None if data.labels is None else np.resize(data.labels, (count, *data.labels.shape[1:]))


def score_labels(model: LatentModel, latents: np.ndarray, data: GenerationData) -> dict[str, float]:
    """Return `recognised_...`, with CIFAR-10's classes: the share of samples that are what was asked for."""
    labels = sample_labels(data, len(latents))
    if data.name != "cifar10" or labels is None:
        return {}
    classifier = cifar10_features()
    logits = [classifier.predict_on_batch(x)[1] for x in sample_batches(model, latents, labels)]
    return {f"recognised_{classifier.name}": float((np.concatenate(logits).argmax(-1) == labels).mean())}


def reference_of(data: GenerationData, extractor: keras.Model, *, verbose: bool = False) -> Reference:
    """Return what is known of the real images by an extractor, kept or computed."""
    return Reference.kept(
        data.images,
        extractor,
        verbose=verbose,
        data=Path(data.name).name,
        split=data.split,
        count=len(data.images),
        crop=data.crop,
        resize=str(data.images.shape[1]),
        fingerprint=data.fingerprint[:16],
    )


def sample_batches(model: LatentModel, latents: np.ndarray, labels: np.ndarray | None) -> Iterator[np.ndarray]:
    """Generate images batch by batch; FloatingPointError if they are not finite."""
    for first in range(0, len(latents), BATCH):
        part = slice(first, first + BATCH)
        images = model.generate(latents[part], None if labels is None else labels[part])
        if not np.isfinite(images).all():
            raise FloatingPointError("the generator's images hold NaN: train it again, at a lower learning rate")
        yield images


def table(scores: dict[str, Any]) -> str:
    """Return the scores as a table."""
    width = max(map(len, scores))
    return "\n".join(
        f"{name:{width}}  {value:9.4f}" if isinstance(value, float) else f"{name:{width}}  {value:9}"
        for name, value in scores.items()
        if isinstance(value, int | float)
    )


def draw_samples(
    model: LatentModel, latents: np.ndarray, labels: np.ndarray | None, class_names: Sequence[str], picture: Path
) -> Path:
    """Draw a grid of samples, with the classes' names if there are some; returns the file."""
    images = to_uint8(model.generate(latents, labels))
    if class_names:
        names = row_names(class_names, attributes=labels is not None and labels.ndim == 2)
        plotting.save_figure(plotting.labelled_rows(np.split(images, len(names)), names), picture)
    else:
        plotting.save_image(plotting.grid(images, COLUMNS), picture)
    return picture


def grid_inputs(data: GenerationData, latent_dim: int, seed: int) -> tuple[np.ndarray, np.ndarray | None]:
    """Return the latents and labels of a grid: one row a class, or for each attribute a row without and one with it."""
    labels = data.labels
    if labels is None:
        return standard_normal(COLUMNS * COLUMNS, latent_dim, seed=seed), None
    classes = len(data.class_names)
    if labels.ndim == 1:
        rows = np.arange(min(classes, ROWS), dtype=labels.dtype)
    else:
        on = np.eye(classes, dtype=labels.dtype)
        rows = np.stack([np.zeros_like(on), on], axis=1).reshape(2 * classes, classes)[:ROWS]
    latents = standard_normal(COLUMNS, latent_dim, seed=seed)
    return np.tile(latents, (len(rows), 1)), np.repeat(rows, COLUMNS, axis=0)


def row_names(class_names: Sequence[str], *, attributes: bool) -> list[str]:
    """Return the names of a grid's rows."""
    if not attributes:
        return list(class_names[:ROWS])
    return [name for attribute in class_names for name in (f"not {attribute}", attribute)][:ROWS]
