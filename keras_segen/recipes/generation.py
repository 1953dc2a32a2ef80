"""What training, scoring and picturing a GAN consist of, whatever its networks and its data; and what a VAE shares."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np

from keras_segen import losses, plotting
from keras_segen.callbacks import CollapseWatch, FrechetDistance, SampleGrids
from keras_segen.data.class_folders import LAYOUT, find_splits
from keras_segen.data.folder import existing_folder
from keras_segen.data.split import scored_split
from keras_segen.errors import InputError
from keras_segen.latents import slerp, standard_normal
from keras_segen.metrics import Reference, cifar10_features, image_set_scores
from keras_segen.metrics.image_sets import FEWEST, score_name
from keras_segen.models.image_sizes import image_doublings
from keras_segen.recipes import start
from keras_segen.recipes.generation_data import SPLITS, GenerationData, generation_data
from keras_segen.runs import Run, load_model
from keras_segen.training import GAN, DiffAugment, LatentModel

MODE = "min"
LOSSES = {
    "non_saturating": losses.NonSaturating,
    "minimax": losses.Minimax,
    "least_squares": losses.LeastSquares,
    "hinge": losses.Hinge,
    "wasserstein": losses.Wasserstein,
}
WATCHED = 512  # images that the collapse watch compares
SAMPLES = 2048  # of each epoch's score; the run's are of as many as there are real images to compare with
BATCH = 256  # images that are generated at once
COLUMNS = 8
ROWS = 10  # of a picture, at most

# What both GANs' recipes begin with.
DEFAULTS: dict[str, Any] = {
    "epochs": 10,
    "steps_per_epoch": 200,  # or more, where one pass over the data takes more
    "batch_size": 32,
    "image_size": 32,  # side in pixels, a power of two
    "learning_rate": 5e-4,  # of the generator's Adam at the start; it falls to 0 along a line
    "discriminator_learning_rate": 2e-4,  # likewise; at the generator's rate it wins at once
    "filters": [64],  # of the layers next to the image
    "latent_dim": 128,  # numbers in a latent
    "loss": "hinge",
    "half_life": 20_000.0,  # of the generator's running average, images
    "diff_augment": False,  # vary what the discriminator sees, where images are few
    "stop_on_collapse": False,  # end training at the collapse watch's first warning, and go back to the best
    "start_from": None,  # a run whose best weights training begins with
    "data_dir": None,  # where named data sets lie
}
# The options that say which weights a network has; of a GAN or a VAE, where it has them.
STRUCTURE = ["image_size", "filters", "latent_dim", "conditioning", "conditional", "attributes"]
STRUCTURE += ["latent_side", "blocks", "likelihood"]


def check(config: dict[str, Any]) -> None:
    """Raise `InputError` for options that go with no network."""
    if len(config["filters"]) != 1:
        raise InputError(f"--filters is one width for a GAN, that of the layers next to the image: {config['filters']}")
    try:
        image_doublings((config["image_size"],) * 2 + (3,))
    except ValueError as error:
        raise InputError(
            f"--image-size {config['image_size']}: a GAN's images have a power of two from 16 for a side: "
            "16, 32, 64, 128, …"
        ) from error
    check_start(config)


def check_start(config: dict[str, Any]) -> None:
    """Raise `InputError` for a run to start from that has another network."""
    start.check(config, [name for name in STRUCTURE if name in config])


def compiled(gan: GAN, config: dict[str, Any], **kwargs: Any) -> GAN:
    """Compile a GAN by a run's config."""

    def adam(rate: float) -> keras.optimizers.Optimizer:
        steps = config["epochs"] * config["steps_per_epoch"]
        decay = keras.optimizers.schedules.PolynomialDecay(rate, steps, end_learning_rate=0.0)
        return keras.optimizers.Adam(decay, beta_1=0.5)

    gan.compile(
        generator_optimizer=adam(config["learning_rate"]),
        discriminator_optimizer=adam(config["discriminator_learning_rate"]),
        loss=LOSSES[config["loss"]](),
        augmentation=DiffAugment() if config["diff_augment"] else None,
        jit_compile=config["jit_compile"],
        **kwargs,
    )
    return gan


