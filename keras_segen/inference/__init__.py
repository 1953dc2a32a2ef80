"""Inference on images of any size: batches, tiles, and test-time augmentation, in bounded memory."""

from keras_segen.inference.batches import predict
from keras_segen.inference.looks import augmented
from keras_segen.inference.tiles import Block, tiled_logits

__all__ = ["Block", "augmented", "predict", "tiled_logits"]
