"""`keras-segen predict`: label maps of a user's own images by a run's best model, or their reconstructions."""

import csv
import io
import itertools
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
from PIL import Image

from keras_segen import inference, plotting
from keras_segen.data.image_files import image_files
from keras_segen.data.images import middle_square, read_image
from keras_segen.data.in_threads import read_ahead
from keras_segen.data.order import AHEAD
from keras_segen.errors import InputError
from keras_segen.files import replacing, require_place
from keras_segen.inference.batches import label_maps
from keras_segen.recipes.variational import SAMPLES
from keras_segen.runs import Run
from keras_segen.training import GAN, VAE, Posterior

SEGMENTER, AUTOENCODER = ("{}.png", "{}_overlay.png"), ("{}.png",)
ANOMALIES, COLUMNS = "anomalies.csv", ["image", "anomaly_score", "log_likelihood"]
CHUNK = 256  # images that a VAE sees before anomalies.csv is written again


@dataclass(frozen=True)
class Source:
    """An image file to predict on.

    Attributes:
        path: the image file.
        results: the files that come of it.
        pixels: their number.
    """

    path: Path
    results: tuple[Path, ...]
    pixels: int = 0


def predict(
    run_folder: str,
    images: Sequence[str],
    *,
    out: str,
    skip_existing: bool,
    tile: int | None,
    overlap: float | None,
    flip: bool,
    scales: Sequence[float] | None,
    verbose: bool,
) -> None:
    """Segment images, or reconstruct them by a VAE, reading them as they are needed.

    A segmenter writes `NAME.png`, the label map with the palette of Pascal VOC, and `NAME_overlay.png` for each image.
    A VAE writes `NAME.png`, the image as the model sees it and its reconstruction side by side, and `anomalies.csv`.

    Args:
        run_folder: the folder that `train` wrote.
        images: image files, and folders of them, whose sub-folders `out` has again.
        out: folder for the results.
        skip_existing: pass over images whose results are there; otherwise these are an error.
        tile: of a segmenter: side of the tiles in which images go through, see `inference.predict`; None: images of
            more than 2^21 pixels go through in tiles of 512.
        overlap: share of a tile that the next one covers too; None: a quarter.
        flip: of a segmenter: average over the image and its mirror image.
        scales: of a segmenter: average over the image enlarged and shrunk by these; None: as it is.
        verbose: show a progress bar.

    Raises:
        InputError: before anything is written, for files that are not images, share a name, or have a result already.
        OSError: at the end, for images that turned out to be damaged; the others have their results.
    """
    run = Run(run_folder)
    model = run.load_best()
    if isinstance(model, GAN):
        raise InputError(f"{run.path}: its model is a GAN, which takes no images: use `sample`")
    if isinstance(model, VAE) and model.conditional:
        raise InputError(
            f"{run.path}: its model is a conditional VAE, which needs labels: use `VAE.log_likelihood(images, labels)`"
        )
    tiles = {name: value for name, value in {"tile": tile, "overlap": overlap}.items() if value is not None}
    if isinstance(model, VAE) and (tiles or flip or scales):
        raise InputError(f"{run.path}: its model is a VAE, which has no --tile, --overlap, --flip or --scales")
    posterior = Posterior.load(run.posterior) if isinstance(model, VAE) else None
    if posterior and posterior.means.shape[1] != model.latent_dim:
        raise InputError(f"{run.posterior}: is of another model than {run.model}: `evaluate` writes it anew")
    folder = Path(out)
    require_place(folder)
    sources = _sources(images, folder, AUTOENCODER if posterior else SEGMENTER)
    known = _read_anomalies(folder / ANOMALIES) if posterior else None
    due = [source for source in sources if not _is_done(source, known)]
    if not skip_existing:
        results = [result for source in sources for result in source.results]
        for result in [folder / ANOMALIES, *results] if posterior else results:
            if result.exists():
                raise InputError(f"{result}: exists already: give --out another folder, or add --skip-existing")
    due = [_checked(source) for source in due]
    if skip_existing:
        print(f"{len(sources) - len(due)} of {len(sources)} images have their results and are skipped", flush=True)
    failures: list[InputError] = []
    if posterior:
        _autoencode(model, posterior, due, folder, rows=known or {}, failures=failures, verbose=verbose)
    else:
        if flip or scales:
            model = inference.augmented(model, flip=flip, scales=scales or [1.0])
        _segment(model, due, failures, **tiles, verbose=verbose)
        print(f"{len(due) - len(failures)} label maps and overlays in {folder}")
    if failures:
        raise OSError(f"{len(failures)} of {len(due)} images have no result: {failures[0]}")


