"""Inference on images of any size: batches, tiles, and test-time augmentation, in bounded memory."""

from keras_segen.inference._batches import predict
from keras_segen.inference._looks import augmented
from keras_segen.inference._tiles import Block, tiled_logits

__all__ = ["Block", "augmented", "predict", "tiled_logits"]
