"""Files, written so that an earlier one stays whole until the new one is complete."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from keras_segen.errors import InputError
from keras_segen.types import PathLike

__all__ = [
    "INCOMPLETE",
    "building",
    "cache_folder",
    "replacing",
    "require_place",
    "require_space",
]

INCOMPLETE = ".incomplete-"


def require_place(folder: Path) -> None:
    """Raise `InputError` unless `folder` can be written to, or can be made."""
    try:
        if folder.is_symlink() and not folder.exists():
            raise InputError(f"{folder}: is a link to nothing: name another folder")
        if folder.exists() and not folder.is_dir():
            raise InputError(f"{folder}: is a file: name another folder")
        existing = next(place for place in (folder, *folder.absolute().parents) if place.exists())
    except OSError as error:
        raise InputError(f"{folder}: cannot be used ({error.strerror}): name another folder") from error
    if not existing.is_dir() or not os.access(existing, os.W_OK | os.X_OK):
        raise InputError(f"{folder}: cannot be made, {existing} is not a folder to write to: name another folder")


def require_space(folder: Path, size: int) -> None:
    """Raise `InputError` unless `size` bytes fit where `folder` is, or is to be made."""
    existing = next(place for place in (folder, *folder.absolute().parents) if place.exists())
    free = shutil.disk_usage(existing).free
    if free < size:
        raise InputError(
            f"{folder}: takes about {size / 2**30:.1f} GB, and {free / 2**30:.1f} GB are free there: make room, or "
            "name another folder"
        )


def cache_folder() -> Path:
    """Return the folder of downloads and statistics, inside Keras's own folder."""
    return Path(os.environ.get("KERAS_HOME", "~/.keras")).expanduser() / "keras_segen"


@contextmanager
def replacing(path: PathLike) -> Iterator[Path]:
    """Yield a temporary path beside `path`; rename it to `path` if the block ends well, delete it if it does not.

    Raises:
        OSError: If `path` cannot be written; the message names it.
    """
    path = Path(path)
    temporary = path.with_name(INCOMPLETE + path.name)  # the ending stays: writers go by it
    try:
        yield temporary
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        fate = "; what was there before is whole" if path.exists() else ", or name another place"
        raise OSError(f"{path}: cannot be written: {error.strerror or error}: put that right{fate}") from error
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def building(folder: PathLike) -> Iterator[Path]:
    """Yield a new temporary folder beside `folder`; rename it to `folder` if the block ends well, or delete it.

    Raises:
        InputError: If `folder` is there and holds something, or cannot be made.
    """
    folder = Path(folder)
    require_place(folder)
    if folder.exists() and any(folder.iterdir()):
        raise InputError(f"{folder}: exists already: name another folder")
    temporary = folder.with_name(INCOMPLETE + folder.name)
    made = [place for place in folder.absolute().parents if not place.exists()]
    shutil.rmtree(temporary, ignore_errors=True)  # of an earlier attempt that was killed
    try:
        temporary.mkdir(parents=True)
    except OSError as error:
        raise InputError(f"{folder}: cannot be made ({error.strerror}): name another folder") from error
    try:
        yield temporary
        temporary.replace(folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
        if not folder.exists():
            for place in made:
                with suppress(OSError):
                    place.rmdir()
