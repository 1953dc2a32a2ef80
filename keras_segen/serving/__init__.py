"""Servables: SavedModels that TensorFlow Serving loads, and files for other engines."""

from keras_segen.serving._conversion import Converted
from keras_segen.serving._export import export
from keras_segen.serving._litert import export_litert
from keras_segen.serving._onnx import export_onnx

__all__ = ["Converted", "export", "export_litert", "export_onnx"]
