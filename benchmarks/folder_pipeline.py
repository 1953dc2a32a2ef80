"""The folder pipeline (decode, augment, batch), against a Pillow loader in worker processes and against bare decoding.

    python benchmarks/folder_pipeline.py [--voc VOCdevkit/VOC2012] [--image-size 256] [--augmentation microscopy]

Two minutes on two cores; with `--augmentation microscopy --batches 120` five.

Pictures of about 500×375, as JPEG, with palette masks become batches of 8 augmented crops: random scale, crop, flip,
colour; with other kinds of augmentation turning, deforming, blur and noise too. Three ways to get there: this
package's; what a user writes with Pillow, NumPy and SciPy in as many worker processes as there are cores; and the plain
tf.data way, which decodes and resizes all of an image before it crops, and does no more than scale, flip and colour.
The limit is decoding the same JPEGs on all cores and nothing else. A pipeline can pass it: it need not decode what it
crops away. The last row is the training step that waits for the crops, the default U-Net's.
Processor time would leave out Pillow's workers: read the times alone on an idle machine.
"""

import tempfile
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from harness import CORES, Contender, command_line, compare, started
from PIL import Image
from pillow_pipeline import Reach

from keras_segen.data import Augmentation, _pairs
from keras_segen.data._shapes import scene
from keras_segen.losses import CrossEntropy
from keras_segen.models import unet

BATCH = 8
Paths = list[tuple[Path, Path]]  # of images and masks


def main() -> None:
    parser = command_line("Time the folder pipeline.", rounds=7)
    parser.add_argument("--voc", type=Path, help="a VOC2012 folder; without it, scenes are drawn")
    parser.add_argument("--image-size", type=int, default=256, help="side of the crops")
    # By default two passes over VOC 2012's training images.
    parser.add_argument("--batches", type=int, default=360, help="batches of 8 crops")
    parser.add_argument("--augmentation", choices=["photo", "microscopy", "aerial"], default="photo")
    parser.add_argument("--copy-paste", type=float, default=0.0, help="share of the crops, of ours alone")
    options = parser.parse_args()
    size: int = options.image_size
    augmentation = replace(Augmentation.of(options.augmentation), copy_paste=options.copy_paste)
    reach = Reach(**{field.name: getattr(augmentation, field.name) for field in fields(Reach)})

    with tempfile.TemporaryDirectory() as folder:
        paths = voc_paths(options.voc) if options.voc else draw_scenes(Path(folder))
        batches: int = options.batches
        work = BATCH * batches
        contenders = [
            Contender("keras_segen", "folder_pipeline", "ours", (paths, batches, size, augmentation), work),
            Contender(
                "Pillow and SciPy, worker processes",
                "pillow_pipeline",
                "taking",
                (paths, size, reach, BATCH, batches),
                work,
            ),
            Contender("tf.data, resize then crop", "folder_pipeline", "plain", (paths, batches, size), work),
            Contender("U-Net's training step", "folder_pipeline", "training", (size,), BATCH),
        ]
        with started(contenders) as processes:
            compare(
                f"{batches} batches of {BATCH} crops of {size}×{size} from {len(paths)} JPEGs",
                processes,
                limits=[Contender("bare decoding", "folder_pipeline", "decoding", (paths, batches), work)],
                unit="images",
                rounds=options.rounds,
                clock=options.clock,
            )


def voc_paths(root: Path) -> Paths:
    """The training pairs of a VOC2012 folder."""
    names = (root / "ImageSets/Segmentation/train.txt").read_text().split()
    return [(root / f"JPEGImages/{name}.jpg", root / f"SegmentationClass/{name}.png") for name in names]


def draw_scenes(folder: Path, count: int = 64) -> Paths:
    """Scenes of VOC's size, as JPEG and palette PNG."""
    paths = []
    for i in range(count):
        image, mask, _ = scene(i, image_size=500)
        paths.append((folder / f"{i}.jpg", folder / f"{i}.png"))
        Image.fromarray(image.numpy().astype(np.uint8)[:375]).save(paths[-1][0], quality=90)
        Image.fromarray(mask.numpy()[:375], mode="P").save(paths[-1][1])
    return paths


def ours(paths: Paths, batches: int, size: int, augmentation: Augmentation) -> Callable[[], None]:
    pairs = _pairs.Pairs([_pairs.read_pair(*both) for both in paths])
    crops = pairs.dataset(image_size=size, batch_size=BATCH, training=True, start=0, augmentation=augmentation)
    return taking(crops, batches)


def training(size: int) -> Callable[[], None]:
    """The step of the default U-Net on 21 classes, always on the same crops."""
    keras.utils.set_random_seed(0)
    model = unet(21)
    model.compile("adam", CrossEntropy())
    images, masks = tf.random.uniform((BATCH, size, size, 3), 0, 255), tf.zeros((BATCH, size, size), tf.uint8)

    def train() -> None:
        model.train_on_batch(images, masks)

    return train


def plain(paths: Paths, batches: int, size: int) -> Callable[[], None]:
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

    return taking(on_all_cores(paths, sample), batches)


def decoding(paths: Paths, batches: int) -> Callable[[], None]:
    """The same JPEGs, decoded and dropped: one number a batch comes out."""
    shapes = on_all_cores(paths, lambda path: tf.shape(tf.io.decode_jpeg(tf.io.read_file(path), channels=3)))
    return taking(shapes, batches)


def on_all_cores(paths: Paths, sample: Callable[[Any], Any]) -> tf.data.Dataset:
    images = tf.data.Dataset.from_tensor_slices([str(image) for image, _ in paths]).repeat()
    images = images.map(sample, num_parallel_calls=tf.data.AUTOTUNE)
    options = tf.data.Options()
    options.threading.private_threadpool_size = CORES
    options.threading.max_intra_op_parallelism = 1
    return images.batch(BATCH).prefetch(tf.data.AUTOTUNE).with_options(options)


def taking(dataset: tf.data.Dataset, batches: int) -> Callable[[], None]:
    """Take the batches. Each turn starts anew, so that what the pipeline had ready from before does not count."""

    def run() -> None:
        for _ in dataset.take(batches):
            pass

    return run


if __name__ == "__main__":
    main()
