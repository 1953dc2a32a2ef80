"""A user's own pictures: folders of images and masks, or folders of images by class."""

import warnings
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal, Unpack

import tensorflow as tf

from keras_segen._masks import VOID
from keras_segen.data import _class_folders, _images, _pairs, _windows
from keras_segen.data._augmentation import Augmentation
from keras_segen.data._batching import Batching, check_batching
from keras_segen.data._channels import EXTENSIONS, ImageKind, check_channels, is_plain
from keras_segen.data._image_files import is_hidden
from keras_segen.data._in_threads import in_threads
from keras_segen.data._split import ALL, TRAIN, VAL, choose, existing_folder, hint, normalized, require_split
from keras_segen.errors import InputError
from keras_segen.types import PathLike

# Without classes.txt: so many classes at most, of which so many may be missing, or as many as occur.
MOST_UNNAMED, MOST_MISSING = 100, 16


def folder(
    split: str,
    *,
    data_dir: PathLike,
    image_size: int | None = None,
    target: Literal["mask", "label"] | None = "mask",
    val_fraction: float = 0.2,
    channels: int | None = None,
    value_range: tuple[float, float] | None = None,
    augmentation: Augmentation | None = None,
    verbose: bool = False,
    **batching: Unpack[Batching],
) -> tf.data.Dataset:
    """Read a folder of images as a data set that is ready for `fit`.

    For segmentation (`target="mask"`) the folder holds `{train,val}/{images,masks}`, or one `images` and one `masks`, a
    share of which is held out for validation. A mask has its image's name but for the ending; it is a grey or palette
    PNG of class ids, where 255 is void. If every mask of the folder contains only 0 and 255, they are read as 0 and 1,
    unless `classes.txt` names more than two classes. `classes.txt` may name the classes, one on each line. Without it,
    the ids must be below 100 with few of them missing. Every file is read and checked before this returns.

    For generation (`target="label"` or None) the folder holds a sub-folder for each class, inside `train` and `val` or
    not. The classes of all splits, in the order of their names, are numbered together.

    Args:
        split: "train", "val" or another sub-folder such as "test"; "all" for all images of the folder, whether it has
            splits of its own or not.
        data_dir: The folder.
        image_size: The side of the images in pixels, which generation needs. In training it is the side of the crops;
            otherwise of a square with the image in its middle, shrunk if it is larger, and void around it. With None,
            images keep their sizes, and come one by one if these differ.
        target: The target beside the image: "mask", "label" or None.
        val_fraction: The share in (0, 1] that is held out for validation if the folder has no splits of its own.
        channels: The number of channels of images for segmentation, as for `read_folder`.
        value_range: Their range of values, likewise.
        augmentation: The variation of training images for segmentation; by default `Augmentation()`.
        verbose: Whether to show a progress bar while files are read and checked.
        batching: `batch_size=16`, `training=False`, `seed=0` and `start=None`; see `Batching`. With
            `image_size=None` a batch has 2^19 pixels at most, or one image.

    Returns:
        Batches of (image float32 (batch, height, width, channels) in [0, 255] or `value_range`, mask uint8 (batch,
        height, width)) for "mask"; of (image float32 in [-1, 1], label int32 (batch,)) for "label"; of images alone for
        None.

    Raises:
        InputError: For a folder, a file or a class id that cannot be used; the message names it.

    Example:
        >>> picture = tf.io.encode_png(tf.zeros((32, 32, 1), tf.uint8))
        >>> for name in ("images/1.png", "images/2.png", "masks/1.png", "masks/2.png"):
        ...     tf.io.write_file(f"nuclei/{name}", picture)
        >>> images, masks = next(iter(ks.data.folder("train", data_dir="nuclei", image_size=32, batch_size=1)))
        >>> images.shape, masks.shape
        (TensorShape([1, 32, 32, 3]), TensorShape([1, 32, 32]))
    """
    _check_target(target)
    check_batching(batching, image_size=image_size, crops=target == "mask")
    if target != "mask" and (channels is not None or value_range is not None):
        raise ValueError(f'`channels` and `value_range` are for `target="mask"`. Received: target={target!r}')
    if target == "mask":
        pairs = read_folder(
            split, data_dir, val_fraction=val_fraction, channels=channels, value_range=value_range, verbose=verbose
        )
        return pairs.dataset(image_size=image_size, augmentation=augmentation, **batching)
    files = _class_folders.read_class_folders(split, data_dir, val_fraction=val_fraction, verbose=verbose)
    return files.dataset(image_size=image_size, labels=target == "label", **batching)


