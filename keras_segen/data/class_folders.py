"""Folders of images by class, as generators and classifiers read them."""

from pathlib import Path
from typing import Any

import tensorflow as tf

from keras_segen.data import images
from keras_segen.data.in_threads import in_threads
from keras_segen.data.order import batched, order
from keras_segen.data.split import check_split, choose
from keras_segen.errors import InputError


def find_classes(root: Path, split: str, val_fraction: float) -> dict[str, list[Path]]:
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
        if not own_split:
            kept = choose([f.name for f in files], split, val_fraction)
            files = [f for f in files if f.name in kept]
        classes[path.name] = files
    if not any(classes.values()):
        raise InputError(f"{base}: holds no sub-folders of images: make one for each class")
    return classes


def dataset(
    split: str,
    root: Path,
    *,
    image_size: int | None,
    batch_size: int,
    training: bool,
    seed: int,
    labels: bool,
    val_fraction: float,
    start: int | None,
) -> tf.data.Dataset:
    """Turn class folders into batches; see `folder.folder`. Each file is opened and decoded once here, to check it."""
    if image_size is None:
        raise ValueError("Images for generation need `image_size`, their side in pixels. Received: image_size=None")
    classes = find_classes(root, split, val_fraction)
    paths = [path for files in classes.values() for path in files]
    class_ids = tf.constant([i for i, files in enumerate(classes.values()) for _ in files])
    if training and start is None and len(paths) < batch_size:
        raise InputError(f"{root}: {len(paths)} images do not fill one batch of {batch_size}: lower `batch_size`")
    checked = in_threads(images.check_image, paths)
    image_paths = tf.constant([str(path) for path in paths])
    ways = tf.constant([c.way for c in checked])
    among = {c.way for c in checked}
    heights = tf.constant([c.height for c in checked])
    widths = tf.constant([c.width for c in checked])

    def sample(index: Any, draw: Any) -> Any:
        side = tf.minimum(heights[index], widths[index])
        corner = tf.stack([heights[index] - side, widths[index] - side]) // 2
        window = tf.concat([corner, [side, side]], 0)
        image = images.load_window(image_paths[index], ways[index], window, among=among)
        image = tf.image.resize(image, [image_size, image_size], antialias=True)
        if training:
            image = tf.cond(draw[0] < 0.5, lambda: tf.reverse(image, [1]), lambda: image)
        image = tf.clip_by_value(image / 127.5 - 1, -1, 1)
        return (image, class_ids[index]) if labels else image

    samples = order(len(paths), training=training, seed=seed, start=start)
    samples = samples.map(sample, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
    return batched(samples, batch_size, training=training)
