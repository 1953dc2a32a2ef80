"""Masks whose colours mean classes: a table of colours beside any masks, or CVAT's "Segmentation mask 1.1"."""

import csv
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from keras_segen._masks import VOID
from keras_segen.annotations._annotated import MOST_OBJECTS, AnnotatedImage, Annotations, Drawn, Rules, named_classes
from keras_segen.annotations._fields import read_text
from keras_segen.data import folder_splits, image_files
from keras_segen.errors import InputError

LABEL_MAP, COLOURS = "labelmap.txt", "colours.txt"
CLASSES, OBJECTS = "SegmentationClass", "SegmentationObject"
_VOID = ("void", "ignore", "unlabeled", "unlabelled")
Colour = tuple[int, int, int]


@dataclass(frozen=True)
class ColouredMasks:
    """A mask of colours, and perhaps one whose colours mean objects.

    Attributes:
        mask: The path of the mask.
        ids: The class id of each colour.
        table: The file that lists the colours, for messages.
        instances: The path of the mask of objects.
    """

    mask: Path
    ids: Mapping[Colour, int]
    table: Path
    instances: Path | None = None

    def draw(self, height: int, width: int, rules: Rules) -> Drawn:
        """Look the colours up; see `Contents.draw`."""
        codes = _codes(self.mask, height, width)
        mask = np.full((height, width), VOID, np.uint8)
        listed = {_code(colour): class_id for colour, class_id in self.ids.items()}
        for code in np.unique(codes):
            if code not in listed:
                row, column = np.argwhere(codes == code)[0]
                colour = [code >> 16, code >> 8 & 255, code & 255]
                raise InputError(
                    f"{self.mask}: has the colour {' '.join(map(str, colour))} at row {row}, column {column}, which "
                    f"{self.table} does not list: list it, or save the mask without smoothed edges, as PNG"
                )
            mask[codes == code] = listed[code]
        if self.instances is None:
            return Drawn(mask)
        return _with_objects(mask, _codes(self.instances, height, width), self.instances)


def _with_objects(mask: np.ndarray, codes: np.ndarray, path: Path) -> Drawn:
    """Number the objects, each colour but black being one, and count them by class."""
    drawn = Drawn(mask, np.zeros(mask.shape, np.uint16))
    assert drawn.instances is not None
    colours = [code for code in np.unique(codes) if code]
    if len(colours) > MOST_OBJECTS:
        raise InputError(f"{path}: holds {len(colours)} objects, over {MOST_OBJECTS:,}")
    for code in colours:
        pixels = codes == code
        classes = np.unique(mask[pixels])
        if len(classes) > 1:
            raise InputError(
                f"{path}: an object of it has the classes {', '.join(map(str, classes))} in the mask of classes: give "
                "it one"
            )
        if classes[0] in (0, VOID):
            continue
        drawn.objects[int(classes[0])] += 1
        drawn.instances[pixels] = drawn.objects.total()
    return drawn


def _codes(path: Path, height: int, width: int) -> np.ndarray:
    """Return the colours of a mask as numbers, R·256² + G·256 + B, int32 (height, width)."""
    try:
        with Image.open(path, formats=("PNG", "BMP", "TIFF", "GIF")) as image:
            if image.mode not in ("1", "L", "LA", "P", "RGB", "RGBA"):
                raise InputError(f"{path}: is of mode {image.mode}, and colours have 8 bits: save it as a PNG of these")
            pixels = np.asarray(image.convert("RGB"), np.int32)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path}: cannot be read as a mask of colours ({error}): save it as PNG") from error
    if pixels.shape[:2] != (height, width):
        raise InputError(
            f"{path}: is {pixels.shape[1]}×{pixels.shape[0]} pixels, and its image {width}×{height}: give both the "
            "same size"
        )
    return pixels @ np.array([1 << 16, 1 << 8, 1], np.int32)


def _code(colour: Colour) -> int:
    return colour[0] << 16 | colour[1] << 8 | colour[2]


def read(source: Path, *, images: Path | None, class_names: Sequence[str] | None, colours: Path | None) -> Annotations:
    """Read a folder of images, and of masks with colours.

    Args:
        source: The folder, `{train,val}/{images,masks}` or `images` and `masks`.
        images: The folder of the images; None for those in the folder.
        class_names: The names of the classes that are wanted; see `named_classes`.
        colours: The table of colours; None for `colours.txt` in the folder.
    """
    table = colours or source / COLOURS
    names, ids = class_ids(table, class_names)
    splits = {split: source / split for split in folder_splits(source)} or {"": source}
    return Annotations(
        names,
        {
            split: [
                AnnotatedImage(image, ColouredMasks(mask, ids, table), str(mask))
                for image, mask in _pairs(_files(images or base / "images"), _files(base / "masks"), base / "masks")
            ]
            for split, base in splits.items()
        },
    )


