"""Keras 3 models for image segmentation and generation: networks, losses, training, inference, metrics and data."""

from importlib.metadata import version

from keras_segen import callbacks, classical, data, inference, layers, losses, metrics, models, serving, training

__version__ = version("keras-segen")
__all__ = [
    "callbacks",
    "classical",
    "data",
    "inference",
    "layers",
    "losses",
    "metrics",
    "models",
    "serving",
    "training",
]
