"""Regions of an image as annotation tools describe them: polygons, ellipses, run lengths and small bitmaps."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, Protocol

import numpy as np
from pycocotools import mask as coco_mask

# Coordinates beyond are a mistake, and would keep the rasteriser busy for hours.
FARTHEST = 1e6
_SEGMENTS_AT_ONCE = 256


class Fault(NamedTuple):
    """Something wrong with a region.

    Attributes:
        words: What is wrong, a verb first.
        leaves: What there is without the fault: "pixels" if the region can be drawn all the same, "nothing" if there is
            nothing to draw, None if nobody can tell what was meant.
    """

    words: str
    leaves: Literal["pixels", "nothing"] | None = None


class Region(Protocol):
    """A part of an image."""

    def fault(self) -> Fault | None:
        """Return what is wrong with the region, or None."""

    def mask(self, height: int, width: int) -> np.ndarray:
        """Return the region's pixels in an image of this size, boolean (height, width)."""


@dataclass(frozen=True)
class Polygons:
    """One or several polygons, which belong together.

    A pixel belongs to a polygon by COCO's rule (pycocotools); for corners at whole numbers, which lie between the
    pixels, that is exact.

    Attributes:
        parts: The corners of each polygon, float (corners, 2) of x and y, from the image's top left corner.
    """

    parts: Sequence[np.ndarray]

    def fault(self) -> Fault | None:
        """Return what is wrong: too few corners, coordinates that cannot be, or sides that cross."""
        if not self.parts:
            return Fault("has no polygon", "nothing")
        for part in self.parts:
            if len(part) < 3:
                return Fault(f"is a polygon of {len(part)} corner{'s' * (len(part) != 1)}", "nothing")
            if not np.isfinite(part).all() or np.abs(part).max() > FARTHEST:
                return Fault("has a corner that lies nowhere near the image")
        for part in self.parts:
            at = crossing(part)
            if at is not None:
                return Fault(f"crosses itself at x {at[0]:.1f}, y {at[1]:.1f}", "pixels")
        return None

    def mask(self, height: int, width: int) -> np.ndarray:
        """Return the pixels of all polygons together; one that crosses itself is filled by the even-odd rule."""
        runs = coco_mask.frPyObjects([np.asarray(part, float).ravel().tolist() for part in self.parts], height, width)
        return coco_mask.decode(coco_mask.merge(runs)).astype(bool)


@dataclass(frozen=True)
class Ellipse:
    """An ellipse, or a circle: the pixels whose centres lie in it.

    Attributes:
        centre: Its middle, x and y.
        radii: Its radii along x and y, before it is turned.
        rotation: The turn in degrees, clockwise.
    """

    centre: tuple[float, float]
    radii: tuple[float, float]
    rotation: float = 0.0

    def fault(self) -> Fault | None:
        """Return what is wrong: numbers that cannot be."""
        numbers = (*self.centre, *self.radii, self.rotation)
        if not all(map(math.isfinite, numbers)) or max(map(abs, numbers)) > FARTHEST or min(self.radii) <= 0:
            return Fault(f"is an ellipse of radii {self.radii[0]:g} and {self.radii[1]:g} at {self.centre}")
        return None

    def mask(self, height: int, width: int) -> np.ndarray:
        """Return the pixels whose centres lie in the ellipse."""
        x = np.arange(width) + 0.5 - self.centre[0]
        y = (np.arange(height) + 0.5 - self.centre[1])[:, None]
        cos, sin = math.cos(math.radians(self.rotation)), math.sin(math.radians(self.rotation))
        along, across = cos * x + sin * y, cos * y - sin * x
        return (along / self.radii[0]) ** 2 + (across / self.radii[1]) ** 2 <= 1


@dataclass(frozen=True)
class Bitmap:
    """Pixels, at a place in the image.

    Attributes:
        pixels: Boolean (height, width).
        left: The first column.
        top: The first row.
    """

    pixels: np.ndarray
    left: int = 0
    top: int = 0

    def fault(self) -> Fault | None:
        """Return what is wrong: a place before the image's beginning."""
        before = min(self.left, self.top) < 0
        return Fault(f"begins at x {self.left}, y {self.top}, outside the image") if before else None

    def mask(self, height: int, width: int) -> np.ndarray:
        """Return the pixels in an image of this size."""
        rows, columns = self.pixels.shape
        bottom, right = self.top + rows, self.left + columns
        if bottom > height or right > width:
            raise ValueError(f"is a mask that ends at x {right}, y {bottom}, and its image is {width}×{height}")
        mask = np.zeros((height, width), bool)
        mask[self.top : bottom, self.left : right] = self.pixels
        return mask


