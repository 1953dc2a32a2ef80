"""The folder pipeline (decode, augment, batch), against a Pillow loader in worker processes and against bare decoding.

    python benchmarks/folder_pipeline.py [--voc VOCdevkit/VOC2012] [--image-size 256]      two minutes on two cores

Pictures of about 500×375, as JPEG, with palette masks become batches of 8 augmented crops: random scale, crop, flip,
colour. Three ways to get there: this package's; what a user writes with Pillow and NumPy in as many worker processes as
there are cores; and the plain tf.data way, which decodes and resizes all of an image before it crops. The limit is
decoding the same JPEGs on all cores and nothing else. A pipeline can pass it: it need not decode what it crops away.
"""

import argparse
import multiprocessing
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from harness import CORES, Contender, compare, use_all_cores
from PIL import Image

from keras_segen.data import Augmentation, _pairs
from keras_segen.data._shapes import scene

BATCH, BATCHES = 8, 360  # two passes over VOC 2012's training images


def main() -> None:
    parser = argparse.ArgumentParser(description="Time the folder pipeline.")
    parser.add_argument("--voc", type=Path, help="a VOC2012 folder; without it, scenes are drawn")
    parser.add_argument("--image-size", type=int, default=256, help="side of the crops")
    parser.add_argument("--rounds", type=int, default=7, help="turns that count, after two that do not")
    options = parser.parse_args()
    size: int = options.image_size

    use_all_cores()
    with tempfile.TemporaryDirectory() as folder:
        paths = voc_paths(options.voc) if options.voc else draw_scenes(Path(folder))
        found = [_pairs.read_pair(*both) for both in paths]
        ours = _pairs.Pairs(found).dataset(image_size=size, batch_size=BATCH, training=True, start=0)
        with multiprocessing.get_context("spawn").Pool(CORES) as pool:
            ways = {
                "keras_segen": lambda: exhaust(ours.take(BATCHES)),
                "Pillow, worker processes": lambda: exhaust(pillow_batches(pool, paths, size)),
                "tf.data, resize then crop": lambda: exhaust(plain_dataset(found, size).take(BATCHES)),
            }
            compare(
                f"{BATCHES} batches of {BATCH} crops of {size}×{size} from {len(paths)} JPEGs",
                [Contender(name, way, BATCH * BATCHES) for name, way in ways.items()],
                limits=[Contender("bare decoding", lambda: exhaust(decoded(found).take(BATCHES)), BATCH * BATCHES)],
                unit="images",
                rounds=options.rounds,
            )


def exhaust(batches: Iterable[Any]) -> None:
    """Take all batches. Each turn starts anew, so that no pipeline works ahead while it is another's turn."""
    for _ in batches:
        pass


def voc_paths(root: Path) -> list[tuple[Path, Path]]:
    """The training pairs of a VOC2012 folder."""
    names = (root / "ImageSets/Segmentation/train.txt").read_text().split()
    return [(root / f"JPEGImages/{name}.jpg", root / f"SegmentationClass/{name}.png") for name in names]


def draw_scenes(folder: Path, count: int = 64) -> list[tuple[Path, Path]]:
    """Scenes of VOC's size, as JPEG and palette PNG."""
    paths = []
    for i in range(count):
        image, mask, _ = scene(i, image_size=500)
        paths.append((folder / f"{i}.jpg", folder / f"{i}.png"))
        Image.fromarray(image.numpy().astype(np.uint8)[:375]).save(paths[-1][0], quality=90)
        Image.fromarray(mask.numpy()[:375], mode="P").save(paths[-1][1])
    return paths


def with_all_cores(dataset: tf.data.Dataset) -> tf.data.Dataset:
    options = tf.data.Options()
    options.threading.private_threadpool_size = CORES
    options.threading.max_intra_op_parallelism = 1
    return dataset.with_options(options)


def decoded(found: list[_pairs.Pair]) -> tf.data.Dataset:
    """The same JPEGs, decoded and dropped: one number a batch comes out."""
    images = tf.data.Dataset.from_tensor_slices([str(pair.image) for pair in found]).repeat()
    images = images.map(
        lambda path: tf.shape(tf.io.decode_jpeg(tf.io.read_file(path), channels=3)), num_parallel_calls=tf.data.AUTOTUNE
    )
    return with_all_cores(images.batch(BATCH).prefetch(tf.data.AUTOTUNE))


def plain_dataset(found: list[_pairs.Pair], size: int) -> tf.data.Dataset:
    """What comes to mind first with tf.data; without the masks, whose palettes its PNG decoder cannot read."""
    scale = Augmentation().scale

    def sample(path: Any) -> Any:
        image = tf.io.decode_jpeg(tf.io.read_file(path), channels=3)
        shape = tf.cast(tf.cast(tf.shape(image)[:2], tf.float32) * tf.random.uniform([], *scale), tf.int32)
        image = tf.image.resize(image, shape)
        image = tf.image.pad_to_bounding_box(image, 0, 0, tf.maximum(shape[0], size), tf.maximum(shape[1], size))
        image = tf.image.random_flip_left_right(tf.image.random_crop(image, [size, size, 3]))
        image = tf.image.random_brightness(tf.image.random_contrast(image, 0.8, 1.2), 51)
        return tf.clip_by_value(tf.image.random_saturation(image / 255, 0.8, 1.2), 0, 1)

    images = tf.data.Dataset.from_tensor_slices([str(pair.image) for pair in found]).repeat()
    images = images.map(sample, num_parallel_calls=tf.data.AUTOTUNE)
    return with_all_cores(images.batch(BATCH).prefetch(tf.data.AUTOTUNE))


def pillow_batches(pool: Any, paths: list[tuple[Path, Path]], size: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Batches from worker processes, a task each."""
    rng = np.random.default_rng(0)
    tasks = [([paths[i] for i in rng.integers(0, len(paths), BATCH)], size, i) for i in range(BATCHES)]
    yield from pool.imap(pillow_batch, tasks)


def pillow_batch(task: tuple[list[tuple[Path, Path]], int, int]) -> tuple[np.ndarray, np.ndarray]:
    """One batch: Pillow decodes and resizes the window, NumPy flips and varies the colours."""
    paths, size, seed = task
    rng = np.random.default_rng(seed)
    least, most = Augmentation().scale
    images, masks = [], []
    for image_path, mask_path in paths:
        with Image.open(image_path) as image, Image.open(mask_path) as mask:
            side = min(size / (least * (most / least) ** rng.random()), *image.size)
            left, top = rng.random(2) * (np.array(image.size) - side)
            box = (left, top, left + side, top + side)
            crop = np.asarray(image.convert("RGB").resize((size, size), Image.Resampling.BILINEAR, box), np.float32)
            ids = np.asarray(mask.resize((size, size), Image.Resampling.NEAREST, box))
        if rng.random() < 0.5:
            crop, ids = crop[:, ::-1], ids[:, ::-1]
        grey = crop @ np.array([0.299, 0.587, 0.114], np.float32)
        contrast, saturation, brightness = rng.uniform(0.8, 1.2), rng.uniform(0.8, 1.2), rng.uniform(-51, 51)
        crop = grey[..., None] + saturation * (crop - grey[..., None])
        images.append(np.clip((crop - 127.5) * contrast + 127.5 + brightness, 0, 255).astype(np.float32))
        masks.append(ids)
    return np.stack(images), np.stack(masks)


if __name__ == "__main__":
    main()