def _sources(images: Sequence[str], out: Path, names: Sequence[str]) -> list[Source]:
    """Return each image with the files of its results; `InputError` if two would write the same file."""
    sources: list[Source] = []
    for given in map(Path, images):
        if not given.is_dir():
            sources.append(Source(given, tuple(out / name.format(given.stem) for name in names)))
            continue
        ours = out.resolve()  # earlier results below the folder are not images to predict on
        for path in image_files(given):
            if not path.resolve().is_relative_to(ours):
                place = out / path.relative_to(given).parent
                sources.append(Source(path, tuple(place / name.format(path.stem) for name in names)))
    becoming: dict[Path, Path] = {}
    for source in sources:
        for result in source.results:
            if result in becoming:
                raise InputError(
                    f"{source.path}: both it and {becoming[result]} would become {result}: rename one, or give them "
                    "two --out folders"
                )
            becoming[result] = source.path
    return sources


def _is_done(source: Source, known: dict[str, list[str]] | None) -> bool:
    return all(result.exists() for result in source.results) and (known is None or str(source.path) in known)


def _checked(source: Source) -> Source:
    """Return the source with its size by the file's header; `InputError` for a file that is not an image."""
    try:
        with Image.open(source.path) as image:
            pixels = image.width * image.height
            if Image.MAX_IMAGE_PIXELS and pixels > Image.MAX_IMAGE_PIXELS:
                raise Image.DecompressionBombError
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError, Image.DecompressionBombWarning):
        pixels = read_image(source.path)[..., 0].size  # which says what is wrong
    return Source(source.path, source.results, pixels)


def _read(
    sources: Sequence[Source], read: Callable[[Path], np.ndarray], failures: list[InputError]
) -> Iterator[tuple[np.ndarray, Source]]:
    """Yield each image and its source, read ahead in threads; name damaged ones, and add them to `failures`."""

    def contents(source: Source) -> np.ndarray | InputError:
        try:
            return read(source.path)
        except InputError as error:
            return error

    found = read_ahead(contents, sources, [source.pixels for source in sources], most=AHEAD)
    for source, pixels in zip(sources, found, strict=True):
        if isinstance(pixels, InputError):
            print(f"keras-segen: warning: {pixels}", file=sys.stderr, flush=True)
            failures.append(pixels)
        else:
            yield pixels, source


def _segment(
    model: keras.Model, sources: Sequence[Source], failures: list[InputError], *, verbose: bool, **tiles: Any
) -> None:
    images = _read(sources, read_image, failures)
    for image, source, label_map in label_maps(model, images, count=len(sources), verbose=verbose, **tiles):
        picture = Image.fromarray(label_map, mode="P")
        picture.putpalette(plotting.voc_palette().tobytes())
        source.results[0].parent.mkdir(parents=True, exist_ok=True)
        contents = picture, Image.fromarray(plotting.overlay(image, label_map))
        for result, content in zip(source.results, contents, strict=True):
            with replacing(result) as temporary:
                content.save(temporary)


def _autoencode(
    model: VAE,
    posterior: Posterior,
    sources: Sequence[Source],
    folder: Path,
    *,
    rows: dict[str, list[str]],
    failures: list[InputError],
    verbose: bool,
) -> None:
    side = model.encoder.inputs[0].shape[1]
    images = _read(sources, lambda path: middle_square(read_image(path), side), failures)
    bar = keras.utils.Progbar(len(sources), unit_name="image") if verbose else None
    folder.mkdir(parents=True, exist_ok=True)
    while chunk := [*itertools.islice(images, CHUNK)]:
        seen = np.stack([image for image, _ in chunk])
        floats = seen / np.float32(127.5) - 1
        log_likelihoods = model.log_likelihood(floats, importance_samples=SAMPLES)
        anomalies = posterior.anomaly_scores(log_likelihoods)
        reconstructions = plotting.to_uint8(model.reconstruct(floats))
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


def _read_anomalies(path: Path) -> dict[str, list[str]]:
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
