"""Recipes: a model on a data set, ready to run. The table below is all there is to look up.

A recipe is a module with `DEFAULTS`, the options of `train` that it has and their values; `check(config)`, which
refuses what cannot be; `build(config)`, the compiled model; and `task`, the module of what training, scoring and
picturing it consist of: `load_data`, `validate`, `monitor`, `MODE`, `callbacks`, `score`, `table`, `draw`.
"""

from types import ModuleType

from keras_segen.recipes import cgan, dcgan, fcn, unet, vae

RECIPES: dict[str, ModuleType] = {"fcn": fcn, "unet": unet, "dcgan": dcgan, "cgan": cgan, "vae": vae}

__all__ = ["RECIPES"]