def load_data(
    name: str, config: dict[str, Any], *, held_out: bool = False, split: str | None = None, verbose: bool
) -> GenerationData:
    """Read and check the data that `--data` names, or one split of them; `InputError` says what is wrong with them."""
    labels = config["model"] == "cgan" or config.get("conditional", False)
    loaded = generation_data(name, config, labels=labels, held_out=held_out, split=split, verbose=verbose)
    if split:  # not what the run was trained on, even where the images are the same
        loaded = replace(loaded, fingerprint=f"{loaded.fingerprint}-{split}")
    count = len(loaded.images)
    if count < FEWEST:
        raise InputError(f"{loaded.name}: {count} images are too few to compare samples with: {FEWEST} at least")
    if split is None and loaded.count < config["batch_size"]:
        raise InputError(
            f"{loaded.name}: {loaded.count} training images ({loaded.kept_aside} are kept aside) do not fill one batch "
            f"of {config['batch_size']}: lower --batch-size"
        )
    known = config.get("class_names", loaded.class_names)
    if list(known) != list(loaded.class_names):
        raise InputError(
            f"{loaded.name}: its classes are {', '.join(loaded.class_names)}, but the model's are {', '.join(known)}: "
            "score it on data with these"
        )
    return loaded


def default_split(name: str) -> str | None:
    """Return the split of other data than a run's own that its model is scored on if none is named."""
    return None if name in SPLITS else scored_split(Path(name), find_splits(existing_folder(name, LAYOUT)))


def monitor(loaded: GenerationData) -> str:
    """Return the name of the score that says which epoch is best."""
    return score_name("frechet_distance", cifar10_features().name)


def validate(model: GAN, loaded: GenerationData, config: dict[str, Any]) -> dict[str, float]:
    """Return nothing: a GAN's losses on other images say little, and what scores its samples is a callback."""
    return {}


def callbacks(run: Run, loaded: GenerationData, config: dict[str, Any]) -> list[keras.callbacks.Callback]:
    """Score the epoch's samples, watch for collapse, draw a grid."""
    some = loaded.images[:WATCHED] / np.float32(127.5) - 1
    labels = None if loaded.labels is None else loaded.labels[:WATCHED]
    latents, grid_labels = grid_inputs(config, loaded.labels)
    return [
        FrechetDistance(reference_of(loaded, cifar10_features()), loaded.labels, count=SAMPLES, seed=config["seed"]),
        SampleGrids(run.figures / "samples", latents, grid_labels, columns=COLUMNS, logs=run.logs / "samples"),
        # Last, because it goes back to the best model.
        CollapseWatch(some, labels, seed=config["seed"], stop=config["stop_on_collapse"], restore=run.model),
    ]


def score(
    run: Run,
    best: LatentModel,
    loaded: GenerationData,
    config: dict[str, Any],
    *,
    verbose: bool,
    extractor: keras.Model | None = None,
    reference: Reference | None = None,
) -> dict[str, Any]:
    """Return all scores of the best model's samples beside the real images, and the last one's Fréchet distance.

    With CIFAR-10's classes also `recognised_...`: the share of samples that the classifier finds to be what was asked.

    Args:
        run: whose last model is scored too.
        best: its best one.
        loaded: real images, and the labels that samples are made for.
        config: the run's, and perhaps `samples`, how many are made; otherwise as many as there are real images.
        verbose: show a progress bar.
        extractor: see `metrics.feature_extractor`; None: CIFAR-10's classifier.
        reference: what is known of other real images than the loaded ones, by the extractor; None: of these.
    """
    extractor = extractor or cifar10_features()
    reference = reference or reference_of(loaded, extractor, verbose=verbose)
    count, seed = sample_count(loaded, config), config["seed"] + 1
    scores: dict[str, Any] = {"images": count}
    scores |= score_samples(best, loaded, reference, extractor, count=count, seed=seed, verbose=verbose)
    if run.final_model.is_file():
        distance = FrechetDistance(reference, loaded.labels, count=count, seed=seed, extractor=extractor)
        scores[f"final_{distance.name}"] = distance.measure(load_model(run.final_model))
    return scores


def sample_count(loaded: GenerationData, config: dict[str, Any]) -> int:
    """Return how many images are generated to be scored."""
    return config.get("samples", len(loaded.images))


