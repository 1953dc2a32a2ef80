"""The networks: plain functions that return Functional `keras.Model`s."""

from keras_segen.models.unet import unet

__all__ = ["unet"]
