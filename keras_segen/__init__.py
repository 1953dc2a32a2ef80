"""Keras 3 models for image segmentation and generation: networks, losses, training, metrics, data and export."""

from importlib.metadata import version

from keras_segen import layers, losses, metrics, models

__version__ = version("keras-segen")
__all__ = ["layers", "losses", "metrics", "models"]
