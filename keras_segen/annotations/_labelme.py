"""Labelme's JSON files, one beside each image (https://github.com/labelmeai/labelme)."""

import base64
import binascii
import io
import math
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from keras_segen._masks import VOID
from keras_segen.annotations._annotated import AnnotatedImage, Annotations, Object, Objects, named_classes
from keras_segen.annotations._fields import corners, field, image_path, read_json, records
from keras_segen.annotations._regions import FARTHEST, Bitmap, Ellipse, Polygons, Region, Union
from keras_segen.data._images import EXTENSIONS
from keras_segen.errors import InputError

IGNORED = "__ignore__"


def read(source: Path, *, images: Path | None, class_names: Sequence[str] | None) -> Annotations:
    """Read a folder of labelme's files.

    The classes have the order of their names. Shapes of one class with the same `group_id` are one object;
    `__ignore__` is void.

    Args:
        source: The folder of JSON files, sub-folders included.
        images: The folder of the images; None for each file's own.
        class_names: The names of the classes that are wanted; see `named_classes`.
    """
    files = [(path, read_json(path)) for path in sorted(source.rglob("*.json"))]
    shapes = {path: records(content, "shapes", str(path)) for path, content in files}
    labels = sorted({field(shape, "label", str, place) for found in shapes.values() for shape, place in found})
    names, ids = named_classes([label for label in labels if label != IGNORED], class_names, str(source))
    class_of = dict(zip([label for label in labels if label != IGNORED], ids, strict=True)) | {IGNORED: VOID}
    annotated = []
    for path, content in files:
        place = str(path)
        image = image_path(field(content, "imagePath", str, place), images, [path.parent], place)
        size = field(content, "imageHeight", int, place), field(content, "imageWidth", int, place)
        annotated.append(AnnotatedImage(image, Objects(_objects(shapes[path], class_of)), place, size))
    used = {image.path for image in annotated}
    others = [
        path for path in sorted((images or source).rglob("*")) if path.suffix.lower() in EXTENSIONS and path not in used
    ]
    if others:
        more = f" and {len(others) - 1} more have" if len(others) > 1 else " has"
        warnings.warn(f"{others[0]}{more} no .json file: left out", stacklevel=2)
    return Annotations(names, {"": annotated})


def _objects(shapes: Sequence[tuple[Any, str]], class_of: dict[str, int]) -> list[Object]:
    """Return the objects of an image, the shapes of a group joined where the first of them stands."""
    joined: dict[Any, list[Region]] = {}
    firsts: dict[Any, tuple[str, str]] = {}
    for i, (shape, place) in enumerate(shapes):
        label, group = shape["label"], shape.get("group_id")
        if not isinstance(group, int | str | None):
            raise InputError(f"{place}: its group_id is {str(group)[:40]!r}, not a whole number: correct it")
        key = ("alone", i) if group is None else (label, group)
        joined.setdefault(key, []).append(_region(shape, place))
        firsts.setdefault(key, (label, place))
    return [
        Object(class_of[label], regions[0] if len(regions) == 1 else Union(regions), place)
        for (label, place), regions in zip(firsts.values(), joined.values(), strict=True)
    ]


def _region(shape: Any, place: str) -> Region:
    kind = shape.get("shape_type") or "polygon"
    points = corners(field(shape, "points", list, place), place)
    wanted = {"rectangle": 2, "circle": 2, "mask": 2}.get(kind)
    if wanted is not None and len(points) != wanted:
        raise InputError(f"{place}: is a {kind} of {len(points)} points, and has {wanted}: correct it")
    if kind in ("polygon", "oriented_rectangle"):
        return Polygons([points])
    if kind == "rectangle":
        (left, top), (right, bottom) = points
        return Polygons([np.array([(left, top), (right, top), (right, bottom), (left, bottom)])])
    if kind == "circle":
        radius = math.dist(*points)
        return Ellipse((float(points[0][0]), float(points[0][1])), (radius, radius))
    if kind == "mask":
        return _bitmap(shape, points, place)
    raise InputError(f"{place}: is a {kind}, which has no area: remove it, or draw a polygon")


def _bitmap(shape: Any, points: np.ndarray, place: str) -> Bitmap:
    try:
        contents = base64.b64decode(field(shape, "mask", str, place), validate=True)
        pixels = np.asarray(Image.open(io.BytesIO(contents), formats=("PNG",))).astype(bool)
    except (binascii.Error, OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{place}: its mask is damaged ({error}): draw it again") from error
    if not np.isfinite(points).all() or np.abs(points).max() > FARTHEST:
        raise InputError(f"{place}: has a corner that lies nowhere near the image: draw it again")
    # Both corners lie inside.
    (left, top), (right, bottom) = np.round(points).astype(int)
    if pixels.shape != (bottom - top + 1, right - left + 1):
        raise InputError(
            f"{place}: its mask has {pixels.shape[-1]}×{pixels.shape[0]} pixels, and its corners are those of "
            f"{right - left + 1}×{bottom - top + 1}: draw it again"
        )
    return Bitmap(pixels, int(left), int(top))
