"""Images of any number of channels and any depth, as microscopes, satellites and NumPy leave them."""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tensorflow as tf
import tifffile

from keras_segen._encoded import DAMAGED, SIGNATURE
from keras_segen.data import _images
from keras_segen.errors import InputError
from keras_segen.ranges import check_value_range
from keras_segen.types import PathLike

EXTENSIONS = (*_images.EXTENSIONS, ".npy")
# Of an image's values, so many percent may lie below the range that is found, and as many above: dead and hot pixels.
OUTSIDE = 0.1
# Ways to store colours that Pillow turns into RGB.
_OF_PILLOW = (tifffile.PHOTOMETRIC.PALETTE, tifffile.PHOTOMETRIC.YCBCR, tifffile.PHOTOMETRIC.SEPARATED)
# More channels than this are more likely the axis of another thing.
MOST_CHANNELS = 512


@dataclass(frozen=True)
class ImageKind:
    """How images are read: what a network trained on them takes.

    Attributes:
        channels: The number of channels.
        value_range: The values that become 0 and 255 in the network, (low, high); None for images of 8 bits, which
            have that range by themselves. Images of 3 channels are then read as `read_image` does, whatever they are.

    Example:
        >>> np.save("image.npy", np.zeros((32, 48, 2), "uint16"))
        >>> ks.data.ImageKind(channels=2, value_range=(0, 4095)).read("image.npy").shape
        (32, 48, 2)
    """

    channels: int = 3
    value_range: tuple[float, float] | None = None

    @property
    def is_rgb(self) -> bool:
        """Whether `read_image` reads them."""
        return self == ImageKind()

    @property
    def low(self) -> float:
        """The value that becomes 0."""
        return 0.0 if self.value_range is None else self.value_range[0]

    @property
    def scale(self) -> float:
        """The factor of the values above `low` that turns them into [0, 255]."""
        return 1.0 if self.value_range is None else 255 / (self.value_range[1] - self.value_range[0])

    def read(self, path: PathLike) -> np.ndarray:
        """Read an image as this kind; `InputError` if it is of another."""
        if self.is_rgb:
            return _images.read_image(path)
        pixels = read_channels(path, self.channels)
        _require_finite(pixels, Path(path))
        if self.value_range is None and pixels.dtype != np.uint8:
            raise InputError(
                f"{path}: its values are {pixels.dtype}, and images of 8 bits are wanted: save it as the images that "
                "the model was trained on, or train a model on such images"
            )
        return pixels


def check_channels(channels: int | None, value_range: Sequence[float] | None) -> None:
    """Raise `ValueError` for a number of channels or a range of values that no image has."""
    if channels is not None and (not isinstance(channels, int | np.integer) or channels < 1):
        raise ValueError(f"`channels` must be a whole number of at least 1. Received: channels={channels!r}")
    check_value_range(value_range)


def read_channels(path: PathLike, channels: int | None = None) -> np.ndarray:
    """Read an image file as it is: all its channels, with the values and the type that the file holds.

    A TIFF may be planar, tiled, compressed, or have its channels as pages; it is read by tifffile, other pictures by
    Pillow (colours of 16 bits by TensorFlow), arrays by NumPy, without pickles.

    Args:
        path: The path of a PNG, TIFF, JPEG, BMP, WebP or GIF file, or of an array (`.npy`): (height, width) or (height,
            width, channels).
        channels: The number of channels wanted. Grey becomes three equal channels, three equal ones become grey, and
            an alpha channel that is opaque all over is left out. None for those that the file has.

    Returns:
        (height, width, channels), of the file's type.

    Raises:
        InputError: For a file that is missing, damaged, not an image or an array of one, or that has other channels.

    Example:
        >>> np.save("image.npy", np.zeros((32, 48, 5), "uint16"))
        >>> image = ks.data.read_channels("image.npy")
        >>> image.shape, image.dtype
        ((32, 48, 5), dtype('uint16'))
    """
    path = Path(path)
    contents = _images.read_bytes(path)
    if path.suffix.lower() == ".npy":
        pixels = _array(contents, path)
    elif contents.startswith((b"II", b"MM")):
        pixels = _tiff(contents, path)
    elif is_deep(contents):
        _images.decode(contents, path)  # which says what is wrong with it
        pixels = tf.io.decode_png(contents, dtype=tf.uint16).numpy()
    else:
        image = _images.decode(contents, path).image
        if image.mode not in ("L", "LA", "RGB", "RGBA"):
            image = image.convert("L" if image.mode == "1" else "RGBA" if image.has_transparency_data else "RGB")
        pixels = np.asarray(image)
    pixels = pixels[..., None] if pixels.ndim == 2 else pixels
    return pixels if channels is None else _with_channels(pixels, channels, path)


def is_deep(contents: bytes) -> bool:
    """Say whether a file's beginning is that of a PNG of 16 bits."""
    return contents.startswith(SIGNATURE) and contents[24:25] == b"\x10"


