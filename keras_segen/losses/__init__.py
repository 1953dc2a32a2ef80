"""Losses for segmentation, GANs and VAEs: registered classes that save and load with a model."""

from keras_segen.losses._adversarial import Hinge, LeastSquares, Minimax, NonSaturating, Wasserstein
from keras_segen.losses._pixelwise import CrossEntropy, Focal, OutputCodeCrossEntropy, TopKCrossEntropy
from keras_segen.losses._region import Dice, FocalTversky, Jaccard, Lovasz, Tversky
from keras_segen.losses._regularizers import DRAGAN, R1, GradientPenalty
from keras_segen.losses._sum import Sum
from keras_segen.losses._variational import Bernoulli, DiscretizedLogistic, Gaussian, kl_divergence

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
    "kl_divergence",
]
