"""`keras-segen evaluate`: a run's scores, a classical method's, or those of one folder of images beside another."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import keras
import numpy as np

from keras_segen.data.image_files import fingerprint, image_batches, image_files
from keras_segen.data.images import read_image
from keras_segen.data.split import ALL
from keras_segen.errors import InputError
from keras_segen.files import require_place
from keras_segen.metrics import Reference, cifar10_features, image_set_scores, inception_features
from keras_segen.metrics.image_sets import FEWEST
from keras_segen.metrics.reference import read_statistics
from keras_segen.recipes import RECIPES, classical, generation, segmentation
from keras_segen.runs import Run, write_json


def evaluate(
    run_folder: str,
    *,
    data: str | None,
    split: str | None,
    data_dir: str | None,
    extractor: str | None,
    inception_weights: str | None,
    reference: str | None,
    samples: int | None,
    flip: bool,
    scales: Sequence[float] | None,
    verbose: bool,
) -> dict[str, Any]:
    """Score a run's best model, print a table and write `metrics.json`.

    Scores on other data, on another split, or by several looks, are `metrics-NAME.json`, by the names of these.

    Args:
        run_folder: what `train` wrote.
        data: other data with the same classes, or None for the run's own.
        split: the split to score, or None: of the run's own data the one it was validated on; of a folder all that is
            there, or its one split beside "train".
        data_dir: where named data sets lie, or None for where they lay in training.
        extractor: "cifar10" or "inception", for generators; None: cifar10.
        inception_weights: file of the published weights, or None to fetch them.
        reference: published statistics to compare with instead of the data's images, for generators; see
            `Reference.from_statistics`. It is named in the scores and in their file.
        samples: generated images, beside at most as many real ones; None: 10,000, or as many as there are real ones.
        flip: average over each image and its mirror image, for segmenters.
        scales: likewise over it enlarged and shrunk by these; None: as it is.
        verbose: show progress bars.
    """
    run = Run(run_folder)
    config = run.config()
    if config["model"] not in RECIPES:
        raise InputError(f"{run.config_json}: names a model that this version does not know: {config['model']}")
    best = run.load_best()  # before data are read: is there one?
    task = RECIPES[config["model"]].task
    options: dict[str, Any] = {}
    if task is not segmentation:
        options["extractor"] = _extractor(extractor, inception_weights, reference)
        if reference is not None:
            options["reference"] = _statistics(reference, options["extractor"])
        config |= {} if samples is None else {"samples": samples}
        if flip or scales:
            raise InputError(f"{run.path}: is of no segmenter: --flip and --scales go with these alone")
    elif extractor or inception_weights or reference or samples:
        raise InputError(
            f"{run.path}: is of a segmenter, which has no --extractor, --inception-weights, --reference or --samples"
        )
    elif flip or scales:
        options["looks"] = {"flip": flip, "scales": list(scales or [1.0])}
    config |= {} if data_dir is None else {"data_dir": data_dir}
    own = data is None or config["data"] in (data, str(Path(data).resolve()))
    scored = split if own or data is None or split else _default_split(task, data, config)
    loaded = task.load_data(config["data"] if own else data, config, split=scored, verbose=verbose)
    if scored:
        print(f"{loaded.name}: scored on {'all images' if scored == ALL else f'its split {scored}'}", flush=True)
    scores = task.score(run, best, loaded, config, verbose=verbose, **options)
    special = [split] if split else []
    if reference is not None:
        statistics = options["reference"].protocol
        special.append(f"{Path(statistics['statistics']).stem}-{statistics['fingerprint'][:8]}")
    special += ["flip"] * flip + [f"{scale:g}" for scale in scales or []]
    # Which model it was: more epochs may bring a better one, beside which older scores stay.
    epoch = run.best_epoch(task.monitor(loaded), task.MODE)
    content = {**scores, "data": loaded.name, "epoch": epoch, **({"split": scored} if scored else {})}
    file = run.metrics_json if own and not special else _scores_file(run, special, content, own=own)
    write_json(file, content)
    print(f"\n{task.table(scores)}\n\nscores {file}", flush=True)
    return scores


def _default_split(task: ModuleType, data: str, config: dict[str, Any]) -> str | None:
    """Return the split of other data to score; None, as for the run's own, if they are these at another place."""
    split: str | None = task.default_split(data)
    try:
        # A part of a folder without splits was trained on.
        own = split == ALL and task.load_data(data, config, verbose=False).fingerprint == config.get("data_fingerprint")
    except InputError:  # it may be too small to be divided
        own = False
    return None if own else split


def _scores_file(run: Run, special: Sequence[str], content: dict[str, Any], *, own: bool) -> Path:
    """Return the file for special scores, named by as many last parts of the data's path as tell it from others.

    A file with scores of the same data, split and looks may be overwritten.
    """
    parts = Path(content["data"]).parts
    for count in range(0 if own else 1, len(parts) + 1):
        name = "-".join([*(part.strip("/") for part in parts[len(parts) - count :]), *special])
        file = run.path / f"metrics-{name}.json"
        if not file.exists() or _same_scores(file, content):
            return file
    raise InputError(f"{file}: holds scores of other data: move it away")


