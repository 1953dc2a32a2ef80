"""YOLO's polygons: a text file an image, a line an object (https://docs.ultralytics.com/datasets/segment)."""

import os
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from keras_segen.annotations._annotated import (
    AnnotatedImage,
    Annotations,
    Drawn,
    Object,
    Objects,
    Rules,
    named_classes,
)
from keras_segen.annotations._fields import read_text
from keras_segen.annotations._regions import Polygons
from keras_segen.data import image_files
from keras_segen.errors import InputError

SPLITS = ("train", "val", "test")
NAMES = "classes.txt"


@dataclass(frozen=True)
class Lines:
    """The objects of an image, with corners in shares of its size.

    Attributes:
        objects: The class, the corners in [0, 1], float (corners, 2), and the place of each.
    """

    objects: Sequence[tuple[int, np.ndarray, str]]

    def draw(self, height: int, width: int, rules: Rules) -> Drawn:
        """Draw the polygons; see `Contents.draw`."""
        scaled = [
            Object(class_id, Polygons([points * (width, height)]), place) for class_id, points, place in self.objects
        ]
        return Objects(scaled).draw(height, width, rules)


def read(source: Path, *, images: Path | None, class_names: Sequence[str] | None) -> Annotations:
    """Read a data set of YOLO's form.

    An image without a text file has no objects.

    Args:
        source: Its `.yaml` file, or the folder that holds `data.yaml`; or a folder of `images`, `labels` and
            `classes.txt`.
        images: The folder of images of a data set without `.yaml`; None for `images` in the folder.
        class_names: The names of the classes that are wanted; see `named_classes`.
    """
    file = yaml_of(source)
    if file is None:
        names = [line.strip() for line in read_text(source / NAMES).splitlines() if line.strip()]
        folders = {"": [images or source / "images"]}
    else:
        content = _content(file)
        names = _names(content, file)
        folders = {split: _folders(content, split, file) for split in SPLITS if content.get(split)}
        folders = {split: places for split, places in folders.items() if places}
        if not folders:
            raise InputError(f"{file}: names no images: add a line such as train: images/train")
    class_names, ids = named_classes(names, class_names, str(file or source / NAMES))
    found = {split: [image for place in places for image in _images(place)] for split, places in folders.items()}
    _require_labels({image: _labels_of(image) for images in found.values() for image in images})
    return Annotations(
        tuple(class_names), {split: [_annotated(image, ids) for image in images] for split, images in found.items()}
    )


def yaml_of(source: Path) -> Path | None:
    """Return the data set's `.yaml` file; None if there is none."""
    if source.is_file():
        return source if source.suffix in (".yaml", ".yml") else None
    return next((source / name for name in ("data.yaml", "dataset.yaml") if (source / name).is_file()), None)


def _content(file: Path) -> Mapping[str, Any]:
    try:
        content = yaml.safe_load(read_text(file))
    except yaml.YAMLError as error:
        raise InputError(f"{file}: is not YAML ({' '.join(str(error).split())}): correct it") from error
    if not isinstance(content, Mapping):
        raise InputError(f"{file}: is not a data set of YOLO's: it needs names, and train or val")
    return content


def _names(content: Mapping[str, Any], file: Path) -> list[str]:
    names, count = content.get("names"), content.get("nc")
    if isinstance(names, Mapping):
        if set(names) != set(range(len(names))):
            raise InputError(f"{file}: numbers its classes {list(names)}: number them from 0, without gaps")
        names = [names[i] for i in range(len(names))]
    if not isinstance(names, list) or not names:
        raise InputError(f"{file}: names no classes: add them as names: [cat, dog]")
    if count is not None and count != len(names):
        raise InputError(f"{file}: says nc: {count}, and names {len(names)} classes: correct one of the two")
    for name in names:
        if name is None or not isinstance(name, str | int) or isinstance(name, bool):
            raise InputError(f"{file}: has the class {name!r}, which is no text to YAML: put it in quotes")
    return [str(name) for name in names]