@dataclass(frozen=True)
class Union:
    """Several regions as one.

    Attributes:
        regions: The regions.
    """

    regions: Sequence[Region]

    def fault(self) -> Fault | None:
        """Return the first fault of one of them."""
        return next((fault for region in self.regions if (fault := region.fault())), None)

    def mask(self, height: int, width: int) -> np.ndarray:
        """Return the pixels of all of them."""
        return np.logical_or.reduce([region.mask(height, width) for region in self.regions])


@dataclass(frozen=True)
class Runs:
    """Pixels as run lengths, which are a small part of a bitmap's size.

    Attributes:
        lengths: The lengths, which begin with pixels outside.
        height: The height of what they fill.
        width: Its width.
        by_column: Whether they go down the columns, as COCO's, or along the rows, as CVAT's.
        left: The first column of the image that they fill.
        top: The first row.
    """

    lengths: np.ndarray
    height: int
    width: int
    by_column: bool
    left: int = 0
    top: int = 0

    @classmethod
    def of(
        cls, counts: Iterable[Any], height: int, width: int, *, by_column: bool, left: int = 0, top: int = 0
    ) -> "Runs":
        """Check lengths.

        Raises:
            ValueError: For lengths that do not fill height and width exactly. The message begins with a verb.
        """
        try:
            lengths = [int(count) for count in counts]
        except (TypeError, ValueError, OverflowError):
            raise ValueError("has run lengths that are not whole numbers") from None
        total = sum(lengths)
        if min(lengths, default=0) < 0 or total != height * width:
            raise ValueError(f"has run lengths of {total} pixels, and is of {width}×{height}")
        return cls(np.array(lengths, np.int64), height, width, by_column, left, top)

    def fault(self) -> Fault | None:
        """Return what is wrong: a place before the image's beginning."""
        return Bitmap(np.empty((0, 0)), self.left, self.top).fault()

    def mask(self, height: int, width: int) -> np.ndarray:
        """Return the pixels in an image of this size."""
        flat = np.repeat(np.arange(len(self.lengths)) % 2 == 1, self.lengths)
        shape = (self.width, self.height) if self.by_column else (self.height, self.width)
        pixels = flat.reshape(shape)
        return Bitmap(pixels.T if self.by_column else pixels, self.left, self.top).mask(height, width)


def counts_of_text(text: str) -> list[int]:
    """Return the run lengths that COCO packs into text: five bits a character, and differences to the last but one.

    Raises:
        ValueError: For text that is not of this form.
    """
    counts: list[int] = []
    number, shift = 0, 0
    for character in text:
        bits = ord(character) - 48
        if not 0 <= bits < 64 or shift > 60:
            raise ValueError("has run lengths that are damaged")
        number |= (bits & 31) << shift
        shift += 5
        if bits & 32:
            continue
        if bits & 16:
            number -= 1 << shift  # a negative one
        counts.append(number + (counts[-2] if len(counts) > 2 else 0))
        number, shift = 0, 0
    if shift:
        raise ValueError("has run lengths that break off")
    return counts


def crossing(corners: np.ndarray) -> tuple[float, float] | None:
    """Return a point where two sides of a closed polygon cross, or None. Sides that only touch do not cross."""
    corners = np.asarray(corners, float)
    start, end = corners, np.roll(corners, -1, axis=0)
    sides = end - start

    def turn(along: np.ndarray, to: np.ndarray) -> np.ndarray:
        return along[..., 0] * to[..., 1] - along[..., 1] * to[..., 0]

    for first in range(0, len(corners), _SEGMENTS_AT_ONCE):
        part = slice(first, first + _SEGMENTS_AT_ONCE)
        a, b, side = start[part, None], end[part, None], sides[part, None]
        apart = turn(side, start - a) * turn(side, end - a) < 0
        mutual = apart & (turn(sides, a - start) * turn(sides, b - start) < 0)
        if mutual.any():
            i, j = np.argwhere(mutual)[0]
            from_i = start[first + i], sides[first + i]
            share = turn(start[j] - from_i[0], sides[j]) / turn(from_i[1], sides[j])
            x, y = from_i[0] + share * from_i[1]
            return float(x), float(y)
    return None
