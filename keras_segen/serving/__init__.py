"""SavedModels that TensorFlow Serving loads."""

from keras_segen.serving.export import export

__all__ = ["export"]