def read_cvat(source: Path, *, images: Path | None, class_names: Sequence[str] | None) -> Annotations:
    """Read what CVAT writes as "Segmentation mask 1.1", or a Pascal VOC devkit's year with a table of colours.

    The splits are those of `ImageSets/Segmentation`.

    Args:
        source: The folder that holds `labelmap.txt`, `SegmentationClass`, perhaps `SegmentationObject` and
            `JPEGImages`.
        images: The folder of the images; None for `JPEGImages` or `images` in the folder.
        class_names: The names of the classes that are wanted; see `named_classes`.
    """
    names, ids = class_ids(source / LABEL_MAP, class_names)
    places = [images] if images else [source / "JPEGImages", source / "images"]
    found = next((place for place in places if place.is_dir()), None)
    if found is None:
        raise InputError(f"{source}: holds no images: export them too, or name by --images where they lie")
    masks, image_of = _files(source / CLASSES), _files(found)
    objects = _files(source / OBJECTS) if (source / OBJECTS).is_dir() else None
    listed = {
        path.stem: [line.strip() for line in read_text(path).splitlines() if line.strip()]
        for path in sorted((source / "ImageSets" / "Segmentation").glob("*.txt"))
    }
    # CVAT's only list of a task without subsets is called "default".
    splits = listed if len(listed) > 1 else {"": list(masks)}
    if unlisted := sorted(masks.keys() - {stem for stems in splits.values() for stem in stems}):
        raise InputError(f"{masks[unlisted[0]]}: is in no list of ImageSets/Segmentation: add it, or remove the mask")
    annotated: dict[str, list[AnnotatedImage]] = {}
    for split, stems in splits.items():
        annotated[split] = []
        for stem in stems:
            missing = next((kind for kind, paths in (("mask", masks), ("image", image_of)) if stem not in paths), None)
            if missing or (objects is not None and stem not in objects):
                raise InputError(
                    f"{source}: {stem} has no {missing or 'mask of objects'}: add it, or remove the others"
                )
            contents = ColouredMasks(masks[stem], ids, source / LABEL_MAP, objects[stem] if objects else None)
            annotated[split].append(AnnotatedImage(image_of[stem], contents, str(masks[stem])))
    return Annotations(names, annotated)


def _files(folder: Path) -> dict[str, Path]:
    """Return the images below a folder by their names in it, without endings."""
    if not folder.is_dir():
        raise InputError(f"{folder}: does not exist: put the files there, or name by --images where the images lie")
    files: dict[str, Path] = {}
    for path in image_files(folder):
        stem = path.relative_to(folder).with_suffix("").as_posix()
        if stem in files:
            raise InputError(f"{path}: has the same name as {files[stem].name} but for the ending: rename one")
        files[stem] = path
    return files


def _pairs(images: Mapping[str, Path], masks: Mapping[str, Path], folder: Path) -> list[tuple[Path, Path]]:
    for stem, image in images.items():
        if stem not in masks:
            raise InputError(f"{image}: has no mask: add {folder / stem}.png, or remove the image")
    for stem, mask in masks.items():
        if stem not in images:
            raise InputError(f"{mask}: has no image of its name: add it, or remove the mask")
    return [(images[stem], masks[stem]) for stem in images]


def class_ids(table: Path, class_names: Sequence[str] | None) -> tuple[tuple[str, ...], dict[Colour, int]]:
    """Read a table of colours; return the names of the classes, and the class id of each colour.

    A line is `name:r,g,b::`, as CVAT writes it; `name,r,g,b` under a heading or without one; or `r g b name`. A class
    called void or ignore is void. A class may have several colours.
    """
    if not table.is_file():
        raise InputError(f"{table}: does not exist: write a line for each class into it, such as cat,128,0,0")
    rows: list[tuple[str, Colour]] = []
    for i, line in enumerate(read_text(table).splitlines()):
        words = _row(line)
        if words is not None:
            rows.append(_entry(words, f"{table}: line {i + 1}", first=not rows))
    rows = [row for row in rows if row[0]]
    counts = Counter(colour for _, colour in rows)
    for colour, count in counts.items():
        if count > 1:
            raise InputError(f"{table}: lists the colour {colour} {count} times: give each class its own")
    own = list(dict.fromkeys(name for name, _ in rows if name.casefold() not in _VOID))
    names, ids = named_classes(own, class_names, str(table), on_ground=False)
    id_of = dict(zip(own, ids, strict=True))
    return names, {colour: id_of.get(name, VOID) for name, colour in rows}


def _row(line: str) -> list[str] | None:
    """Return the name and the three numbers of a line as words; None for an empty line or a comment."""
    line = line.strip()
    if not line or line.startswith("#"):
        return None
    if ":" in line:
        name, colour = line.split(":")[:2]
        return [name, *colour.split(",")]
    if "," in line:
        return next(csv.reader([line]))
    numbers = line.split(None, 3)
    return [*numbers[3:], *numbers[:3]]


def _entry(words: Sequence[str], place: str, *, first: bool) -> tuple[str, Colour]:
    name, *numbers = (word.strip() for word in words)
    if len(numbers) != 3 or not all(number.isdecimal() and int(number) <= 255 for number in numbers) or not name:
        if first and not any(number.isdecimal() for number in numbers):
            return "", (0, 0, 0)  # a heading
        raise InputError(f"{place}: is not a name and a colour of three numbers from 0 to 255, such as cat,128,0,0")
    red, green, blue = map(int, numbers)
    return name, (red, green, blue)
