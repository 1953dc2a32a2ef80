"""What a segmenter is trained and scored on, by its name or its folder."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import tensorflow as tf

from keras_segen.data import pairs, records, shapes
from keras_segen.data.augmentation import VOID
from keras_segen.data.coco import CLASS_NAMES as COCO_NAMES
from keras_segen.data.coco import read_coco
from keras_segen.data.folder import existing_folder, read_folder
from keras_segen.data.oxford_iiit_pet import CLASS_NAMES as PET_NAMES
from keras_segen.data.oxford_iiit_pet import read_oxford_iiit_pet
from keras_segen.data.shapes import CLASS_NAMES, COUNTS
from keras_segen.data.voc import CLASS_NAMES as VOC_NAMES
from keras_segen.data.voc import read_voc
from keras_segen.errors import InputError

# By name, the year and the split that is trained on.
VOC = {"voc": (2012, "train"), "voc_trainaug": (2012, "trainaug"), "voc2007": (2007, "train")}
PREPARED = {"coco": (read_coco, COCO_NAMES), "oxford_iiit_pet": (read_oxford_iiit_pet, PET_NAMES)}


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
        examples: n -> batches of up to n training images, spread over all of them, as `val` has its own.
    """

    name: str
    class_names: tuple[str, ...]
    fingerprint: str
    count: int
    absent: tuple[str, ...]
    train: Callable[[int, int], tf.data.Dataset]
    val: tf.data.Dataset
    examples: Callable[[int], tf.data.Dataset]


def segmentation_data(
    name: str, *, image_size: int, seed: int, data_dir: Path | str | None = None, verbose: bool = True
) -> SegmentationData:
    """Read and check the data that `--data` names: "shapes", one of `VOC` or `PREPARED`, or a folder's path.

    Args:
        name: of the data.
        image_size: side in pixels of the training crops (of every image, with shapes).
        seed: what training order and augmentation follow from.
        data_dir: where named data sets lie.
        verbose: show progress.

    Raises:
        InputError: for data that cannot be used.
    """
    if name == "shapes":
        return SegmentationData(
            name=name,
            class_names=CLASS_NAMES,
            fingerprint=f"shapes-{image_size}",
            count=COUNTS["train"],
            absent=(),
            train=lambda batch_size, start: shapes(
                "train", image_size=image_size, batch_size=batch_size, training=True, seed=seed, start=start
            ),
            val=shapes("val", image_size=image_size),
            examples=lambda count: shapes("train", image_size=image_size, count=count),
        )
    if name in PREPARED:
        read, class_names = PREPARED[name]
        train_examples, val_examples = (read(split, data_dir, verbose=verbose) for split in ("train", "val"))
        return _from_records(name, class_names, train_examples, val_examples, image_size=image_size, seed=seed)
    if name in VOC:
        year, train_split = VOC[name]
        train_pairs, val_pairs = (
            read_voc(split, data_dir, year=year, verbose=verbose) for split in (train_split, "val")
        )
        return _from_pairs(name, VOC_NAMES, train_pairs, val_pairs, image_size=image_size, seed=seed)
    root = existing_folder(name).resolve()
    train, val = (read_folder(split, root, verbose=verbose) for split in ("train", "val"))
    for split, found in (("train", train), ("val", val)):
        if all(pair.ids <= {VOID} for pair in found.pairs):
            raise InputError(f"{root}: every mask for {split} is void (255) all over: draw class ids from 0")
    num_classes = max(train.greatest_id, val.greatest_id) + 1
    if train.class_names is None and num_classes < 2:
        raise InputError(
            f"{root}: no mask holds a class but 0 (and void): there is nothing to learn, draw objects as 1, 2, …"
        )
    class_names = train.class_names or tuple(f"class_{i}" for i in range(num_classes))
    if len(class_names) > VOID:
        raise InputError(f"{root / 'classes.txt'}: names {len(class_names)} classes: a mask has room for {VOID}")
    return _from_pairs(str(root), class_names, train.pairs, val.pairs, image_size=image_size, seed=seed)


def _from_pairs(
    name: str,
    class_names: tuple[str, ...],
    train: Sequence[pairs.Pair],
    val: Sequence[pairs.Pair],
    *,
    image_size: int,
    seed: int,
) -> SegmentationData:
    present = frozenset().union(*(pair.ids for pair in train))
    return SegmentationData(
        name=name,
        class_names=class_names,
        fingerprint=f"{pairs.fingerprint(train)}-{pairs.fingerprint(val)}",
        count=len(train),
        absent=tuple(name for i, name in enumerate(class_names) if i not in present),
        train=lambda batch_size, start: pairs.dataset(
            train, image_size=image_size, batch_size=batch_size, training=True, seed=seed, start=start
        ),
        val=pairs.dataset(val),
        examples=lambda count: pairs.dataset(train[:: -(-len(train) // count)]),
    )


def _from_records(
    name: str,
    class_names: tuple[str, ...],
    train: records.Examples,
    val: records.Examples,
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
        train=lambda batch_size, start: records.dataset(
            train, image_size=image_size, batch_size=batch_size, training=True, seed=seed, start=start
        ),
        val=records.dataset(val),
        examples=lambda count: records.dataset(train).take(count),  # preparing them has mixed them
    )
