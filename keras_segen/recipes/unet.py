r"""U-Net on a folder of images and masks, on named data sets, or on the embedded shapes.

What to run, and what to expect of it; "not yet run" wants a GPU or a download. Times are of two cores of an AMD EPYC,
Zen 5 where nothing else is said.

keras-segen train unet --data shapes
        Drawn scenes, 256 to score it on: mean IoU 0.923 in 2 minutes.

keras-segen train unet --data FOLDER
        Nuclei of the 2018 Data Science Bowl, 264 images, 100 to score it on: mean IoU 0.889 in 5.6 minutes.
        Membranes of ISBI 2012, 24 images, 6 to score it on: mean IoU 0.782 in 9.6 minutes, other work running.

keras-segen train unet --data FOLDER --filters 64 128 256 512 1024 --padding valid --loss cross_entropy \
    --optimizer sgd --learning-rate 0.01 --schedule constant --batch-size 1 --image-size 388 --epochs 60
        The network, crop and batch of Ronneberger et al., 2015 (section 3), on their membranes; without their weights
        for what lies between touching cells, their elastic deformations and their momentum of 0.99. Not yet run.

keras-segen train unet --data voc --backbone mobilenet --alpha 0.25 --filters 8 16 32 64 128 --loss cross_entropy \
    --image-size 320 --batch-size 8 --steps-per-epoch 55 --frozen-epochs 2 --learning-rate 0.003 \
    --released-learning-rate 0.0005 --epochs 34
        What there is of it, as for FCN: mean IoU over seven classes 0.285, where FCN-8s has 0.508; 46 minutes of
        processor time. U-Net's way up begins at random and has few images to learn from.

keras-segen train unet --data voc_trainaug --backbone resnet50 --loss cross_entropy --image-size 512 --batch-size 16 \
    --frozen-epochs 2 --epochs 50
keras-segen train unet --data voc2007 --backbone resnet50 --loss cross_entropy --image-size 320 --frozen-epochs 5 \
    --epochs 100
keras-segen train unet --data oxford_iiit_pet --backbone mobilenet --image-size 256 --frozen-epochs 1 --epochs 10
keras-segen train unet --data coco --backbone resnet50 --loss cross_entropy --image-size 512 --frozen-epochs 1 \
    --epochs 12
        Not yet run.
"""

from typing import Any

import keras

from keras_segen import models
from keras_segen.errors import InputError
from keras_segen.recipes import segmentation as task
from keras_segen.recipes import segmenters, start

__all__ = ["DEFAULTS", "build", "check", "task"]

DEFAULTS: dict[str, Any] = {
    **segmenters.DEFAULTS,
    "epochs": 6,
    "steps_per_epoch": 200,  # or more, where one pass over the data takes more
    "batch_size": 16,
    "image_size": 128,  # side of the training crops, pixels
    "backbone": None,  # or vgg16, resnet50, mobilenet instead of its own way down
    "filters": None,  # of the levels; (16, 32, 64, 128), or (16, 32, 64, 128, 256) on a backbone
    "padding": "same",  # or "valid", as in the paper
    "deep_supervision": False,  # judge coarser levels too
}


def check(config: dict[str, Any]) -> None:
    """Raise `InputError` for options that go with no network."""
    segmenters.check(config)
    start.check(config, ("filters", "padding"))
    filters, backbone = config["filters"], config["backbone"]
    if filters is not None and len(filters) < 2:
        raise InputError(f"--filters needs at least two widths, one a level; it has {filters}")
    if filters is not None and backbone is not None and len(filters) != 5:
        raise InputError(f"--filters needs five widths on a backbone, for strides 1, 2, 4, 8, 16; it has {filters}")
    if backbone is not None and config["padding"] == "valid":
        raise InputError("--padding valid is of the network without a backbone: leave out --backbone or --padding")
    if config["deep_supervision"] and filters is not None and len(filters) < 3:
        raise InputError(f"--deep-supervision needs three widths or more in --filters; it has {filters}")
    for name in ("output_codes", "refinement"):
        if config["deep_supervision"] and config[name]:
            raise InputError(f"--deep-supervision does not go with --{name.replace('_', '-')}: leave out one of them")


def build(config: dict[str, Any]) -> keras.Model:
    """Return the compiled model for a run's config."""
    model = models.unet(
        segmenters.channels(config),
        # A quarter of the paper's and a level less: a CPU trains it in minutes.
        filters=None if config["backbone"] else config["filters"] or (16, 32, 64, 128),
        decoder_filters=config["filters"] if config["backbone"] else None,
        padding=config["padding"],
        deep_supervision=config["deep_supervision"],
        **segmenters.backbone_options(config),
    )
    return segmenters.compiled(model, config)
