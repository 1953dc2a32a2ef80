"""The networks: plain functions that return Functional `keras.Model`s."""

from keras_segen.models.dcgan import dcgan_discriminator, dcgan_generator
from keras_segen.models.unet import unet

__all__ = ["dcgan_discriminator", "dcgan_generator", "unet"]
