"""Servables: SavedModels that TensorFlow Serving loads."""

from keras_segen.serving._export import export

__all__ = ["export"]
