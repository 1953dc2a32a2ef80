"""Annotated images: what every format becomes before it is written as masks."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol

import numpy as np

from keras_segen._masks import VOID
from keras_segen.annotations._regions import Region
from keras_segen.errors import InputError

Overlap = Literal["refuse", "smaller", "later", "void"]
MOST_OBJECTS = 2**16 - 1
GROUND = "background"
_GROUNDS = (GROUND, "_background_", "__background__")


def is_ground(name: str) -> bool:
    """Say whether a class is by its name what objects lie on."""
    return name.casefold() in _GROUNDS


@dataclass(frozen=True)
class Rules:
    """What to do with annotations that masks cannot hold as they are.

    Attributes:
        overlap: What becomes of a pixel that two objects claim: "refuse" raises, "smaller" gives it to the smaller
            object, "later" to the one that comes later in the file, "void" to none.
        repair: Whether polygons that cross themselves are filled by the even-odd rule, and objects without a pixel left
            out.
    """

    overlap: Overlap = "refuse"
    repair: bool = False


@dataclass(frozen=True)
class Object:
    """An object of an image.

    Attributes:
        class_id: Its class, or void.
        region: Its region.
        place: Where it stands in which file, for messages.
        crowd: Whether it is no single object, but several, or stuff.
        layer: Its height above the ground, where a tool has one: what lies higher hides what lies lower.
    """

    class_id: int
    region: Region
    place: str
    crowd: bool = False
    layer: int = 0


@dataclass
class Drawn:
    """An image's masks.

    Attributes:
        mask: The class ids, uint8 (height, width).
        instances: The object of each pixel from 1, 0 for none, uint16 (height, width); None if objects are not known.
        objects: The number of objects of each class.
        contested: The number of pixels that two objects claim.
        left_out: The number of objects without a pixel.
    """

    mask: np.ndarray
    instances: np.ndarray | None = None
    objects: Counter[int] = field(default_factory=Counter)
    contested: int = 0
    left_out: int = 0


class Contents(Protocol):
    """What is known of an image's pixels."""

    def draw(self, height: int, width: int, rules: Rules) -> Drawn:
        """Return the masks of an image of this size; `InputError` for what masks cannot hold."""


@dataclass(frozen=True)
class AnnotatedImage:
    """An image file, and what is annotated in it.

    Attributes:
        path: The path of the image.
        contents: The annotations.
        place: Where the image stands in which file, for messages.
        size: The height and width that the annotations are of, if the format says so.
    """

    path: Path
    contents: Contents
    place: str
    size: tuple[int, int] | None = None


@dataclass(frozen=True)
class Annotations:
    """The contents of a file or folder of annotations.

    Attributes:
        class_names: The names of the classes, ground first.
        splits: The images of each split; "" is the only one where there are no splits.
    """

    class_names: tuple[str, ...]
    splits: Mapping[str, Sequence[AnnotatedImage]]


@dataclass(frozen=True)
class Objects:
    """The objects of an image, the lowest first."""

    objects: Sequence[Object]

    def draw(self, height: int, width: int, rules: Rules) -> Drawn:
        """Draw each object's region; see `Contents.draw`."""
        found = [_cut(item, height, width, rules) for item in self.objects]
        cuts = [cut for cut in found if cut is not None]
        if len(cuts) > MOST_OBJECTS:
            raise InputError(f"{self.objects[0].place}: its image has {len(cuts)} objects, over {MOST_OBJECTS:,}")
        holder, contested = _holders(cuts, height, width, rules)
        mask, instances = np.zeros((height, width), np.uint8), np.zeros((height, width), np.uint16)
        objects: Counter[int] = Counter()
        for number, cut in enumerate(cuts):
            held = holder[cut.window] == number
            mask[cut.window][held] = cut.item.class_id
            if cut.item.class_id not in (0, VOID) and not cut.item.crowd:
                objects[cut.item.class_id] += 1
                instances[cut.window][held] = objects.total()
        if rules.overlap == "void":
            mask[contested] = VOID
        return Drawn(mask, instances, objects, int(contested.sum()), len(found) - len(cuts))


