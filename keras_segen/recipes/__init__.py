"""Recipes: a model on a data set, ready to run. The table below is all there is to look up."""

from keras_segen.recipes import unet

RECIPES = {"unet": unet}

__all__ = ["RECIPES"]
