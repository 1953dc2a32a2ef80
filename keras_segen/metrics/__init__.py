"""Metrics for segmentation, image quality, and sets of generated images, which compare with published figures."""

from keras_segen.metrics._boundaries import BoundaryF1, BoundaryIoU
from keras_segen.metrics._cifar10_features import cifar10_features
from keras_segen.metrics._distances import (
    Moments,
    frechet_distance,
    inception_score,
    kernel_distance,
    precision_recall_density_coverage,
)
from keras_segen.metrics._features import feature_batches, feature_extractor
from keras_segen.metrics._image_quality import PSNR, SSIM, MultiScaleSSIM
from keras_segen.metrics._image_sets import MIN_IMAGES, image_set_scores, score_name
from keras_segen.metrics._inception import inception_features
from keras_segen.metrics._objects import ObjectScores
from keras_segen.metrics._probabilities import BinaryScores
from keras_segen.metrics._reference import Reference, read_statistics
from keras_segen.metrics._segmentation import (
    FrequencyWeightedIoU,
    MeanClassAccuracy,
    MeanDice,
    MeanIoU,
    PixelAccuracy,
)
from keras_segen.metrics._warping import warping_error

__all__ = [
    "MIN_IMAGES",
    "PSNR",
    "SSIM",
    "BinaryScores",
    "BoundaryF1",
    "BoundaryIoU",
    "FrequencyWeightedIoU",
    "MeanClassAccuracy",
    "MeanDice",
    "MeanIoU",
    "Moments",
    "MultiScaleSSIM",
    "ObjectScores",
    "PixelAccuracy",
    "Reference",
    "cifar10_features",
    "feature_batches",
    "feature_extractor",
    "frechet_distance",
    "image_set_scores",
    "inception_features",
    "inception_score",
    "kernel_distance",
    "precision_recall_density_coverage",
    "read_statistics",
    "score_name",
    "warping_error",
]
