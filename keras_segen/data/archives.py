"""Archives that data sets come in: downloaded, checked by their hash, and unpacked so that all is there or nothing."""

import gzip
import hashlib
import http.client
import shutil
import sys
import tarfile
import urllib.error
import urllib.parse
import urllib.request
import zlib
from dataclasses import dataclass
from pathlib import Path

import keras

from keras_segen.errors import InputError
from keras_segen.files import INCOMPLETE, require_place

CHUNK = 1 << 20
PATIENCE = 60  # seconds without a byte


@dataclass(frozen=True)
class Archive:
    """A file that several hosts have.

    Attributes:
        name: of the file.
        sha256: in hexadecimal.
        urls: where it can be had; the first is the authors'.
    """

    name: str
    sha256: str
    urls: tuple[str, ...]


def provide(archive: Archive, folder: Path, *, last: str = "") -> None:
    """Fetch an archive, unless it lies in `folder` already, and unpack it there.

    Nothing that is in `folder` is written over. A download that broke off goes on where it did.

    Args:
        archive: what to fetch.
        folder: where to; made if need be.
        last: name of the folder that is moved to its place last: where it is whole, all is.

    Raises:
        InputError: if no host gives it, which says what to fetch, from where, into which folder; if what lies in
            `folder` is another file; or if it cannot be unpacked.
    """
    try:
        require_place(folder)
    except InputError as error:
        raise InputError(f"{archive.name} is wanted, and there is no place for it: {error}") from error
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / archive.name
    if path.is_file():
        if _sha256(path) != archive.sha256:
            raise InputError(
                f"{path}: is not the published file, by its SHA-256: remove it, and fetch {archive.urls[0]}"
            )
        _unpack(path, folder, last)
    else:
        _fetch(archive, path)
        _unpack(path, folder, last)
        path.unlink()


def _fetch(archive: Archive, path: Path) -> None:
    partial = path.with_name(INCOMPLETE + path.name)
    failures = []
    for url in archive.urls:
        print(f"fetching {url} into {path.parent}", flush=True)
        try:
            _download(url, partial)
        except (OSError, http.client.HTTPException) as error:
            failures.append(f"{urllib.parse.urlsplit(url).hostname}: {error}")
            continue
        if _sha256(partial) == archive.sha256:
            partial.rename(path)
            return
        partial.unlink()
        failures.append(f"{urllib.parse.urlsplit(url).hostname}: gave a file with another SHA-256")
    raise InputError(
        f"{path}: is not there, and could not be fetched ({'; '.join(failures)}): fetch {' or '.join(archive.urls)} "
        f"by other means, and put it into {path.parent}"
    )


def _download(url: str, partial: Path) -> None:
    """Append to `partial` what it lacks of a file; `OSError` if that breaks off."""
    there = partial.stat().st_size if partial.exists() else 0
    request = urllib.request.Request(url, headers={"Range": f"bytes={there}-"} if there else {})
    try:
        answer = urllib.request.urlopen(request, timeout=PATIENCE)
    except urllib.error.HTTPError as error:
        if error.code == http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            return  # nothing is lacking
        raise
    with answer, partial.open("ab" if answer.status == http.HTTPStatus.PARTIAL_CONTENT else "wb") as file:
        length = int(answer.headers.get("Content-Length", 0))
        whole = file.tell() + length
        bar = keras.utils.Progbar(whole // CHUNK or None, unit_name="MiB") if sys.stdout.isatty() else None
        while chunk := answer.read(CHUNK):
            file.write(chunk)
            if bar:
                bar.update(file.tell() // CHUNK)
        if length and file.tell() < whole:
            raise OSError(f"broke off after {file.tell():,} of {whole:,} bytes")


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


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
