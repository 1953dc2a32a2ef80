"""U-Net on a folder of images and masks, or on the embedded shapes.

keras-segen train unet --data FOLDER
"""

from typing import Any

import keras

from keras_segen import losses, metrics, models
from keras_segen.errors import InputError
from keras_segen.recipes import segmentation as task

__all__ = ["DEFAULTS", "build", "check", "task"]

DEFAULTS: dict[str, Any] = {
    "epochs": 6,
    "steps_per_epoch": 200,  # or more, where one pass over the data takes more
    "batch_size": 16,
    "image_size": 128,  # side of the training crops, pixels
    "learning_rate": 1e-3,  # of Adam at the start; it falls to 0 along a cosine
    "filters": [16, 32, 64, 128],  # a quarter of the paper's and a level less: a CPU trains it in minutes
    "data_dir": None,  # where named data sets lie
}


def check(config: dict[str, Any]) -> None:
    """Raise `InputError` for options that go with no network."""
    if len(config["filters"]) < 2:
        raise InputError(f"--filters needs at least two widths, one a level; it has {config['filters']}")


def build(config: dict[str, Any]) -> keras.Model:
    """Return the compiled model for a run's config."""
    num_classes = len(config["class_names"])
    model = models.unet(num_classes, filters=config["filters"])
    decay = keras.optimizers.schedules.CosineDecay(
        config["learning_rate"], decay_steps=config["epochs"] * config["steps_per_epoch"]
    )
    model.compile(
        optimizer=keras.optimizers.Adam(decay),
        loss=losses.Sum([losses.CrossEntropy(), losses.Dice()]),
        metrics=[metrics.MeanIoU(num_classes), metrics.PixelAccuracy(num_classes)],
        jit_compile=config["jit_compile"],
    )
    return model
