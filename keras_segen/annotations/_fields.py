"""Fields of JSON records, and the files that they name, read with care."""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from keras_segen.errors import InputError

_WORDS = {int: "a whole number", str: "text", list: "a list", object: "a value"}


def read_text(path: Path) -> str:
    """Read a text file; `InputError` if it cannot be read, or is not UTF-8."""
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: is not UTF-8 text: save it as UTF-8") from error
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from error


def read_json(path: Path) -> Any:
    """Read a JSON file; `InputError` if it is none."""
    text = read_text(path)
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: is not JSON ({error}): export it again") from error


def field(record: Any, name: str, kind: type, place: str) -> Any:
    """Return a field of a JSON record.

    Raises:
        InputError: If the record lacks it, or it is of another type.
    """
    value = record.get(name) if isinstance(record, Mapping) else None
    if value is None or not isinstance(value, kind) or isinstance(value, bool):
        found = "has none" if value is None else f"has {str(value)[:40]!r}"
        raise InputError(f"{place}: needs {_WORDS[kind]} as {name!r}, and {found}: export it again")
    return value


def records(content: Any, name: str, place: str) -> list[tuple[Any, str]]:
    """Return the records of a list in a JSON file, each with its place."""
    return [(record, f"{place}: {name}[{i}]") for i, record in enumerate(field(content, name, list, place))]


def corners(values: Any, place: str) -> np.ndarray:
    """Return the corners of a polygon, float (corners, 2), of a list of x, y, x, y, … or of pairs.

    Raises:
        InputError: For what is not such a list.
    """
    try:
        points = np.asarray(values, float)
    except (TypeError, ValueError, OverflowError) as error:
        raise InputError(f"{place}: its polygon is not a list of numbers: correct it") from error
    if points.ndim == 1 and points.size % 2:
        raise InputError(f"{place}: its polygon has {points.size} numbers, and each corner needs two: correct it")
    if points.ndim not in (1, 2) or (points.ndim == 2 and points.shape[1] != 2):
        raise InputError(f"{place}: its polygon is not a list of x and y: correct it")
    return points.reshape(-1, 2)


def image_path(name: str, images: Path | None, folders: Sequence[Path], place: str) -> Path:
    """Find the image that a file of annotations names.

    Args:
        name: The path as it stands there. Backslashes separate folders too.
        images: The folder that the user says holds it, there or under its mere name; or None.
        folders: The folders that the path may start from otherwise.
        place: Where the name stands, for messages.

    Raises:
        InputError: For a path that leads out of the folders, or to nothing.
    """
    path = PurePosixPath(name.replace("\\", "/"))
    roots = folders if images is None else [images]
    outside = not path.name or path.is_absolute() or ".." in path.parts or ":" in path.parts[0] or "\0" in name
    if outside and images is None:
        raise InputError(
            f"{place}: its image {name!r} does not lie in {roots[0]}: name by --images the folder that holds it"
        )
    found = [] if outside else [root / path for root in roots]
    if images is not None and path.name not in ("", "..") and "\0" not in name:
        found.append(images / path.name)
    for file in found:
        if file.is_file():
            return file
    where = ", ".join(map(str, dict.fromkeys(roots)))
    raise InputError(f"{place}: its image {name} is not in {where}: put it there, or name by --images where it is")


def unique(keys: Iterable[tuple[Any, str]], noun: str) -> None:
    """Raise `InputError` for the first of (key, place) whose key came before."""
    places: dict[Any, str] = {}
    for key, place in keys:
        if key in places:
            raise InputError(f"{place}: {noun} {key} is also that of {places[key]}: give each its own")
        places[key] = place
