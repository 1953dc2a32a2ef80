import keras
import numpy as np
import pytest
from keras import layers

from keras_segen.models._applications import classifier
from keras_segen.models._atrous import atrous
from keras_segen.models._levels import SIDE, levels


def deepest(network, image):
    found = levels(network)
    return np.asarray(keras.Model(network.input, found[max(found)].tensor)(image)), found[max(found)].place


@pytest.mark.parametrize(
    ("name", "width", "first"),
    [
        ("mobilenet", 0.25, 1),  # its 3×3 windows stand around every second cell, beginning with the second
        pytest.param("resnet50_v2", 1, 0, marks=pytest.mark.slow),  # windows with borders of their own
        pytest.param("vgg16", 1, 0, marks=pytest.mark.slow),  # pooling
        pytest.param("convnext_tiny", 1, 0, marks=pytest.mark.slow),  # models within the model
    ],
)
def test_every_second_cell_sees_what_the_networks_own_cells_see(name, width, first):
    network = classifier(name, weights=None, width=width)
    image = np.random.default_rng(0).uniform(-1, 1, (1, SIDE, SIDE, 3)).astype("float32")
    coarse, before = deepest(network, image)
    fine, after = deepest(atrous(network, 16), image)
    assert (before.stride, after.stride) == (32, 16)
    assert before.origin == after.origin + 16 * first
    np.testing.assert_allclose(fine[:, first::2, first::2], coarse, atol=1e-5 * np.abs(coarse).max())


def test_every_fourth_cell_does_at_a_stride_of_8():
    network = classifier("mobilenet", weights=None, width=0.25)
    image = np.random.default_rng(0).uniform(-1, 1, (1, SIDE, SIDE, 3)).astype("float32")
    coarse, before = deepest(network, image)
    fine, after = deepest(atrous(network, 8), image)
    assert before.origin == after.origin + 8 * 3
    np.testing.assert_allclose(fine[:, 3::4, 3::4], coarse, atol=1e-5 * np.abs(coarse).max())


def network(*behind):
    image = keras.Input((SIDE, SIDE, 3))
    x = image
    for _ in range(4):
        x = layers.Conv2D(2, 3, strides=2, padding="same")(x)
    for layer in behind:
        x = layer(x)
    return keras.Model(image, x)


def strided():
    return layers.Conv2D(2, 3, strides=2, padding="same")


@pytest.mark.parametrize(
    ("behind", "message"),
    [
        ([strided(), layers.MaxPooling2D(3, 1, "same", name="pool")], "'pool', a MaxPooling2D,.*has no spread windows"),
        ([strided(), layers.Cropping2D(1, name="cut")], "'cut', a Cropping2D,.*how its cells lie"),
        ([layers.ZeroPadding2D(2, name="border"), layers.Conv2D(2, 3, strides=2)], "'border'.*not that of one window"),
        ([strided(), layers.ZeroPadding2D(1, name="border")], "'border'.*not that of one window"),
    ],
)
def test_layers_that_cannot_be_spread_are_named(behind, message):
    with pytest.raises(ValueError, match=rf"{message}.*Use an output stride of 32. Received: output_stride=16"):
        atrous(network(*behind), 16)


def test_a_network_without_coarser_maps_stays_as_it_is():
    plain = network()
    image = np.random.default_rng(0).uniform(-1, 1, (1, SIDE, SIDE, 3)).astype("float32")
    np.testing.assert_array_equal(atrous(plain, 16)(image), plain(image))
