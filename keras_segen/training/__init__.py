"""Keras models that train generative networks: compile, fit, save and load them like any other."""

from keras_segen.training.diff_augment import DiffAugment
from keras_segen.training.gan import GAN

__all__ = ["GAN", "DiffAugment"]
