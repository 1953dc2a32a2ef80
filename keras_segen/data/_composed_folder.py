"""A folder for segmentation that is another one with further training images, composed of its objects."""

import math
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tifffile
from PIL import Image

from keras_segen.data import _images, _pairs
from keras_segen.data._composition import BACKGROUND, SOFTNESS, Object, find_objects, margin, paste
from keras_segen.data._folder import files_by_stem, find_pairs, find_splits, read_folder
from keras_segen.data._image_files import is_hidden
from keras_segen.data._in_threads import in_threads
from keras_segen.data._split import TRAIN, VAL, existing_folder, normalized
from keras_segen.errors import InputError
from keras_segen.files import INCOMPLETE, require_place
from keras_segen.types import PathLike

IMAGES, MASKS, INSTANCES, CLASSES = "images", "masks", "instances", "classes.txt"
COMPOSED = "composed_"
# What 16 bits hold.
MOST_INSTANCES = 2**16 - 1


def compose(
    data_dir: PathLike,
    out: PathLike,
    *,
    count: int,
    seed: int = 0,
    objects: tuple[int, int] = (1, 8),
    scale: tuple[float, float] = (0.5, 2.0),
    softness: float = SOFTNESS,
    verbose: bool = False,
) -> int:
    """Write a folder for segmentation again, with scenes composed of its objects among its training images.

    Each scene is a training image into which objects of one other training image are pasted (Simple Copy-Paste, Ghiasi
    et al., 2021, arXiv:2012.07177). Each object is mirrored left and right or not, scaled by a factor that is uniform
    in its logarithm (the image bilinearly, the mask by nearest neighbour), and placed at random with its middle inside
    the picture. The mask gets its class where the object is, to the pixel; the image is blended with the object's mask
    smoothed by a Gaussian. Objects that are covered lose these pixels.

    The folder is one that `folder` reads. Beside `masks` there may be `instances`, with files of the same names: PNGs
    of 16 or 8 bits, 0 where no object is and else the number of the object. Without it an object is what hangs together
    in the mask and is of one class. Class 0 is the background, and 255 is void; neither is an object.

    Classes, images, masks and instance maps are copied as they are. A folder without splits of its own becomes one with
    `train` and `val`, divided as `folder` divides it, so that validation images stay the same and hold nothing
    composed. Scenes are named `composed_000000` and so on. They are PNGs where all images are pictures of 8 bits, else
    TIFFs or arrays (`.npy`) of the images' type and channels. An interrupted call leaves no folder `out`.

    Args:
        data_dir: The folder.
        out: The folder that is made. It must not exist, nor lie inside `data_dir`.
        count: The number of scenes, at least 1.
        seed: The seed: every scene follows from it and its own number.
        objects: The least and the greatest number of objects that are pasted into a scene. An image that has fewer
            gives some more than once.
        scale: The least and the greatest factor of an object's size, both over 0.
        softness: The standard deviation of the Gaussian, in pixels; 0 for hard edges.
        verbose: Whether to show progress bars.

    Returns:
        The number of objects that were pasted into all scenes together.

    Raises:
        InputError: For a folder, a file or an `out` that cannot be used, or training images without any object.
        ValueError: For another argument out of range.

    Example:
        >>> for name in ("train/images/1.png", "train/images/2.png", "train/masks/1.png", "train/masks/2.png"):
        ...     ks.plotting.save_image(np.eye(32, dtype="uint8"), f"my_folder/{name}")
        >>> ks.data.compose("my_folder", "my_scenes", count=3, objects=(2, 2))
        6
        >>> len(ks.data.read_folder("train", "my_scenes"))
        5
    """
    _check(count, objects, scale, softness)
    root, out = existing_folder(data_dir), Path(out).absolute()
    _require_new(out, root)
    own = find_splits(root)
    pairs = read_folder(TRAIN, root, verbose=verbose)
    instances = _instance_paths(root / TRAIN if own else root, pairs)
    scenes = _Scenes(pairs, instances, seed, objects, scale, softness)
    givers = scenes.givers(verbose=verbose)
    files = _files_of_splits(root, own) if own else _divided(root)

    incomplete = out.with_name(INCOMPLETE + out.name)
    shutil.rmtree(incomplete, ignore_errors=True)
    try:
        for file, place in files:
            (incomplete / place).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(file, incomplete / place)
        pasted = in_threads(
            lambda number: scenes.write(number, givers, incomplete / TRAIN), range(count), verbose=verbose, unit="scene"
        )
        incomplete.rename(out)
    finally:
        shutil.rmtree(incomplete, ignore_errors=True)
    return sum(pasted)


