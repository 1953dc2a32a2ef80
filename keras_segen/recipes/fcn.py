"""FCN on a folder of images and masks, on Pascal VOC, or on the embedded shapes.

keras-segen train fcn --data voc --stride 8 --alpha 0.25
"""

from typing import Any

import keras

from keras_segen import models
from keras_segen.errors import InputError
from keras_segen.recipes import segmentation as task
from keras_segen.recipes import segmenters
from keras_segen.runs import Run

__all__ = ["DEFAULTS", "build", "check", "task"]

DEFAULTS: dict[str, Any] = {
    **segmenters.DEFAULTS,
    "epochs": 36,
    "steps_per_epoch": 50,  # or more, where one pass over the data takes more
    "batch_size": 8,
    "image_size": 320,  # side of the training crops, pixels
    "backbone": "mobilenet",  # or vgg16, the paper's, or resnet50
    "stride": 8,  # of the finest map that counts: FCN-32s, -16s or -8s
    "start_from": None,  # the run of an FCN of greater stride: staged training
}


def check(config: dict[str, Any]) -> None:
    """Raise `InputError` for options that go with no network."""
    segmenters.check(config)
    if config["start_from"] is None:
        return
    before = Run(config["start_from"]).config()
    for name in ("model", "backbone", "alpha", "output_codes"):
        if before.get(name) != config[name]:
            raise InputError(
                f"--start-from {config['start_from']}: was trained with {name} {before.get(name)}, not {config[name]}"
            )
    if before["stride"] <= config["stride"]:
        raise InputError(
            f"--start-from {config['start_from']}: is an FCN-{before['stride']}s, which is no coarser than "
            f"--stride {config['stride']}: train 32, 16 and 8 in this order"
        )


def build(config: dict[str, Any]) -> keras.Model:
    """Return the compiled model for a run's config."""
    coarser = None if config["start_from"] is None else Run(config["start_from"]).load_best()
    options = segmenters.backbone_options(config) | ({"weights": None} if coarser else {})
    model = models.fcn(segmenters.channels(config), stride=config["stride"], coarser=coarser, **options)
    return segmenters.compiled(model, config)
