"""Images that a user names: where their results belong, and reading them one by one."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from keras_segen.data import image_files, read_ahead, read_image
from keras_segen.errors import InputError
from keras_segen.files import require_place
from keras_segen_cli.warning import warn


@dataclass(frozen=True)
class Source:
    """An image file to predict on.

    Attributes:
        path: the image file.
        results: the files that come of it.
        pixels: their number.
    """

    path: Path
    results: tuple[Path, ...]
    pixels: int = 0


def find_images(
    images: Sequence[str],
    out: Path,
    names_of: Callable[[Path], Sequence[str]],
    *,
    arrays: bool = False,
) -> list[Source]:
    """Return each image with the files of its results.

    Args:
        images: image files, and folders of them, whose sub-folders `out` has again.
        out: folder for the results.
        names_of: the names of an image's results, with {} where its own name belongs.
        arrays: whether a folder's NumPy arrays are images.

    Raises:
        InputError: if two images would write the same file, or `out` cannot be written.
    """
    require_place(out)
    sources: list[Source] = []
    for given in map(Path, images):
        if not given.is_dir():
            sources.append(Source(given, tuple(out / name.format(given.stem) for name in names_of(given))))
            continue
        ours = out.resolve()  # earlier results below the folder are not images to predict on
        for path in image_files(given, arrays=arrays):
            if not path.resolve().is_relative_to(ours):
                place = out / path.relative_to(given).parent
                sources.append(Source(path, tuple(place / name.format(path.stem) for name in names_of(path))))
    becoming: dict[Path, Path] = {}
    for source in sources:
        for result in source.results:
            if result in becoming:
                raise InputError(
                    f"{source.path}: both it and {becoming[result]} would become {result}: rename one, or give them "
                    "two --out folders"
                )
            becoming[result] = source.path
    return sources


def due_images(
    sources: Sequence[Source],
    *,
    skip_existing: bool,
    is_done: Callable[[Source], bool] = lambda source: True,
    further: Sequence[Path] = (),
    read: Callable[[Path], np.ndarray] = read_image,
) -> list[Source]:
    """Return the images to predict on, checked by their headers.

    Args:
        sources: the images.
        skip_existing: pass over images whose results are there; otherwise these are an error.
        is_done: whether an image whose files are all there has its results.
        further: files that are written too.
        read: reads an image whose header does not tell its size.

    Raises:
        InputError: for files that are not images, or have a result already.
    """
    if not skip_existing:
        for result in (*further, *(result for source in sources for result in source.results)):
            if result.exists():
                raise InputError(f"{result}: exists already: give --out another folder, or add --skip-existing")
    due = [source for source in sources if not (all(result.exists() for result in source.results) and is_done(source))]
    due = [_checked(source, read) for source in due]
    if skip_existing:
        print(f"{len(sources) - len(due)} of {len(sources)} images have their results and are skipped", flush=True)
    return due


def require_results(failures: Sequence[InputError], due: Sequence[Source]) -> None:
    """Raise `OSError` if there are images without a result."""
    if failures:
        raise OSError(f"{len(failures)} of {len(due)} images have no result: {failures[0]}")


def _checked(source: Source, read: Callable[[Path], np.ndarray]) -> Source:
    """Return the source with its size by the file's header; `InputError` for a file that is not an image."""
    try:
        with Image.open(source.path) as image:
            pixels = image.width * image.height
            if Image.MAX_IMAGE_PIXELS and pixels > Image.MAX_IMAGE_PIXELS:
                raise Image.DecompressionBombError
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError, Image.DecompressionBombWarning):
        pixels = read(source.path)[..., 0].size  # which says what is wrong
    return Source(source.path, source.results, pixels)


def read_images(
    sources: Sequence[Source], read: Callable[[Path], np.ndarray], failures: list[InputError]
) -> Iterator[tuple[np.ndarray, Source]]:
    """Yield each image and its source, read ahead in threads; name damaged ones, and add them to `failures`."""

    def contents(source: Source) -> np.ndarray | InputError:
        try:
            return read(source.path)
        except InputError as error:
            return error

    found = read_ahead(contents, sources, [source.pixels for source in sources])
    for source, pixels in zip(sources, found, strict=True):
        if isinstance(pixels, InputError):
            warn(str(pixels))
            failures.append(pixels)
        else:
            yield pixels, source
