"""Image and mask files: reading one, and saying what is wrong with it."""

import io
import struct
import warnings
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tensorflow as tf
from PIL import Image, UnidentifiedImageError

from keras_segen._encoded import DAMAGED, SIGNATURE, UNCLEAR, jpeg_segments, png_chunks
from keras_segen.errors import InputError
from keras_segen.types import PathLike, Tensor

# Pillow's modes of images that hold one number a pixel.
NUMBERED = ("1", "L", "P", "I", "I;16", "I;16B")
FORMATS = "JPEG, PNG, BMP, WebP, GIF or TIFF"
EXTENSIONS = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".gif", ".tif", ".tiff")

# How files of these formats begin.
BEGINNINGS = (b"\xff\xd8\xff", SIGNATURE, b"BM", b"RIFF", b"GIF8", b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
# What Pillow raises for damaged files.
DAMAGE = (OSError, SyntaxError, ValueError, TypeError, EOFError, LookupError, ArithmeticError, struct.error, zlib.error)
# Pillow's modes that do not say which value is white.
NOT_LEVELS = {"I": "signed, or of more than 16 bits", "F": "not whole numbers", "LAB": "in the colour space CIE L*a*b*"}
# Images of 16 bits without a value as great as this hold 14 bits or fewer.
DIM = 2**14
ORIENTATION = 0x0112  # the EXIF tag
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def read_image(path: PathLike) -> np.ndarray:
    """Read an image file as RGB.

    Grey becomes three equal channels, 16 bits are scaled to 8, palettes are looked up, transparent pixels are laid over
    white, a camera's rotation (EXIF) is applied, and an animation's first frame is taken.

    A warning is given for an image of 16 bits that uses only the lowest 14 or fewer, like those of 12-bit cameras,
    because it becomes nearly black.

    Args:
        path: The path of a JPEG, PNG, BMP, WebP, GIF or TIFF file.

    Returns:
        The image, uint8 (height, width, 3).

    Raises:
        InputError: If the file is missing, empty, not an image, truncated, or larger than `PIL.Image.MAX_IMAGE_PIXELS`;
            for a TIFF, also if it has several pages, bands that are neither colour nor alpha, or values that are signed
            or not whole numbers.

    Example:
        >>> keras.utils.save_img("photo.png", np.zeros((32, 48, 3)))
        >>> image = ks.data.read_image("photo.png")
        >>> image.shape, image.dtype
        ((32, 48, 3), dtype('uint8'))
    """
    path = Path(path)
    picture = decode(read_bytes(path), path)
    pixels = to_rgb(picture, path)
    if picture.peak is not None and picture.peak < DIM:
        most = 2 ** picture.peak.bit_length() - 1  # so that files alike are told of once
        warnings.warn(f"an image of 16 bits holds no value over {most}: {_remedy(most)}", stacklevel=2)
    return pixels


def middle_square(image: np.ndarray, side: int) -> np.ndarray:
    """Cut the middle square out of an image uint8 (height, width, 3), and resize it to uint8 (side, side, 3).

    Example:
        >>> ks.data.middle_square(np.zeros((40, 50, 3), "uint8"), 32).shape
        (32, 32, 3)
    """
    height, width, _ = image.shape
    shorter = min(height, width)
    top, left = (height - shorter) // 2, (width - shorter) // 2
    square = image[top : top + shorter, left : left + shorter]
    resized = tf.image.resize(square, [side, side], antialias=True)
    return np.clip(np.round(resized.numpy()), 0, 255).astype(np.uint8)


def read_mask(path: PathLike) -> np.ndarray:
    """Read a segmentation mask: the indices of a palette image, or the values of a grey one, upright as `read_image`.

    Returns:
        uint8 (height, width) of class ids.

    Raises:
        InputError: For a file that `read_image` refuses, a mask with colours or alpha instead of ids, in a lossy
            format, or with ids over 255.
    """
    path = Path(path)
    mask = decode(read_bytes(path), path)
    if mask.format in ("JPEG", "MPO"):
        raise InputError(f"{path}: a mask must not be a JPEG, which blurs class ids: save it as PNG")
    if mask.image.mode not in NUMBERED:
        raise InputError(
            f"{path}: a mask holds one class id a pixel (a grey or palette PNG), but this one has mode "
            f"{mask.image.mode}: convert its colours to class ids 0, 1, 2, …, with 255 for void"
        )
    ids = numbers_in(mask)
    if ids.min() < 0:
        raise InputError(f"{path}: class id {ids.min()} is below 0: number the classes from 0, with 255 for void")
    if ids.max() > 255:
        raise InputError(f"{path}: class id {ids.max()} is over 255: number the classes from 0")
    return ids.astype(np.uint8)


def numbers_in(picture: "Picture") -> np.ndarray:
    """Return the indices of a palette image, or the values of a grey one, (height, width), as the file has them."""
    values = np.asarray(picture.image)
    if picture.image.mode == "L":
        return values // (255 // (2**picture.bits - 1))  # Pillow scales 2 and 4 bits to 8
    return values


def read_bytes(path: Path) -> bytes:
    if path.is_dir():
        raise InputError(f"{path}: is a folder: name the image files in it")
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from error


@dataclass(frozen=True)
class Picture:
    """A decoded image file.

    Attributes:
        image: Its pixels, upright.
        format: The format, by Pillow's name.
        bits: The number of bits of a grey level, or of a channel of a PNG or TIFF; 8 for other formats.
        turned: Whether a camera's rotation was applied.
    """

    image: Image.Image
    format: str
    bits: int
    turned: bool

    @property
    def peak(self) -> int | None:
        """The greatest value, of 65535, in an image of 16 bits; None for others."""
        if self.bits != 16:
            return None
        if self.image.mode.startswith("I;16"):
            return int(np.asarray(self.image).max())
        return int(np.asarray(self.image.convert("RGB")).max()) * 257  # Pillow keeps the upper 8 bits of colours


def decode(contents: bytes, path: Path) -> Picture:
    """Decode an image file wholly; `InputError` says what is wrong with it."""
    if not contents:
        raise InputError(f"{path}: the file is empty (0 bytes): remove or replace it")
    bits, transparent = 8, None
    try:
        image = Image.open(io.BytesIO(contents), formats=("JPEG", "PNG", "BMP", "WEBP", "GIF", "TIFF"))
        limit = Image.MAX_IMAGE_PIXELS
        if limit and image.width * image.height > limit:
            raise Image.DecompressionBombError
        if image.format == "PNG":
            bits, transparent = _check_png(contents, path)
        elif image.format in ("JPEG", "MPO"):
            list(jpeg_segments(contents))  # to its end
        elif image.format == "TIFF":
            bits = _check_tiff(image, path)
        image.load()
        if transparent is not None:
            image.info["transparency"] = transparent
        turn = TURNS.get(_orientation(image))
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise InputError(
            f"{path}: has more than {Image.MAX_IMAGE_PIXELS:,} pixels, which may be a decompression bomb: cut it into "
            "tiles, or if you trust it allow more with --max-pixels N (in Python, PIL.Image.MAX_IMAGE_PIXELS = N)"
        ) from error
    except UnidentifiedImageError as error:
        if contents.startswith(BEGINNINGS):
            raise InputError(f"{path}: {DAMAGED}, or of a kind that cannot be read: save it as PNG") from error
        raise InputError(
            f"{path}: is not an image in {FORMATS} (it begins with {contents[:8]!r}): remove or replace it"
        ) from error
    except InputError:
        raise
    except DAMAGE as error:
        raise InputError(f"{path}: {DAMAGED} ({error}): remove or replace it") from error
    upright = image if turn is None else image.transpose(turn)
    return Picture(upright, str(image.format), bits, turn is not None)


def _check_png(contents: bytes, path: Path) -> tuple[int, int | None]:
    """Return the bits of a PNG's channel, and the transparent grey level as it is decoded, if there is one.

    Raises:
        InputError: For a file that Pillow would read wrongly.
        ValueError: For a damaged one.
    """
    chunks = dict(png_chunks(contents))
    bits, colour, transparent = contents[24], contents[25], chunks.get(b"tRNS")
    if transparent is None or colour not in (0, 2):
        return bits, None
    if colour == 2 and bits == 16:  # Pillow looks for the colour among those of 8 bits
        raise InputError(f"{path}: {UNCLEAR}")
    if colour == 2:
        return bits, None
    most = 2**bits - 1
    level = int.from_bytes(transparent[:2], "big") & most
    return bits, level if bits == 16 else level * 255 // most  # which Pillow leaves out


def _check_tiff(image: Tensor, path: Path) -> int:
    """Return the bits of a channel of a TIFF; `InputError` for one that Pillow would read wrongly, or in part."""
    if image.n_frames > 1:
        raise InputError(f"{path}: has {image.n_frames} pages: save each page as a file of its own")
    tags = image.tag_v2
    kind, bits, channels = tags.get(262), max(tags.get(258, (1,))), tags.get(277, 1)
    extra, colours = tags.get(338, ()), {2: 3, 5: 4, 6: 3, 8: 3}.get(kind, 1)
    if bits == 8 and set(tags.get(339, (1,))) != {1}:
        raise InputError(f"{path}: its values are signed: save it as PNG")
    if kind == 0 and bits > 8:
        raise InputError(f"{path}: its values of {bits} bits count from white to black: save it with black as 0")
    if channels > colours + 1 or (channels == colours + 1 and extra not in ((1,), (2,))):
        raise InputError(
            f"{path}: has {channels} bands, and does not say that those after the first {colours} are alpha: "
            "save the bands that you want as an image of 1 or 3 channels"
        )
    return bits


def _orientation(image: Image.Image) -> int:
    try:
        return image.getexif().get(ORIENTATION, 1)
    except DAMAGE:  # EXIF that cannot be read
        return 1


def to_rgb(picture: Picture, path: Path) -> np.ndarray:
    """Turn a decoded image into uint8 (height, width, 3), as `read_image` says."""
    image = picture.image
    if image.mode in ("I", "F", "LAB"):
        raise InputError(
            f"{path}: its values are {NOT_LEVELS[image.mode]}: save it with whole values from 0 to 255, or to 65535"
        )
    if image.mode.startswith("I;16"):
        grey, most = np.asarray(image).astype(np.int64), 2**picture.bits - 1
        levels = ((grey * 255 + most // 2) // most).astype(np.uint8)
        levels[grey == image.info.get("transparency", -1)] = 255
        return np.repeat(levels[..., None], 3, axis=-1)
    if image.has_transparency_data:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image)
    return np.asarray(image.convert("RGB"))


def warn_of_dim(peaks: Sequence[int | None]) -> None:
    """Warn of images of 16 bits that all use only the lowest 14 or fewer; see `Checked.peak`."""
    deep = [peak for peak in peaks if peak is not None]
    if deep and max(deep) < DIM:
        count = "1 image has" if len(deep) == 1 else f"{len(deep)} images have"
        warnings.warn(f"{count} 16 bits, but no value over {max(deep)}: {_remedy(max(deep))}", stacklevel=2)


def _remedy(peak: int) -> str:
    return (
        f"of 65535, this is nearly black ({(peak + 128) // 257} of 255 at most): multiply the values by "
        f"{2 ** (16 - peak.bit_length())} and save the images again"
    )
