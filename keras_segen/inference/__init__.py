"""Inference on images of any size: batches, tiles, and test-time augmentation, in bounded memory."""

from keras_segen.inference._augmented import augmented
from keras_segen.inference._batches import label_maps, predict
from keras_segen.inference._tiles import Block, tiled_logits

__all__ = ["Block", "augmented", "label_maps", "predict", "tiled_logits"]