def read_folder(
    split: str,
    data_dir: PathLike,
    *,
    val_fraction: float = 0.2,
    channels: int | None = None,
    value_range: tuple[float, float] | None = None,
    class_names: Sequence[str] | None = None,
    verbose: bool = False,
) -> _pairs.Pairs:
    """Find, read and check every image and mask of one split; see `folder` for the layout and the errors.

    Pictures of 8 bits are read as RGB by `read_image`. If there are images of 16 bits, real numbers, several pages or
    bands among them, or arrays (`.npy`), all are read as they are, by `read_channels`.

    Args:
        split: The split, as for `folder`.
        data_dir: The folder.
        val_fraction: The share kept for validation, as for `folder`.
        channels: The number of channels of the images; None for RGB, or those that the images have if they are not
            pictures of 8 bits. With 3 and without `value_range` they are read as RGB of 8 bits, whatever they are.
        value_range: The values that become 0 and 255 in a network, (low, high), where images are not of 8 bits. None
            for the range of all images of "train" or "all" together, without a thousandth of each image's pixels at
            either end; for other splits give what was found in training, `pairs.value_range`.
        class_names: The names of the classes, if the folder has no classes.txt, which comes first.
        verbose: Whether to show a progress bar.

    Example:
        >>> for name in ("images", "masks"):
        ...     ks.plotting.save_image(np.eye(32, dtype="uint8"), f"my_folder/{name}/0.png")
        >>> pairs = ks.data.read_folder("all", "my_folder")
        >>> next(iter(pairs.dataset()))[0].shape
        TensorShape([1, 32, 32, 3])
    """
    check_channels(channels, value_range)
    root = existing_folder(data_dir)
    names = read_class_names(root / "classes.txt")
    if names is None and class_names is not None:
        names = _checked_names(class_names)
    paths = find_pairs(root, split, val_fraction)
    kind, read_pairs = _read_pairs(split, paths, channels, value_range, verbose=verbose)
    _images.warn_of_dim([pair.properties.peak for pair in read_pairs])
    ids_of = {pair.mask: pair.ids for pair in read_pairs}
    ids = _union(ids_of)
    maybe_binary = ids <= {0, VOID} and (names is None or len(names) == 2)
    if maybe_binary or (names is None and not _dense(ids)):
        # By chance this split may hold few of the classes: the others tell.
        other_masks = sorted({mask for _, mask in find_pairs(root, ALL)} - ids_of.keys())
        read_ids = in_threads(lambda mask: frozenset(_pairs.pixels_of(_images.read_mask(mask))), other_masks)
        ids_of |= dict(zip(other_masks, read_ids, strict=True))
        ids = _union(ids_of)
    black_and_white = maybe_binary and ids == {0, VOID}
    if black_and_white:
        read_pairs = _pairs.binary(read_pairs)
    elif names is not None:
        _pairs.check_ids(read_pairs, len(names))
    elif not _dense(ids):
        worst = max(ids_of, key=lambda mask: max(ids_of[mask] - {VOID}, default=0))
        greatest = max(ids - {VOID})
        raise InputError(
            f"{worst}: holds the value {greatest}, and the folder's masks hold {len(ids - {VOID})} of the values from "
            f"0 to {greatest}: these look like grey levels or smoothed edges, not like class ids: save the masks with "
            "ids 0, 1, 2, … (resize them by nearest neighbour), or name every class in classes.txt, one a line"
        )
    if ids == {0, 1, VOID} and (names is None or len(names) == 2):
        _warn_of_white([pair.mask for pair in read_pairs if pair.ids == {0, VOID}], len(read_pairs))
    return _pairs.Pairs(read_pairs, names, black_and_white, kind)