@dataclass(frozen=True)
class _Cut:
    """An object's pixels, within the smallest window that holds them."""

    item: Object
    window: tuple[slice, slice]
    pixels: np.ndarray


def _cut(item: Object, height: int, width: int, rules: Rules) -> _Cut | None:
    fault = item.region.fault()
    if fault is not None and not (rules.repair and fault.leaves):
        raise InputError(f"{item.place}: {fault.words}: correct it" + (", or add --repair" if fault.leaves else ""))
    if fault is not None and fault.leaves == "nothing":
        return None
    try:
        mask = item.region.mask(height, width)
    except ValueError as error:
        raise InputError(f"{item.place}: {error}: correct it") from error
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    if not len(rows):
        if rules.repair:
            return None
        raise InputError(f"{item.place}: covers no pixel of its image: remove it, or add --repair")
    window = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
    return _Cut(item, window, mask[window])


def _holders(cuts: Sequence[_Cut], height: int, width: int, rules: Rules) -> tuple[np.ndarray, np.ndarray]:
    """Return the number of the object that holds each pixel, -1 for none, and whether two claim it."""
    holder = np.full((height, width), -1)
    contested = np.zeros((height, width), bool)
    for number in _from_below(cuts, rules):
        item, window, pixels = cuts[number].item, cuts[number].window, cuts[number].pixels
        for other in np.unique(holder[window][pixels]):
            if other < 0 or not _compete(item, cuts[other].item):
                continue
            both = pixels & (holder[window] == other)
            if rules.overlap == "refuse":
                raise InputError(
                    f"{item.place}: {_number(int(both.sum()), 'pixel')} of it belong to {cuts[other].item.place} too: "
                    "say by --overlap who gets them: smaller, later, or void (neither)"
                )
            contested[window] |= both
        holder[window][pixels] = number
    if rules.overlap == "void":
        holder[contested] = -1
    return holder, contested


def _from_below(cuts: Sequence[_Cut], rules: Rules) -> Iterator[int]:
    """Yield the objects' numbers in the order in which they are drawn."""

    def height(number: int) -> tuple[int, bool, int]:
        cut = cuts[number]
        smallness = -int(cut.pixels.sum()) if rules.overlap == "smaller" else 0
        return cut.item.layer, not cut.item.crowd, smallness

    yield from sorted(range(len(cuts)), key=height)


def _compete(one: Object, other: Object) -> bool:
    """Say whether two objects cannot share a pixel: a crowd has room for its own class, and layers hide others."""
    if one.layer != other.layer:
        return False
    return one.class_id != other.class_id or not (one.crowd or other.crowd)


def _number(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'s' * (count != 1)}"


def named_classes(
    names: Sequence[str], given: Sequence[str] | None, place: str, *, on_ground: bool = True
) -> tuple[tuple[str, ...], list[int]]:
    """Number a format's own classes.

    Args:
        names: The classes' names in the format's own order. One that is called background is the ground.
        given: The names of all classes in the order that is wanted, ground first; None for the format's own.
        place: The file that names them, for messages.
        on_ground: Whether there is ground where no class is.

    Returns:
        All names, ground first, and the class id of each of `names`.

    Raises:
        InputError: For a name that comes twice, or is not among those given, or more names than a mask holds.
    """
    names = [name.strip() for name in names]
    for name in names:
        if name.splitlines() != [name]:
            raise InputError(f"{place}: has a class {name!r}: give it a name of one line")
    for name, count in Counter(names).items():
        if count > 1:
            raise InputError(f"{place}: names the class {name} twice: give each a name of its own")
    if given is None:
        ground = [name for name in names if is_ground(name)]
        given = ((GROUND,) if on_ground else tuple(ground[:1])) + tuple(name for name in names if not is_ground(name))
    ids = []
    for name in names:
        if name in given:
            ids.append(list(given).index(name))
        elif is_ground(name):
            ids.append(0)
        else:
            raise InputError(f"{place}: its class {name} is not among those of --classes ({', '.join(given)}): add it")
    if len(given) > VOID:
        raise InputError(f"{place}: has {len(given)} classes, and a mask holds {VOID} at most: join some")
    if len(given) < 2:
        raise InputError(f"{place}: names {len(given)} of the two classes that a folder has at least: add their names")
    return tuple(given), ids
