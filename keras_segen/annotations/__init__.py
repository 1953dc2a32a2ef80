"""Annotations as tools write them: into a folder for segmentation, and label maps back into polygons."""

from keras_segen.annotations._coco_writer import save_coco
from keras_segen.annotations._convert import Converted, convert

__all__ = ["Converted", "convert", "save_coco"]
