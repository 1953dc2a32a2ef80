"""Inference on images of any size: batches, tiles, test-time augmentation in bounded memory; and why a label."""

from keras_segen.inference._augmented import augmented
from keras_segen.inference._batches import WHOLE, label_maps, predict, probabilities
from keras_segen.inference._explanation import explain
from keras_segen.inference._tiles import Block, tiled_logits

__all__ = ["WHOLE", "Block", "augmented", "explain", "label_maps", "predict", "probabilities", "tiled_logits"]
