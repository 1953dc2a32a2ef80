"""Windows of image files: checking a file once, and decoding a part of it inside a graph each time."""

import hashlib
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tensorflow as tf

from keras_segen._encoded import plain_jpeg
from keras_segen.data._channels import ImageKind, read_channels, span
from keras_segen.data._images import Picture, decode, read_bytes, to_rgb
from keras_segen.types import Tensor

# The ways to read an image inside a graph.
JPEG, PNG, OTHER = range(3)
RGB = ImageKind()


@dataclass(frozen=True)
class Checked:
    """The properties of an image that was decoded once.

    Attributes:
        way: The way in which `load_window` reads it: `JPEG` or `PNG` by TensorFlow's decoders, if they give the same as
            `read_image`; `OTHER` by Pillow.
        height: The height in pixels, after a camera's rotation.
        width: The width in pixels, after a camera's rotation.
        digest: The SHA-256 of the file.
        peak: The greatest value, of 65535, in an image of 16 bits that is read as RGB; None for others.
        channels: The number of channels.
        span: The range of values, but for a few pixels; None for images of 8 bits.
    """

    way: int
    height: int
    width: int
    digest: bytes
    peak: int | None = None
    channels: int = 3
    span: tuple[float, float] | None = None


def check_image(path: Path) -> Checked:
    """Read and wholly decode an image once; `InputError` says what is wrong with it."""
    contents = read_bytes(path)
    picture = decode(contents, path)
    way = _way(picture, contents)
    if way == OTHER:
        to_rgb(picture, path)  # which fails where reading would
    digest = hashlib.sha256(contents).digest()
    return Checked(way, picture.image.height, picture.image.width, digest, picture.peak)


def check_as_it_is(path: Path, channels: int | None = None) -> Checked:
    """Read an image of any channels and depth once, as `read_channels` does."""
    pixels = read_channels(path, channels)
    height, width, found = pixels.shape
    digest = hashlib.sha256(read_bytes(path)).digest()
    values = None if pixels.dtype == np.uint8 else span(pixels, path)
    return Checked(OTHER, height, width, digest, channels=found, span=values)


def _way(picture: Picture, contents: bytes) -> int:
    image = picture.image
    too_large = image.width * image.height * 3 >= 2**29  # for TensorFlow
    if picture.turned or too_large or image.mode not in ("L", "RGB"):
        return OTHER
    if picture.format == "JPEG" and plain_jpeg(contents):
        return JPEG
    plain_png = picture.format == "PNG" and picture.bits == 8 and not image.has_transparency_data
    return PNG if plain_png else OTHER


def _read_encoded_path(encoded: np.ndarray) -> np.ndarray:
    path = Path(np.asarray(encoded).item().decode())
    return to_rgb(decode(read_bytes(path), path), path)  # without a warning for each


def load_window(
    path: Tensor,
    way: Tensor,
    window: Tensor,
    *,
    among: Collection[int] = (JPEG, PNG, OTHER),
    quick: bool = False,
    kind: ImageKind = RGB,
) -> Tensor:
    """Read part of an image inside a TensorFlow graph.

    A JPEG's pixels outside the window are not decoded.

    Args:
        path: The path of the file, a string scalar.
        way: The way to read it, an integer scalar from `check_image`.
        window: The top, left, height and width of the part, int32 (4,), inside the image.
        among: The possible values of `way`. If there is only one, the graph needs no switch, which takes time.
        quick: Whether to take a JPEG's nearest sample of colour instead of interpolating, which suffices for crops that
            are resized and recoloured anyway.
        kind: How images are read; others than RGB are read in the way `OTHER` alone.

    Returns:
        The part of the image, uint8 (height, width, 3), or for other kinds than RGB float32 (height, width, channels).
    """

    def read(encoded: np.ndarray) -> np.ndarray:
        return kind.read(Path(np.asarray(encoded).item().decode())).astype(np.float32)

    def jpeg() -> Tensor:
        return decode_jpeg_window(tf.io.read_file(path), window, quick=quick)

    def png() -> Tensor:
        return cut(tf.io.decode_png(tf.io.read_file(path), channels=3))

    def other() -> Tensor:
        if kind.is_rgb:
            return cut(tf.numpy_function(_read_encoded_path, [path], tf.uint8, stateful=False))
        return cut(tf.numpy_function(read, [path], tf.float32, stateful=False))

    def cut(image: Tensor) -> Tensor:
        return tf.slice(image, [window[0], window[1], 0], [window[2], window[3], kind.channels])

    ways = {JPEG: jpeg, PNG: png, OTHER: other}
    image = ways[next(iter(among))]() if len(among) == 1 else tf.switch_case(way, ways)
    return tf.ensure_shape(image, [None, None, kind.channels])


def decode_jpeg_window(contents: Tensor, window: Tensor, *, quick: bool = False) -> Tensor:
    """Decode part of a JPEG in memory; arguments and result as for `load_window`."""

    def decode(part: Tensor) -> Tensor:
        return tf.io.decode_and_crop_jpeg(
            contents, part, channels=3, fancy_upscaling=not quick, dct_method="INTEGER_ACCURATE"
        )

    if quick:
        return decode(window)
    # Colours at the sides of a part are interpolated with their neighbours beyond it only if these are decoded too.
    top, left, height, width = tf.unstack(window)
    before = tf.minimum(left, 2)
    after = tf.minimum(tf.io.extract_jpeg_shape(contents)[1] - left - width, 2)
    wider = decode(tf.stack([top, left - before, height, before + width + after]))
    return tf.slice(wider, [0, before, 0], [height, width, 3])