def score_samples(
    model: LatentModel,
    loaded: GenerationData,
    reference: Reference,
    extractor: keras.Model,
    *,
    count: int,
    seed: int,
    verbose: bool,
) -> dict[str, Any]:
    """Return all scores of so many samples beside real images; see `score`."""
    latents = standard_normal(count, model.latent_dim, seed=seed)
    samples = sample_batches(model, latents, sample_labels(loaded, count))
    scores: dict[str, Any] = {
        "reference_images": reference.count,
        "reference": Reference.path(reference.protocol).stem,
        "protocol": reference.protocol,
        **image_set_scores(samples, reference, extractor, verbose=verbose),
    }
    return scores | score_labels(model, latents, loaded)


def sample_labels(loaded: GenerationData, count: int) -> np.ndarray | None:
    """Return the labels of so many samples: the real images' in turn, again from the first on where these are fewer."""
    return None if loaded.labels is None else np.resize(loaded.labels, (count, *loaded.labels.shape[1:]))


def score_labels(model: LatentModel, latents: np.ndarray, loaded: GenerationData) -> dict[str, float]:
    """Return `recognised_...`, with CIFAR-10's classes: the share of samples that are what was asked for."""
    labels = sample_labels(loaded, len(latents))
    if loaded.name != "cifar10" or labels is None:
        return {}
    classifier = cifar10_features()
    logits = [classifier.predict_on_batch(x)[1] for x in sample_batches(model, latents, labels)]
    return {f"recognised_{classifier.name}": float((np.concatenate(logits).argmax(-1) == labels).mean())}


def reference_of(loaded: GenerationData, extractor: keras.Model, *, verbose: bool = False) -> Reference:
    """Return what is known of the real images by an extractor, kept or computed."""
    return Reference.kept(
        loaded.images,
        extractor,
        verbose=verbose,
        data=Path(loaded.name).name,
        split=loaded.split,
        count=len(loaded.images),
        crop=loaded.crop,
        resize=str(loaded.images.shape[1]),
        fingerprint=loaded.fingerprint[:16],
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


def draw(run: Run, best: LatentModel, loaded: GenerationData, config: dict[str, Any]) -> Path:
    """Draw the best model's samples, and ways from one latent to another; returns the first file."""
    latents, labels = grid_inputs(config, loaded.labels)
    picture = draw_samples(best, latents, labels, config, run.figures / "samples.png")
    ends = standard_normal(2 * COLUMNS, best.latent_dim, seed=config["seed"] + 2).reshape(COLUMNS, 2, -1)
    path = np.concatenate([slerp(start, end, ROWS) for start, end in ends])
    along = None if labels is None else np.repeat(labels[:: max(len(labels) // COLUMNS, 1)][:COLUMNS], ROWS, axis=0)
    images = plotting.to_uint8(best.generate(path, along))
    plotting.save_image(plotting.grid(images, ROWS), run.figures / "interpolation.png")
    return picture


def draw_samples(
    model: LatentModel, latents: np.ndarray, labels: np.ndarray | None, config: dict[str, Any], picture: Path
) -> Path:
    """Draw a grid of samples, with the classes' names if there are some; returns the file."""
    images = plotting.to_uint8(model.generate(latents, labels))
    if config["class_names"]:
        names = row_names(config["class_names"], attributes=labels is not None and labels.ndim == 2)
        plotting.save_figure(plotting.labelled_rows(np.split(images, len(names)), names), picture)
    else:
        plotting.save_image(plotting.grid(images, COLUMNS), picture)
    return picture


def grid_inputs(config: dict[str, Any], labels: np.ndarray | None) -> tuple[np.ndarray, np.ndarray | None]:
    """Return the latents and labels of a grid: one row a class, or for each attribute a row without and one with it."""
    if labels is None:
        return standard_normal(COLUMNS * COLUMNS, config["latent_dim"], seed=config["seed"]), None
    classes = len(config["class_names"])
    if labels.ndim == 1:
        rows = np.arange(min(classes, ROWS), dtype=labels.dtype)
    else:
        rows = np.concatenate([[0 * row, row] for row in np.eye(classes, dtype=labels.dtype)])[:ROWS]
    latents = standard_normal(COLUMNS, config["latent_dim"], seed=config["seed"])
    return np.tile(latents, (len(rows), 1)), np.repeat(rows, COLUMNS, axis=0)


def row_names(class_names: list[str], *, attributes: bool) -> list[str]:
    """Return the names of a grid's rows."""
    if not attributes:
        return list(class_names[:ROWS])
    return [name for attribute in class_names for name in (f"not {attribute}", attribute)][:ROWS]
