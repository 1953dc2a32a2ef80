"""Losses: registered classes that save and load with a model."""

from keras_segen.losses.adversarial import (
    DRAGAN,
    R1,
    GradientPenalty,
    Hinge,
    LeastSquares,
    Minimax,
    NonSaturating,
    Wasserstein,
)
from keras_segen.losses.pixelwise import CrossEntropy, Focal, OutputCodeCrossEntropy, TopKCrossEntropy
from keras_segen.losses.region import Dice, FocalTversky, Jaccard, Lovasz, Tversky
from keras_segen.losses.sum import Sum
from keras_segen.losses.variational import Bernoulli, DiscretizedLogistic, Gaussian

__all__ = [
    "DRAGAN",
    "R1",
    "Bernoulli",
    "CrossEntropy",
    "Dice",
    "DiscretizedLogistic",
    "Focal",
    "FocalTversky",
    "Gaussian",
    "GradientPenalty",
    "Hinge",
    "Jaccard",
    "LeastSquares",
    "Lovasz",
    "Minimax",
    "NonSaturating",
    "OutputCodeCrossEntropy",
    "Sum",
    "TopKCrossEntropy",
    "Tversky",
    "Wasserstein",
]
