"""The networks: plain functions that return Functional `keras.Model`s."""

from keras_segen.models.cgan import cgan_discriminator, cgan_generator
from keras_segen.models.classifier import classifier
from keras_segen.models.dcgan import dcgan_discriminator, dcgan_generator
from keras_segen.models.fcn import fcn
from keras_segen.models.refinement import refined
from keras_segen.models.sngan import sngan_discriminator, sngan_generator
from keras_segen.models.unet import unet
from keras_segen.models.vae import vae_decoder, vae_dense_decoder, vae_dense_encoder, vae_encoder

__all__ = [
    "cgan_discriminator",
    "cgan_generator",
    "classifier",
    "dcgan_discriminator",
    "dcgan_generator",
    "fcn",
    "refined",
    "sngan_discriminator",
    "sngan_generator",
    "unet",
    "vae_decoder",
    "vae_dense_decoder",
    "vae_dense_encoder",
    "vae_encoder",
]
