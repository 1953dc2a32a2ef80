"""Data that a segmenter is trained and scored on, by their name or their folder."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import tensorflow as tf

from keras_segen._masks import VOID
from keras_segen.data import _pairs, _records, shapes
from keras_segen.data._coco import CLASS_NAMES as COCO_NAMES
from keras_segen.data._coco import SPLITS as COCO_SPLITS
from keras_segen.data._coco import read_coco
from keras_segen.data._folder import existing_folder, read_folder
from keras_segen.data._named import require_named_split
from keras_segen.data._oxford_iiit_pet import CLASS_NAMES as PET_NAMES
from keras_segen.data._oxford_iiit_pet import SPLITS as PET_SPLITS
from keras_segen.data._oxford_iiit_pet import read_oxford_iiit_pet
from keras_segen.data._shapes import CLASS_NAMES, COUNTS
from keras_segen.data._split import TRAIN, VAL
from keras_segen.data._voc import ARCHIVES, read_voc
from keras_segen.data._voc import CLASS_NAMES as VOC_NAMES
from keras_segen.errors import InputError

# By name, the year and the split that is trained on.
VOC = {"voc": (2012, "train"), "voc_trainaug": (2012, "trainaug"), "voc2007": (2007, "train")}
PREPARED = {"coco": (read_coco, COCO_NAMES), "oxford_iiit_pet": (read_oxford_iiit_pet, PET_NAMES)}
# By name, the splits that a model can be scored on.
SPLITS = {
    "shapes": tuple(COUNTS),
    "coco": tuple(COCO_SPLITS),
    "oxford_iiit_pet": tuple(PET_SPLITS),
    **{name: tuple(ARCHIVES[year]) for name, (year, _) in VOC.items()},
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
    kept_aside: int = 0


def segmentation_data(
    name: str,
    *,
    image_size: int,
    seed: int,
    data_dir: Path | str | None = None,
    split: str | None = None,
    class_names: Sequence[str] | None = None,
    verbose: bool = True,
) -> SegmentationData:
    """Read and check the data that `--data` names: "shapes", one of `VOC` or `PREPARED`, or a folder's path.

    Args:
        name: of the data.
        image_size: side in pixels of the training crops (of every image, with shapes).
        seed: what training order and augmentation follow from.
        data_dir: where named data sets lie.
        split: read this one alone, to score a model on it; None: train on one and validate on another.
        class_names: the classes that a folder's masks hold, if a model knows them; None: they follow from the folder.
        verbose: show progress.

    Raises:
        InputError: for data that cannot be used.
    """
    if split and name in SPLITS:
        require_named_split(name, split, SPLITS[name])
    trained, scored = split or TRAIN, split or VAL
    if name == "shapes":
        return SegmentationData(
            name=name,
            class_names=CLASS_NAMES,
            fingerprint=f"shapes-{image_size}",
            count=COUNTS[trained],
            absent=(),
            train=lambda batch_size, start: shapes(
                trained, image_size=image_size, batch_size=batch_size, training=True, seed=seed, start=start
            ),
            val=shapes(scored, image_size=image_size),
            val_count=COUNTS[scored],
            examples=lambda count: shapes(trained, image_size=image_size, count=count),
        )
    if name in PREPARED:
        read, class_names = PREPARED[name]
        train_examples = read(trained, data_dir, verbose=verbose)
        val_examples = train_examples if split else read(scored, data_dir, verbose=verbose)
        return _from_records(name, class_names, train_examples, val_examples, image_size=image_size, seed=seed)
    if name in VOC:
        year, train_split = VOC[name]
        train_pairs = read_voc(split or train_split, data_dir, year=year, verbose=verbose)
        val_pairs = train_pairs if split else read_voc(scored, data_dir, year=year, verbose=verbose)
        return _from_pairs(name, VOC_NAMES, train_pairs, val_pairs, image_size=image_size, seed=seed)
    root = existing_folder(name).resolve()
    train = read_folder(trained, root, class_names=class_names, verbose=verbose)
    val = train if split else read_folder(scored, root, class_names=class_names, verbose=verbose)
    for its_split, found in ((trained, train), (scored, val)):
        if all(pair.ids <= {VOID} for pair in found.pairs):
            raise InputError(f"{root}: all masks for {its_split} are void (255) all over: draw class ids from 0")
    num_classes = max(train.greatest_id, val.greatest_id) + 1
    if train.class_names is None and class_names is None and num_classes < 2:
        raise InputError(
            f"{root}: no mask holds a class but 0 (and void): there is nothing to learn, draw objects as 1, 2, …"
        )
    names = train.class_names or tuple(f"class_{i}" for i in range(num_classes))
    if len(names) > VOID:
        raise InputError(f"{root / 'classes.txt'}: names {len(names)} classes: a mask has room for {VOID}")
    loaded = _from_pairs(str(root), names, train.pairs, val.pairs, image_size=image_size, seed=seed)
    return replace(loaded, black_and_white=train.black_and_white)


def _from_pairs(
    name: str,
    class_names: tuple[str, ...],
    train: Sequence[_pairs.Pair],
    val: Sequence[_pairs.Pair],
    *,
    image_size: int,
    seed: int,
) -> SegmentationData:
    present = frozenset().union(*(pair.ids for pair in train))
    return SegmentationData(
        name=name,
        class_names=class_names,
        fingerprint=f"{_pairs.fingerprint(train)}-{_pairs.fingerprint(val)}",
        count=len(train),
        absent=tuple(name for i, name in enumerate(class_names) if i not in present),
        train=lambda batch_size, start: _pairs.dataset(
            train, image_size=image_size, batch_size=batch_size, training=True, seed=seed, start=start
        ),
        val=_pairs.dataset(val),
        val_count=len(val),
        examples=lambda count: _pairs.dataset(train[:: -(-len(train) // count)]),
    )


def _from_records(
    name: str,
    class_names: tuple[str, ...],
    train: _records.Examples,
    val: _records.Examples,
    *,
    image_size: int,
    seed: int,
) -> SegmentationData:
    return SegmentationData(
        name=name,
        class_names=class_names,
        fingerprint=f"{train.records.digest}-{val.records.digest}",
        count=len(train.records),
        absent=(),
        train=lambda batch_size, start: _records.dataset(
            train, image_size=image_size, batch_size=batch_size, training=True, seed=seed, start=start
        ),
        val=_records.dataset(val),
        val_count=len(val.records),
        examples=lambda count: _records.dataset(train).take(count),  # preparing them has mixed them
    )
