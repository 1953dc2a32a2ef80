"""Recipes: the models that can be trained, with their settings."""

from keras_segen_cli.recipes.gans import CGAN, DCGAN
from keras_segen_cli.recipes.named import NAMED, YOURS, Named
from keras_segen_cli.recipes.recipe import Recipe, WrongUseError, as_typed, by_present_names, read_settings
from keras_segen_cli.recipes.segmenter import Segmenter
from keras_segen_cli.recipes.segmenters import FCN, FPN, DeepLabV3Plus, UNet
from keras_segen_cli.recipes.vaes import VAE

MODELS: dict[str, type[Recipe]] = {recipe.model: recipe for recipe in (FCN, UNet, DeepLabV3Plus, FPN, DCGAN, CGAN, VAE)}

__all__ = [
    "CGAN",
    "DCGAN",
    "FCN",
    "FPN",
    "MODELS",
    "NAMED",
    "VAE",
    "YOURS",
    "DeepLabV3Plus",
    "Named",
    "Recipe",
    "Segmenter",
    "UNet",
    "WrongUseError",
    "as_typed",
    "by_present_names",
    "read_settings",
]
