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
from keras_segen.losses.segmentation import CrossEntropy, Dice, Sum
from keras_segen.losses.variational import Bernoulli, DiscretizedLogistic, Gaussian

__all__ = [
    "DRAGAN",
    "R1",
    "Bernoulli",
    "CrossEntropy",
    "Dice",
    "DiscretizedLogistic",
    "Gaussian",
    "GradientPenalty",
    "Hinge",
    "LeastSquares",
    "Minimax",
    "NonSaturating",
    "Sum",
    "Wasserstein",
]
