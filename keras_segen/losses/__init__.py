"""Losses: registered classes that save and load with a model."""

from keras_segen.losses.segmentation import CrossEntropy, Dice, Sum

__all__ = ["CrossEntropy", "Dice", "Sum"]
