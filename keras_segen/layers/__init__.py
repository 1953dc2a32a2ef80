"""Layers that Keras lacks, and codebooks of error-correcting output codes."""

from keras_segen._codebooks import check_codebook, hadamard_codebook, minimum_distance, random_codebook
from keras_segen.layers._batch_normalization import FusedBatchNormalization
from keras_segen.layers._bilinear_up_sampling import BilinearUpSampling
from keras_segen.layers._depthwise_in_parts import DepthwiseInParts
from keras_segen.layers._dropout import Dropout
from keras_segen.layers._legacy_bilinear_resize import LegacyBilinearResize
from keras_segen.layers._one_hot import OneHot
from keras_segen.layers._output_codes import OutputCodes
from keras_segen.layers._pad_and_crop import CropLike, MirrorPad, PadToStride, ShiftLike
from keras_segen.layers._resize_like import ResizeLike
from keras_segen.layers._spectral_normalization import SpectralConv2D
from keras_segen.layers._value_range import ValueRange

__all__ = [
    "BilinearUpSampling",
    "CropLike",
    "DepthwiseInParts",
    "Dropout",
    "FusedBatchNormalization",
    "LegacyBilinearResize",
    "MirrorPad",
    "OneHot",
    "OutputCodes",
    "PadToStride",
    "ResizeLike",
    "ShiftLike",
    "SpectralConv2D",
    "ValueRange",
    "check_codebook",
    "hadamard_codebook",
    "minimum_distance",
    "random_codebook",
]
