"""Keras models that train generative networks: compile, fit, save and load them like any other."""

from keras_segen.training.diff_augment import DiffAugment
from keras_segen.training.gan import GAN
from keras_segen.training.latent_model import LatentModel
from keras_segen.training.posterior import Posterior
from keras_segen.training.vae import VAE, active_units

__all__ = ["GAN", "VAE", "DiffAugment", "LatentModel", "Posterior", "active_units"]
