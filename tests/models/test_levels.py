import keras
import numpy as np
import pytest
from keras import applications, layers

from keras_segen.models._levels import SIDE, levels

BUILDERS = {
    "vgg16": applications.VGG16,
    "mobilenet": applications.MobileNet,
    "mobilenet_v2": applications.MobileNetV2,
    "resnet50": applications.ResNet50,
    "inception_v3": applications.InceptionV3,
    "convnext_tiny": applications.ConvNeXtTiny,
}
# By name, the stride, the origin, the cells of SIDE pixels and the layer of each level, read off the networks by hand.
KNOWN = {
    "vgg16": {1: (0, "block1_conv2"), 2: (0.5, "block2_conv2"), 4: (1.5, "block3_conv3"), 8: (3.5, "block4_conv3")}
    | {16: (7.5, "block5_conv3"), 32: (15.5, "block5_pool")},
    # Padded below and to the right alone: a cell sees its last pixel.
    "mobilenet": {2: (1, "conv_pw_1_relu"), 4: (3, "conv_pw_3_relu"), 8: (7, "conv_pw_5_relu")}
    | {16: (15, "conv_pw_11_relu"), 32: (31, "conv_pw_13_relu")},
    "mobilenet_v2": {2: (1, "block_1_expand_relu"), 4: (3, "block_3_expand_relu"), 8: (7, "block_6_expand_relu")}
    | {16: (15, "block_13_expand_relu"), 32: (31, "out_relu")},
    # Padded alike on both sides.
    "resnet50": {2: (0, "conv1_relu"), 4: (0, "conv2_block3_out"), 8: (0, "conv3_block4_out")}
    | {16: (0, "conv4_block6_out"), 32: (0, "conv5_block3_out")},
    # Not padded.
    "inception_v3": {2: (3, None), 4: (9, None), 8: (13, "mixed2"), 16: (21, "mixed7"), 32: (37, "mixed10")},
    # Windows as wide as their stride, inside nested models.
    "convnext_tiny": {4: (1.5, None), 8: (3.5, None), 16: (7.5, None), 32: (15.5, None)},
}


@pytest.mark.parametrize("name", KNOWN)
def test_levels_lie_where_they_do_by_hand(name):
    network = BUILDERS[name](include_top=False, weights=None, input_shape=(SIDE, SIDE, 3))
    found = levels(network)
    assert {stride: level.place.origin for stride, level in found.items()} == {
        s: o for s, (o, _) in KNOWN[name].items()
    }
    assert all(level.place.stride == stride for stride, level in found.items())
    for stride, (_, layer) in KNOWN[name].items():
        if layer is not None:
            assert found[stride].tensor is network.get_layer(layer).output


def chain(*parts):
    x = image = keras.Input((SIDE, SIDE, 3))
    for part in parts:
        x = part(x)
    return keras.Model(image, x)


class Halves(layers.Layer):
    """A layer that nothing is known of: it keeps every second row and column, from the second on."""

    def call(self, inputs):
        return inputs[:, 1::2, 1::2]

    def compute_output_shape(self, input_shape):
        batch, height, width, channels = input_shape
        return batch, height // 2, width // 2, channels


@pytest.mark.parametrize(
    ("parts", "stride", "origin", "cells"),
    [
        ([layers.Conv2D(2, 3, strides=2, padding="same")], 2, 1.0, SIDE // 2),
        ([layers.Conv2D(2, 3, strides=2)], 2, 1.0, SIDE // 2 - 1),
        ([layers.Conv2D(2, 3, dilation_rate=2)], 1, 2.0, SIDE - 4),
        ([layers.ZeroPadding2D(3), layers.Conv2D(2, 7, strides=2)], 2, 0.0, SIDE // 2),
        ([layers.Conv2D(2, 1), layers.Cropping2D(((2, 0), (2, 0))), layers.AveragePooling2D(2)], 2, 2.5, SIDE // 2 - 1),
        ([layers.Conv2D(2, 1), Halves()], 2, 1.0, SIDE // 2),
        ([layers.SeparableConv2D(2, 3, padding="same"), layers.MaxPooling2D(3, 2, "same")], 2, 1.0, SIDE // 2),
    ],
)
def test_a_layer_moves_its_cells(parts, stride, origin, cells):
    level = levels(chain(*parts))[stride]
    assert (level.place.origin, level.cells) == (origin, cells)


def test_an_odd_number_of_cells_is_padded_alike_on_both_sides():
    # 256 pixels -> 255 cells -> 128 cells, the first of which looks at the first one and beyond the edge.
    level = levels(chain(layers.Conv2D(2, 2), layers.Conv2D(2, 3, strides=2, padding="same")))[2]
    assert (level.place.origin, level.cells) == (0.5, 128)


def test_what_hangs_on_the_whole_image_has_no_place():
    image = keras.Input((SIDE, SIDE, 3))
    x = layers.Conv2D(4, 2, strides=2)(image)
    excited = layers.Multiply(name="excited")([x, layers.GlobalAveragePooling2D(keepdims=True)(x)])
    found = levels(keras.Model(image, layers.Dense(3)(layers.GlobalAveragePooling2D()(excited))))
    assert {stride: level.tensor for stride, level in found.items()} == {2: excited}


def test_a_network_without_maps_is_refused():
    with pytest.raises(ValueError, match="has no feature map whose cells lie on a grid"):
        levels(chain(layers.Flatten(), layers.Dense(2)))


def test_places_are_those_at_which_impulses_are_seen():
    network = chain(layers.Conv2D(1, 3, strides=2), layers.Conv2D(1, 5, strides=2, padding="same"))
    for layer in network.layers[1:]:
        layer.kernel.assign(np.ones(layer.kernel.shape))
    place = levels(network)[4].place
    cell = 20
    rows = np.zeros((SIDE, SIDE, SIDE, 3), "float32")
    rows[np.arange(SIDE), np.arange(SIDE)] = 1
    response = network.predict(rows, verbose=0)[:, cell, cell, 0]
    assert (response * np.arange(SIDE)).sum() / response.sum() == pytest.approx(place.origin + place.stride * cell)