def _same_scores(file: Path, content: dict[str, Any]) -> bool:
    try:
        before = json.loads(file.read_text(encoding="utf-8"))
    except ValueError:
        return False
    return all(before.get(name) == content.get(name) for name in ("data", "split", "looks"))


def evaluate_folders(
    real: str | None,
    fake: str,
    *,
    extractor: str | None,
    inception_weights: str | None,
    reference: str | None,
    samples: int | None,
    out: str | None,
    verbose: bool,
) -> dict[str, Any]:
    """Score the images below one folder by those below another, as they lie, and print a table.

    Args:
        real: folder of real images, whose statistics are kept in Keras's cache; None: `reference` is compared with.
        fake: folder of images made elsewhere.
        extractor: as for `evaluate`.
        inception_weights: likewise.
        reference: likewise, or None.
        samples: images of each folder that are looked at, drawn at random; None: all.
        out: JSON file for the scores too, or None.
        verbose: show progress bars.
    """
    if out is not None:
        _require_free(Path(out))
    files = {name: _drawn(image_files(Path(name)), samples) for name in (real, fake) if name is not None}
    for name, paths in files.items():
        if len(paths) < FEWEST:
            raise InputError(f"{name}: {len(paths)} images are too few to compare: {FEWEST} at least")
        print(f"{name}: {len(paths)} images", flush=True)
    if real is not None:
        _warn_of_sizes(files[real][0], files[fake][0])
    network = _extractor(extractor, inception_weights, reference)
    known = _statistics(str(reference), network) if real is None else _known(real, files[real], network, verbose)
    scores = {
        "images": len(files[fake]),
        "reference_images": known.count,
        "protocol": known.protocol,
        **image_set_scores(image_batches(files[fake]), known, network, verbose=verbose),
    }
    if out is not None:
        Path(out).absolute().parent.mkdir(parents=True, exist_ok=True)
        write_json(Path(out), scores)
    print(f"\n{generation.table(scores)}\n", flush=True)
    return scores


def evaluate_baseline(baseline: str, *, data: str, out: str | None, verbose: bool) -> dict[str, Any]:
    """Score a classical method on a folder's validation images, its settings chosen on training images; print a table.

    Args:
        baseline: a name in `classical.METHODS`.
        data: a folder for segmentation with two classes.
        out: JSON file for the scores and settings too, beside which a picture is drawn, or None.
        verbose: show progress bars.
    """
    if out is not None:
        if Path(out).suffix != ".json":
            raise InputError(f"{out}: must end with .json, for the picture beside it ends with .png")
        picture = Path(out).with_suffix(".png")
        for file in (Path(out), picture):
            _require_free(file)
    loaded = classical.load_data(data, verbose=verbose)
    settings = classical.settings(baseline, loaded, verbose=verbose)
    scores = classical.score(baseline, settings, loaded, verbose=verbose)
    if out is not None:
        Path(out).absolute().parent.mkdir(parents=True, exist_ok=True)
        write_json(Path(out), {**scores, "data": loaded.name, "baseline": baseline, "settings": settings})
        classical.draw(baseline, settings, loaded, picture)
    print(f"\n{segmentation.table(scores)}\n", flush=True)
    return scores


def _require_free(file: Path) -> None:
    if file.exists():
        raise InputError(f"{file}: exists already: name another file")
    require_place(file.absolute().parent)


def _warn_of_sizes(real: Path, fake: Path) -> None:
    shapes = [read_image(path).shape for path in (real, fake)]
    if shapes[0] != shapes[1]:
        print(
            "warning: the real images are {}×{} pixels, the others {}×{} (the first of each): a part of the distance "
            "is how they are resized; bring both to one size first".format(*shapes[0][:2], *shapes[1][:2]),
            file=sys.stderr,
        )


def _known(folder: str, files: list[Path], extractor: keras.Model, verbose: bool) -> Reference:
    return Reference.kept(
        image_batches(files),
        extractor,
        verbose=verbose,
        data=Path(folder).resolve().name,
        split="all",
        count=len(files),
        crop="none",
        resize="none",
        fingerprint=fingerprint(files)[:16],
    )


def _statistics(file: str, extractor: keras.Model) -> Reference:
    reference = Reference.from_statistics(file, extractor)
    print(
        f"{file}: published statistics, which give the Fréchet distance alone; kernel distance, precision, recall, "
        "density and coverage need images, and are left out",
        flush=True,
    )
    return reference


def _extractor(name: str | None, weights: str | None, reference: str | None) -> keras.Model:
    if name == "inception":
        if reference is not None:
            read_statistics(Path(reference))  # before the network is fetched
        return inception_features(weights)
    for option, value in (("--inception-weights", weights), ("--reference", reference)):
        if value is not None:
            raise InputError(f"{option} goes with --extractor inception: give both")
    return cifar10_features()


def _drawn(paths: list[Path], most: int | None) -> list[Path]:
    """Return some of them, or all, in an order that has nothing to do with their names."""
    order = np.random.default_rng(0).permutation(len(paths))[:most]
    return [paths[i] for i in order]
