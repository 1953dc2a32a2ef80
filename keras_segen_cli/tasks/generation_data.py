"""Data that a generator is trained and scored on, by their name or their folder."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import tensorflow as tf

from keras_segen.data import (
    CELEB_A_CROP,
    class_names,
    folder_splits,
    from_arrays,
    read_celeb_a,
    read_cifar10,
    read_class_folders,
    read_fashion_mnist,
    read_mnist,
    scenes,
    shapes,
    splits,
)
from keras_segen.errors import InputError
from keras_segen_cli.options import GENERATION_SETS, GREY_SETS
from keras_segen_cli.tasks.splits import TRAIN, VAL, require_named_split

# Real images that samples are compared with, and held-out ones that a model is scored on, at most.
REFERENCE = HELD_OUT = 10_000
# Scenes of shapes: four times the segmenters', for a generator learns less from each.
SCENES = 8192
# By name, the splits that a model can be scored on.
SPLITS = {name: splits(name) for name in GENERATION_SETS}
# Those that are held in memory, with the sides that their images may have.
IN_MEMORY = {
    "cifar10": (read_cifar10, (32,)),
    "mnist": (read_mnist, (28, 32)),
    "fashion_mnist": (read_fashion_mnist, (28, 32)),
}
NO_IMAGES = np.empty((0, 0, 0, 3), np.uint8)


@dataclass(frozen=True)
class GenerationData:
    """Training data of one kind.

    Attributes:
        name: of the data set, or the folder's path.
        class_names: one a class, or an attribute; none without labels.
        fingerprint: the same if and only if the data are.
        count: training images.
        train: (batch_size, start) -> batches without end, beginning behind `start` samples.
        images: some of them as they are, not mirrored, of all classes from the first on, uint8 (count, height, width,
            channels).
        labels: of these, or None.
        split: that `images` are of.
        crop: what of each picture the images are, as statistics of them are called.
        kept_aside: further images of a folder, checked too, for testing what is learnt.
        held_out: images that are not trained on, as `images`, if they were asked for.
        held_out_labels: of these, or None.
    """

    name: str
    class_names: tuple[str, ...]
    fingerprint: str
    count: int
    train: Callable[[int, int], tf.data.Dataset]
    images: np.ndarray
    labels: np.ndarray | None
    split: str = TRAIN
    crop: str = "none"
    kept_aside: int = 0
    held_out: np.ndarray = field(default_factory=lambda: NO_IMAGES)
    held_out_labels: np.ndarray | None = None

    @property
    def val(self) -> tf.data.Dataset | None:
        """The held-out images in batches, once; None if they were not asked for."""
        if not len(self.held_out):
            return None
        return from_arrays(self.held_out, self.held_out_labels, batch_size=256, training=False, seed=0)


def generation_data(
    name: str,
    *,
    image_size: int,
    seed: int,
    labels: bool,
    attributes: Sequence[str] = (),
    data_dir: str | None = None,
    samples: int | None = None,
    held_out: bool = False,
    split: str | None = None,
    verbose: bool = True,
) -> GenerationData:
    """Read and check the data that `--data` names: one of `GENERATION_SETS`, or a folder's path.

    Args:
        name: of the data.
        image_size: side in pixels.
        seed: what order and augmentation follow from.
        labels: whether images come with their classes or attributes.
        attributes: CelebA's, by their names.
        data_dir: where named data sets lie.
        samples: how many of `images` there are at most; None: `REFERENCE`.
        held_out: whether to read some that are not trained on: validation images, or test images for want of these.
        split: read this one alone, to score a model on it: `images` and `held_out` are both of it.
        verbose: show progress.

    Raises:
        InputError: for data that cannot be used.
    """
    size, most = image_size, REFERENCE if samples is None else samples
    if attributes and name != "celeb_a":
        raise InputError(f"--attributes are CelebA's, {name} has none: remove them")
    if split and name in SPLITS:
        require_named_split(name, split, SPLITS[name])
    trained = split or TRAIN
    if name == "shapes":
        return _shapes(size, seed, split, most=most, labels=labels, held_out=held_out)
    if name in IN_MEMORY:
        found = arrays(name, trained, size, data_dir)
        others = (found if split else arrays(name, "test", size, data_dir)) if held_out else None
        return _arrays(name, *found, class_names(name), trained, most=most, seed=seed, labels=labels, others=others)
    if name == "celeb_a":
        if labels and not attributes:
            raise InputError("CelebA is conditional on attributes: name some, such as --attributes Smiling Male")

        def faces(split: str) -> tuple[np.ndarray, np.ndarray]:
            return read_celeb_a(split, data_dir, image_size=size, attributes=attributes, verbose=verbose)

        try:
            found = faces(trained)
            others = (found if split else faces(VAL)) if held_out else None
        except ValueError as error:
            raise InputError(str(error)) from error
        names, crop = tuple(attributes), f"middle_{CELEB_A_CROP}"
        return _arrays(name, *found, names, trained, most=most, seed=seed, labels=labels, crop=crop, others=others)
    root = Path(name).resolve()
    own = folder_splits(root, target="label")
    if held_out and not split and own and VAL not in own:
        raise InputError(
            f"{root}: holds no val, only {', '.join(own)}: put images there that the model is scored on, not trained on"
        )
    files = read_class_folders(trained, root, verbose=verbose)
    aside = None
    if split:
        aside = files
    elif not own or VAL in own:
        aside = read_class_folders(VAL, root, verbose=verbose)
        if labels:
            aside.require_classes_of(files)
    some = np.random.default_rng(0).permutation(len(aside) if aside else 0)[:HELD_OUT]
    # Any of them, in any order: they lie class by class.
    chosen = np.random.default_rng(0).permutation(len(files))[:most]
    return GenerationData(
        name=str(root),
        class_names=files.class_names if labels else (),
        fingerprint=f"{files.fingerprint}-{size}",
        count=len(files),
        split=trained,
        kept_aside=len(aside) if aside and not split else 0,
        train=lambda batch_size, start: files.dataset(
            image_size=size, batch_size=batch_size, training=True, seed=seed, labels=labels, start=start
        ),
        images=files.decode(size, chosen),
        labels=files.labels[chosen] if labels else None,
        crop="middle_square",
        held_out=aside.decode(size, some) if held_out and aside else NO_IMAGES,
        held_out_labels=aside.labels[some] if held_out and aside and labels else None,
    )


def _arrays(
    name: str,
    images: np.ndarray,
    answers: np.ndarray,
    class_names: tuple[str, ...],
    split: str,
    *,
    most: int,
    seed: int,
    labels: bool,
    crop: str = "none",
    others: tuple[np.ndarray, np.ndarray] | None = None,
) -> GenerationData:
    kept = answers if labels else None
    digest = hashlib.sha256(images.data)
    digest.update(answers.data)
    return GenerationData(
        name=name,
        class_names=class_names if labels else (),
        fingerprint=digest.hexdigest(),
        count=len(images),
        train=lambda batch_size, start: from_arrays(
            images, kept, mirror=name not in GREY_SETS, batch_size=batch_size, training=True, seed=seed, start=start
        ),
        split=split,
        images=images[:most],
        labels=None if kept is None else kept[:most],
        crop=crop,
        held_out=others[0][:HELD_OUT] if others else NO_IMAGES,
        held_out_labels=others[1][:HELD_OUT] if others and labels else None,
    )


def _shapes(size: int, seed: int, split: str | None, *, most: int, labels: bool, held_out: bool) -> GenerationData:
    images, answers = scenes(split or TRAIN, min(most, 2048), size)
    others = scenes(split or VAL, 1024, size) if held_out else None
    return GenerationData(
        name="shapes",
        class_names=class_names("shapes")[1:] if labels else (),
        fingerprint=f"shapes-{SCENES}-{size}",
        count=SCENES,
        split=split or TRAIN,
        train=lambda batch_size, start: shapes(
            "train",
            image_size=size,
            batch_size=batch_size,
            training=True,
            seed=seed,
            count=SCENES,
            target="label" if labels else None,
            start=start,
        ),
        images=images,
        labels=answers if labels else None,
        held_out=others[0] if others else NO_IMAGES,
        held_out_labels=others[1] if others and labels else None,
    )


def arrays(name: str, split: str, size: int, data_dir: Path | str | None) -> tuple[np.ndarray, np.ndarray]:
    """Return the images and labels of one of `IN_MEMORY`; `InputError` for a size that it does not have."""
    read, sizes = IN_MEMORY[name]
    if size not in sizes:
        listed = " or ".join(map(str, sizes))
        raise InputError(
            f"--image-size {size}: the images of {name} are of {listed} pixels: give --image-size {listed}"
        )
    return read(split, data_dir, image_size=size)
