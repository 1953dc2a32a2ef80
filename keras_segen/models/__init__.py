"""Networks for segmentation and generation: plain functions that return Functional `keras.Model`s."""

from keras_segen.models._cgan import cgan_discriminator, cgan_generator
from keras_segen.models._classifier import classifier
from keras_segen.models._dcgan import dcgan_discriminator, dcgan_generator
from keras_segen.models._deeplab_v3_plus import deeplab_v3_plus
from keras_segen.models._encoder_maps import EncoderMap, encoder_maps
from keras_segen.models._fcn import fcn
from keras_segen.models._fpn import fpn
from keras_segen.models._freezing import freeze
from keras_segen.models._refinement import refined
from keras_segen.models._sngan import sngan_discriminator, sngan_generator
from keras_segen.models._two_classes import two_classes
from keras_segen.models._unet import unet
from keras_segen.models._vae import vae_decoder, vae_dense_decoder, vae_dense_encoder, vae_encoder
from keras_segen.models._value_range import value_range

__all__ = [
    "EncoderMap",
    "cgan_discriminator",
    "cgan_generator",
    "classifier",
    "dcgan_discriminator",
    "dcgan_generator",
    "deeplab_v3_plus",
    "encoder_maps",
    "fcn",
    "fpn",
    "freeze",
    "refined",
    "sngan_discriminator",
    "sngan_generator",
    "two_classes",
    "unet",
    "vae_decoder",
    "vae_dense_decoder",
    "vae_dense_encoder",
    "vae_encoder",
    "value_range",
]
