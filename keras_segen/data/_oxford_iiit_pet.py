"""Oxford-IIIT Pet (Parkhi et al., 2012): 7,349 photographs of cats and dogs, and which pixels are the animal's."""

from typing import Any, Unpack

import tensorflow as tf

from keras_segen._masks import VOID
from keras_segen.data import _records
from keras_segen.data._augmentation import Augmentation
from keras_segen.data._batching import Batching, check_batching
from keras_segen.data._named import prepared
from keras_segen.types import PathLike, Tensor

CLASS_NAMES = ("background", "pet")
SPLITS = {"train": "train", "val": "test"}
BY_HAND = (
    "fetch images.tar.gz and annotations.tar.gz from https://thor.robots.ox.ac.uk/~vgg/data/pets into "
    "downloads/manual in `data_dir` (by default in ~/tensorflow_datasets)"
)
# The trimap's values.
PET, BACKGROUND, BORDER = 1, 2, 3


def oxford_iiit_pet(
    split: str,
    *,
    data_dir: PathLike | None = None,
    image_size: int | None = None,
    augmentation: Augmentation | None = None,
    verbose: bool = False,
    **batching: Unpack[Batching],
) -> tf.data.Dataset:
    """Read Oxford-IIIT Pet's images and masks as a data set that is ready for `fit`.

    They are read as training needs them, and not held in memory. The trimaps' borders, a few pixels wide, count as
    void, because the annotation leaves open whether they belong to the animal.

    Args:
        split: The split: "train" with 3,680 images, or "val" with the 3,669 images of the data set's own test split. It
            has no third split.
        data_dir: The folder in which TensorFlow Datasets keeps data sets. Oxford-IIIT Pet is downloaded there (0.8 GB)
            if it is missing.
        image_size: The side of the images in pixels, as for `folder`; without it images come one by one.
        augmentation: The variation of training images; by default `Augmentation()`.
        verbose: Whether to show a progress bar while files are read and checked.
        batching: `batch_size=16`, `training=False`, `seed=0` and `start=None`; see `Batching`.

    Returns:
        Batches of (image float32 (batch, height, width, 3) in [0, 255], mask uint8 (batch, height, width) of indices
        into `CLASS_NAMES`, 255 void).

    Raises:
        InputError: If the data are missing and cannot be downloaded, or are damaged.
        ValueError: For an unknown split.

    Example:
        >>> train = ks.data.oxford_iiit_pet("train", data_dir="datasets", image_size=160, batch_size=16, training=True)
        >>> val = ks.data.oxford_iiit_pet("val", data_dir="datasets", batch_size=1)
        >>> model = ks.models.unet(2)
        >>> model.compile("adam", ks.losses.CrossEntropy(), metrics=[ks.metrics.MeanIoU(2)])
        >>> history = model.fit(train, validation_data=val, epochs=10)
    """
    check_batching(batching, image_size=image_size, crops=True)
    examples = read_oxford_iiit_pet(split, data_dir, verbose=verbose)
    return examples.dataset(image_size=image_size, augmentation=augmentation, **batching)


def read_oxford_iiit_pet(split: str, data_dir: PathLike | None = None, *, verbose: bool = False) -> _records.Examples:
    """Find every example of a split; see `oxford_iiit_pet`.

    Example:
        >>> examples = ks.data.read_oxford_iiit_pet("val")
        >>> batches = examples.sample(100).dataset()
    """
    if split not in SPLITS:
        raise ValueError(f"Oxford-IIIT Pet's splits are {' and '.join(SPLITS)}. Received: split={split!r}")
    return _records.examples(
        prepared("oxford_iiit_pet:4.0.0", data_dir, by_hand=BY_HAND),
        SPLITS[split],
        class_names=CLASS_NAMES,
        mask="segmentation_mask",
        channels=1,
        void=BORDER,
        class_ids=_class_ids,
        verbose=verbose,
    )


def _class_ids(trimap: Tensor, example: dict[str, Any]) -> Tensor:
    ids = [VOID] * 256
    ids[PET], ids[BACKGROUND] = CLASS_NAMES.index("pet"), CLASS_NAMES.index("background")
    return tf.gather(tf.constant(ids, tf.uint8), tf.cast(trimap[..., 0], tf.int32))