def _read_pairs(
    split: str,
    paths: Sequence[tuple[Path, Path]],
    channels: int | None,
    value_range: tuple[float, float] | None,
    *,
    verbose: bool,
) -> tuple[ImageKind, list[_pairs.Pair]]:
    """Read pairs, and say how their images are read: as RGB, or as they are."""
    images = [image for image, _ in paths]
    if value_range is None and (channels == 3 or (channels is None and all(in_threads(is_plain, images)))):
        return ImageKind(), in_threads(lambda both: _pairs.read_pair(*both), paths, verbose=verbose)

    def read(both: tuple[Path, Path]) -> _pairs.Pair:
        return _pairs.read_pair(*both, check_image=lambda path: _windows.check_as_it_is(path, channels))

    read_pairs = in_threads(read, paths, verbose=verbose)
    first = read_pairs[0]
    for pair in read_pairs:
        if pair.properties.channels != first.properties.channels:
            raise InputError(
                f"{pair.image}: has {pair.properties.channels} channels, and {first.image.name} has "
                f"{first.properties.channels}: give all images the same, or say by --channels how many are wanted"
            )
    spans = [pair.properties.span for pair in read_pairs if pair.properties.span is not None]
    if value_range is None and spans:
        if split not in (TRAIN, ALL):
            raise InputError(
                f"{first.image}: is not of 8 bits, so that its range of values must be known: give `value_range`, that "
                'of the training images, which `read_folder("train", …).value_range` is'
            )
        value_range = min(low for low, _ in spans), max(high for _, high in spans)
        if value_range[0] == value_range[1]:
            raise InputError(f"{first.image}: all images hold {value_range[0]:g} alone: there is nothing to learn")
    kind = ImageKind(first.properties.channels, value_range)
    # Arrays, or colours in planes, which `read_image` does not know.
    return replace(kind, value_range=(0.0, 255.0)) if kind.is_rgb else kind, read_pairs


def _checked_names(class_names: Sequence[str]) -> tuple[str, ...]:
    names = tuple(class_names)
    if isinstance(class_names, str) or len(names) < 2 or len(set(names)) < len(names):
        raise ValueError(
            f"`class_names` must name at least two classes, each once. Received: class_names={class_names!r}"
        )
    return names


def _warn_of_white(masks: Sequence[Path], count: int) -> None:
    if masks:
        warnings.warn(
            f"{masks[0]}: holds no values but 0 and 255, as {len(masks)} of {count} masks do, and others hold 1: 255 "
            "counts as void here; if it is class 1, save all masks with the values 0 and 1",
            stacklevel=3,
        )


def _union(ids_of: dict[Path, frozenset[int]]) -> frozenset[int]:
    return frozenset().union(*ids_of.values())


def _dense(ids: frozenset[int]) -> bool:
    """Say whether values are likely class ids, rather than grey levels or edges that were smoothed."""
    class_ids = ids - {VOID}
    greatest = max(class_ids, default=0)
    # A class may be missing, or several in a few images of many classes.
    return greatest < MOST_UNNAMED and greatest + 1 - len(class_ids) <= max(len(class_ids), MOST_MISSING)


def _check_target(target: str | None) -> None:
    if target not in ("mask", "label", None):
        raise ValueError(f'`target` must be "mask", "label" or None. Received: target={target!r}')


def folder_splits(data_dir: PathLike, *, target: Literal["mask", "label"] | None = "mask") -> list[str]:
    """Return the names of a folder's own splits, in alphabetical order; none where `folder` divides the images itself.

    Args:
        data_dir: The folder.
        target: What `folder` is to read from it.

    Raises:
        InputError: If it is not a folder, or holds images both beside its splits and in them.

    Example:
        >>> for name in ("train/cat/0.png", "train/dog/0.png", "test/cat/0.png"):
        ...     ks.plotting.save_image(np.zeros((40, 50, 3), "uint8"), f"photos/{name}")
        >>> ks.data.folder_splits("photos", target="label")
        ['test', 'train']
    """
    _check_target(target)
    if target == "mask":
        return find_splits(existing_folder(data_dir))
    return _class_folders.find_splits(existing_folder(data_dir, _class_folders.LAYOUT))