def _check(count: int, objects: tuple[int, int], scale: tuple[float, float], softness: float) -> None:
    if count < 1:
        raise ValueError(f"`count` must be a whole number of at least 1. Received: count={count!r}")
    if len(objects) != 2 or not 1 <= objects[0] <= objects[1]:
        raise ValueError(f"`objects` must be two numbers of at least 1, in order. Received: objects={objects!r}")
    if len(scale) != 2 or not 0 < scale[0] <= scale[1] < math.inf:
        raise ValueError(f"`scale` must be two positive factors in order. Received: scale={scale!r}")
    if not 0 <= softness < math.inf:
        raise ValueError(f"`softness` must be a number of at least 0. Received: softness={softness!r}")


def _require_new(out: Path, root: Path) -> None:
    if root.resolve() in (out.resolve(), *out.resolve().parents):
        raise InputError(f"{out}: is {root} itself, or lies inside it: name a folder beside it")
    if out.exists():
        raise InputError(f"{out}: exists already: name another folder")
    require_place(out)


def _instance_paths(base: Path, pairs: _pairs.Pairs) -> list[Path] | None:
    """Return the instance map of each pair; None if there are none at all."""
    folder = base / INSTANCES
    if not folder.is_dir():
        return None
    found = files_by_stem(folder)
    stems = [normalized(pair.mask.stem) for pair in pairs.pairs]
    for stem, pair in zip(stems, pairs.pairs, strict=True):
        if stem not in found:
            raise InputError(f"{pair.mask}: has no instance map: add {folder / stem}.png, or move all of {folder} away")
    return [found[stem] for stem in stems]


def _files_of_splits(root: Path, own: Sequence[str]) -> list[tuple[Path, Path]]:
    """Return each file of a folder with splits, and its place in a copy."""
    folders = [root / split / part for split in own for part in (IMAGES, MASKS, INSTANCES)]
    files = [file for folder in folders if folder.is_dir() for file in sorted(folder.iterdir())]
    files = [file for file in [root / CLASSES, *files] if file.is_file() and not is_hidden(file)]
    return [(file, file.relative_to(root)) for file in files]


def _divided(root: Path) -> list[tuple[Path, Path]]:
    """Return each file of a folder without splits, and its place in a copy with those that `folder` makes."""
    files = [(root / CLASSES, Path(CLASSES))] if (root / CLASSES).is_file() else []
    instances = files_by_stem(root / INSTANCES) if (root / INSTANCES).is_dir() else {}
    for split in (TRAIN, VAL):
        for image, mask in find_pairs(root, split):
            files += [(image, Path(split, IMAGES, image.name)), (mask, Path(split, MASKS, mask.name))]
            if instance := instances.get(normalized(mask.stem)):
                files.append((instance, Path(split, INSTANCES, instance.name)))
    return files


def read_instances(path: Path) -> np.ndarray:
    """Read an instance map, uint16 (height, width); `InputError` for a file that is none."""
    picture = _images.decode(_images.read_bytes(path), path)
    if picture.format in ("JPEG", "MPO") or picture.image.mode not in ("1", "L", "P", "I", "I;16", "I;16B"):
        raise InputError(
            f"{path}: an instance map holds the number of an object at each pixel, but this is a {picture.format} of "
            f"mode {picture.image.mode}: save it as a grey PNG of 16 bits"
        )
    ids = np.asarray(picture.image)
    if picture.image.mode == "L":
        ids = ids // (255 // (2**picture.bits - 1))  # Pillow scales 2 and 4 bits to 8
    if ids.min() < 0 or ids.max() > MOST_INSTANCES:
        raise InputError(f"{path}: holds values from {ids.min()} to {ids.max()}: number the objects from 1 to 65535")
    return ids.astype(np.uint16)


