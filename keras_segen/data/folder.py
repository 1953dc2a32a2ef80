"""A user's own pictures: folders of images and masks, or folders of images by class."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import tensorflow as tf

from keras_segen.data import class_folders, images, pairs
from keras_segen.data.augmentation import VOID, Augmentation
from keras_segen.data.in_threads import in_threads
from keras_segen.data.split import SPLITS, check_split, choose
from keras_segen.errors import InputError


def folder(
    split: str,
    *,
    data_dir: Path | str,
    image_size: int | None = None,
    batch_size: int = 16,
    training: bool = False,
    seed: int = 0,
    target: Literal["mask", "label"] | None = "mask",
    val_fraction: float = 0.2,
    augmentation: Augmentation | None = None,
    start: int | None = None,
) -> tf.data.Dataset:
    """Read a folder of images as a data set that is ready for `fit`.

    For segmentation (`target="mask"`) the folder holds `{train,val}/{images,masks}`, or one `images` and one `masks` of
    which a share is kept for validation. A mask has its image's name but for the ending; it is a grey or palette PNG of
    class ids, 255 being void. Masks in black and white, with no value but 0 and 255 in the whole folder, count as 0
    and 1. `classes.txt` may name the classes, one a line. Every file is read and checked before this returns.

    For generation (`target="label"` or None) it holds one sub-folder a class, below `train` and `val` or not.

    Args:
        split: "train" or "val".
        data_dir: the folder.
        image_size: side of the images in pixels: of the crops in training, else of the square that each image is fitted
            into, or None for images as they are, one by one if their sizes differ. Generation needs it.
        batch_size: images a batch.
        training: shuffle and augment.
        seed: what order and augmentation follow from.
        target: "mask", "label" or None.
        val_fraction: share kept for validation where the folder has no split of its own.
        augmentation: how far training images are varied (segmentation); by default `Augmentation()`.
        start: samples already seen, for a run that goes on; see `order.order`.

    Returns:
        Batches of (image float32 (batch, height, width, 3) in [0, 255], mask uint8 (batch, height, width)) for "mask";
        (image float32 in [-1, 1], label int32 (batch,)) for "label"; image for None.

    Raises:
        InputError: for a folder, a file or a class id that cannot be used; the message names it.
    """
    if target not in ("mask", "label", None):
        raise ValueError(f'`target` must be "mask", "label" or None. Received: target={target!r}')
    if target == "mask":
        found = read_folder(split, data_dir, val_fraction=val_fraction)
        return pairs.dataset(
            found.pairs,
            image_size=image_size,
            batch_size=batch_size,
            training=training,
            seed=seed,
            augmentation=augmentation,
            start=start,
        )
    return class_folders.dataset(
        class_folders.read_class_folders(
            split, existing_folder(data_dir, class_folders.LAYOUT), val_fraction=val_fraction
        ),
        image_size=image_size,
        batch_size=batch_size,
        training=training,
        seed=seed,
        labels=target == "label",
        start=start,
    )


@dataclass(frozen=True)
class SegmentationFolder:
    """One split of a folder for segmentation, read and checked.

    Attributes:
        pairs: images and masks in the order of their names.
        class_names: from classes.txt, or None.
    """

    pairs: list[pairs.Pair]
    class_names: tuple[str, ...] | None

    @property
    def greatest_id(self) -> int:
        """The greatest class id in any mask, void aside."""
        return max((i for pair in self.pairs for i in pair.ids if i != VOID), default=0)


def read_folder(
    split: str, data_dir: Path | str, *, val_fraction: float = 0.2, verbose: bool = False
) -> SegmentationFolder:
    """Find, read and check every image and mask of one split; see `folder` for the layout and the errors."""
    check_split(split)
    root = existing_folder(data_dir)
    class_names = read_class_names(root / "classes.txt")
    paths = find_pairs(root, split, val_fraction)
    found = in_threads(lambda both: pairs.read_pair(*both), paths, verbose=verbose)
    ids = frozenset().union(*(pair.ids for pair in found))
    if ids <= {0, VOID}:
        # Black and white, or by chance nothing but class 0 and void in this split: the other tells.
        masks = (images.read_mask(mask) for _, mask in find_pairs(root, _other(split), val_fraction))
        if ids.union(*map(pairs.class_ids, masks)) == {0, VOID}:
            found = pairs.binary(found)
    if class_names is not None:
        pairs.check_ids(found, len(class_names))
    return SegmentationFolder(found, class_names)


def existing_folder(path: Path | str, holding: str = "{train,val}/{images,masks}, or images and masks") -> Path:
    """Return the path if it is a folder; otherwise `InputError`, which says what it should hold."""
    path = Path(path)
    if not path.is_dir():
        what = "is a file" if path.exists() else "does not exist"
        raise InputError(f"{path}: {what}: name a folder that holds {holding}")
    return path


def read_class_names(path: Path) -> tuple[str, ...] | None:
    """Read class names, one a line, the first being class 0; None without such a file."""
    if not path.exists():
        return None
    if not path.is_file():
        raise InputError(f"{path}: is no file: write the classes' names into it, one a line")
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: is not UTF-8 text: save it as UTF-8") from error
    names = tuple(line.strip() for line in lines if line.strip())
    if len(names) < 2 or len(set(names)) < len(names):
        raise InputError(f"{path}: must name at least two classes, each once, one a line; it holds {list(names)}")
    return names


def find_pairs(root: Path, split: str, val_fraction: float) -> list[tuple[Path, Path]]:
    """Match the images and masks of one split by their names, in the order of these."""
    own_split = (root / split).is_dir()
    if not own_split and (root / _other(split)).is_dir():
        raise InputError(f"{root / split}: does not exist, though {root / _other(split)} does: add images and masks")
    base = root / split if own_split else root
    found_images, found_masks = _files_by_stem(base / "images"), _files_by_stem(base / "masks")
    for stem, image in found_images.items():
        if stem not in found_masks:
            raise InputError(f"{image}: has no mask: add {base / 'masks' / stem}.png, or remove the image")
    for stem, mask in found_masks.items():
        if stem not in found_images:
            raise InputError(f"{mask}: has no image of its name in {base / 'images'}: add it, or remove the mask")
    stems = sorted(found_images)
    if not own_split:
        kept = choose(stems, split, val_fraction)
        stems = [stem for stem in stems if stem in kept]
    if not stems:
        raise InputError(f"{base / 'images'}: {len(found_images)} images are too few for a split {split!r}: add some")
    return [(found_images[stem], found_masks[stem]) for stem in stems]


def _files_by_stem(path: Path) -> dict[str, Path]:
    if not path.is_dir():
        raise InputError(
            f"{path}: does not exist: a segmentation folder holds {{train,val}}/{{images,masks}}, or images and masks"
        )
    files: dict[str, Path] = {}
    for file in sorted(path.iterdir()):
        if file.name.startswith(".") or file.name == "Thumbs.db":
            continue
        try:
            file.name.encode()
        except UnicodeEncodeError as error:
            raise InputError(f"{str(file)!a}: its name is not UTF-8: rename it") from error
        if file.is_dir():
            raise InputError(f"{file}: is a folder: put its images into {path} itself, or move it away")
        if file.suffix.lower() not in images.EXTENSIONS:
            raise InputError(f"{file}: is not one of {', '.join(images.EXTENSIONS)}: convert or remove it")
        if not file.is_file():
            raise InputError(f"{file}: is no file, nor a link to one: remove it")
        if file.stem in files:
            raise InputError(f"{file}: has the same name as {files[file.stem].name} but for the ending: rename one")
        files[file.stem] = file
    if not files:
        raise InputError(f"{path}: is empty: put images (JPEG, PNG or BMP) there")
    return files


def _other(split: str) -> str:
    return SPLITS[1 - SPLITS.index(split)]
