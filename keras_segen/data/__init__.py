"""Data sets for segmentation and generation: functions that return a `tf.data.Dataset` ready for `fit`.

`voc`, `coco`, `oxford_iiit_pet`, `drive`, `cifar10`, `mnist`, `fashion_mnist`, `celeb_a` and `shapes` are data sets by
name, `folder` reads a user's own images, and `from_arrays` takes what is in memory. The functions that begin with
`read_` return what lies behind a data set, read and checked: pairs of image and mask, class folders, or arrays.
`compose` writes a folder with further scenes, made of the objects in its training images.
"""

from keras_segen._masks import VOID
from keras_segen.data._augmentation import Augmentation
from keras_segen.data._batching import Batching
from keras_segen.data._border_weights import border_weights
from keras_segen.data._catalogue import class_names, splits
from keras_segen.data._celeb_a import CROP as CELEB_A_CROP
from keras_segen.data._celeb_a import celeb_a, read_celeb_a
from keras_segen.data._channels import ImageKind, read_channels
from keras_segen.data._cifar10 import cifar10, read_cifar10
from keras_segen.data._class_folders import ClassFolders, read_class_folders
from keras_segen.data._coco import coco, read_coco
from keras_segen.data._composed_folder import compose
from keras_segen.data._drive import drive, read_drive
from keras_segen.data._folder import folder, folder_splits, read_class_names, read_folder
from keras_segen.data._image_files import fingerprint, image_batches, image_files
from keras_segen.data._images import middle_square, read_image
from keras_segen.data._in_memory import from_arrays
from keras_segen.data._in_threads import read_ahead
from keras_segen.data._mnist import fashion_mnist, mnist, read_fashion_mnist, read_mnist
from keras_segen.data._oxford_iiit_pet import oxford_iiit_pet, read_oxford_iiit_pet
from keras_segen.data._pairs import Pair, Pairs
from keras_segen.data._records import Examples
from keras_segen.data._shapes import COUNTS as SHAPES_COUNTS
from keras_segen.data._shapes import scenes, shapes
from keras_segen.data._voc import read_voc, voc

__all__ = [
    "CELEB_A_CROP",
    "SHAPES_COUNTS",
    "VOID",
    "Augmentation",
    "Batching",
    "ClassFolders",
    "Examples",
    "ImageKind",
    "Pair",
    "Pairs",
    "border_weights",
    "celeb_a",
    "cifar10",
    "class_names",
    "coco",
    "compose",
    "drive",
    "fashion_mnist",
    "fingerprint",
    "folder",
    "folder_splits",
    "from_arrays",
    "image_batches",
    "image_files",
    "middle_square",
    "mnist",
    "oxford_iiit_pet",
    "read_ahead",
    "read_celeb_a",
    "read_channels",
    "read_cifar10",
    "read_class_folders",
    "read_class_names",
    "read_coco",
    "read_drive",
    "read_fashion_mnist",
    "read_folder",
    "read_image",
    "read_mnist",
    "read_oxford_iiit_pet",
    "read_voc",
    "scenes",
    "shapes",
    "splits",
    "voc",
]
