"""Servables: SavedModels that TensorFlow Serving loads, and files for other engines."""

from keras_segen.serving._engines import Converted, export_litert, export_onnx
from keras_segen.serving._export import export

__all__ = ["Converted", "export", "export_litert", "export_onnx"]
