"""COCO 2017 with a class for every pixel: 80 things and 53 kinds of stuff (Kirillov et al., 2019, arXiv:1801.00868)."""

from typing import Any, Unpack

import tensorflow as tf

from keras_segen._masks import VOID
from keras_segen.data import _records
from keras_segen.data._augmentation import Augmentation
from keras_segen.data._batching import Batching, check_batching
from keras_segen.data._named import prepared
from keras_segen.errors import InputError
from keras_segen.types import PathLike, Tensor

# In the order of the published list: things, then stuff.
# fmt: off
CLASS_NAMES = (
    "person", "bicycle", "car", "motorcycle", "airplane", "bus", "train", "truck", "boat", "traffic light",
    "fire hydrant", "stop sign", "parking meter", "bench", "bird", "cat", "dog", "horse", "sheep", "cow", "elephant",
    "bear", "zebra", "giraffe", "backpack", "umbrella", "handbag", "tie", "suitcase", "frisbee", "skis", "snowboard",
    "sports ball", "kite", "baseball bat", "baseball glove", "skateboard", "surfboard", "tennis racket", "bottle",
    "wine glass", "cup", "fork", "knife", "spoon", "bowl", "banana", "apple", "sandwich", "orange", "broccoli",
    "carrot", "hot dog", "pizza", "donut", "cake", "chair", "couch", "potted plant", "bed", "dining table", "toilet",
    "tv", "laptop", "mouse", "remote", "keyboard", "cell phone", "microwave", "oven", "toaster", "sink", "refrigerator",
    "book", "clock", "vase", "scissors", "teddy bear", "hair drier", "toothbrush",
    "banner", "blanket", "bridge", "cardboard", "counter", "curtain", "door-stuff", "floor-wood", "flower", "fruit",
    "gravel", "house", "light", "mirror-stuff", "net", "pillow", "platform", "playingfield", "railroad", "river",
    "road", "roof", "sand", "sea", "shelf", "snow", "stairs", "tent", "towel", "wall-brick", "wall-stone", "wall-tile",
    "wall-wood", "water-other", "window-blind", "window-other", "tree-merged", "fence-merged", "ceiling-merged",
    "sky-other-merged", "cabinet-merged", "table-merged", "floor-other-merged", "pavement-merged", "mountain-merged",
    "grass-merged", "dirt-merged", "paper-merged", "food-other-merged", "building-other-merged", "rock-merged",
    "wall-other-merged", "rug-merged",
)
# fmt: on
SPLITS = {"train": "train", "val": "validation"}
BY_HAND = (
    "fetch train2017.zip and val2017.zip from http://images.cocodataset.org/zips and "
    "panoptic_annotations_trainval2017.zip from http://images.cocodataset.org/annotations into downloads/manual in "
    "`data_dir` (by default in ~/tensorflow_datasets)"
)


def coco(
    split: str,
    *,
    data_dir: PathLike | None = None,
    image_size: int | None = None,
    augmentation: Augmentation | None = None,
    verbose: bool = False,
    **batching: Unpack[Batching],
) -> tf.data.Dataset:
    """Read COCO's images and panoptic masks, things of one class taken together, as a data set ready for `fit`.

    They are read as training needs them, and not held in memory.

    Args:
        split: The split: "train" with 118,287 images, or "val" with 5,000.
        data_dir: The folder in which TensorFlow Datasets keeps data sets. COCO is downloaded there (21 GB) if it is
            missing.
        image_size: The side of the images in pixels, as for `folder`; without it images come one by one.
        augmentation: The variation of training images; by default `Augmentation()`.
        verbose: Whether to show a progress bar while files are read and checked.
        batching: `batch_size=16`, `training=False`, `seed=0` and `start=None`; see `Batching`.

    Returns:
        Batches of (image float32 (batch, height, width, 3) in [0, 255], mask uint8 (batch, height, width) of indices
        into `CLASS_NAMES`, 255 where nothing is annotated).

    Raises:
        InputError: If the data are missing and cannot be downloaded, or are damaged.
        ValueError: For an unknown split.

    Example:
        >>> train = ks.data.coco("train", data_dir="datasets", image_size=320, batch_size=8, training=True)
        >>> val = ks.data.coco("val", data_dir="datasets", batch_size=1)
        >>> model = ks.models.unet(133, backbone="resnet50")
        >>> model.compile("adam", ks.losses.CrossEntropy(), metrics=[ks.metrics.MeanIoU(133)])
        >>> history = model.fit(train, validation_data=val, epochs=10)
    """
    check_batching(batching, image_size=image_size, crops=True)
    examples = read_coco(split, data_dir, verbose=verbose)
    return examples.dataset(image_size=image_size, augmentation=augmentation, **batching)


def read_coco(split: str, data_dir: PathLike | None = None, *, verbose: bool = False) -> _records.Examples:
    """Find every example of a split; see `coco`.

    Example:
        >>> examples = ks.data.read_coco("val")
        >>> batches = examples.sample(100).dataset()
    """
    if split not in SPLITS:
        raise ValueError(f"COCO's splits are {' and '.join(SPLITS)}. Received: split={split!r}")
    builder = prepared("coco/2017_panoptic:1.1.0", data_dir, by_hand=BY_HAND)
    names = builder.info.features["panoptic_objects"]["label"].names
    if tuple(names) != CLASS_NAMES:
        raise InputError(f"{builder.data_dir}: its classes are not COCO's 133, in their order: prepare it again")
    return _records.examples(
        builder,
        SPLITS[split],
        class_names=CLASS_NAMES,
        mask="panoptic_image",
        channels=3,
        void=0,
        class_ids=_class_ids,
        verbose=verbose,
    )


def _class_ids(pixels: Tensor, example: dict[str, Any]) -> Tensor:
    """Look up which segment each pixel belongs to, R + 256 G + 256² B, and the segment's class."""
    weights = tf.constant([1, 256, 256**2])
    segment = tf.reduce_sum(tf.cast(pixels, tf.int32) * weights, -1)
    things = example["panoptic_objects"]
    segment_ids = tf.concat([[0], tf.cast(things["id"], tf.int32)], 0)  # 0: none
    classes = tf.concat([tf.constant([VOID], tf.uint8), tf.cast(things["label"], tf.uint8)], 0)
    ascending = tf.argsort(segment_ids)
    segment_ids, classes = tf.gather(segment_ids, ascending), tf.gather(classes, ascending)
    at = tf.searchsorted(segment_ids, tf.reshape(segment, [-1]), side="right") - 1
    class_ids = tf.where(tf.gather(segment_ids, at) == tf.reshape(segment, [-1]), tf.gather(classes, at), VOID)
    return tf.reshape(class_ids, tf.shape(segment))
