"""Keras 3 models for image segmentation and generation: networks, losses, training, inference, metrics and data.

Examples in docstrings assume these imports:

    import keras
    import keras_segen as ks
    import numpy as np
    import tensorflow as tf
"""

from importlib.metadata import version

import keras

from keras_segen import (
    annotations,
    callbacks,
    classical,
    data,
    errors,
    files,
    geotiff,
    inference,
    latents,
    layers,
    losses,
    metrics,
    models,
    plotting,
    ranges,
    runs,
    serving,
    torch_file,
    training,
    types,
)
from keras_segen.errors import InputError
from keras_segen.runs import Run

if keras.config.image_data_format() != "channels_last":
    raise ImportError(
        'keras_segen works with channels last: write "image_data_format": "channels_last" into keras.json, or call '
        'keras.config.set_image_data_format("channels_last") before the import'
    )
if keras.config.floatx() != "float32":
    raise ImportError(
        f'keras_segen works with floatx "float32", not "{keras.config.floatx()}": write "floatx": "float32" into '
        'keras.json, or call keras.config.set_floatx("float32") before the import; for half precision call '
        'keras.config.set_dtype_policy("mixed_bfloat16")'
    )

__version__ = version("keras-segen")
__all__ = [
    "InputError",
    "Run",
    "annotations",
    "callbacks",
    "classical",
    "data",
    "errors",
    "files",
    "geotiff",
    "inference",
    "latents",
    "layers",
    "losses",
    "metrics",
    "models",
    "plotting",
    "ranges",
    "runs",
    "serving",
    "torch_file",
    "training",
    "types",
]
