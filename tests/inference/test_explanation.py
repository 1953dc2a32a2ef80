"""Explanations, on scenes where one region alone can matter, and against derivatives by differences."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from keras_segen.inference import _explanation, augmented, explain
from keras_segen.layers import BilinearUpSampling
from keras_segen.models import deeplab_v3_plus, encoder_maps, fcn, fpn, refined, unet

RED, GREEN = (255, 0, 0), (0, 255, 0)
SIZE = (48, 64)
RED_SQUARE, GREEN_SQUARE = (slice(8, 24), slice(12, 24)), (slice(24, 40), slice(36, 56))


@pytest.fixture
def colours():
    """A segmenter of black, red and green: what it sees of a colour counts for that alone."""
    image = keras.Input((None, None, 3))
    by_colour = layers.Conv2D(2, 1, use_bias=False)
    fine = layers.AveragePooling2D(2)(by_colour(image))
    encoder = keras.Model(image, [fine, layers.AveragePooling2D(2)(fine)], name="backbone")
    by_colour.kernel.assign(np.eye(3)[:, :2].reshape(1, 1, 3, 2) / 255)
    image = keras.Input((None, None, 3), name="image")
    scores = layers.Conv2D(3, 1)
    logits = scores(BilinearUpSampling(4)(encoder(image)[1]))
    scores.kernel.assign([[[[0, 2, 0], [0, 0, 2]]]])
    scores.bias.assign([0.5, 0, 0])
    return keras.Model(image, logits)


@pytest.fixture
def squares():
    """A red and a green square on black."""
    image = np.zeros((*SIZE, 3), np.uint8)
    image[RED_SQUARE], image[GREEN_SQUARE] = RED, GREEN
    return image


def seen_at(place, stride):
    """A square as a map of the stride shows it, on the image's pixels."""
    mask = np.zeros((1, *SIZE, 1), np.float32)
    mask[0][place] = 1
    cells = tf.nn.avg_pool2d(mask, stride, stride, "VALID")
    return tf.image.resize(cells, SIZE)[0, ..., 0]


@pytest.mark.parametrize("stride", [2, 4])
@pytest.mark.parametrize(("class_id", "place"), [(1, RED_SQUARE), (2, GREEN_SQUARE)])
def test_only_the_square_of_a_class_speaks_for_it(colours, squares, class_id, place, stride):
    heat = explain(colours, squares, class_id, stride=stride)
    np.testing.assert_allclose(heat, seen_at(place, stride), atol=1e-6)


@pytest.mark.parametrize("region", [(10, 14), np.pad(np.ones((2, 3)), ((10, 36), (14, 47)))])
def test_a_region_asks_what_would_speak_for_a_class_there(colours, squares, region):
    np.testing.assert_allclose(explain(colours, squares, 2, region=region), seen_at(GREEN_SQUARE, 4), atol=1e-6)


def test_a_class_that_is_nowhere_is_explained_by_all_pixels(colours, squares):
    squares[RED_SQUARE] = 0
    squares[10, 14] = (20, 0, 0)  # too little for a label
    heat = explain(colours, squares, 1)
    assert np.unravel_index(heat.argmax(), SIZE)[0] in range(8, 12)
    assert heat.max() == 1
    assert not heat[GREEN_SQUARE].any()


def test_where_nothing_speaks_for_a_class_there_is_no_heat(colours, squares):
    squares[RED_SQUARE] = 0
    np.testing.assert_array_equal(explain(colours, squares, 1), np.zeros(SIZE))


def test_channels_are_weighted_by_the_mean_of_their_gradients():
    keras.utils.set_random_seed(0)
    model = unet(3, filters=(4, 8))
    image = np.random.default_rng(0).uniform(0, 255, (16, 16, 3)).astype("float32")
    bottom = encoder_maps(model)[2].tensor
    images = tf.constant(image[None])
    cells = keras.Model(model.input, bottom)(images)
    behind = keras.Model([model.input, bottom], model.output)

    def score(cells):
        return float(tf.reduce_sum(behind([images, cells])[0, ..., 1]))

    step = 1e-2
    units = np.eye(8)[:, None, None, None]
    slopes = [score(cells + step * unit) - score(cells - step * unit) for unit in units]
    weights = np.array(slopes) / (2 * step * 8 * 8)
    heat = tf.image.resize(np.maximum(np.asarray(cells) @ weights, 0)[..., None], (16, 16))[0, ..., 0]
    np.testing.assert_allclose(explain(model, image, 1, region=np.ones((16, 16))), heat / np.max(heat), atol=2e-2)