@dataclass(frozen=True)
class _Scenes:
    """Scenes, each a function of the seed and its number.

    Attributes:
        pairs: The training images.
        instances: The paths of their instance maps, or None.
        seed: The seed.
        objects: The least and the greatest number of objects that are pasted.
        scale: The least and the greatest factor of their sizes.
        softness: The softness of their edges, in pixels.
    """

    pairs: _pairs.Pairs
    instances: Sequence[Path] | None
    seed: int
    objects: tuple[int, int]
    scale: tuple[float, float]
    softness: float

    def givers(self, *, verbose: bool) -> list[int]:
        """Return the numbers of the images that have objects, and check that scenes can be made of them."""
        first = self.pairs.pairs[0]
        for pair in self.pairs.pairs:
            if pair.image.stem.startswith(COMPOSED):
                raise InputError(f"{pair.image}: is a scene: compose the folder that it was made of, with more scenes")
        if len(self.pairs) == 1:
            raise InputError(f"{first.image}: is the only training image, and objects come from another one: add some")
        counts = in_threads(lambda i: len(self.found_in(i)), range(len(self.pairs)), verbose=verbose, unit="mask")
        if not any(counts):
            raise InputError(
                f"{first.mask.parent}: no training mask holds an object, which is of a class other than 0 "
                "(background) and 255 (void): draw some, or number the classes so that the background is 0"
            )
        return [i for i, count in enumerate(counts) if count]

    def found_in(self, index: int) -> list[Object]:
        """Return the objects of an image."""
        return find_objects(_pairs.unpack(self.pairs.pairs[index]), self._instances_of(index))

    def _instances_of(self, index: int) -> np.ndarray | None:
        if self.instances is None:
            return None
        path, pair = self.instances[index], self.pairs.pairs[index]
        instances = read_instances(path)
        height, width = pair.properties.height, pair.properties.width
        if instances.shape != (height, width):
            raise InputError(
                f"{path}: the instance map is {instances.shape[1]}×{instances.shape[0]} pixels, but its mask "
                f"{pair.mask.name} is {width}×{height}: give both the same size"
            )
        return instances

    def write(self, number: int, givers: Sequence[int], folder: Path) -> int:
        """Compose a scene, write it into a split's folder, and return the number of objects pasted."""
        rng = np.random.default_rng([self.seed, number])
        giver = givers[int(rng.integers(len(givers)))]
        ground = int(rng.integers(len(self.pairs) - 1))
        ground += ground >= giver  # any but the giver
        pairs = self.pairs.pairs
        pixels, image = (self.pairs.kind.read(pairs[i].image) for i in (giver, ground))
        if pixels.dtype != image.dtype:
            raise InputError(
                f"{pairs[giver].image}: holds {pixels.dtype}, and {pairs[ground].image.name} {image.dtype}: save all "
                "images as one type"
            )
        image, mask, instances = image.copy(), _pairs.unpack(pairs[ground]).copy(), self._instances_of(ground)
        found = self.found_in(giver)
        wanted = int(rng.integers(self.objects[0], self.objects[1] + 1))
        drawn = rng.choice(len(found), wanted, replace=wanted > len(found))
        for i, instance_id in zip(drawn, _unused(instances, wanted), strict=True):
            piece, objects = self._piece(pixels, found[i], rng)
            corner = _drawn_corner(objects, mask.shape, rng)
            paste(
                image,
                mask,
                piece,
                objects,
                corner=corner,
                softness=self.softness,
                instances=instances,
                instance_id=instance_id,
            )
        name = f"{COMPOSED}{number:06}"
        _write_image(image, folder / IMAGES, name, like=pairs[ground].image, as_rgb=self.pairs.kind.is_rgb)
        # Black-and-white masks were read as 0 and 1.
        factor = 255 if self.pairs.black_and_white else 1
        Image.fromarray(mask * np.uint8(factor)).save(folder / MASKS / f"{name}.png")
        if instances is not None:
            Image.fromarray(instances).save(folder / INSTANCES / f"{name}.png")
        return wanted

    def _piece(self, pixels: np.ndarray, found: Object, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Cut an object out, scale it, and mirror it or not: its pixels and those around it, and its class or 0."""
        low, high = self.scale
        factor = low * (high / low) ** rng.random()
        objects = _nearest(found.cut, factor) * np.uint8(found.class_id)
        around = margin(self.softness)
        piece = _scaled(pixels, found.box, objects.shape, around)
        objects = np.pad(objects, around)
        return (piece[:, ::-1], objects[:, ::-1]) if rng.random() < 0.5 else (piece, objects)


def _nearest(cut: np.ndarray, factor: float) -> np.ndarray:
    """Scale a cut-out by nearest neighbour."""
    rows, columns = (
        ((np.arange(new) + 0.5) * old / new).astype(int) for old in cut.shape for new in [max(round(factor * old), 1)]
    )
    scaled = cut[np.ix_(rows, columns)]
    return scaled if scaled.any() else cut  # which is too thin to be shrunk


def _scaled(pixels: np.ndarray, box: tuple[slice, slice], shape: tuple[int, ...], around: int) -> np.ndarray:
    """Scale what lies in a box to a shape, bilinearly, and as many pixels of the same scale around it.

    Beyond the image, its first and last rows and columns are repeated.
    """
    sides, spans = [], []
    for side, new, extent in zip(box, shape, pixels.shape, strict=False):
        reach = around * (side.stop - side.start) / new  # in pixels of the image
        wide = math.ceil(reach)
        sides.append(np.clip(np.arange(side.start - wide, side.stop + wide), 0, extent - 1))
        spans.append((wide - reach, len(sides[-1]) - (wide - reach)))
    (top, bottom), (left, right) = spans
    size = shape[1] + 2 * around, shape[0] + 2 * around
    channels = [
        np.asarray(Image.fromarray(channel).resize(size, Image.Resampling.BILINEAR, (left, top, right, bottom)))
        for channel in np.moveaxis(pixels[np.ix_(*sides)], -1, 0).astype(np.float32)
    ]
    return np.stack(channels, -1)


def _drawn_corner(objects: np.ndarray, extent: tuple[int, ...], rng: np.random.Generator) -> tuple[int, int]:
    """Return the place of a piece for which the middle pixel of its objects lies somewhere in the picture."""
    rows, columns = np.nonzero(objects != BACKGROUND)
    middle = np.argmin((rows - rows.mean()) ** 2 + (columns - columns.mean()) ** 2)
    row, column = rng.integers(extent)
    return int(row - rows[middle]), int(column - columns[middle])


def _unused(instances: np.ndarray | None, count: int) -> list[int]:
    """Return the first numbers that no object has."""
    if instances is None:
        return [0] * count
    unused = np.flatnonzero(np.bincount(instances.ravel(), minlength=MOST_INSTANCES + 1) == 0)
    return [int(i) for i in unused[unused > 0][:count]]


def _write_image(image: np.ndarray, folder: Path, name: str, *, like: Path, as_rgb: bool) -> None:
    if as_rgb:
        Image.fromarray(image).save(folder / f"{name}.png")
    elif like.suffix.lower() == ".npy":
        np.save(folder / f"{name}.npy", image)
    else:
        pixels = image[..., 0] if image.shape[2] == 1 else image
        tifffile.imwrite(
            folder / f"{name}.tif", pixels, photometric="minisblack", planarconfig="contig", compression="zlib"
        )
