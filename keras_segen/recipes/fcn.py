r"""FCN on a folder of images and masks, on named data sets, or on the embedded shapes.

What to run, and what to expect of it; "not yet run" wants a GPU or a download. Times are of two cores of an AMD EPYC
(Zen 4), other work running. MobileNet's weights are ImageNet's; any of these ends in sharper boundaries with
`--refinement`.

Pascal VOC, in full or what is there of it in `VOCdevkit`:

keras-segen train fcn --data voc --alpha 0.25 --loss cross_entropy --frozen-epochs 2 --learning-rate 0.003 \
    --released-learning-rate 0.0005 --epochs 34 [--stride 16 | 32]
        440 images of animals and people, 145 to score it on: 15 minutes. Mean IoU over the seven classes with enough
        images: FCN-8s 0.508, -16s 0.524, -32s 0.496; 0.148 from scratch, by `--weights none --learning-rate 0.001`.
        All 1,464 and 1,449 images: not yet run.

keras-segen train fcn --data voc_trainaug --backbone vgg16 --stride 32 --loss cross_entropy --optimizer sgd \
    --schedule constant --learning-rate 0.0001 --weight-decay 0.0005 --batch-size 20 --image-size 512 --epochs 100
        and then `--stride 16 --start-from RUN`, `--stride 8 --start-from RUN`: the settings of Long et al., 2015,
        section 4.3, who report 0.594, 0.624 and 0.627 (table 2). Not yet run.

keras-segen train fcn --data voc2007 --backbone resnet50 --loss cross_entropy --frozen-epochs 5 --epochs 100
        Not yet run.

A folder, such as the nuclei of the 2018 Data Science Bowl:

keras-segen train fcn --data FOLDER --alpha 0.25 --loss cross_entropy --image-size 256 --frozen-epochs 1 \
    --learning-rate 0.003 --released-learning-rate 0.001 --epochs 13 [--refinement]
        264 images of nuclei, 100 to score it on: mean IoU 0.858 in 5.5 minutes; with the refinement 0.894 in 10.8.

keras-segen train fcn --data shapes --alpha 0.25 --loss cross_entropy --image-size 128 --batch-size 16 \
    --frozen-epochs 1 --learning-rate 0.003 --released-learning-rate 0.001 --epochs 4 --refinement
        Drawn scenes, 256 to score it on: mean IoU 0.913 in 5.3 minutes.

keras-segen train fcn --data oxford_iiit_pet --loss cross_entropy --image-size 256 --batch-size 16 --frozen-epochs 1 \
    --learning-rate 0.003 --released-learning-rate 0.0005 --epochs 10
        Not yet run.

keras-segen train fcn --data coco --backbone resnet50 --loss cross_entropy --image-size 512 --batch-size 16 --epochs 12
        Not yet run.
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
    "stride": 8,  # of the finest map that counts: FCN-32s, -16s or -8s; `start_from` a greater one is staged training
}


def check(config: dict[str, Any]) -> None:
    """Raise `InputError` for options that go with no network."""
    segmenters.check(config)
    if config["start_from"] is None:
        return
    before = Run(config["start_from"]).config()
    if before["stride"] < config["stride"]:
        raise InputError(
            f"--start-from {config['start_from']}: is an FCN-{before['stride']}s, which is finer than --stride "
            f"{config['stride']}: train 32, 16 and 8 in this order"
        )


def build(config: dict[str, Any]) -> keras.Model:
    """Return the compiled model for a run's config."""
    options = segmenters.backbone_options(config)
    return segmenters.compiled(models.fcn(segmenters.channels(config), stride=config["stride"], **options), config)
