import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_segen.callbacks import FineTuning
from keras_segen.errors import InputError
from keras_segen.losses import CrossEntropy
from keras_segen.models import deeplab_v3_plus, fpn, freeze, unet

MOBILENET = {"backbone": "mobilenet", "backbone_width": 0.25, "backbone_weights": None}


def small():
    keras.utils.set_random_seed(0)
    return fpn(3, pyramid_filters=4, segmentation_filters=4, **MOBILENET)


def stage_of(layer):
    """Return the stage of a MobileNet's layer, 1 to 5, by the number of its block."""
    block = int(layer.name.split("_")[2]) if layer.name[:7] in ("conv_dw", "conv_pw", "conv_pa") else 0
    return 1 + sum(block >= first for first in (2, 4, 6, 12))


@pytest.mark.parametrize("stages", range(6))
def test_stages_end_at_the_maps_of_each_stride(stages):
    model = small()
    freeze(model, stages=stages)
    layers = [layer for layer in model.get_layer("backbone").layers if layer.weights]
    assert {stage_of(layer) for layer in layers if not layer.trainable} == set(range(1, stages + 1))
    assert {stage_of(layer) for layer in layers if layer.trainable} == set(range(stages + 1, 6))
    assert model.get_layer("lateral4").trainable


def test_all_are_frozen_by_default_and_all_are_released_by_none():
    model = small()
    freeze(model)
    assert not model.get_layer("backbone").trainable_weights
    freeze(model, stages=0)
    assert not [w for w in model.get_layer("backbone").weights if not w.trainable and "moving" not in w.path]


def test_an_atrous_backbone_has_a_stage_less():
    model = deeplab_v3_plus(3, filters=4, low_level_filters=2, **MOBILENET)
    with pytest.raises(ValueError, match="has 4 stages. Received: stages=5"):
        freeze(model, stages=5)


def test_what_cannot_be_frozen_is_refused():
    with pytest.raises(InputError, match="no layer 'backbone' to freeze"):
        freeze(unet(3, filters=(4, 8)))
    with pytest.raises(ValueError, match="stages=-1"):
        freeze(small(), stages=-1)


@pytest.mark.parametrize("released", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_frozen_stages_do_not_move_in_one_bit_and_the_others_do(released):
    rng = np.random.default_rng(0)
    images, masks = rng.uniform(0, 255, (4, 64, 64, 3)), rng.integers(0, 3, (4, 64, 64))
    data = tf.data.Dataset.from_tensor_slices((images.astype("float32"), masks.astype("uint8"))).batch(2)
    model = small()
    if not released:
        freeze(model, stages=3)
    model.compile(keras.optimizers.Adam(1e-2), CrossEntropy(), jit_compile=False)
    backbone = model.get_layer("backbone")
    before = {(layer.name, w.path): w.numpy().copy() for layer in backbone.layers for w in layer.weights}
    tuning = [FineTuning(1, 1e-2, frozen_stages=3)] if released else []
    model.fit(data, epochs=2, callbacks=tuning, verbose=0, shuffle=False)
    for layer in backbone.layers:
        for weight in layer.weights:
            moved = (before[layer.name, weight.path] != weight.numpy()).any()
            assert moved == (stage_of(layer) > 3), weight.path
    assert any("moving" in path for _, path in before)
