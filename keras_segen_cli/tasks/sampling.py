"""Samples: generated images as one picture, or as files."""

from collections.abc import Sequence
from pathlib import Path

import keras
import numpy as np
from PIL import Image

from keras_segen import plotting
from keras_segen.errors import InputError
from keras_segen.files import building, require_place
from keras_segen.ranges import to_uint8
from keras_segen.training import LatentModel
from keras_segen_cli.tasks.class_choice import chosen_class

BATCH = 256
MOST_IN_A_PICTURE = 4096


def sample(
    model: LatentModel,
    latents: np.ndarray,
    out: Path,
    *,
    label: str | None,
    class_names: Sequence[str],
    verbose: bool,
) -> None:
    """Generate images and write them.

    Args:
        model: a GAN or a VAE.
        latents: float32 (count, latent_dim).
        out: `FILE.png` for one picture, classes in rows; else a folder, which gets a sub-folder for each class.
        label: a class, by its name or number, or attributes with commas between; None for all classes in turn.
        class_names: of the model.
        verbose: show a progress bar.

    Raises:
        InputError: before anything is written, for a label that the model does not know, or a place that is taken.
    """
    count = len(latents)
    labels, names = labels_of(model, class_names, label, count)
    if out.suffix.lower() in (".jpg", ".jpeg", ".gif", ".bmp", ".webp", ".tif", ".tiff"):
        raise InputError(f"{out}: a picture is written as PNG: name it .png, or name a folder")
    if out.suffix.lower() == ".png":
        if count > MOST_IN_A_PICTURE:
            raise InputError(f"--count {count}: a picture has room for {MOST_IN_A_PICTURE}: give --out a folder")
        if out.exists():
            raise InputError(f"{out}: exists already: name another file")
        require_place(out.parent)
        _write_picture(to_uint8(model.generate(latents, labels)), names, out)
    else:
        require_place(out)
        if out.exists() and any(out.iterdir()):
            raise InputError(f"{out}: is not empty: give --out another folder")
        _write_files(model, latents, labels, names, out, verbose=verbose)


def _write_picture(images: np.ndarray, names: list[str], path: Path) -> None:
    kinds = sorted(set(names))
    columns = int(np.ceil(np.sqrt(len(images)) if len(kinds) == 1 else len(images) / len(kinds)))
    rows = []
    for kind in kinds:
        row = images[[name == kind for name in names]]
        white = np.full((-len(row) % columns, *row.shape[1:]), 255, np.uint8)
        rows += [row, white]
    path.parent.mkdir(parents=True, exist_ok=True)
    plotting.save_image(plotting.grid(np.concatenate(rows), columns), path)
    print(f"{len(images)} images in {path}" + (f", by rows: {', '.join(kinds)}" if len(kinds) > 1 else ""))


def _write_files(
    model: LatentModel, latents: np.ndarray, labels: np.ndarray | None, names: list[str], path: Path, *, verbose: bool
) -> None:
    with building(path) as folder:
        for name in set(names):
            (folder / name).mkdir(parents=True)
        bar = keras.utils.Progbar(len(latents), unit_name="image") if verbose else None
        for first in range(0, len(latents), BATCH):
            part = slice(first, first + BATCH)
            images = to_uint8(model.generate(latents[part], None if labels is None else labels[part]))
            for i, image in enumerate(images, start=first):
                pixels = image if image.shape[-1] == 3 else image[..., 0]
                Image.fromarray(pixels).save(folder / names[i] / f"{i:06}.png")
            if bar:
                bar.update(first + len(images))
    print(f"{len(latents)} images in {path}, sub-folders {', '.join(sorted(set(names)))}")


def labels_of(
    model: LatentModel, class_names: Sequence[str], label: str | None, count: int
) -> tuple[np.ndarray | None, list[str]]:
    """Return the labels of the samples, and the name of each one's class."""
    if not model.conditional:
        if label is not None:
            raise InputError(f"--label {label}: the model was trained without labels: leave it out")
        return None, ["generated"] * count
    if model.multi_label:
        return _attributes(class_names, label, count)
    if label is None:
        ids = np.arange(count, dtype=np.int32) % len(class_names)
        return ids, [class_names[int(i)] for i in ids]
    chosen = chosen_class("--label", label, class_names)
    return np.full(count, chosen, np.int32), [class_names[chosen]] * count


def _attributes(class_names: Sequence[str], label: str | None, count: int) -> tuple[np.ndarray, list[str]]:
    """As `_labels`: without a label every combination in turn, its attributes' names joined."""
    if label is None:
        bits = np.arange(count)[:, None] >> np.arange(len(class_names)) & 1
    else:
        wanted = [name for name in label.split(",") if name]
        if unknown := [name for name in wanted if name not in class_names]:
            raise InputError(
                f"--label {label}: there is no attribute {unknown[0]}: name some of {', '.join(class_names)}, "
                "with commas between, or '' for none"
            )
        bits = np.tile(np.isin(class_names, wanted), (count, 1))
    names = ["+".join(name for name, on in zip(class_names, row, strict=True) if on) or "none" for row in bits]
    return bits.astype(np.float32), names
