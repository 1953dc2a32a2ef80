"""The few layers that Keras lacks."""

from keras_segen.layers.batch_normalization import FusedBatchNormalization
from keras_segen.layers.bilinear_up_sampling import BilinearUpSampling
from keras_segen.layers.legacy_bilinear_resize import LegacyBilinearResize
from keras_segen.layers.one_hot import OneHot
from keras_segen.layers.pad_and_crop import CropLike, PadToStride
from keras_segen.layers.spectral_normalization import SpectralConv2D

__all__ = [
    "BilinearUpSampling",
    "CropLike",
    "FusedBatchNormalization",
    "LegacyBilinearResize",
    "OneHot",
    "PadToStride",
    "SpectralConv2D",
]
