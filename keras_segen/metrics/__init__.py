"""Metrics that compare with papers."""

from keras_segen.metrics.segmentation import MeanIoU, PixelAccuracy

__all__ = ["MeanIoU", "PixelAccuracy"]
