"""Data that a segmenter is trained and scored on, by their name or their folder."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import tensorflow as tf

from keras_segen.data import (
    SHAPES_COUNTS,
    VOID,
    Augmentation,
    Examples,
    Pairs,
    class_names,
    read_coco,
    read_folder,
    read_oxford_iiit_pet,
    read_voc,
    shapes,
    splits,
)
from keras_segen.errors import InputError
from keras_segen_cli.tasks.splits import TRAIN, VAL, require_named_split

# By name, the year and the split that is trained on.
VOC = {"voc": (2012, "train"), "voc_trainaug": (2012, "trainaug"), "voc2007": (2007, "train")}
PREPARED: dict[str, Callable[..., Examples]] = {"coco": read_coco, "oxford_iiit_pet": read_oxford_iiit_pet}
# By name, the splits that a model can be scored on.
SPLITS = {
    **{name: splits(name) for name in ("shapes", "coco", "oxford_iiit_pet")},
    **{name: splits("voc" if year == 2012 else f"voc{year}") for name, (year, _) in VOC.items()},
}


@dataclass(frozen=True)
class SegmentationData:
    """Training and validation data of one kind.

    Attributes:
        name: of a data set, or the folder's path.
        class_names: one a class.
        fingerprint: the same if and only if the data are.
        count: training images.
        absent: names of classes that no training image holds, if that is known.
        train: (batch_size, start) -> batches without end, beginning behind `start` samples.
        val: batches of the validation images at their own size, once.
        val_count: validation images.
        examples: n -> batches of up to n training images, spread over all of them, as `val` has its own.
        black_and_white: whether a folder's masks hold 255 in their files where class 1 is.
        channels: of the images.
        value_range: the values that become 0 and 255 in the network; None for images of 8 bits.
        balanced: the classes' weights by their frequencies, if these are known.
        kept_aside: further images; none, as these are the validation images.
    """

    name: str
    class_names: tuple[str, ...]
    fingerprint: str
    count: int
    absent: tuple[str, ...]
    train: Callable[[int, int], tf.data.Dataset]
    val: tf.data.Dataset
    val_count: int
    examples: Callable[[int], tf.data.Dataset]
    black_and_white: bool = False
    channels: int = 3
    value_range: tuple[float, float] | None = None
    balanced: tuple[float, ...] | None = None
    kept_aside: int = 0


def segmentation_data(
    name: str,
    *,
    image_size: int,
    seed: int,
    data_dir: Path | str | None = None,
    split: str | None = None,
    known_classes: Sequence[str] | None = None,
    channels: int | None = None,
    value_range: tuple[float, float] | None = None,
    augmentation: Augmentation | None = None,
    oversampling: float = 0.0,
    verbose: bool = True,
) -> SegmentationData:
    """Read and check the data that `--data` names: "shapes", one of `VOC` or `PREPARED`, or a folder's path.

    Args:
        name: of the data.
        image_size: side in pixels of the training crops (of every image, with shapes).
        seed: what training order and augmentation follow from.
        data_dir: where named data sets lie.
        split: read this one alone, to score a model on it; None: train on one and validate on another.
        known_classes: the classes that a folder's masks hold, if a model knows them; None: they follow from the folder.
        channels: of a folder's images; None: they follow from the folder.
        value_range: the values of a folder's images that become 0 and 255; None: likewise.
        augmentation: of the training images, shapes aside; None: the default.
        oversampling: share of training images below which a class is rare, and its images are repeated.
        verbose: show progress.

    Raises:
        InputError: for data that cannot be used.
    """
    if split and name in SPLITS:
        require_named_split(name, split, SPLITS[name])
    trained, scored = split or TRAIN, split or VAL
    if name in SPLITS and (channels not in (None, 3) or value_range is not None):
        option = f"--channels {channels}" if channels not in (None, 3) else "--value-range"
        raise InputError(f"{option} is for a folder's images: those of {name} are RGB of 8 bits")
    if name == "shapes":
        return SegmentationData(
            name=name,
            class_names=class_names(name),
            fingerprint=f"shapes-{image_size}",
            count=SHAPES_COUNTS[trained],
            absent=(),
            train=lambda batch_size, start: shapes(
                trained, image_size=image_size, batch_size=batch_size, training=True, seed=seed, start=start
            ),
            val=shapes(scored, image_size=image_size),
            val_count=SHAPES_COUNTS[scored],
            examples=lambda count: shapes(trained, image_size=image_size, count=count),
        )
    made = partial(
        _from_sources, image_size=image_size, seed=seed, augmentation=augmentation, oversampling=oversampling
    )
    train: Pairs | Examples
    val: Pairs | Examples
    if name in PREPARED:
        read = PREPARED[name]
        train = read(trained, data_dir, verbose=verbose)
        val = train if split else read(scored, data_dir, verbose=verbose)
        return made(name, class_names(name), train, val)
    if name in VOC:
        year, train_split = VOC[name]
        train = read_voc(split or train_split, data_dir, year=year, verbose=verbose)
        val = train if split else read_voc(scored, data_dir, year=year, verbose=verbose)
        return made(name, class_names("voc"), train, val)
    return _from_folder(
        Path(name).resolve(), split, made, known_classes=known_classes, kind=(channels, value_range), verbose=verbose
    )


def _from_folder(
    root: Path,
    split: str | None,
    made: Callable[..., SegmentationData],
    *,
    known_classes: Sequence[str] | None,
    kind: tuple[int | None, tuple[float, float] | None],
    verbose: bool,
) -> SegmentationData:
    trained, scored = split or TRAIN, split or VAL

    def read(its_split: str, channels: int | None, value_range: tuple[float, float] | None) -> Pairs:
        return read_folder(
            its_split, root, channels=channels, value_range=value_range, class_names=known_classes, verbose=verbose
        )

    train = read(trained, *kind)
    val = train if split else read(scored, train.channels, train.value_range)
    for its_split, pairs in ((trained, train), (scored, val)):
        if pairs.ids == {VOID}:
            raise InputError(f"{root}: all masks for {its_split} are void (255) all over: draw class ids from 0")
    num_classes = max((train.ids | val.ids) - {VOID}) + 1
    if train.class_names is None and known_classes is None and num_classes < 2:
        raise InputError(
            f"{root}: no mask holds a class but 0 (and void): there is nothing to learn, draw objects as 1, 2, …"
        )
    names = train.class_names or tuple(f"class_{i}" for i in range(num_classes))
    if len(names) > VOID:
        raise InputError(f"{root / 'classes.txt'}: names {len(names)} classes: a mask has room for {VOID}")
    data = made(str(root), names, train, val)
    return replace(data, black_and_white=train.black_and_white, channels=train.channels, value_range=train.value_range)


def _from_sources(
    name: str,
    class_names: tuple[str, ...],
    train: Pairs | Examples,
    val: Pairs | Examples,
    *,
    image_size: int,
    seed: int,
    augmentation: Augmentation | None,
    oversampling: float,
) -> SegmentationData:
    present = train.ids
    shown = train
    if oversampling:
        if not isinstance(train, Pairs):
            raise InputError(f"--oversampling: which classes the images of {name} hold is not known: remove the option")
        shown = train.oversampled(oversampling)
        print(f"oversampling: {len(shown) - len(train)} repeats of images with rare classes", flush=True)
    return SegmentationData(
        name=name,
        class_names=class_names,
        fingerprint=f"{train.fingerprint}-{val.fingerprint}",
        count=len(shown),
        absent=() if present is None else tuple(name for i, name in enumerate(class_names) if i not in present),
        train=lambda batch_size, start: shown.dataset(
            image_size=image_size,
            augmentation=augmentation,
            batch_size=batch_size,
            training=True,
            seed=seed,
            start=start,
        ),
        balanced=tuple(train.class_weights(len(class_names))) if isinstance(train, Pairs) else None,
        val=val.dataset(),
        val_count=len(val),
        examples=lambda count: train.sample(count).dataset(),
    )
