"""Data sets for segmentation and generation: functions that return a `tf.data.Dataset` ready for `fit`."""

from keras_segen.data._augmentation import Augmentation
from keras_segen.data._batching import Batching
from keras_segen.data._celeb_a import celeb_a
from keras_segen.data._cifar10 import cifar10
from keras_segen.data._coco import coco
from keras_segen.data._folder import folder
from keras_segen.data._images import read_image
from keras_segen.data._oxford_iiit_pet import oxford_iiit_pet
from keras_segen.data._shapes import shapes
from keras_segen.data._voc import voc

__all__ = [
    "Augmentation",
    "Batching",
    "celeb_a",
    "cifar10",
    "coco",
    "folder",
    "oxford_iiit_pet",
    "read_image",
    "shapes",
    "voc",
]
