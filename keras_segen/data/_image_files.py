"""Image files below a folder, whatever its sub-folders, such as `keras-segen compare --real A --fake B` reads."""

import hashlib
import os
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np

from keras_segen.data._channels import EXTENSIONS as ALL_EXTENSIONS
from keras_segen.data._images import EXTENSIONS, FORMATS, read_image
from keras_segen.data._in_threads import in_threads
from keras_segen.errors import InputError
from keras_segen.types import PathLike

# Names that operating systems leave in folders, beside those that begin with a dot.
SYSTEM = ("Thumbs.db", "desktop.ini", "__MACOSX")


def is_hidden(path: Path) -> bool:
    """Tell whether a file or folder is an operating system's, or hidden, such as macOS's `._x.png`."""
    return path.name.startswith(".") or path.name in SYSTEM


def only_images(folder: Path, paths: Iterable[Path], extensions: Sequence[str] = EXTENSIONS) -> list[Path]:
    """Return those files, in the order of their names, that end as images do; a warning counts and names the others.

    Args:
        folder: The folder that the warning names.
        paths: The paths of files; hidden ones are silently left out.
        extensions: How images end.
    """
    visible = sorted(path for path in paths if not is_hidden(path))
    image_paths = [path for path in visible if path.suffix.lower() in extensions]
    if skipped := Counter(path.suffix or path.name for path in visible if path.suffix.lower() not in extensions):
        kinds = ", ".join(f"{count} {kind}" for kind, count in skipped.most_common(5))
        warnings.warn(f"{folder}: {skipped.total()} files that are not {FORMATS} are skipped: {kinds}", stacklevel=2)
    return image_paths


def image_files(folder: PathLike, *, arrays: bool = False) -> list[Path]:
    """Return the image files in a folder and its sub-folders, linked ones too, in the order of their names.

    A warning counts and names the files that are skipped.

    Args:
        folder: The folder.
        arrays: Whether NumPy's arrays (`.npy`) count as images.

    Raises:
        InputError: If there are none.

    Example:
        >>> ks.plotting.save_image(np.zeros((40, 50, 3), "uint8"), "photos/2026/0.png")
        >>> [path.name for path in ks.data.image_files("photos")]
        ['0.png']
    """
    folder = Path(folder)
    if not folder.is_dir():
        what = "is a file" if folder.exists() else "does not exist"
        raise InputError(f"{folder}: {what}: name a folder of images")
    paths, visited = [], set()
    for folder_path, sub_folders, names in os.walk(folder, followlinks=True):
        place = Path(folder_path)
        if place.resolve() in visited:  # a link to a folder above
            sub_folders.clear()
            continue
        visited.add(place.resolve())
        sub_folders[:] = [name for name in sub_folders if not is_hidden(place / name)]
        paths += [place / name for name in names]
    extensions = ALL_EXTENSIONS if arrays else EXTENSIONS
    paths = only_images(folder, paths, extensions)
    if not paths:
        raise InputError(f"{folder}: holds no image ({', '.join(extensions)}): name a folder of images")
    return paths


def fingerprint(paths: list[Path]) -> str:
    """Return the SHA-256 of the files' contents, in hexadecimal.

    Example:
        >>> ks.plotting.save_image(np.zeros((40, 50, 3), "uint8"), "photos/0.png")
        >>> len(ks.data.fingerprint(ks.data.image_files("photos")))
        64
    """
    digest = hashlib.sha256()
    for path in paths:
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()


def image_batches(paths: list[Path], batch_size: int = 64) -> Iterator[np.ndarray]:
    """Yield images uint8 (count, height, width, 3), each batch of one size, in nearly the order of the paths.

    Raises:
        InputError: For a file that is not an image, or is damaged.

    Example:
        >>> ks.plotting.save_image(np.zeros((40, 50, 3), "uint8"), "photos/0.png")
        >>> [batch.shape for batch in ks.data.image_batches(ks.data.image_files("photos"))]
        [(1, 40, 50, 3)]
    """
    for first in range(0, len(paths), batch_size):
        by_size: dict[tuple[int, ...], list[np.ndarray]] = {}
        for image in in_threads(read_image, paths[first : first + batch_size]):
            by_size.setdefault(image.shape, []).append(image)
        yield from map(np.stack, by_size.values())
