"""`keras-segen predict`: what a run's best model makes of a user's own images."""

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
from PIL import Image

from keras_segen import inference, plotting
from keras_segen.data.images import middle_square, read_image
from keras_segen.errors import InputError
from keras_segen.files import replacing, require_place
from keras_segen.recipes.variational import SAMPLES
from keras_segen.runs import Run
from keras_segen.training import GAN, VAE, Posterior

SEGMENTER, AUTOENCODER = ("{}.png", "{}_overlay.png"), ("{}.png",)
ANOMALIES = "anomalies.csv"


def predict(
    run_folder: str,
    image_files: Sequence[str],
    *,
    out: str,
    tile: int | None,
    overlap: float | None,
    flip: bool,
    scales: Sequence[float] | None,
    verbose: bool,
) -> None:
    """Write what a segmenter or a VAE makes of images.

    A segmenter: `NAME.png`, the label map with the palette of Pascal VOC, and `NAME_overlay.png` for each image.
    A VAE: `NAME.png`, the image as the model sees it and its reconstruction side by side, and `anomalies.csv`.

    Args:
        run_folder: what `train` wrote.
        image_files: JPEG, PNG or BMP files.
        out: folder for the results.
        tile: of a segmenter: side of the tiles in which images go through, see `inference.predict`; None: images of
            more than 2048² pixels go through in tiles of 512.
        overlap: share of a tile that the next one covers too; None: a quarter.
        flip: of a segmenter: average over the image and its mirror image.
        scales: of a segmenter: average over the image enlarged and shrunk by these; None: as it is.
        verbose: show a progress bar.

    Raises:
        InputError: before anything is written, for images that cannot be used, share a name, or have a result already.
    """
    run = Run(run_folder)
    model = run.load_best()
    if isinstance(model, GAN):
        raise InputError(f"{run.path}: its model is a GAN, which looks at no images: use `sample`")
    if isinstance(model, VAE) and model.conditional:
        raise InputError(
            f"{run.path}: its model is a conditional VAE, which wants labels: use `VAE.log_likelihood(images, labels)`"
        )
    tiles = {name: value for name, value in {"tile": tile, "overlap": overlap}.items() if value is not None}
    if isinstance(model, VAE) and (tiles or flip or scales):
        raise InputError(f"{run.path}: its model is a VAE, which has no --tile, --overlap, --flip or --scales")
    posterior = Posterior.load(run.posterior) if isinstance(model, VAE) else None
    if posterior and posterior.means.shape[1] != model.latent_dim:
        raise InputError(f"{run.posterior}: is of another model than {run.model}: `evaluate` writes it anew")
    images = {Path(name): read_image(name) for name in image_files}
    folder = Path(out)
    require_place(folder)
    if posterior and (folder / ANOMALIES).exists():
        raise InputError(f"{folder / ANOMALIES}: exists already: give --out another folder")
    _require_free(folder, list(images), AUTOENCODER if posterior else SEGMENTER)
    folder.mkdir(parents=True, exist_ok=True)
    if posterior:
        _autoencode(model, posterior, images, folder, verbose=verbose)
    else:
        if flip or scales:
            model = inference.augmented(model, flip=flip, scales=scales or [1.0])
        _segment(model, images, folder, **tiles, verbose=verbose)


def _require_free(folder: Path, paths: list[Path], names: Sequence[str]) -> None:
    results: dict[Path, Path] = {}
    for path in paths:
        for result in (folder / name.format(path.stem) for name in names):
            if result in results:
                raise InputError(f"{path}: both it and {results[result]} would become {result}: use two folders")
            results[result] = path
            if result.exists():
                raise InputError(f"{result}: exists already: give --out another folder")


def _segment(model: keras.Model, images: dict[Path, np.ndarray], folder: Path, **options: Any) -> None:
    label_maps = inference.predict(model, list(images.values()), **options)
    for (path, image), label_map in zip(images.items(), label_maps, strict=True):
        picture = Image.fromarray(label_map, mode="P")
        picture.putpalette(plotting.voc_palette().tobytes())
        for name, content in zip(
            SEGMENTER, (picture, Image.fromarray(plotting.overlay(image, label_map))), strict=True
        ):
            with replacing(folder / name.format(path.stem)) as temporary:
                content.save(temporary)
    print(f"{len(images)} label maps and overlays in {folder}")


def _autoencode(
    model: VAE, posterior: Posterior, images: dict[Path, np.ndarray], folder: Path, *, verbose: bool
) -> None:
    side = model.encoder.inputs[0].shape[1]
    seen = np.stack([middle_square(image, side) for image in images.values()])
    floats = seen / np.float32(127.5) - 1
    log_likelihoods = model.log_likelihood(floats, samples=SAMPLES, verbose=verbose)
    anomalies = posterior.anomaly_scores(log_likelihoods)
    again = plotting.to_uint8(model.reconstruct(floats))
    for path, before, after in zip(images, seen, again, strict=True):
        plotting.save_image(plotting.grid(np.stack([before, after]), 2), folder / AUTOENCODER[0].format(path.stem))
    rows = sorted(zip(anomalies, log_likelihoods, images, strict=True), key=lambda row: -row[0])
    table = io.StringIO(newline="")
    writer = csv.writer(table)
    writer.writerow(["image", "anomaly_score", "log_likelihood"])
    writer.writerows([[path, f"{anomaly:.3f}", f"{likelihood:.3f}"] for anomaly, likelihood, path in rows])
    with replacing(folder / ANOMALIES) as temporary:
        temporary.write_text(table.getvalue(), encoding="utf-8")
    for anomaly, _, path in rows[:10]:
        print(f"{anomaly:8.2f}  {path}")
    further = f", the {min(len(rows), 10)} most unusual above" if len(rows) > 1 else ""
    print(f"{len(images)} reconstructions and {ANOMALIES} in {folder}{further}")