def read_class_names(path: PathLike) -> tuple[str, ...] | None:
    r"""Read class names, one a line, the first being class 0; None without such a file.

    Args:
        path: The path of the file, which is UTF-8 text.

    Raises:
        InputError: If it is not such a file, or does not name two classes at least, each once.

    Example:
        >>> tf.io.write_file("classes.txt", "background\ncat\n")
        >>> ks.data.read_class_names("classes.txt")
        ('background', 'cat')
    """
    path = Path(path)
    if not path.exists():
        return None
    if not path.is_file():
        raise InputError(f"{path}: is not a file: write the classes' names into it, one a line")
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: is not UTF-8 text: save it as UTF-8") from error
    names = tuple(normalized(line.strip()) for line in lines if line.strip())
    if len(names) < 2 or len(set(names)) < len(names):
        raise InputError(f"{path}: must name at least two classes, each once, one a line; it holds {list(names)}")
    return names


def find_splits(root: Path) -> list[str]:
    """Return the folder's own splits, in the order of their names: the sub-folders that hold `images`."""
    own = sorted(path.name for path in root.iterdir() if path.name[0] != "." and (path / "images").is_dir())
    if own and (root / "images").is_dir():
        raise InputError(f"{root / 'images'}: lies beside {root / own[0] / 'images'}: move one of them away")
    return own


def find_pairs(root: Path, split: str, val_fraction: float = 0.2) -> list[tuple[Path, Path]]:
    """Match the images and masks of one split by their names, in the order of these."""
    own = find_splits(root)
    if not own and (root / split).is_dir():
        own = [split]  # without images, which is said below
    require_split(root, split, own)
    if split == ALL and own:
        return [pair for name in own for pair in _match(root / name).values()]
    if own:
        return list(_match(root / split).values())
    paths = _match(root)
    if split == ALL:
        return list(paths.values())
    kept = choose(paths, split, val_fraction)
    if not kept:
        raise InputError(
            f"{root / 'images'}: holds {len(paths)} images, which leave none for {split} beside a share of "
            f"{val_fraction:g} for validation: add some" + (", or lower `val_fraction`" if len(paths) > 1 else "")
        )
    return [paths[stem] for stem in paths if stem in kept]


def _match(base: Path) -> dict[str, tuple[Path, Path]]:
    """Return each image of a folder and its mask by their common name, in its order."""
    images_by_stem, masks_by_stem = files_by_stem(base / "images"), files_by_stem(base / "masks")
    for stem, image in images_by_stem.items():
        if stem not in masks_by_stem:
            raise InputError(f"{image}: has no mask: add {base / 'masks' / stem}.png, or remove the image")
    for stem, mask in masks_by_stem.items():
        if stem not in images_by_stem:
            raise InputError(f"{mask}: has no image of its name in {base / 'images'}: add it, or remove the mask")
    return {stem: (images_by_stem[stem], masks_by_stem[stem]) for stem in sorted(images_by_stem)}


def files_by_stem(path: Path) -> dict[str, Path]:
    if not path.is_dir():
        raise InputError(
            f"{path}: does not exist: a segmentation folder holds {{train,val}}/{{images,masks}}, or images and masks"
            f"{hint(path.parent, path.name) or hint(path.parent, TRAIN) or hint(path.parent, VAL)}"
        )
    files: dict[str, Path] = {}
    for file in sorted(path.iterdir()):
        if is_hidden(file):
            continue
        try:
            file.name.encode()
        except UnicodeEncodeError as error:
            raise InputError(f"{str(file)!a}: its name is not UTF-8: rename it") from error
        if file.is_dir():
            raise InputError(f"{file}: is a folder: put its images into {path} itself, or move it away")
        if file.suffix.lower() not in EXTENSIONS:
            raise InputError(f"{file}: is not one of {', '.join(EXTENSIONS)}: convert or remove it")
        if not file.is_file():
            raise InputError(f"{file}: is neither a file nor a link to one: remove it")
        stem = normalized(file.stem)
        if stem in files:
            raise InputError(f"{file}: has the same name as {files[stem].name} but for the ending: rename one")
        files[stem] = file
    if not files:
        raise InputError(f"{path}: is empty: put images ({_images.FORMATS}) there")
    return files
