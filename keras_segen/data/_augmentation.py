"""Augmentation: one random draw moves an image and its mask alike, another changes the image's colours."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from numbers import Real
from typing import Any, Literal, NamedTuple

import numpy as np
import tensorflow as tf

from keras_segen.data._order import FIRST, FURTHER, GRID
from keras_segen.types import Tensor

# Beyond the image: mid-grey, which the networks' scaling turns into 0.
FILL = 127
# Of the displacements' standard deviations, so many lie within the margin around a crop.
REACH = 2
Kind = Literal["photo", "microscopy", "aerial", "none"]


@dataclass(frozen=True)
class Augmentation:
    """The augmentation of training images: how far they are varied. Every draw but the displacements' is uniform.

    Attributes:
        scale: The least and the greatest factor by which an image is enlarged before the crop.
        flip: Whether to mirror half of the images left and right.
        brightness: The greatest shift of brightness, as a share of the range [0, 255].
        contrast: The greatest change of the distance to mid-grey, as a share.
        saturation: The greatest change of the distance to grey of the same luminance, as a share; of images with three
            channels.
        vertical_flip: Whether to mirror half of the images up and down.
        quarter_turns: Whether to turn images by 0, 90, 180 or 270 degrees, each as often.
        rotation: The greatest turn beside that, either way, in degrees.
        elastic: The standard deviation of the displacements of an elastic deformation, as a share of the crop's side:
            vectors on a grid of 3×3, interpolated bicubically (Ronneberger et al., 2015, section 3.1). The paper has 10
            pixels, 0.02 of its 512.
        gamma: The greatest change of the exponent of brightness: it lies between 1 / (1 + gamma) and 1 + gamma.
        blur: The greatest standard deviation of a Gaussian blur in pixels; half of the images are not blurred.
        noise: The greatest standard deviation of Gaussian noise, as a share of the range; half of the images have none.
        copy_paste: The share of images into which objects of the next image of the batch are pasted, after all of the
            above (Simple Copy-Paste, Ghiasi et al., 2021, arXiv:2012.07177). Each object is taken with probability one
            half, and one at least. An object is what hangs together in the mask and is of one class other than 0, the
            background, and 255, void. Edges are smoothed by a Gaussian of 1 pixel.
        hook: A function that is called last: (image float32 (size, size, channels), mask uint8 (size, size)) -> the
            same of an image that it has varied. Both are NumPy arrays. Its draws are its own affair.

    Example:
        >>> augmentation = ks.data.Augmentation(scale=(0.8, 1.25), rotation=15, elastic=0.02)
        >>> augmentation.flip
        True
    """

    scale: tuple[float, float] = (0.5, 2.0)
    flip: bool = True
    brightness: float = 0.2
    contrast: float = 0.2
    saturation: float = 0.2
    vertical_flip: bool = False
    quarter_turns: bool = False
    rotation: float = 0.0
    elastic: float = 0.0
    gamma: float = 0.0
    blur: float = 0.0
    noise: float = 0.0
    copy_paste: float = 0.0
    hook: Callable[[np.ndarray, np.ndarray], tuple[Any, Any]] | None = None

    def __post_init__(self) -> None:
        pair = isinstance(self.scale, tuple | list) and len(self.scale) == 2 and all(map(_is_number, self.scale))
        if not pair or not 0 < self.scale[0] <= self.scale[1]:
            raise ValueError(
                f"`scale` must be two positive factors in order, such as (0.5, 2.0). Received: scale={self.scale!r}"
            )
        for name, most in _MOST.items():
            value = getattr(self, name)
            if not _is_number(value) or not 0 <= value <= most:
                raise ValueError(f"`{name}` must be a number from 0 to {most}. Received: {name}={value!r}")
        if self.hook is not None and not callable(self.hook):
            raise ValueError(f"`hook` must be a function (image, mask) -> (image, mask). Received: hook={self.hook!r}")

    @classmethod
    def of(cls, kind: Kind, *, strength: float = 1.0) -> "Augmentation":
        """Return the augmentation that suits a kind of images.

        Args:
            kind: "photo", the default everywhere: what is up stays up. "microscopy": no direction matters, tissue is
                soft, and sizes mean something. "aerial": no direction matters. "none": crops alone.
            strength: The factor of all reaches; of the scale, the exponent.

        Raises:
            ValueError: For another kind, or a strength that is not from 0 to 2.

        Example:
            >>> ks.data.Augmentation.of("microscopy", strength=0.5).elastic
            0.01
        """
        if kind not in _KINDS:
            raise ValueError(f"`kind` must be one of {', '.join(_KINDS)}. Received: kind={kind!r}")
        if not _is_number(strength) or not 0 <= strength <= 2:
            raise ValueError(f"`strength` must be a number from 0 to 2. Received: strength={strength!r}")
        settings = dict(_KINDS[kind])
        low, high = settings.pop("scale")
        reaches: dict[str, Any] = {
            name: value if isinstance(value, bool) else min(value * strength, _MOST[name])
            for name, value in settings.items()
        }
        return cls(scale=(low**strength, high**strength), **reaches)

    def margin(self, size: int) -> int:
        """Return how many pixels around a crop of `size` turning and deforming may bring into it."""
        angle = math.radians(min(self.rotation, 45))
        turning = (math.cos(angle) + math.sin(angle) - 1) / 2
        return math.ceil(size * (turning + REACH * self.elastic))


_MOST = {
    **dict.fromkeys(("brightness", "contrast", "saturation", "noise", "copy_paste"), 1),
    "rotation": 180,
    "elastic": 0.25,
    "gamma": 4,
    "blur": 5,
}
_KINDS: dict[str, dict[str, Any]] = {
    "photo": {"scale": (0.5, 2.0), "flip": True, "brightness": 0.2, "contrast": 0.2, "saturation": 0.2},
    "microscopy": {
        "scale": (0.8, 1.25),
        "flip": True,
        "vertical_flip": True,
        "quarter_turns": True,
        "rotation": 15.0,
        "elastic": 0.02,
        "brightness": 0.1,
        "contrast": 0.2,
        "saturation": 0.1,
        "gamma": 0.25,
        "blur": 1.0,
        "noise": 0.02,
    },
    "aerial": {
        "scale": (0.7, 1.4),
        "flip": True,
        "vertical_flip": True,
        "quarter_turns": True,
        "brightness": 0.2,
        "contrast": 0.2,
        "saturation": 0.2,
        "gamma": 0.2,
    },
    "none": {"scale": (1.0, 1.0), "flip": False, "brightness": 0.0, "contrast": 0.0, "saturation": 0.0},
}


def _is_number(value: Any) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool)


class Variation(NamedTuple):
    """The variations that follow from draws; every attribute is a tensor, with the draws' leading dimensions first.

    Attributes:
        window: The top, left, height and width of the part of the image that becomes the crop with its margin, int32
            (..., 4). It may reach beyond the image.
        flip: Whether to mirror left and right, boolean (...).
        contrast: The factor of images that are not RGB, float32 (...).
        matrix: The matrix that RGB rows are multiplied by instead, float32 (..., 3, 3).
        offset: The number that is then added to the colours, float32 (...).
        vertical_flip: Whether to mirror up and down, boolean (...).
        quarter_turns: How often to turn by 90 degrees, int32 (...).
        angle: The turn beside that, in radians, float32 (...).
        displacements: Standard normal numbers, float32 (..., GRID, GRID, 2).
        gamma: The exponent of brightness, float32 (...).
        blur: The standard deviation of the blur in pixels, float32 (...).
        noise: The standard deviation of the noise in [0, 255], float32 (...).
        seed: The seed of the noise and of what is pasted, int32 (..., 2).
    """

    window: Any
    flip: Any
    contrast: Any
    matrix: Any
    offset: Any
    vertical_flip: Any
    quarter_turns: Any
    angle: Any
    displacements: Any
    gamma: Any
    blur: Any
    noise: Any
    seed: Any


def vary(augmentation: Augmentation, height: Tensor, width: Tensor, size: int, draw: Tensor) -> Variation:
    """Turn draws (..., DRAWS) in [0, 1) into variations of images of `height` and `width` for crops of `size`².

    The window is at most as large as the image's longer side, or as the crop if that is larger: shrinking an image
    further would only add void, and enlarging it to fill the crop would train on another scale than is scored. A
    window that is larger than the image holds all of it at a random place; top or left is then negative.
    """
    zoom, top, left, flip, brightness, contrast, saturation = tf.unstack(draw[..., :FIRST], axis=-1)
    further = tf.unstack(draw[..., FIRST : FIRST + FURTHER], axis=-1)
    vertical_flip, turns, angle, gamma, blur, noise, *seed = further
    min_scale, max_scale = augmentation.scale
    # Uniform in the logarithm: enlarging by 2 is as likely as shrinking by 2.
    side = tf.cast(tf.round(size / (min_scale * (max_scale / min_scale) ** zoom)), tf.int32)
    side = tf.clip_by_value(side, 1, tf.maximum(tf.maximum(height, width), size))
    around_it = tf.cast(tf.round(augmentation.margin(size) * side / size), tf.int32)

    def place(extent: Tensor, share: Tensor) -> Tensor:
        return tf.cast(tf.round(tf.cast(extent - side, tf.float32) * share), tf.int32) - around_it

    def around(middle: float, reach: float, share: Tensor) -> Tensor:
        return middle + reach * (2 * share - 1)

    def in_half(most: float, share: Tensor) -> Tensor:
        return most * tf.maximum(2 * share - 1, 0)

    # Contrast, saturation and brightness are linear in the colour: one matrix and one offset do all three in one pass.
    c, s = around(1, augmentation.contrast, contrast), around(1, augmentation.saturation, saturation)
    luminance = tf.constant([[0.299] * 3, [0.587] * 3, [0.114] * 3])  # ITU-R BT.601
    saturate = s[..., None, None] * tf.eye(3) + (1 - s)[..., None, None] * luminance
    whole = side + 2 * around_it
    # Of numbers in [0, 1) the ends would be infinite.
    normal = tf.math.ndtri(tf.clip_by_value(draw[..., FIRST + FURTHER :], 1e-6, 1 - 1e-6))
    return Variation(
        window=tf.stack([place(height, top), place(width, left), whole, whole], -1),
        flip=(flip < 0.5) & augmentation.flip,
        contrast=c,
        matrix=c[..., None, None] * saturate,
        offset=127.5 * (1 - c) + around(0, 255 * augmentation.brightness, brightness),
        vertical_flip=(vertical_flip < 0.5) & augmentation.vertical_flip,
        quarter_turns=tf.cast(4 * turns, tf.int32) * int(augmentation.quarter_turns),
        angle=around(0, math.radians(augmentation.rotation), angle),
        displacements=tf.reshape(normal, tf.concat([tf.shape(normal)[:-1], [GRID, GRID, 2]], 0)),
        gamma=(1 + augmentation.gamma) ** (2 * gamma - 1),
        blur=in_half(augmentation.blur, blur),
        noise=in_half(255 * augmentation.noise, noise),
        seed=tf.cast(tf.stack(seed, -1) * 2**24, tf.int32),
    )


def plan(
    height: Tensor,
    width: Tensor,
    draw: Tensor,
    *,
    image_size: int | None,
    training: bool,
    augmentation: Augmentation,
) -> tuple[Any, ...]:
    """Return the window of each image, its part inside, the padding (see `inside`), and in training the variation."""
    if not training:
        window = fit_in(height, width, image_size or 0)
        return window, *inside(window, height, width)
    varied = vary(augmentation, height, width, image_size or 0, draw)
    return varied.window, *inside(varied.window, height, width), varied


def fit_in(height: Tensor, width: Tensor, size: int) -> Tensor:
    """Return the least square of `size` or more around each image as its window, int32 (..., 4)."""
    side = tf.maximum(tf.maximum(height, width), size)
    return tf.stack([(height - side) // 2, (width - side) // 2, side, side], -1)


def inside(window: Tensor, height: Tensor, width: Tensor) -> tuple[Tensor, Tensor]:
    """Split windows, int32 (..., 4), into the parts inside the images, likewise, and the padding, int32 (..., 3, 2)."""
    extent = tf.stack([height, width], -1)
    corner, end = window[..., :2], window[..., :2] + window[..., 2:]
    first, last = tf.clip_by_value(corner, 0, extent), tf.clip_by_value(end, 0, extent)
    padding = tf.stack([first - corner, end - last], -1)
    channels = tf.zeros_like(padding[..., :1, :])
    return tf.concat([first, last - first], -1), tf.concat([padding, channels], -2)


def place_image(part: Tensor, padding: Tensor, size: int, *, antialias: bool = False, fill: float = FILL) -> Tensor:
    """Pad an image (height, width, channels) with grey and resize it, bilinear, to float32 (size, size, channels)."""
    channels = part.shape[-1]
    part = tf.cast(part, tf.float32)  # TensorFlow resizes floats in half the time that bytes take
    part = tf.cond(tf.reduce_any(padding > 0), lambda: tf.pad(part, padding, constant_values=fill), lambda: part)
    return tf.ensure_shape(tf.image.resize(part, [size, size], antialias=antialias), [size, size, channels])


def place_mask(turned: Tensor, window: Tensor, size: int) -> Tensor:
    """Cut the window out of a mask and resize it, nearest neighbour, to uint8 (size, size).

    Args:
        turned: The mask transposed, with a last row and column of void, uint8 (width + 1, height + 1).
        window: The top, left, height and width, int32 (4,). It may reach beyond the mask, where all is void.
        size: The side of the result in pixels.
    """
    cells = _cells(window, size)
    last = tf.shape(turned)[::-1, None] - 1
    rows, columns = tf.unstack(tf.where((cells < 0) | (cells > last), last, cells))
    # Crop, padding and resizing at once. Whole rows are gathered quickly, single columns are not: hence turned.
    return tf.gather(tf.transpose(tf.gather(turned, columns)), rows)


def place_pixels(pixels: Tensor, window: Tensor, size: int, *, void: int) -> Tensor:
    """Do the same as `place_mask` to a mask that was just decoded, where transposing would cost more than it saves.

    Args:
        pixels: The mask, uint8 (height, width, channels).
        window: The top, left, height and width, int32 (4,), as for `place_mask`.
        size: The side of the result in pixels.
        void: The value beyond the mask, in every channel.

    Returns:
        The result, uint8 (size, size, channels).
    """
    cells = _cells(window, size)
    last = tf.shape(pixels)[:2, None] - 1
    beyond = (cells < 0) | (cells > last)
    rows, columns = tf.unstack(tf.clip_by_value(cells, 0, last))
    placed = tf.gather(tf.gather(pixels, rows), columns, axis=1)
    return tf.where((beyond[0, :, None] | beyond[1])[..., None], tf.cast(void, placed.dtype), placed)


def _cells(window: Tensor, size: int) -> Tensor:
    """Return the rows and columns, int32 (2, size), in which the centres of the result's pixels lie."""
    centres = (np.arange(size, dtype=np.float32) + 0.5) / size
    return window[:2, None] + tf.cast(centres * tf.cast(window[2:, None], tf.float32), tf.int32)
