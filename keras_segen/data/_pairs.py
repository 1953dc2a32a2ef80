"""Pairs of image and mask, checked once, before hours are spent on them, and then turned into batches."""

import hashlib
import math
import os
import warnings
import zlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Unpack

import numpy as np
import tensorflow as tf

from keras_segen._masks import VOID
from keras_segen.data import _augmentation, _images, _windows
from keras_segen.data._batching import Batching, batches, check_batching
from keras_segen.data._channels import ImageKind
from keras_segen.data._order import AHEAD, BATCH
from keras_segen.data._variation import varying
from keras_segen.errors import InputError
from keras_segen.types import Tensor


@dataclass(frozen=True)
class Pair:
    """An image and its mask, found whole.

    Attributes:
        image: The path of the image.
        mask: The path of the mask.
        properties: What is known of the image, its height and width above all; the mask's are the same.
        packed: The mask's class ids, transposed, with a last row and column of void, (width + 1, height + 1), deflated.
            TensorFlow's PNG decoder knows no palettes, and this is quicker.
        pixels: The number of pixels of each class id that occurs.
        digest: The SHA-256 of both files' contents.

    Example:
        >>> for name in ("images", "masks"):
        ...     ks.plotting.save_image(np.eye(32, dtype="uint8"), f"my_folder/{name}/0.png")
        >>> [pair] = ks.data.read_folder("all", "my_folder").pairs
        >>> pair.image.name, pair.properties.height
        ('0.png', 32)
    """

    image: Path
    mask: Path
    properties: _windows.Checked
    packed: bytes
    pixels: Mapping[int, int]
    digest: bytes

    @property
    def ids(self) -> frozenset[int]:
        """The class ids that occur."""
        return frozenset(self.pixels)


def read_pair(
    image_path: Path,
    mask_path: Path,
    *,
    read_mask: Callable[[Path], np.ndarray] = _images.read_mask,
    check_image: Callable[[Path], _windows.Checked] = _windows.check_image,
) -> Pair:
    """Read and wholly decode a pair; `InputError` if a file is bad or the sizes differ."""
    mask = read_mask(mask_path)
    image = check_image(image_path)
    if mask.shape != (image.height, image.width):
        raise InputError(
            f"{mask_path}: the mask is {mask.shape[1]}×{mask.shape[0]} pixels, but its image {image_path.name} is "
            f"{image.width}×{image.height}: give both the same size"
        )
    digest = hashlib.sha256(image.digest + mask.tobytes()).digest()
    return Pair(image_path, mask_path, image, _pack(mask), pixels_of(mask), digest)


def _pack(mask: np.ndarray) -> bytes:
    return zlib.compress(np.pad(mask.T, [(0, 1), (0, 1)], constant_values=VOID).tobytes(), 3)


def unpack(pair: Pair) -> np.ndarray:
    """Return a pair's mask, uint8 (height, width), which is not to be changed."""
    shape = pair.properties.width + 1, pair.properties.height + 1
    return np.frombuffer(zlib.decompress(pair.packed), np.uint8).reshape(shape)[:-1, :-1].T


def pixels_of(mask: np.ndarray) -> dict[int, int]:
    """Return how many pixels each id has that occurs in a uint8 mask, void's among them."""
    counts = np.bincount(mask.ravel(), minlength=256)
    return {int(i): int(counts[i]) for i in np.flatnonzero(counts)}


def check_ids(pairs: Sequence[Pair], num_classes: int) -> None:
    """Raise `InputError` for the first mask with an id that is neither void nor below `num_classes`."""
    for pair in pairs:
        wrong = sorted(i for i in pair.ids if i >= num_classes and i != VOID)
        if wrong:
            raise InputError(
                f"{pair.mask}: holds class id {wrong[0]}, but there are {num_classes} classes (0 to {num_classes - 1}, "
                "and 255 for void): correct the mask, or name every class"
            )


