"""Reading one image or one mask from a file, and saying what is wrong with it."""

import hashlib
import io
import zlib
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from PIL import Image, ImageOps, UnidentifiedImageError

from keras_segen.errors import InputError

# The ways to read an image inside a graph.
JPEG, PNG, OTHER = range(3)
EXTENSIONS = (".jpg", ".jpeg", ".png", ".bmp")


def read_image(path: Path | str) -> np.ndarray:
    """Read an image file as RGB.

    Grey becomes three equal channels, 16 bits are scaled to 8, palettes are looked up, what is transparent is laid over
    white, and a camera's rotation (EXIF) is applied.

    Args:
        path: a JPEG, PNG or BMP file.

    Returns:
        uint8 (height, width, 3).

    Raises:
        InputError: if the file is missing, empty, no image, truncated, or larger than `PIL.Image.MAX_IMAGE_PIXELS`.
    """
    return to_rgb(open_image(path))


def middle_square(image: np.ndarray, side: int) -> np.ndarray:
    """Cut the middle square out of an image uint8 (height, width, 3), and resize it to uint8 (side, side, 3)."""
    height, width, _ = image.shape
    shorter = min(height, width)
    top, left = (height - shorter) // 2, (width - shorter) // 2
    square = image[top : top + shorter, left : left + shorter]
    resized = tf.image.resize(square, [side, side], antialias=True)
    return np.clip(np.round(resized.numpy()), 0, 255).astype(np.uint8)


def read_mask(path: Path | str) -> np.ndarray:
    """Read a segmentation mask: the indices of a palette PNG, or the values of a grey one.

    Returns:
        uint8 (height, width) of class ids.

    Raises:
        InputError: as `read_image`; also for a mask with colours or alpha instead of ids, in a lossy format, or
            with ids over 255.
    """
    mask = open_image(path)
    if mask.format == "JPEG":
        raise InputError(f"{path}: a mask must not be a JPEG, which blurs class ids: save it as PNG")
    if mask.mode not in ("1", "L", "P", "I", "I;16", "I;16B"):
        raise InputError(
            f"{path}: a mask holds one class id a pixel (a grey or palette PNG), but this one has mode {mask.mode}: "
            "convert its colours to class ids 0, 1, 2, …, with 255 for void"
        )
    ids = np.asarray(mask)
    if ids.min() < 0:
        raise InputError(f"{path}: class id {ids.min()} is below 0: number the classes from 0, with 255 for void")
    if ids.max() > 255:
        raise InputError(f"{path}: class id {ids.max()} is over 255: number the classes from 0")
    return ids.astype(np.uint8)


def open_image(path: Path | str) -> Image.Image:
    """Open and wholly decode an image file with Pillow; `InputError` says what is wrong with it."""
    path = Path(path)
    return _decode(_read_bytes(path), path)


def _read_bytes(path: Path) -> bytes:
    if path.is_dir():
        raise InputError(f"{path}: is a folder: name the image files in it")
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from error


def _decode(contents: bytes, path: Path) -> Image.Image:
    if not contents:
        raise InputError(f"{path}: the file is empty (0 bytes): remove or replace it")
    try:
        image = Image.open(io.BytesIO(contents))
        limit = Image.MAX_IMAGE_PIXELS
        if limit and image.width * image.height > limit:
            raise Image.DecompressionBombError
        image.load()
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise InputError(
            f"{path}: has more than {Image.MAX_IMAGE_PIXELS:,} pixels, which may be a decompression bomb: "
            "cut it into tiles, or raise PIL.Image.MAX_IMAGE_PIXELS if you trust it"
        ) from error
    except UnidentifiedImageError as error:
        raise InputError(f"{path}: is not an image (it begins with {contents[:8]!r}): remove or replace it") from error
    except (OSError, SyntaxError, ValueError, zlib.error) as error:
        raise InputError(f"{path}: is damaged or truncated ({error}): remove or replace it") from error
    return image


def to_rgb(image: Image.Image) -> np.ndarray:
    """Turn a Pillow image of any mode into uint8 (height, width, 3), as `read_image` says."""
    image = ImageOps.exif_transpose(image)
    if image.mode in ("I", "I;16", "I;16B", "I;16L"):
        grey = np.asarray(image).astype(np.int64)
        return np.repeat(np.clip((grey + 128) // 257, 0, 255).astype(np.uint8)[..., None], 3, axis=-1)
    if image.has_transparency_data:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image)
    return np.asarray(image.convert("RGB"))


@dataclass(frozen=True)
class Checked:
    """What is known of an image that was decoded once.

    Attributes:
        way: how `load_window` reads it: `JPEG` or `PNG` by TensorFlow's decoders, where these give what `to_rgb` gives
            but for rounding, `OTHER` by Pillow.
        height: in pixels, after a camera's rotation.
        width: likewise.
        digest: SHA-256 of the file.
    """

    way: int
    height: int
    width: int
    digest: bytes


def check_image(path: Path) -> Checked:
    """Read and wholly decode an image once; `InputError` says what is wrong with it."""
    contents = _read_bytes(path)
    image = _decode(contents, path)
    way = _way(image, contents)
    height, width = to_rgb(image).shape[:2] if way == OTHER else (image.height, image.width)
    return Checked(way, height, width, hashlib.sha256(contents).digest())


def _way(image: Image.Image, contents: bytes) -> int:
    if image.format == "JPEG":
        upright = image.getexif().get(0x0112, 1) == 1
        whole = contents.rstrip(b"\0").endswith(b"\xff\xd9")
        return JPEG if image.mode in ("L", "RGB") and upright and whole else OTHER
    plain = image.format == "PNG" and image.mode in ("L", "RGB") and not image.has_transparency_data
    return PNG if plain else OTHER


def _read_encoded_path(path: np.ndarray) -> np.ndarray:
    return read_image(np.asarray(path).item().decode())


def load_window(
    path: Any, way: Any, window: Any, *, among: Collection[int] = (JPEG, PNG, OTHER), quick: bool = False
) -> Any:
    """Read part of an image inside a TensorFlow graph.

    A JPEG's pixels outside the window are not decoded.

    Args:
        path: string scalar.
        way: integer scalar, as `check_image` says.
        window: int32 (4,): top, left, height, width, inside the image.
        among: the ways that `way` may be. Where it is but one, the graph needs no switch, which takes time.
        quick: take a JPEG's nearest sample of colour instead of interpolating, as will do for crops that are resized
            and recoloured anyway.

    Returns:
        uint8 (height, width, 3).
    """

    def jpeg() -> Any:
        return decode_jpeg_window(tf.io.read_file(path), window, quick=quick)

    def png() -> Any:
        return cut(tf.io.decode_png(tf.io.read_file(path), channels=3))

    def other() -> Any:
        return cut(tf.numpy_function(_read_encoded_path, [path], tf.uint8, stateful=False))

    def cut(image: Any) -> Any:
        return tf.slice(image, [window[0], window[1], 0], [window[2], window[3], 3])

    ways = {JPEG: jpeg, PNG: png, OTHER: other}
    image = ways[next(iter(among))]() if len(among) == 1 else tf.switch_case(way, ways)
    return tf.ensure_shape(image, [None, None, 3])


def decode_jpeg_window(contents: Any, window: Any, *, quick: bool = False) -> Any:
    """Decode part of a JPEG in memory; arguments and result as for `load_window`."""
    return tf.io.decode_and_crop_jpeg(
        contents, window, channels=3, fancy_upscaling=not quick, dct_method="INTEGER_ACCURATE"
    )