def is_plain(path: Path) -> bool:
    """Say whether a file is of 8 bits a channel, and grey or of colours, so that `read_image` loses nothing of it."""
    if path.suffix.lower() == ".npy":
        return False
    with path.open("rb") as file:
        contents = file.read(25)
        if not contents.startswith((b"II", b"MM")):
            return not is_deep(contents)
        contents += file.read()
    try:
        _images.to_rgb(_images.decode(contents, path), path)
        with tifffile.TiffFile(io.BytesIO(contents)) as tiff:
            return tiff.pages[0].dtype in (np.uint8, np.bool_)
    except InputError:
        return False  # several pages or bands, or signed values, which may be just what is wanted
    except Exception:  # a TIFF that Pillow reads, and tifffile does not
        return True


def _array(contents: bytes, path: Path) -> np.ndarray:
    try:
        pixels = np.lib.format.read_array(io.BytesIO(contents), allow_pickle=False)
    except (ValueError, OSError, EOFError, SyntaxError, MemoryError) as error:
        raise InputError(f"{path}: is not an array that NumPy reads ({_line(error)}): save it by numpy.save") from error
    if pixels.ndim not in (2, 3) or not pixels.size:
        raise InputError(
            f"{path}: has the shape {pixels.shape}, and an image is (height, width) or (height, width, channels): save "
            "each image as a file of its own"
        )
    if pixels.dtype.kind not in "buif":
        raise InputError(f"{path}: holds {pixels.dtype}, not numbers: save whole or real numbers")
    if pixels.ndim == 3 and pixels.shape[2] > MOST_CHANNELS:
        raise InputError(
            f"{path}: has the shape {pixels.shape}, that is {pixels.shape[2]} channels: put the channels last, by "
            "numpy.moveaxis(image, 0, -1)"
        )
    return pixels


def _tiff(contents: bytes, path: Path) -> np.ndarray:
    try:
        with tifffile.TiffFile(io.BytesIO(contents)) as tiff:
            page = tiff.pages[0]
            orientation = page.tags.get("Orientation")
            turned = orientation is not None and orientation.value != 1
            kind, series = page.photometric, tiff.series
            if turned and page.dtype != np.uint8:
                raise InputError(f"{path}: is stored turned (orientation {orientation.value}): save it upright")
            if turned or kind in _OF_PILLOW:
                return _images.to_rgb(_images.decode(contents, path), path)
            if kind == tifffile.PHOTOMETRIC.MINISWHITE:
                raise InputError(f"{path}: its values count from white to black: save it with black as 0")
            if len(series) > 1:
                shapes = ", ".join(str(one.shape) for one in series[:4])
                raise InputError(f"{path}: holds {len(series)} pictures ({shapes}): save each as a file of its own")
            pixels, axes = series[0].asarray(), series[0].axes
    except InputError:
        raise
    except Exception as error:  # tifffile and its codecs raise whatever they stumble over
        raise InputError(f"{path}: {DAMAGED} ({_line(error)}): remove or replace it") from error
    if "Y" not in axes or "X" not in axes or pixels.dtype.kind not in "buif" or not pixels.size:
        raise InputError(f"{path}: its axes are {axes}, of {pixels.dtype}: save it as an image of numbers")
    # Bands beside each pixel, in planes, or as pages: all are channels.
    pixels = np.moveaxis(pixels, [axes.index("Y"), axes.index("X")], [0, 1])
    return pixels.reshape(*pixels.shape[:2], -1)


def _line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def _with_channels(pixels: np.ndarray, channels: int, path: Path) -> np.ndarray:
    """Return the pixels with as many channels as are wanted, if nothing is lost or invented."""
    found = pixels.shape[2]
    if found in (2, 4) and channels in (1, 3) and _opaque(pixels[..., -1]):
        pixels = pixels[..., :-1]
    if channels == 3 and pixels.shape[2] == 1:
        return np.repeat(pixels, 3, axis=-1)
    if channels == 1 and pixels.shape[2] == 3 and (pixels[..., :1] == pixels[..., 1:]).all():
        return pixels[..., :1]
    if pixels.shape[2] != channels:
        raise InputError(
            f"{path}: has {found} channel{'s' * (found != 1)}, and {channels} {'is' if channels == 1 else 'are'} "
            "wanted: save it with as many"
        )
    return pixels


def _opaque(alpha: np.ndarray) -> bool:
    return bool((alpha == np.iinfo(alpha.dtype).max).all()) if alpha.dtype.kind == "u" else False


def span(pixels: np.ndarray, path: Path) -> tuple[float, float]:
    """Return the least and the greatest value of an image, but for a few of its pixels; see `OUTSIDE`.

    Raises:
        InputError: For values that are not finite.
    """
    values = pixels.astype(np.uint8) if pixels.dtype == np.bool_ else pixels
    _require_finite(values, path)
    low = np.percentile(values, OUTSIDE, method="lower")
    high = np.percentile(values, 100 - OUTSIDE, method="higher")
    return float(low), float(high)


def _require_finite(pixels: np.ndarray, path: Path) -> None:
    """Raise `InputError` for values that are no numbers, or that the 32 bits of a network do not hold."""
    if pixels.dtype.kind == "f" and not (np.abs(pixels) <= np.finfo(np.float32).max).all():
        raise InputError(
            f"{path}: holds values that are not numbers, not finite, or over 3.4e38: fill them in, or scale them"
        )
