"""Every decoder on the smallest of each family of keras.applications: one test of all."""

import re
from unittest import mock

import keras
import numpy as np
import pytest
from keras import layers

from keras_segen.models import _backbones as backbones
from keras_segen.models import deeplab_v3_plus, fcn, fpn, freeze, unet
from keras_segen.models._applications import BACKBONES

FAMILIES = [
    "convnext_tiny",
    "densenet121",
    "efficientnet_b0",
    "efficientnet_v2_b0",
    "inception_resnet_v2",
    "inception_v3",
    "mobilenet",
    "mobilenet_v2",
    "mobilenet_v3_small",
    "nasnet_mobile",
    "resnet50",
    "resnet50_v2",
    "vgg16",
    "xception",
]
SMALL = ("mobilenet", "mobilenet_v2", "mobilenet_v3_small")  # which are built and saved in seconds
# Those with pooling in their last stage.
NOT_ATROUS = ("inception_v3", "nasnet_mobile")
SIZE = (97, 131)
SIDE = 384  # of the images that show where cells lie: their borders must not be seen in their middle


def build_fcn(backbone):
    return fcn(1, backbone=backbone, backbone_weights=None)


def build_unet(backbone):
    return unet(1, backbone=backbone, backbone_weights=None, decoder_filters=(4, 4, 8, 8, 8))


def build_deeplab(backbone):
    stride = 32 if backbone in NOT_ATROUS else 16
    return deeplab_v3_plus(1, backbone=backbone, backbone_weights=None, filters=8, output_stride=stride)


def build_fpn(backbone):
    return fpn(1, backbone=backbone, backbone_weights=None, pyramid_filters=8, segmentation_filters=8)


def pass_on(model):
    """Make every window hand on the mean of the channels at its middle, so that only the places of cells are left."""
    for layer in model._flatten_layers():
        if isinstance(layer, layers.Dense) or layer.name == "aspp_project_mean":
            layer.kernel.assign(np.zeros(layer.kernel.shape))  # what depends on the whole image
        elif hasattr(layer, "kernel_size"):
            for kernel in layer.weights:
                if len(kernel.shape) != 4:
                    continue
                value = np.zeros(kernel.shape, "float32")
                middle = [slice((size - 1) // 2, size // 2 + 1) for size in kernel.shape[:2]]
                depthwise = isinstance(layer, layers.DepthwiseConv2D) or "depthwise" in kernel.path
                value[*middle] = 1
                kernel.assign(value / value[..., 0, 0].sum() if depthwise else value / value[..., 0].sum())


def response(model, axis):
    """Return what each pixel's logit says of its own coordinate, when the image does nothing but rise or fall along it.

    What is not linear, such as pooling by the greatest, cancels out between the image that rises and the one that
    falls.
    """
    sides = [32, 32]
    sides[axis - 1] = SIDE
    coordinates = np.arange(SIDE) - (SIDE - 1) / 2
    ramp = np.broadcast_to(coordinates[:, None] if axis == 1 else coordinates, sides)[None, ..., None]
    images = np.concatenate([180 + 0.02 * ramp, 180 - 0.02 * ramp]).repeat(3, -1).astype("float32")
    # Its result is the same for all cells if all channels are the same.
    with mock.patch.object(layers.LayerNormalization, "call", lambda self, x: x):
        rising, falling = np.asarray(model(images, training=False))[..., 0].astype("float64")
    middle = [slice(16, 17), slice(16, 17)]
    middle[axis - 1] = slice(None)
    return (rising - falling)[tuple(middle)].ravel()


def offsets(model, axis):
    """Return by how many pixels the logits in the image's middle lie off."""
    seen = response(model, axis)
    inside = np.arange(SIDE // 2 - 32, SIDE // 2 + 32)
    slope = np.polyfit(inside, seen[inside], 1)[0]
    assert slope > 0
    return seen[inside] / slope - (inside - (SIDE - 1) / 2)


@pytest.fixture(autouse=True)
def narrow_fully_connected(monkeypatch):
    monkeypatch.setattr(backbones, "FULLY_CONNECTED", 16)  # 4,096 take gigabytes


def test_the_families_are_those_of_keras_applications():
    def family(name):
        """Return a network's name without its size."""
        return re.sub(r"(?<=[a-z])\d+|_(b\d|[sml]|tiny|small|base|large|xlarge|mobile)$", "", name.replace("_v", "_V"))

    assert {family(name) for name in BACKBONES} == {family(name) for name in FAMILIES}
    assert len(FAMILIES) == len({family(name) for name in FAMILIES}) == 14


@pytest.mark.slow
@pytest.mark.parametrize(
    ("build", "backbone"),
    [
        pytest.param(build, name, marks=() if build is build_fpn or name in SMALL else pytest.mark.exhaustive)
        for build in (build_fpn, build_fcn, build_unet, build_deeplab)
        for name in FAMILIES
    ],
)
def test_a_decoder_on_a_backbone(build, backbone, tmp_path):
    model = build(backbone)
    image = np.random.default_rng(0).uniform(0, 255, (1, *SIZE, 3)).astype("float32")
    logits = np.asarray(model(image, training=False))
    assert logits.shape == (1, *SIZE, 1)
    assert np.isfinite(logits).all()

    freeze(model, stages=1)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded(image, training=False), logits)
    trained = [[weight.path for weight in each.trainable_weights] for each in (model, loaded)]
    assert len(trained[0]) == len(trained[1]) < len(model.weights)
    freeze(loaded)
    assert not loaded.get_layer("backbone").trainable_weights

    pass_on(model)
    # Half a pixel is asked for; a map that lay off by one would show as 0.4 where four are added up.
    assert np.abs(offsets(model, axis=2)).max() <= 0.25