def binary(pairs: Sequence[Pair]) -> list[Pair]:
    """Number black-and-white masks, 0 and 255, as 0 and 1."""

    def renumbered(pair: Pair) -> Pair:
        return replace(
            pair, packed=_pack(unpack(pair) // 255), pixels={i // 255: count for i, count in pair.pixels.items()}
        )

    return [renumbered(pair) for pair in pairs]


def _warn_of_small(pairs: Sequence[Pair], image_size: int) -> None:
    longer = sorted(max(pair.properties.height, pair.properties.width) for pair in pairs)
    median = longer[len(longer) // 2]
    if median < image_size:
        warnings.warn(
            f"crops of {image_size} pixels are larger than most training images (longer side: {median} pixels, the "
            "median): the rest of each crop is void; a smaller image size trains faster",
            stacklevel=3,
        )


@dataclass(frozen=True)
class Pairs:
    """The images and masks of one split, read and checked.

    Attributes:
        pairs: The images and masks, in the split's order.
        class_names: The name of each class, or None if nobody has named them.
        black_and_white: Whether the masks hold 0 and 255 in their files, which are read as 0 and 1.
        kind: How the images are read.

    Example:
        >>> for name in ("images", "masks"):
        ...     ks.plotting.save_image(np.eye(32, dtype="uint8"), f"my_folder/{name}/0.png")
        >>> pairs = ks.data.read_folder("all", "my_folder")
        >>> len(pairs), sorted(pairs.ids)
        (1, [0, 1])
    """

    pairs: Sequence[Pair]
    class_names: tuple[str, ...] | None = None
    black_and_white: bool = False
    kind: ImageKind = _windows.RGB

    def __len__(self) -> int:
        return len(self.pairs)

    @property
    def channels(self) -> int:
        """The number of channels of the images; a network takes it as `input_channels`."""
        return self.kind.channels

    @property
    def value_range(self) -> tuple[float, float] | None:
        """The values that become 0 and 255 in a network, which takes them as `value_range`; None for 8 bits."""
        return self.kind.value_range

    @property
    def ids(self) -> frozenset[int]:
        """The values that occur in the masks, 255 (void) among them."""
        return frozenset().union(*(pair.ids for pair in self.pairs))

    @property
    def fingerprint(self) -> str:
        """The SHA-256 of every pair's name and contents, in hexadecimal."""
        digest = hashlib.sha256()
        for pair in self.pairs:
            digest.update(pair.image.name.encode() + pair.digest)
        return digest.hexdigest()

    def class_weights(self, num_classes: int) -> list[float]:
        """Return weights of the classes by median frequency balancing (Eigen and Fergus, 2015, arXiv:1411.4734).

        A class's frequency is its share of the pixels, void aside, of those images in which it occurs; its weight is
        the median of all frequencies over its own. A class that does not occur has weight 1.

        Args:
            num_classes: The number of classes.

        Example:
            >>> mask = np.array([[0, 0, 0, 1]], "uint8")
            >>> for name in ("images", "masks"):
            ...     ks.plotting.save_image(mask, f"my_folder/{name}/0.png")
            >>> [round(weight, 3) for weight in ks.data.read_folder("all", "my_folder").class_weights(2)]
            [0.667, 2.0]
        """
        own, around = np.zeros(num_classes), np.zeros(num_classes)
        for pair in self.pairs:
            counted = {i: count for i, count in pair.pixels.items() if i != VOID}
            for i, count in counted.items():
                own[i] += count
                around[i] += sum(counted.values())
        frequency = own[own > 0] / around[own > 0]
        weights = np.ones(num_classes)
        weights[own > 0] = np.median(frequency) / frequency
        return [float(weight) for weight in weights]

    def oversampled(self, threshold: float, *, seed: int = 0) -> "Pairs":
        """Return pairs of which those with rare classes are repeated (Gupta et al., 2019, arXiv:1908.03195, section 5).

        A class in a share `f` of the images wants each of these `max(1, sqrt(threshold / f))` times, and an image
        gets the most that one of its classes wants. What is left over of a whole number is drawn.

        Args:
            threshold: The share of images below which a class is rare.
            seed: The seed of the draw.

        Raises:
            ValueError: For a threshold that is not from 0 to 1.

        Example:
            >>> for name in ("images", "masks"):
            ...     ks.plotting.save_image(np.eye(32, dtype="uint8"), f"my_folder/{name}/0.png")
            >>> len(ks.data.read_folder("all", "my_folder").oversampled(0.1))
            1
        """
        if not 0 <= threshold <= 1:
            raise ValueError(f"`threshold` is a share from 0 to 1. Received: threshold={threshold}")
        images = Counter(i for pair in self.pairs for i in pair.ids - {VOID})
        wanted = {i: max(1.0, math.sqrt(threshold * len(self) / count)) for i, count in images.items()}
        factors = [max((wanted[i] for i in pair.ids - {VOID}), default=1.0) for pair in self.pairs]
        drawn = np.random.default_rng(seed).random(len(self))
        times = [int(factor + draw) for factor, draw in zip(factors, drawn, strict=True)]
        return replace(self, pairs=[pair for pair, count in zip(self.pairs, times, strict=True) for _ in range(count)])

    def sample(self, count: int) -> "Pairs":
        """Return `count` pairs at most, spread evenly over all of them."""
        return replace(self, pairs=self.pairs[:: math.ceil(len(self) / count)])

    def dataset(
        self,
        *,
        image_size: int | None = None,
        augmentation: _augmentation.Augmentation | None = None,
        **batching: Unpack[Batching],
    ) -> tf.data.Dataset:
        """Return the pairs in batches, ready for `fit`.

        Images are float32 (batch, height, width, channels) in [0, 255] or `value_range`, masks uint8 (batch, height,
        width).

        Args:
            image_size: The side of the square crops in training. Otherwise the side of the square in whose middle each
                image is placed, shrunk if it is larger; the rest is void. None leaves each image as it is.
            augmentation: How far training images are varied; by default `Augmentation()`.
            batching: See `Batching`. With `image_size=None`, `batch_size` is the most that a batch holds: images of
                different sizes come singly, and large ones in batches of 2^19 pixels at most, so that memory does not
                grow with the images.

        Raises:
            InputError: For fewer training pairs than make a batch.
            ValueError: For training without `image_size`, or one that is not a whole number.
        """
        check_batching(batching, image_size=image_size, crops=True)
        augmentation = augmentation or _augmentation.Augmentation()
        pairs = self.pairs
        training = batching.get("training", False)
        if training and image_size:
            _warn_of_small(pairs, image_size)
        parallel = tf.data.AUTOTUNE
        if image_size is None:
            sizes = {(p.properties.height, p.properties.width) for p in pairs}
            largest = max(height * width for height, width in sizes)
            max_batch = max(BATCH // largest, 1) if len(sizes) == 1 else 1
            batching = {**batching, "batch_size": min(batching.get("batch_size", 16), max_batch)}
            parallel = max(min(AHEAD // largest, os.cpu_count() or 1), 1)

        image_paths = tf.constant([str(p.image) for p in pairs])
        ways = tf.constant([p.properties.way for p in pairs])
        heights = tf.constant([p.properties.height for p in pairs])
        widths = tf.constant([p.properties.width for p in pairs])
        packed = tf.constant([p.packed for p in pairs])
        among = {p.properties.way for p in pairs}
        side = (image_size or 0) + 2 * (augmentation.margin(image_size or 0) if training else 0)
        kind = self.kind
        fill = kind.low + _augmentation.FILL / kind.scale

        def plan(indices: Tensor, draws: Tensor) -> tuple[Any, ...]:
            height, width = tf.gather(heights, indices), tf.gather(widths, indices)
            cut = _augmentation.plan(
                height, width, draws, image_size=image_size, training=training, augmentation=augmentation
            )
            return indices, *cut

        @tf.autograph.experimental.do_not_convert
        def sample(
            index: Tensor, window: Tensor, part: Tensor, padding: Tensor, *varied: _augmentation.Variation
        ) -> tuple[Any, ...]:
            ids = tf.io.decode_raw(tf.io.decode_compressed(packed[index], "ZLIB"), tf.uint8)
            turned = tf.reshape(ids, [widths[index] + 1, heights[index] + 1])
            image = _windows.load_window(image_paths[index], ways[index], part, among=among, quick=training, kind=kind)
            if image_size is None:
                return tf.cast(image, tf.float32), tf.transpose(turned[:-1, :-1])
            image = _augmentation.place_image(image, padding, side, antialias=not training, fill=fill)
            return image, _augmentation.place_mask(turned, window, side), *varied

        finish = None
        if training:
            finish = varying(augmentation, image_size or 0, low=kind.low, scale=kind.scale)
        return batches(len(pairs), sample, **batching, plan=plan, parallel=parallel, finish=finish)