def _folders(content: Mapping[str, Any], split: str, file: Path) -> list[Path]:
    """Return the folders of a split's images, or lists of images, as the file names them."""
    root = file.parent / str(content.get("path") or "")
    given = content[split]
    found = []
    for name in given if isinstance(given, list) else [given]:
        # The data set's `path` is where it lay on another machine, often enough.
        places = [root / str(name), file.parent / str(name), file.parent / str(name).removeprefix("../")]
        place = next((place for place in places if place.exists() and _is_inside(place, root, file.parent)), None)
        if place is not None:
            found.append(place)
        elif split == "test":  # which exports name whether they have it or not
            warnings.warn(f"{file}: its test is {name}, which does not exist: it is left out", stacklevel=2)
        else:
            why = "lies outside the data set's folder" if places[0].exists() else "does not exist"
            raise InputError(f"{file}: its {split} is {name}, and {places[0]} {why}: correct it, or the file's `path`")
    return found


def _is_inside(place: Path, *roots: Path) -> bool:
    """Say whether a path leads into one of these folders, links resolved in the folders' own paths alone."""
    plain = Path(os.path.normpath(place.absolute()))
    return any(plain.is_relative_to(os.path.normpath(root.absolute())) for root in roots)


def _images(place: Path) -> list[Path]:
    if place.is_dir():
        return image_files(place)
    names = [line.strip() for line in read_text(place).splitlines() if line.strip()]
    for name in names:
        if not (place.parent / name).is_file():
            raise InputError(f"{place}: lists {name}, which does not exist: correct it")
        if not _is_inside(place.parent / name, place.parent):
            raise InputError(f"{place}: lists {name}, which lies outside its folder: correct it")
    return [place.parent / name for name in names]


def _annotated(image: Path, ids: Sequence[int]) -> AnnotatedImage:
    """Return an image with its objects."""
    labels = _labels_of(image)
    lines = read_text(labels).splitlines() if labels.exists() else []
    objects = [_object(line, ids, f"{labels}: line {i + 1}") for i, line in enumerate(lines) if line.strip()]
    return AnnotatedImage(image, Lines(objects), str(labels))


def _labels_of(image: Path) -> Path:
    """Return where an image's text file lies: in `labels` where the image lies in `images`."""
    parts = list(image.parts)
    at = max((i for i, part in enumerate(parts[:-1]) if part == "images"), default=None)
    if at is None:
        raise InputError(f"{image}: does not lie in a folder `images`, beside which `labels` would lie: move it")
    return Path(*parts[:at], "labels", *parts[at + 1 :]).with_suffix(".txt")


def _require_labels(labels: Mapping[Path, Path]) -> None:
    """Raise `InputError` if no image has a text file, or one has no image: a name is wrong then."""
    if labels and not any(path.exists() for path in labels.values()):
        image, path = next(iter(labels.items()))
        raise InputError(f"{image}: has no {path}, nor has any other image such a file: put the text files there")
    folders = {path.parent: image.parent for image, path in labels.items()}
    for folder, images in folders.items():
        stems = {path.stem for path in images.iterdir()}
        for path in sorted(folder.glob("*.txt")):
            if path.stem not in stems and path.name != NAMES:
                raise InputError(f"{path}: has no image of its name in {images}: add it, or remove the file")


def _object(line: str, ids: Sequence[int], place: str) -> tuple[int, np.ndarray, str]:
    first, *rest = line.split()
    try:
        number, values = int(first), np.array([float(value) for value in rest])
    except ValueError as error:
        raise InputError(f"{place}: is not a class and a polygon (class x y x y …): correct it") from error
    if not 0 <= number < len(ids):
        raise InputError(f"{place}: is of class {number}, and there are {len(ids)}: add its name")
    if len(values) == 4:
        raise InputError(f"{place}: is a box (class x y width height), not a polygon: export polygons")
    if len(values) % 2:
        raise InputError(f"{place}: has {len(values)} numbers, and each corner needs two: correct it")
    if not ((values >= 0) & (values <= 1)).all():
        raise InputError(f"{place}: has a corner outside [0, 1]: divide x by the image's width, and y by its height")
    return ids[number], values.reshape(-1, 2), place
