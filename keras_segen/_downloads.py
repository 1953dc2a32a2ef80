"""Downloads of published files, from one of several hosts, checked by their hash."""

import hashlib
import http.client
import sys
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import dataclass
from pathlib import Path

import keras

from keras_segen.errors import InputError
from keras_segen.files import INCOMPLETE, require_place

CHUNK = 1 << 20
PATIENCE = 60  # seconds without a byte


@dataclass(frozen=True)
class Download:
    """A file that several hosts have.

    Attributes:
        name: The name of the file on disk.
        sha256: Its hash in hexadecimal.
        urls: The addresses that have it; the first is the authors'.
    """

    name: str
    sha256: str
    urls: tuple[str, ...]


def fetch(download: Download, folder: Path) -> Path:
    """Return the path of a published file in a folder, downloaded unless it lies there already.

    An interrupted download is resumed.

    Args:
        download: The file.
        folder: The folder, which is made if it does not exist.

    Raises:
        InputError: If no host has it, with a message that says what to fetch, from where, into which folder; or if
            `folder` holds another file of its name.
    """
    try:
        require_place(folder)
    except InputError as error:
        raise InputError(f"{download.name} is needed, and cannot be written: {error}") from error
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / download.name
    if path.is_file():
        if sha256(path) != download.sha256:
            raise InputError(
                f"{path}: is not the published file, by its SHA-256: remove it, and fetch {download.urls[0]}"
            )
        return path
    partial = path.with_name(INCOMPLETE + path.name)
    failures = []
    for url in download.urls:
        print(f"fetching {url} into {folder}", flush=True)
        try:
            _download(url, partial)
        except (OSError, http.client.HTTPException) as error:
            failures.append(f"{urllib.parse.urlsplit(url).hostname}: {error}")
            continue
        if sha256(partial) == download.sha256:
            partial.rename(path)
            return path
        partial.unlink()
        failures.append(f"{urllib.parse.urlsplit(url).hostname}: gave a file with another SHA-256")
    raise InputError(
        f"{path}: is not there, and could not be fetched ({'; '.join(failures)}): fetch {' or '.join(download.urls)} "
        f"by other means, and put it into {folder} as {download.name}"
    )


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _download(url: str, partial: Path) -> None:
    """Append to `partial` what it lacks of a file; `OSError` if that breaks off."""
    size = partial.stat().st_size if partial.exists() else 0
    request = urllib.request.Request(url, headers={"Range": f"bytes={size}-"} if size else {})
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
