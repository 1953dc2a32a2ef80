"""Anomalies: images that a VAE finds unusual, with their reconstructions."""

import csv
import io
import itertools
from collections.abc import Sequence
from pathlib import Path

import keras
import numpy as np
from PIL import Image

from keras_segen import plotting
from keras_segen.data import middle_square, read_image
from keras_segen.errors import InputError
from keras_segen.files import replacing
from keras_segen.ranges import to_floats, to_uint8
from keras_segen.training import VAE, Posterior
from keras_segen_cli.tasks.images import Source, read_images

ANOMALIES, COLUMNS = "anomalies.csv", ["image", "anomaly_score", "log_likelihood"]
SAMPLES = 64  # of each image's log-likelihood
CHUNK = 256  # images between two writings of anomalies.csv


def reconstruct(
    model: VAE,
    posterior: Posterior,
    sources: Sequence[Source],
    folder: Path,
    *,
    rows: dict[str, list[str]],
    failures: list[InputError],
    verbose: bool,
) -> None:
    """Write each image beside its reconstruction, and all images' scores into anomalies.csv, the strangest first.

    Args:
        model: a VAE without labels.
        posterior: what its encoder makes of its own data.
        sources: the images.
        folder: where anomalies.csv goes.
        rows: what it holds already, by image.
        failures: gets what is wrong with damaged images.
        verbose: show a progress bar.
    """
    side, _, channels = model.image_shape

    def read(path: Path) -> np.ndarray:
        image = middle_square(read_image(path), side)
        return image if channels == 3 else np.asarray(Image.fromarray(image).convert("L"))[..., None]

    images = read_images(sources, read, failures)
    bar = keras.utils.Progbar(len(sources), unit_name="image") if verbose else None
    folder.mkdir(parents=True, exist_ok=True)
    while chunk := [*itertools.islice(images, CHUNK)]:
        seen = np.stack([image for image, _ in chunk])
        floats = to_floats(seen)
        log_likelihoods = model.log_likelihood(floats, importance_samples=SAMPLES)
        anomalies = posterior.anomaly_scores(log_likelihoods)
        reconstructions = to_uint8(model.reconstruct(floats))
        for (before, source), after in zip(chunk, reconstructions, strict=True):
            source.results[0].parent.mkdir(parents=True, exist_ok=True)
            plotting.save_image(plotting.grid(np.stack([before, after]), 2), source.results[0])
        for (_, source), anomaly, likelihood in zip(chunk, anomalies, log_likelihoods, strict=True):
            rows[str(source.path)] = [str(source.path), f"{anomaly:.3f}", f"{likelihood:.3f}"]
        _write_anomalies(rows, folder / ANOMALIES)
        if bar:
            bar.add(len(chunk))
    unusual = sorted(rows.values(), key=lambda row: -float(row[1]))[:10]
    for name, anomaly, _ in unusual:
        print(f"{float(anomaly):8.2f}  {name}")
    further = f", the {len(unusual)} most unusual above" if len(rows) > 1 else ""
    print(f"{len(rows)} reconstructions and {ANOMALIES} in {folder}{further}")


def read_anomalies(path: Path) -> dict[str, list[str]]:
    """Return the rows of anomalies.csv by their images, none if there is no such file."""
    if not path.exists():
        return {}
    with path.open(newline="", encoding="utf-8") as file:
        table = [*csv.reader(file)]
    if table[:1] != [COLUMNS] or any(len(row) != len(COLUMNS) for row in table):
        raise InputError(f"{path}: is not a table that `predict` wrote: give --out another folder")
    return {row[0]: row for row in table[1:]}


def _write_anomalies(rows: dict[str, list[str]], path: Path) -> None:
    strangest_first = sorted(rows.values(), key=lambda row: -float(row[1]))
    table = io.StringIO(newline="")
    csv.writer(table).writerows([COLUMNS, *strangest_first])
    with replacing(path) as temporary:
        temporary.write_text(table.getvalue(), encoding="utf-8")
