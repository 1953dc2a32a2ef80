"""Records of TensorFlow Datasets: images and masks, read one by one, in any order, from where they lie on disk.

Its own reader goes through files from end to end, and shuffles what fits into memory: the order is then no function of
a seed and a number of samples, and a run that goes on has to read again all that it has seen.
"""

import copy
import hashlib
import os
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Unpack

import numpy as np
import tensorflow as tf

from keras_segen.data import _augmentation, _windows
from keras_segen.data._batching import Batching, batches, check_batching
from keras_segen.data._in_threads import in_threads
from keras_segen.data._variation import varying
from keras_segen.errors import InputError
from keras_segen.types import Tensor

# Images at their own sizes, which are not known before they are read, that are held at once at most.
READERS = 4


class Records:
    """The records of TFRecord files, found by their number.

    Attributes:
        digest: The SHA-256 of all records' own checksums, in hexadecimal.
    """

    def __init__(self, paths: Sequence[Path], *, verbose: bool = False):
        located = in_threads(_places, paths, verbose=verbose, unit="file")
        self._paths = list(paths)
        self._files = np.repeat(np.arange(len(paths)), [len(places) for places, _ in located])
        self._places = np.concatenate([places for places, _ in located])
        self.digest = hashlib.sha256(b"".join(checksums for _, checksums in located)).hexdigest()

    def __len__(self) -> int:
        return len(self._files)

    def first(self, count: int) -> "Records":
        """Return the first `count` records, or all if there are fewer."""
        part = copy.copy(self)
        part._files, part._places = self._files[:count], self._places[:count]
        return part

    def __getitem__(self, index: int) -> bytes:
        offset, length = self._places[index]
        with self._paths[self._files[index]].open("rb", buffering=0) as file:
            file.seek(offset)
            return file.read(length)


def _places(path: Path) -> tuple[np.ndarray, bytes]:
    """Return offset and length of each record of a file, int64 (count, 2), and the records' checksums.

    A record is its length (8 bytes), a checksum of that (4), the contents, and a checksum of these (4).
    """
    places, checksums = [], []
    with path.open("rb") as file:
        size, at = path.stat().st_size, 0
        ahead = file.read(12)
        while len(ahead) == 12:
            (length,) = struct.unpack("<Q", ahead[:8])
            places.append((at + 12, length))
            at += 12 + length + 4
            if at > size:
                break
            file.seek(at - 4)
            checksum_and_next = file.read(16)
            checksums.append(checksum_and_next[:4])
            ahead = checksum_and_next[4:]
    if at != size:
        raise InputError(f"{path}: is truncated or damaged: remove the prepared data set, and prepare it again")
    return np.array(places, np.int64).reshape(-1, 2), b"".join(checksums)


@dataclass(frozen=True)
class Examples:
    """The examples of one split of a prepared data set. Each holds a JPEG `image`, and a PNG from which a mask follows.

    Attributes:
        records: The records of the split.
        class_names: The name of each class.
        features: TensorFlow Datasets' features, which take a record apart.
        mask: The name of the PNG among them.
        channels: The number of the PNG's channels.
        void: The value of the PNG, in all channels, that counts as void.
        class_ids: A function that makes class ids, uint8 (height, width), from the PNG's pixels (height, width,
            channels) and the example.

    Example:
        >>> def train_on_pets(model):
        ...     examples = ks.data.read_oxford_iiit_pet("train")
        ...     model.fit(examples.dataset(image_size=256, training=True))
    """

    records: Records
    class_names: tuple[str, ...]
    features: Any
    mask: str
    channels: int
    void: int
    class_ids: Callable[[Any, dict[str, Any]], Any]

    def __len__(self) -> int:
        return len(self.records)

    @property
    def ids(self) -> None:
        """The values that occur in the masks: unknown, because the masks are read only as training needs them."""
        return None

    def sample(self, count: int) -> "Examples":
        """Return the first `count` examples: preparing the data set has mixed them."""
        return replace(self, records=self.records.first(count))

    @property
    def fingerprint(self) -> str:
        """The SHA-256 of the records' own checksums, in hexadecimal."""
        return self.records.digest

    def dataset(
        self,
        *,
        image_size: int | None = None,
        augmentation: _augmentation.Augmentation | None = None,
        **batching: Unpack[Batching],
    ) -> tf.data.Dataset:
        """Return the examples in batches, as `Pairs.dataset` does; with `image_size=None` they always come singly."""
        check_batching(batching, image_size=image_size, crops=True)
        augmentation = augmentation or _augmentation.Augmentation()
        training = batching.get("training", False)
        parallel = tf.data.AUTOTUNE
        if image_size is None:
            batching, parallel = {**batching, "batch_size": 1}, min(READERS, os.cpu_count() or 1)
        from tensorflow_datasets import decode

        side = (image_size or 0) + 2 * (augmentation.margin(image_size or 0) if training else 0)
        encoded = {name: decode.SkipDecoding() for name in ("image", self.mask)}

        @tf.autograph.experimental.do_not_convert
        def sample(index: Tensor, draw: Tensor) -> tuple[Any, ...]:
            record = tf.numpy_function(self.records.__getitem__, [index], tf.string, stateful=False)
            example = self.features.deserialize_example(tf.ensure_shape(record, []), decoders=encoded)
            pixels = tf.io.decode_png(example[self.mask], channels=self.channels)
            height, width = tf.unstack(tf.io.extract_jpeg_shape(example["image"])[:2])
            tf.debugging.assert_equal(tf.shape(pixels)[:2], [height, width], "a mask has another size than its image")
            window, part, padding, *varied = _augmentation.plan(
                height, width, draw, image_size=image_size, training=training, augmentation=augmentation
            )
            image = _windows.decode_jpeg_window(example["image"], part, quick=training)
            if image_size is None:
                return tf.cast(image, tf.float32), self.class_ids(pixels, example)
            image = _augmentation.place_image(image, padding, side, antialias=not training)
            # Cut out first: fewer pixels are left to be looked up.
            placed = _augmentation.place_pixels(pixels, window, side, void=self.void)
            return image, self.class_ids(placed, example), *varied

        finish = varying(augmentation, image_size or 0) if training else None
        return batches(len(self.records), sample, **batching, parallel=parallel, finish=finish)


def examples(
    builder: Any,
    split: str,
    *,
    class_names: tuple[str, ...],
    mask: str,
    channels: int,
    void: int,
    class_ids: Callable[[Any, dict[str, Any]], Any],
    verbose: bool = False,
) -> Examples:
    """Find every example of a split of TensorFlow Datasets' builder, whose data are prepared; see `Examples`.

    Raises:
        InputError: For a damaged file, or another format than TFRecord.
    """
    kind = builder.info.file_format.value
    if kind != "tfrecord":
        raise InputError(
            f"{builder.data_dir}: is prepared as {kind}: name a --data-dir in which it is TFRecord, or new"
        )
    paths = [Path(path) for path in builder.info.splits[split].filepaths]
    return Examples(
        Records(paths, verbose=verbose), class_names, builder.info.features, mask, channels, void, class_ids
    )
