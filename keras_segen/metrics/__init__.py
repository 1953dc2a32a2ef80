"""Metrics that compare with papers."""

from keras_segen.metrics.cifar10_features import cifar10_features
from keras_segen.metrics.distances import frechet_distance, moments
from keras_segen.metrics.segmentation import MeanIoU, PixelAccuracy

__all__ = ["MeanIoU", "PixelAccuracy", "cifar10_features", "frechet_distance", "moments"]
