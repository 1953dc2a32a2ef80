"""Class folders: images in one sub-folder for each class, as generators and classifiers read them."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Unpack

import numpy as np
import tensorflow as tf

from keras_segen.data import _images, _in_memory, _windows
from keras_segen.data._batching import Batching, batched, batches, check_batching
from keras_segen.data._image_files import is_hidden, only_images
from keras_segen.data._in_threads import in_threads
from keras_segen.data._split import ALL, TRAIN, VAL, choose, existing_folder, hint, normalized, require_split
from keras_segen.errors import InputError
from keras_segen.types import PathLike, Tensor

# What such a folder holds, in the words of an error.
LAYOUT = "one sub-folder of images a class, below train and val or not"
# Images are decoded once and kept if they take no more than this; else they are decoded each time.
MOST_BYTES = 4 * 2**30


@dataclass(frozen=True)
class ClassFolders:
    """One split of a folder with a sub-folder for each class, its files checked.

    Attributes:
        root: The folder.
        class_names: The sub-folders of all splits, in the order of their names, whether this split holds them or not.
        paths: The image files, class by class.
        labels: The class of each file, int32.
        checked: What is known of each file.

    Example:
        >>> for name in ("cat/0.png", "cat/1.png", "dog/0.png"):
        ...     ks.plotting.save_image(np.zeros((40, 50, 3), "uint8"), f"photos/{name}")
        >>> files = ks.data.read_class_folders("all", "photos")
        >>> files.labels.tolist(), files.decode(32).shape
        ([0, 0, 1], (3, 32, 32, 3))
    """

    root: Path
    class_names: tuple[str, ...]
    paths: list[Path]
    labels: np.ndarray
    checked: list[_windows.Checked]

    @property
    def fingerprint(self) -> str:
        """SHA-256 of every file's class, name and contents, in hexadecimal."""
        digest = hashlib.sha256()
        for path, checked in zip(self.paths, self.checked, strict=True):
            digest.update(f"{path.parent.name}/{path.name}".encode() + checked.digest)
        return digest.hexdigest()

    def load(self, image_size: int) -> Tensor:
        """Return a function of a graph: index -> the image's middle square, uint8 (image_size, image_size, 3)."""
        paths = tf.constant([str(path) for path in self.paths])
        ways = tf.constant([c.way for c in self.checked])
        among = {c.way for c in self.checked}
        heights = tf.constant([c.height for c in self.checked])
        widths = tf.constant([c.width for c in self.checked])

        @tf.autograph.experimental.do_not_convert
        def image(index: Tensor) -> Tensor:
            side = tf.minimum(heights[index], widths[index])
            corner = tf.stack([heights[index] - side, widths[index] - side]) // 2
            window = tf.concat([corner, [side, side]], 0)
            pixels = _windows.load_window(paths[index], ways[index], window, among=among)
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

    def __len__(self) -> int:
        return len(self.paths)

    def dataset(self, *, image_size: int | None, labels: bool, **batching: Unpack[Batching]) -> tf.data.Dataset:
        """Return the images in batches, with `labels` also their classes; see `folder`."""
        check_batching(batching, image_size=image_size)
        if image_size is None:
            raise ValueError("Images for generation need `image_size`, their side in pixels. Received: image_size=None")
        count, training = len(self.paths), batching.get("training", False)
        batch_size = batching.get("batch_size", 16)
        if training and batching.get("start") is None and count < batch_size:
            raise InputError(f"{self.root}: {count} images do not fill one batch of {batch_size}: lower `batch_size`")
        if count * image_size**2 * 3 <= MOST_BYTES:
            return _in_memory.from_arrays(self.decode(image_size), self.labels if labels else None, **batching)
        load, class_ids = self.load(image_size), tf.constant(self.labels)

        @tf.autograph.experimental.do_not_convert
        def sample(index: Tensor, draw: Tensor) -> Tensor:
            image = _in_memory.prepare(load(index), draw, training=training)
            return (image, class_ids[index]) if labels else image

        return batches(count, sample, **batching)

    def require_classes_of(self, train: "ClassFolders") -> None:
        """Raise `InputError` for a class of these images that no training image is of."""
        for i in sorted({*self.labels.tolist()} - {*train.labels.tolist()}):
            path = self.paths[self.labels.tolist().index(i)]
            raise InputError(
                f"{path.parent}: no training image is of this class: add some to the training images, or remove the "
                "folder"
            )


