"""CVAT's XML for images, version 1.1 (https://docs.cvat.ai/docs/dataset_management/formats/format-cvat)."""

import math
from collections import defaultdict
from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from xml.etree import ElementTree

import numpy as np

from keras_segen.annotations._annotated import AnnotatedImage, Annotations, Object, Objects, named_classes
from keras_segen.annotations._fields import image_path, unique
from keras_segen.annotations._regions import Ellipse, Polygons, Region, Runs
from keras_segen.errors import InputError

_WITHOUT_AREA = ("polyline", "points", "cuboid", "skeleton")


def read(source: Path, *, images: Path | None, class_names: Sequence[str] | None) -> Annotations:
    """Read a file of CVAT's "CVAT for images".

    The classes have the order of the task's labels. Shapes with the same `group_id` stay objects of their own. What
    has a higher `z_order` hides what has a lower one. Several subsets of a project are splits, Validation `val`.

    Args:
        source: The XML file.
        images: The folder of the images; None for the file's own folder, or `images` in it.
        class_names: The names of the classes that are wanted; see `named_classes`.
    """
    try:
        root = ElementTree.parse(source).getroot()
    except (ElementTree.ParseError, OSError, UnicodeError) as error:
        raise InputError(f"{source}: is not XML ({error}): export it again") from error
    if root.tag != "annotations":
        raise InputError(f'{source}: is XML of <{root.tag}>, not CVAT\'s: export it as "CVAT for images 1.1"')
    if root.find("track") is not None:
        raise InputError(f'{source}: is of a video: export it as "CVAT for images 1.1"')
    # A skeleton's parts are labels with a parent.
    found = [label for label in root.iterfind("meta//labels/label") if not label.findtext("parent")]
    labels = [label.findtext("name") or "" for label in found]
    names, ids = named_classes(list(dict.fromkeys(labels)), class_names, str(source))
    class_of = dict(zip(dict.fromkeys(labels), ids, strict=True))
    folders = [source.parent, source.parent / "images"]
    elements = root.findall("image")
    places = [f"{source}: image {element.get('id', i)}" for i, element in enumerate(elements)]
    # A project numbers the images of each of its tasks.
    ids_of = [(element.get("task_id"), element.get("id")) for element in elements]
    tasks = len({task for task, _ in ids_of}) > 1
    keys = [(f"{number} of task {task}" if tasks else number) for task, number in ids_of]
    unique([*zip(keys, places, strict=True)], "the image's id")
    splits: dict[str, list[AnnotatedImage]] = defaultdict(list)
    for element, place in zip(elements, places, strict=True):
        size = int(_number(element, "height", place)), int(_number(element, "width", place))
        subset = _subset(element, place)
        below = [folder / subset for folder in folders]
        path = image_path(_text(element, "name", place), images, [*folders, *below], place)
        split = {"validation": "val"}.get(subset.lower(), subset.lower())
        splits[split].append(AnnotatedImage(path, Objects(_objects(element, class_of, size, place)), place, size))
    return Annotations(names, splits if len(splits) > 1 else {"": [*chain(*splits.values())]})


def _subset(image: ElementTree.Element, place: str) -> str:
    subset = image.get("subset", "default")
    if not subset or subset.startswith(".") or Path(subset).name != subset or "\\" in subset:
        raise InputError(f"{place}: its subset {subset!r} cannot name a folder: give it a plain name, such as Train")
    return subset


def _objects(image: ElementTree.Element, class_of: dict[str, int], size: tuple[int, int], place: str) -> list[Object]:
    objects = []
    for i, shape in enumerate(shape for shape in image if shape.tag != "tag"):
        where = f"{place}: {shape.tag}[{i}]"
        label = _text(shape, "label", where)
        if label not in class_of:
            raise InputError(f"{where}: its label {label} is not among the task's labels: add it there")
        layer = int(_number(shape, "z_order", where, 0))
        objects.append(Object(class_of[label], _region(shape, size, where), where, layer=layer))
    return objects


def _region(shape: ElementTree.Element, size: tuple[int, int], place: str) -> Region:
    if shape.tag == "polygon":
        return Polygons([_corners(_text(shape, "points", place), place)])
    if shape.tag == "box":
        left, top, right, bottom = (_number(shape, name, place) for name in ("xtl", "ytl", "xbr", "ybr"))
        box = np.array([(left, top), (right, top), (right, bottom), (left, bottom)])
        return Polygons([_turned(box, _number(shape, "rotation", place, 0))])
    if shape.tag == "ellipse":
        x, y, along, across = (_number(shape, name, place) for name in ("cx", "cy", "rx", "ry"))
        return Ellipse((x, y), (along, across), _number(shape, "rotation", place, 0))
    if shape.tag == "mask":
        left, top, width, height = (int(_number(shape, name, place)) for name in ("left", "top", "width", "height"))
        if height > size[0] or width > size[1]:
            raise InputError(f"{place}: is {width}×{height} pixels, and its image {size[1]}×{size[0]}: export it again")
        runs = _text(shape, "rle", place).split(",")
        try:
            return Runs.of(runs, height, width, by_column=False, left=left, top=top)
        except ValueError as error:
            raise InputError(f"{place}: {error}: export it again") from error
    known = "has no area" if shape.tag in _WITHOUT_AREA else "is not known"
    raise InputError(f"{place}: is a {shape.tag}, which {known}: remove it, or draw a polygon")


def _turned(points: np.ndarray, degrees: float) -> np.ndarray:
    """Turn points clockwise around their middle."""
    cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    middle = points.mean(0)
    return (points - middle) @ np.array([[cos, sin], [-sin, cos]]) + middle


def _corners(text: str, place: str) -> np.ndarray:
    try:
        return np.array([[float(number) for number in point.split(",")] for point in text.split(";")]).reshape(-1, 2)
    except ValueError as error:
        raise InputError(f"{place}: its points are not x,y;x,y;…: export it again") from error


def _text(element: ElementTree.Element, name: str, place: str) -> str:
    value = element.get(name)
    if value is None:
        raise InputError(f"{place}: has no {name!r}: export it again")
    return value


def _number(element: ElementTree.Element, name: str, place: str, default: float | None = None) -> float:
    value = element.get(name)
    if value is None and default is not None:
        return default
    try:
        number = float(_text(element, name, place))
    except ValueError as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{place}: its {name} is {value!r}, not a number: export it again") from error
    if not math.isfinite(number):
        raise InputError(f"{place}: its {name} is {value!r}, not a number: export it again")
    return number
