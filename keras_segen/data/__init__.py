"""Data sets: functions that return a `tf.data.Dataset` ready for `fit`."""

from keras_segen.data.augmentation import Augmentation
from keras_segen.data.batching import Batching
from keras_segen.data.celeb_a import celeb_a
from keras_segen.data.cifar10 import cifar10
from keras_segen.data.coco import coco
from keras_segen.data.folder import folder
from keras_segen.data.images import read_image
from keras_segen.data.oxford_iiit_pet import oxford_iiit_pet
from keras_segen.data.shapes import shapes
from keras_segen.data.voc import voc

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
