"""Scenes: training images into which objects of other ones are pasted, each a function of the seed and its number."""

import itertools
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tifffile
from PIL import Image

from keras_segen.data import _images, _pairs
from keras_segen.data._composition import BACKGROUND, Object, find_objects, margin, paste
from keras_segen.data._in_threads import in_threads
from keras_segen.errors import InputError

# Where a split's files lie, and how those of scenes begin.
IMAGES, MASKS, INSTANCES = "images", "masks", "instances"
COMPOSED = "composed_"
# What 16 bits hold.
MOST_INSTANCES = 2**16 - 1


def read_instances(path: Path) -> np.ndarray:
    """Read an instance map, uint16 (height, width); `InputError` for a file that is none."""
    picture = _images.decode(_images.read_bytes(path), path)
    if picture.format in ("JPEG", "MPO") or picture.image.mode not in _images.NUMBERED:
        raise InputError(
            f"{path}: an instance map holds the number of an object at each pixel, but this is a {picture.format} of "
            f"mode {picture.image.mode}: save it as a grey PNG of 16 bits"
        )
    ids = _images.numbers_in(picture)
    if ids.min() < 0 or ids.max() > MOST_INSTANCES:
        raise InputError(f"{path}: holds values from {ids.min()} to {ids.max()}: number the objects from 1 to 65535")
    return ids.astype(np.uint16)


@dataclass(frozen=True)
class Scenes:
    """The scenes that can be made of training images.

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
            if re.fullmatch(rf"{COMPOSED}\d{{6}}", pair.image.stem):
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
        for one, instance_id in zip(_drawn(found, wanted, pixels.shape, rng), _unused(instances, wanted), strict=True):
            piece, objects = self._piece(pixels, one, rng)
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


def _drawn(found: Sequence[Object], count: int, extent: tuple[int, ...], rng: np.random.Generator) -> list[Object]:
    """Draw objects of an image of this height and width: whole ones first, then those that its border cuts off."""
    cut_off = [
        any(side.start == 0 or side.stop == end for side, end in zip(one.box, extent, strict=False)) for one in found
    ]
    order = sorted(rng.permutation(len(found)), key=lambda i: cut_off[i])
    return [found[i] for i in itertools.islice(itertools.cycle(order), count)]


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
        step = (side.stop - side.start) / new  # of a pixel, in those of the image
        reach = around * step
        wide = math.ceil(reach + max(step, 1))  # with the neighbours that the outermost are interpolated with
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
