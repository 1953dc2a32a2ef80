"""Archives that data sets come in: downloaded, and unpacked so that all is there or nothing."""

import gzip
import shutil
import tarfile
import zlib
from pathlib import Path

from keras_segen._downloads import Download, fetch
from keras_segen.errors import InputError
from keras_segen.files import INCOMPLETE


def provide(archive: Download, folder: Path, *, last: str = "") -> None:
    """Fetch an archive, unless it lies in `folder` already, and unpack it there.

    Nothing that is in `folder` is written over. An archive that lay there stays.

    Args:
        archive: The archive.
        folder: The folder, which is made if it does not exist.
        last: The name of the folder that is moved to its place last: if it is whole, all is.

    Raises:
        InputError: If the archive cannot be downloaded, as for `fetch`, or cannot be unpacked.
    """
    own = (folder / archive.name).is_file()
    path = fetch(archive, folder)
    _unpack(path, folder, last)
    if not own:
        path.unlink()


def _unpack(path: Path, folder: Path, last: str) -> None:
    print(f"unpacking {path}", flush=True)
    incomplete = folder / (INCOMPLETE + path.stem)
    shutil.rmtree(incomplete, ignore_errors=True)
    try:
        with tarfile.open(path) as tar:
            tar.extractall(incomplete, filter="data")
        _merge(incomplete, folder, last)
    except (tarfile.TarError, EOFError, zlib.error, gzip.BadGzipFile) as error:
        reason = str(error).splitlines()[0].rstrip(":")
        raise InputError(f"{path}: cannot be unpacked ({reason}): remove it, and fetch it again") from error
    finally:
        shutil.rmtree(incomplete, ignore_errors=True)


def _merge(source: Path, target: Path, last: str) -> None:
    for item in sorted(source.iterdir(), key=lambda item: item.name == last):
        place = target / item.name
        if not place.exists():
            item.rename(place)
        elif item.is_dir() and place.is_dir():
            _merge(item, place, last)
