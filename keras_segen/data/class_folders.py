"""Folders of images by class, as generators and classifiers read them."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from keras_segen.data import images, in_memory
from keras_segen.data.in_threads import in_threads
from keras_segen.data.order import batched, order
from keras_segen.data.split import check_split, choose
from keras_segen.errors import InputError

# What `folder.existing_folder` says such a folder holds.
LAYOUT = "one sub-folder of images a class, below train and val or not"
# Images are decoded once and kept if they take no more than this; else they are decoded each time.
MOST_BYTES = 4 * 2**30


@dataclass(frozen=True)
class ClassFolders:
    """One split of a folder with a sub-folder for each class, its files checked.

    Attributes:
        root: the folder.
        class_names: the sub-folders, in order of their names.
        paths: image files, class by class.
        labels: int32, each file's class.
        checked: what is known of each file.
    """

    root: Path
    class_names: tuple[str, ...]
    paths: list[Path]
    labels: np.ndarray
    checked: list[images.Checked]

    @property
    def fingerprint(self) -> str:
        """SHA-256 of every file's class, name and contents, in hexadecimal."""
        digest = hashlib.sha256()
        for path, checked in zip(self.paths, self.checked, strict=True):
            digest.update(f"{path.parent.name}/{path.name}".encode() + checked.digest)
        return digest.hexdigest()

    def load(self, image_size: int) -> Any:
        """Return a function of a graph: index -> the image's middle square, uint8 (image_size, image_size, 3)."""
        paths = tf.constant([str(path) for path in self.paths])
        ways = tf.constant([c.way for c in self.checked])
        among = {c.way for c in self.checked}
        heights = tf.constant([c.height for c in self.checked])
        widths = tf.constant([c.width for c in self.checked])

        def image(index: Any) -> Any:
            side = tf.minimum(heights[index], widths[index])
            corner = tf.stack([heights[index] - side, widths[index] - side]) // 2
            window = tf.concat([corner, [side, side]], 0)
            pixels = images.load_window(paths[index], ways[index], window, among=among)
            pixels = tf.image.resize(pixels, [image_size, image_size], antialias=True)
            return tf.cast(tf.clip_by_value(tf.round(pixels), 0, 255), tf.uint8)

        return image

    def decode(self, image_size: int, indices: np.ndarray | None = None) -> np.ndarray:
        """Return the images of these indices, or all, uint8 (count, image_size, image_size, 3)."""
        indices = np.arange(len(self.paths)) if indices is None else indices
        loaded = tf.data.Dataset.from_tensor_slices(indices).map(
            self.load(image_size), num_parallel_calls=tf.data.AUTOTUNE, deterministic=True
        )
        result = np.empty((len(indices), image_size, image_size, 3), np.uint8)
        for i, batch in enumerate(batched(loaded, 256, training=False).as_numpy_iterator()):
            result[256 * i : 256 * i + len(batch)] = batch
        return result


def read_class_folders(
    split: str, root: Path, *, val_fraction: float | None = 0.2, verbose: bool = False
) -> ClassFolders:
    """Find and check the files of one split, or with `val_fraction` None all; each is opened and decoded once.

    Raises:
        InputError: for a folder or a file that cannot be used; the message names it.
    """
    classes = find_classes(root, split, val_fraction)
    paths = [path for files in classes.values() for path in files]
    labels = np.array([i for i, files in enumerate(classes.values()) for _ in files], np.int32)
    return ClassFolders(root, tuple(classes), paths, labels, in_threads(images.check_image, paths, verbose=verbose))


def find_classes(root: Path, split: str, val_fraction: float | None) -> dict[str, list[Path]]:
    """Return the image files of each class of one split, classes and files in the order of their names.

    Raises:
        InputError: if there is no class folder, or one without an image.
    """
    check_split(split)
    own_split = (root / split).is_dir()
    base = root / split if own_split else root
    classes = {}
    for path in sorted(p for p in base.iterdir() if p.is_dir() and not p.name.startswith(".")):
        files = sorted(f for f in path.iterdir() if f.suffix.lower() in images.EXTENSIONS)
        if not files:
            raise InputError(f"{path}: holds no image ({', '.join(images.EXTENSIONS)}): add some, or remove the folder")
        if not own_split and val_fraction is not None:
            if len(files) < 2:
                raise InputError(f"{path}: holds one image, and one is kept aside for testing: add some")
            kept = choose([f.name for f in files], split, val_fraction)
            files = [f for f in files if f.name in kept]
        classes[path.name] = files
    if not any(classes.values()):
        raise InputError(f"{base}: holds no sub-folders of images: make one for each class")
    return classes


def dataset(
    found: ClassFolders,
    *,
    image_size: int | None,
    batch_size: int,
    training: bool,
    seed: int,
    labels: bool,
    start: int | None = None,
) -> tf.data.Dataset:
    """Turn class folders into batches; see `folder.folder`."""
    if image_size is None:
        raise ValueError("Images for generation need `image_size`, their side in pixels. Received: image_size=None")
    count = len(found.paths)
    if training and start is None and count < batch_size:
        raise InputError(f"{found.root}: {count} images do not fill one batch of {batch_size}: lower `batch_size`")
    if count * image_size**2 * 3 <= MOST_BYTES:
        return in_memory.dataset(
            found.decode(image_size),
            found.labels if labels else None,
            batch_size=batch_size,
            training=training,
            seed=seed,
            start=start,
        )
    load, class_ids = found.load(image_size), tf.constant(found.labels)

    def sample(index: Any, draw: Any) -> Any:
        image = in_memory.prepare(load(index), draw, training=training)
        return (image, class_ids[index]) if labels else image

    samples = order(count, training=training, seed=seed, start=start)
    samples = samples.map(sample, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
    return batched(samples, batch_size, training=training)