NARROW = {"backbone_weights": None, "backbone_width": 0.25}
SEGMENTERS = {
    "unet": lambda: unet(2, filters=(4, 8, 12)),
    "unpadded": lambda: unet(2, filters=(4, 8, 12), padding="valid"),
    "deeply supervised": lambda: unet(2, filters=(4, 8, 12), deep_supervision=True),
    "refined": lambda: refined(unet(2, filters=(4, 8, 12)), filters=4),
    "on a backbone": lambda: unet(2, backbone="mobilenet", decoder_filters=(4, 4, 8, 8, 8), **NARROW),
    "fcn": lambda: fcn(2, **NARROW),
    "deeplab_v3_plus": lambda: deeplab_v3_plus(2, filters=8, **NARROW),
    "fpn": lambda: fpn(2, pyramid_filters=8, segmentation_filters=8, **NARROW),
}
STRIDES = {"deeplab_v3_plus": (2, 4, 8, 16)} | dict.fromkeys(("on a backbone", "fcn", "fpn"), (2, 4, 8, 16, 32))


@pytest.mark.parametrize("name", SEGMENTERS)
def test_each_network_is_explained_at_each_level(name, tmp_path):
    SEGMENTERS[name]().save(tmp_path / "model.keras")
    model = keras.saving.load_model(tmp_path / "model.keras")
    image = np.random.default_rng(0).integers(0, 256, (49, 67, 3), np.uint8)
    assert tuple(encoder_maps(model)) == STRIDES.get(name, (1, 2, 4))
    for stride in (None, *encoder_maps(model)):
        heat = explain(model, image, 1, stride=stride)
        assert heat.shape == (49, 67)
        assert heat.dtype == "float32"
        assert 0 <= heat.min() <= heat.max() <= 1


def test_an_unpadded_network_sees_beyond_the_image():
    model = unet(2, filters=(4, 8, 12), padding="valid")
    origins = {stride: found.origin for stride, found in encoder_maps(model).items()}
    # Mirrored by 20 pixels; then two convolutions a level, each of which takes a cell.
    assert origins == {1: -20 + 2, 2: -20 + 2.5 + 4, 4: -20 + 7.5 + 8}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"class_id": 3}, "classes from 0 to 2"),
        ({"class_id": -1}, "classes from 0 to 2"),
        ({"class_id": 1, "stride": 8}, "strides 2, 4.*stride=8"),
        ({"class_id": 1, "region": (48, 0)}, r"a row and a column of the image, \(48, 64\)"),
        ({"class_id": 1, "region": (1, 2, 3)}, "a row and a column"),
        ({"class_id": 1, "region": np.ones((4, 4))}, r"\(4, 4\) and 16 pixels"),
        ({"class_id": 1, "region": np.zeros(SIZE)}, "and 0 pixels"),
    ],
)
def test_wrong_use_is_refused(colours, squares, options, message):
    with pytest.raises(ValueError, match=message):
        explain(colours, squares, **options)


def test_an_image_that_is_too_large_is_refused(colours, squares, monkeypatch):
    monkeypatch.setattr(_explanation, "WHOLE", 48 * 64 - 1)
    with pytest.raises(ValueError, match=r"make it smaller. Received: \(48, 64\)"):
        explain(colours, squares, 1)


@pytest.mark.parametrize(
    "make",
    [
        lambda: augmented(unet(2, filters=(4, 8))),
        lambda: keras.Sequential([keras.Input((8, 8, 3)), layers.Conv2D(2, 1)]),
    ],
)
def test_a_model_without_known_maps_is_refused(make):
    with pytest.raises(ValueError, match="has no encoder whose maps are known"):
        explain(make(), np.zeros((8, 8, 3), np.uint8), 1)