def read_class_folders(
    split: str, data_dir: PathLike, *, val_fraction: float = 0.2, verbose: bool = False
) -> ClassFolders:
    """Find and check the files of one split, or with "all" of the whole folder; each is opened and decoded once.

    Args:
        split: "train", "val", another sub-folder, or "all".
        data_dir: The folder, with one sub-folder of images for each class, below its splits or not.
        val_fraction: The share of each class that is kept for validation, where the folder has no splits.
        verbose: Whether to show a progress bar.

    Raises:
        InputError: For a folder or a file that cannot be used; the message names it.

    Example:
        >>> for name in ("cat/0.png", "cat/1.png", "dog/0.png"):
        ...     ks.plotting.save_image(np.zeros((40, 50, 3), "uint8"), f"photos/{name}")
        >>> ks.data.read_class_folders("all", "photos").class_names
        ('cat', 'dog')
    """
    root = existing_folder(data_dir, LAYOUT)
    classes = find_classes(root, split, val_fraction)
    paths = [path for files in classes.values() for path in files]
    labels = np.array([i for i, files in enumerate(classes.values()) for _ in files], np.int32)
    checked = in_threads(_windows.check_image, paths, verbose=verbose)
    _images.warn_of_dim([c.peak for c in checked])
    return ClassFolders(root, tuple(classes), paths, labels, checked)


def find_splits(root: Path) -> list[str]:
    """Return the folder's own splits, in the order of their names: sub-folders with class folders, not with images."""
    return [path.name for path in _folders(root) if not _images_in(path) and any(map(_images_in, _folders(path)))]


def find_classes(root: Path, split: str, val_fraction: float = 0.2) -> dict[str, list[Path]]:
    """Return the image files of each class of one split, classes and files in the order of their names.

    The classes are those of all splits: one that this split lacks has no files.

    Raises:
        InputError: If there is no class folder, or one without an image.
    """
    own = find_splits(root)
    require_split(root, split, own)
    bases = [root / name for name in (own if split == ALL else [split])] if own else [root]
    named = {normalized(path.name) for name in own or ["."] for path in _folders(root / name)}
    if {"images", "masks"} <= named:
        raise InputError(
            f"{root}: holds images and masks, as a folder for segmentation does: name a folder with {LAYOUT}"
        )
    classes: dict[str, list[Path]] = {name: [] for name in sorted(named)}
    for path in (path for base in bases for path in _folders(base)):
        files = only_images(path, path.iterdir())
        if not files:
            raise InputError(
                f"{path}: holds no image ({', '.join(_images.EXTENSIONS)}): add some, or remove the folder"
            )
        if not own and split != ALL:
            if len(files) < 2:
                raise InputError(f"{path}: holds one image, and one is kept aside for testing: add some")
            kept = choose([f.name for f in files], split, val_fraction)
            files = [f for f in files if f.name in kept]
        classes[normalized(path.name)] += files
    if classes and not any(classes.values()):
        raise InputError(f"{root}: val_fraction={val_fraction} leaves no image for the split {split!r}: lower it")
    if not classes:
        raise InputError(
            f"{bases[0]}: holds no sub-folders of images: make one for each class{hint(root, TRAIN) or hint(root, VAL)}"
        )
    return classes


def _folders(path: Path) -> list[Path]:
    return sorted(p for p in path.iterdir() if p.is_dir() and not is_hidden(p)) if path.is_dir() else []


def _images_in(path: Path) -> list[Path]:
    """Return the images that lie in a folder itself, sorted; hidden files, such as macOS's `._1.png`, are none."""
    return sorted(f for f in path.iterdir() if not is_hidden(f) and f.suffix.lower() in _images.EXTENSIONS)
