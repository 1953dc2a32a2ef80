"""GAN and VAE as Keras models: compile, fit, save and load them like any other."""

from keras_segen.training._classifier import accuracy, train_classifier
from keras_segen.training._diff_augment import DiffAugment
from keras_segen.training._gan import GAN
from keras_segen.training._latent_model import LatentModel
from keras_segen.training._posterior import Posterior
from keras_segen.training._vae import VAE, active_units

__all__ = ["GAN", "VAE", "DiffAugment", "LatentModel", "Posterior", "accuracy", "active_units", "train_classifier"]
