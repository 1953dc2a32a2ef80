import gc
import itertools
import os
import subprocess
import sys
import weakref
from typing import NamedTuple

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import layers
from PIL import Image

from keras_segen import inference
from keras_segen.inference import _batches as batches
from keras_segen.inference import _network as network
from keras_segen.inference import _tiles as tiles
from keras_segen.layers import CropLike, PadToStride
from keras_segen.models import unet
from keras_segen.serving import export


def pixelwise(num_classes=3, stride=4):
    """A network that augmented at each pixel alone, by operations that are exact: the greater channel is the class."""
    image = keras.Input((None, None, num_classes))
    padded = layers.Rescaling(0.5)(PadToStride(stride)(image))
    return keras.Model(image, CropLike()([padded, image]))


def small_unet(levels=3, num_classes=4):
    """A U-Net whose weights and statistics are drawn, so that every one of them matters."""
    keras.utils.set_random_seed(0)
    model = unet(num_classes, filters=(4, 6, 8)[:levels])
    rng = np.random.default_rng(0)
    for variable in model.variables:
        if "moving_variance" in variable.path:
            variable.assign(rng.uniform(0.5, 1, variable.shape))
        elif "gamma" in variable.path or "kernel" not in variable.path:
            variable.assign(variable + rng.normal(0, 0.2, variable.shape))
    return model


def noise(height, width, channels=3, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, channels), np.uint8)


def whole(model, image):
    """The whole image's logits by Keras's own `predict`."""
    return model.predict(image[None].astype("float32"), verbose=0)[0]


def put_together(blocks, image, num_classes):
    """The blocks as one array; each pixel must be covered once."""
    logits = np.full((*image.shape[:2], num_classes), np.nan, np.float32)
    for rows, columns, part in blocks:
        assert np.isnan(logits[rows, columns]).all()
        assert part.shape == logits[rows, columns].shape
        logits[rows, columns] = part
    assert not np.isnan(logits).any()
    return logits


sizes = st.integers(1, 90)
overlaps = st.sampled_from([0.0, 0.1, 0.25, 0.5, 0.75, 0.9])


@settings(max_examples=40, deadline=None)
@given(height=sizes, width=sizes, tile=st.integers(4, 50), overlap=overlaps, batch_size=st.integers(1, 5))
def test_blocks_cover_each_pixel_once_and_constant_logits_stay_so_to_the_bit(height, width, tile, overlap, batch_size):
    image = np.broadcast_to(np.float32([0.1, 201.7, 77.3]), (height, width, 3))
    blocks = inference.tiled_logits(PIXELWISE, image, tile=tile, overlap=overlap, batch_size=batch_size)
    logits = put_together(blocks, image, 3)
    np.testing.assert_array_equal(
        logits, np.broadcast_to(np.float32([0.1, 201.7, 77.3]) * np.float32(0.5), logits.shape)
    )


@pytest.mark.slow
@settings(max_examples=40, deadline=None)
@given(height=sizes, width=sizes, tile=st.integers(4, 50), overlap=overlaps)
def test_pixelwise_network_gives_each_pixel_its_own_class(height, width, tile, overlap):
    image = noise(height, width)
    (label_map,) = inference.predict(PIXELWISE, [image], tile=tile, overlap=overlap)
    assert label_map.dtype == np.uint8
    np.testing.assert_array_equal(label_map, image.argmax(-1))


PIXELWISE = pixelwise()


class Tiling(NamedTuple):
    """Tiles along a side of an image, and what they were asked for."""

    extent: int
    tile: int
    overlap: float
    stride: int

    @property
    def side(self):
        return tiles.side_of(self.extent, self.tile, self.overlap, tiles.Padding(self.stride, 0))

    @property
    def padded(self):
        return -(-self.extent // self.stride) * self.stride


def any_tiling(test):
    strides = st.sampled_from([1, 4, 16, 32])
    tilings = st.builds(Tiling, extent=st.integers(1, 400), tile=st.integers(1, 200), overlap=overlaps, stride=strides)
    return settings(max_examples=60, deadline=None)(given(tilings)(test))


@any_tiling
def test_tiles_have_whole_strides_and_no_more_than_are_needed(tiling):
    size = tiling.side.size
    assert size % tiling.stride == 0
    assert size == tiling.padded or tiling.tile <= size < tiling.tile + tiling.stride


@any_tiling
def test_tiles_begin_at_whole_strides(tiling):
    assert all(start % tiling.stride == 0 for start in tiling.side.starts)


@any_tiling
def test_tiles_reach_from_end_to_end(tiling):
    side = tiling.side
    assert side.starts[0] == 0
    assert side.starts[-1] + side.size == tiling.padded


@any_tiling
def test_tiles_finish_each_pixel_once(tiling):
    side = tiling.side
    assert sum(side.finished(k) for k in range(len(side.starts))) == tiling.padded


@any_tiling
def test_tiles_overlap_as_asked_for(tiling):
    side = tiling.side
    steps = np.diff(side.starts)
    assert (steps > 0).all()
    assert (steps <= max(side.size * (1 - tiling.overlap), tiling.stride)).all()


@any_tiling
def test_tiles_are_weighed_by_normalised_gaussians(tiling):
    side = tiling.side
    # Each tile's weight, after all later ones took their shares.
    weights = np.zeros((len(side.starts), tiling.padded))
    for k, (start, share) in enumerate(zip(side.starts, side.shares, strict=True)):
        both = slice(start, start + len(share))
        weights[:, both] *= 1 - share
        weights[k, both] = share
        weights[k, start + len(share) : start + side.size] = 1
    expected = np.zeros_like(weights)
    for row, start in zip(expected, side.starts, strict=True):
        distance = np.arange(side.size) - (side.size - 1) / 2
        row[start : start + side.size] = np.exp(-(distance**2) / (2 * (side.size / 8) ** 2))
    np.testing.assert_allclose(weights, expected / expected.sum(0), atol=1e-6)
    np.testing.assert_allclose(weights.sum(0), 1, atol=1e-6)


def test_blend_is_the_mean_by_gaussians_in_both_directions():
    # A network that answers with what it finds at its tile's first pixel: each tile is constant.
    image = keras.Input((None, None, 2))
    first = PadToStride(8)(image)[:, :1, :1]
    model = keras.Model(image, keras.ops.zeros_like(image) + first)
    picture = noise(40, 60, 2).astype("float32")
    logits = put_together(inference.tiled_logits(model, picture, tile=24, overlap=0.5), picture, 2)
    bump = np.exp(-((np.arange(24) - 11.5) ** 2) / (2 * 3**2))
    total, weight = np.zeros((40, 64, 2)), np.zeros((40, 64, 1))
    for top, left in itertools.product([0, 8, 16], [0, 8, 16, 24, 32, 40]):
        by = np.outer(bump, bump)[..., None]
        total[top : top + 24, left : left + 24] += by * picture[top, left]
        weight[top : top + 24, left : left + 24] += by
    np.testing.assert_allclose(logits, (total / weight)[:, :60], rtol=1e-5, atol=1e-4)


def margin(levels):
    """How far from a pixel a U-Net of so many levels looks, at most: 3×3 convolutions, twice a level down and up."""
    convolutions = 2 * (sum(2 * 2**level for level in range(levels - 1)) + 2 ** (levels - 1))
    return convolutions + 2 ** (levels - 1) - 1  # and pooling's cells


@pytest.mark.parametrize("levels", [2, 3])
def test_margin_is_the_receptive_field(levels):
    model = small_unet(levels)
    image = tf.Variable(noise(97, 97)[None].astype("float32"))
    reaches = []
    for row, column in itertools.product(range(48, 52), range(48, 52)):  # each place in a cell of pooling
        with tf.GradientTape() as tape:
            seen = tf.reduce_sum(model(image)[0, row, column])
        rows, columns, _ = np.nonzero(tape.gradient(seen, image).numpy()[0])
        reaches += [*np.abs(rows - row), *np.abs(columns - column)]
    assert max(reaches) == margin(levels)


def sees_enough(side, extent, reach):
    """Which pixels along a side lie so far inside each of their tiles, or at an end that is the image's own too."""
    pixels, enough = np.arange(extent), np.ones(extent, bool)
    for start in side.starts:
        end = start + side.size
        near_start = (pixels - start < reach) & (start > 0)
        near_end = (end - pixels <= reach) & (end < extent)
        enough &= (pixels < start) | (pixels >= end) | ~(near_start | near_end)
    return enough


@pytest.mark.parametrize("size", [(160, 224), (133, 239), (32, 250)])
@pytest.mark.parametrize("overlap", [0.25, 0.5])
def test_tiles_equal_the_whole_image_inside_the_receptive_margin(size, overlap):
    model, image, reach = small_unet(), noise(*size), margin(3)
    inside = np.outer(
        *(sees_enough(tiles.side_of(extent, 112, overlap, tiles.Padding(4, 0)), extent, reach) for extent in size)
    )
    assert inside.mean() > 0.1
    logits = put_together(inference.tiled_logits(model, image, tile=112, overlap=overlap, batch_size=3), image, 4)
    expected = whole(model, image)
    assert expected.std() > 0.1
    np.testing.assert_allclose(logits[inside], expected[inside], atol=1e-4)
    assert np.abs(logits - expected)[~inside].max(initial=0) > 1e-3 or inside.all()  # the margin is no pretext
    (label_map,) = inference.predict(model, [image], tile=112, overlap=overlap)
    np.testing.assert_array_equal(label_map, logits.argmax(-1))


def test_tiles_off_the_networks_grid_would_give_something_else():
    model, image = small_unet(), noise(96, 96)
    shifted = whole(model, image[1:, 1:])[20:-20, 20:-20]
    assert np.abs(shifted - whole(model, image)[21:-20, 21:-20]).max() > 1e-2


@pytest.mark.parametrize("tile", [37, 64, 1000, None])
def test_an_image_no_larger_than_a_tile_goes_through_whole(tile):
    model, image = small_unet(), noise(37, 23)
    expected = whole(model, image)
    (label_map,) = inference.predict(model, [image], tile=tile)
    np.testing.assert_array_equal(label_map, expected.argmax(-1))
    (block,) = inference.tiled_logits(model, image, tile=tile or 512)
    np.testing.assert_allclose(block.logits, expected, atol=1e-5)


def test_images_of_over_two_million_pixels_go_through_in_tiles(monkeypatch):
    assert batches.WHOLE == 2**21
    model, image = small_unet(), noise(80, 90)
    monkeypatch.setattr(batches, "WHOLE", 80 * 90 - 1)
    monkeypatch.setattr(tiles, "TILE", 32)
    automatic, tiled = (next(inference.predict(model, [image], tile=tile)) for tile in (None, 32))
    np.testing.assert_array_equal(automatic, tiled)
    monkeypatch.setattr(batches, "WHOLE", 80 * 90)
    (at_once,) = inference.predict(model, [image])
    np.testing.assert_array_equal(at_once, whole(model, image).argmax(-1))
    assert (at_once != tiled).any()


@settings(max_examples=20, deadline=None)
@given(
    shapes=st.lists(st.sampled_from([(8, 12), (12, 8), (30, 9), (40, 40)]), max_size=9),
    batch_size=st.integers(1, 4),
    tile=st.sampled_from([None, 16]),
)
def test_images_of_different_sizes_keep_their_order(shapes, batch_size, tile):
    images = [noise(*shape, seed=i) for i, shape in enumerate(shapes)]
    label_maps = [*inference.predict(PIXELWISE, images, batch_size=batch_size, tile=tile)]
    assert len(label_maps) == len(images)
    for image, label_map in zip(images, label_maps, strict=True):
        np.testing.assert_array_equal(label_map, image.argmax(-1))


def test_only_images_of_one_size_share_a_batch_and_tiles_have_one_shape():
    shapes = []

    class Spy(layers.Layer):
        def call(self, x):
            tf.py_function(lambda shape: shapes.append(tuple(shape.numpy())), [tf.shape(x)], [])
            return x

    image = keras.Input((None, None, 3))
    model = keras.Model(image, Spy()(image))
    images = [noise(*size) for size in [(8, 8), (9, 9), (8, 8), (8, 8), (9, 9)]]
    assert len([*inference.predict(model, images, batch_size=2)]) == 5
    assert shapes == [(2, 8, 8, 3), (2, 9, 9, 3), (1, 8, 8, 3)]
    shapes.clear()
    assert len([*inference.tiled_logits(model, noise(100, 130), tile=64, overlap=0, batch_size=4)]) == 6
    assert shapes == [(4, 64, 64, 3)] * 2


def test_images_are_read_as_they_are_needed():
    read = []

    def images():
        for i in range(50):
            read.append(i)
            yield noise(256, 256, seed=i)

    label_maps = inference.predict(PIXELWISE, images())
    np.testing.assert_array_equal(next(label_maps), noise(256, 256, seed=0).argmax(-1))
    assert read == [*range(8)]  # a batch of 2^19 pixels
    np.testing.assert_array_equal([*label_maps][-1], noise(256, 256, seed=49).argmax(-1))


def test_images_that_wait_are_bounded_by_pixels(monkeypatch):
    # Each size occurs once, so that nothing fills a batch: 7 images of about 100 pixels may wait.
    monkeypatch.setattr(batches, "WAITING", 700)
    read = []

    def images():
        for i in range(40):
            read.append(i)
            yield noise(10, 10 + i % 20, seed=i)

    for done, label_map in enumerate(inference.predict(PIXELWISE, images())):
        np.testing.assert_array_equal(label_map, noise(10, 10 + done % 20, seed=done).argmax(-1))
        assert len(read) <= done + 8


def test_no_size_is_compiled_for_whatever_the_model_was_compiled_with():
    model = small_unet()
    model.compile("adam", "mse", jit_compile=True)
    images = [noise(10 + i, 30 - i) for i in range(12)]
    for image, label_map in zip(images, inference.predict(model, images), strict=True):
        np.testing.assert_array_equal(label_map, whole_without_xla(model, image).argmax(-1))
    call = network._COMPILED[model]
    assert call.experimental_get_tracing_count() == 1
    for function in call._list_all_concrete_functions():
        assert not any(op.get_attr("_XlaMustCompile") for op in calls_in(function.graph))


def whole_without_xla(model, image):
    return model(image[None].astype("float32"), training=False)[0].numpy()


def calls_in(graph):
    return [op for op in graph.get_operations() if "_XlaMustCompile" in op.node_def.attr]


def test_tensors_will_do_and_what_is_not_an_array_is_named(tmp_path):
    image = noise(9, 7)
    (label_map,) = inference.predict(PIXELWISE, [tf.constant(image)])
    np.testing.assert_array_equal(label_map, image.argmax(-1))
    for wrong in (str(tmp_path / "a.png"), tmp_path / "a.png", Image.fromarray(image)):
        with pytest.raises(ValueError, match=r"`keras_segen.data.read_image\(path\)`. Received: image 0"):
            inference.predict(PIXELWISE, [wrong])
        with pytest.raises(ValueError, match=r"give a single one as `\[image\]`"):
            inference.predict(PIXELWISE, wrong)
    for single in (image, tf.constant(image)):
        with pytest.raises(ValueError, match=r"`\[image\]`. Received: one of shape \(9, 7, 3\)"):
            inference.predict(PIXELWISE, single)


@pytest.mark.slow
def test_jax_segments_too():
    pytest.importorskip("jax")
    code = (
        "import numpy as np, keras, keras_segen as ks\n"
        "x = keras.Input((None, None, 3))\n"
        "model = keras.Model(x, keras.layers.Rescaling(0.5)(x))\n"
        "image = np.random.default_rng(0).integers(0, 256, (20, 30, 3), np.uint8)\n"
        "for tile in (None, 32, 8):\n"
        "    (label_map,) = ks.inference.predict(model, [image], tile=tile)\n"
        "    print(np.array_equal(label_map, image.argmax(-1)))\n"
    )
    environment = {**os.environ, "KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu"}
    answer = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, env=environment)
    assert answer.stdout.split() == ["True"] * 3


def test_float_images_and_a_progress_bar(capsys):
    image = noise(40, 40)
    (label_map,) = inference.predict(PIXELWISE, [image.astype("float64")], tile=16, overlap=0, verbose=True)
    np.testing.assert_array_equal(label_map, image.argmax(-1))
    assert "9/9" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"tile": 0}, "tile=0"),
        ({"batch_size": 0}, "batch_size=0"),
        ({"overlap": 1.0}, "overlap=1.0"),
        ({"overlap": -0.1}, "overlap=-0.1"),
        ({"overlap": float("nan")}, "overlap=nan"),
    ],
)
def test_wrong_numbers_are_named_at_once(options, named):
    for function, images in ((inference.predict, [noise(8, 8)]), (inference.tiled_logits, noise(8, 8))):
        with pytest.raises(ValueError, match=named):
            function(PIXELWISE, images, **options)


def test_wrong_images_and_models_are_named_at_once():
    for image in (noise(8, 8, 4), noise(8, 8)[0], noise(8, 8)[None], noise(0, 8)):
        with pytest.raises(ValueError, match=r"\(height, width, 3\), and a pixel at least. Received: image 1"):
            inference.predict(PIXELWISE, [noise(8, 8), image])
    with pytest.raises(ValueError, match="Received: a model of 256"):
        inference.predict(unet(256, filters=(2, 2)), [noise(8, 8)])


@pytest.mark.slow
def test_flips_and_scales_average_probabilities():
    model, image = small_unet(), noise(21, 34)
    scales = (0.5, 1.0, 1.5)
    expected = np.zeros((21, 34, 4))
    for scale, flip in itertools.product(scales, (1, -1)):
        size = int(np.ceil(21 * scale)), int(np.ceil(34 * scale))
        scaled = tf.image.resize(image[:, ::flip].astype("float32"), size)
        probabilities = tf.nn.softmax(model(scaled[None]))
        expected += tf.image.resize(probabilities, (21, 34))[0].numpy()[:, ::flip] / 6
    augmented = inference.augmented(model, flip=True, scales=scales)
    logits = whole(augmented, image)
    np.testing.assert_allclose(np.exp(logits), expected, atol=1e-4)
    (label_map,) = inference.predict(augmented, [image])
    np.testing.assert_array_equal(label_map, logits.argmax(-1))


def test_flipping_changes_nothing_for_a_network_that_flips_along():
    image = keras.Input((None, None, 3))
    kernel = np.random.default_rng(0).normal(size=(3, 3, 3, 4)).astype("float32") / 100
    convolution = layers.Conv2D(4, 3, padding="same", use_bias=False)
    model = keras.Model(image, convolution(image))
    convolution.kernel.assign(kernel + kernel[:, ::-1])
    picture = noise(33, 47)
    plain, flipped = (whole(inference.augmented(model, flip=flip), picture) for flip in (False, True))
    np.testing.assert_allclose(flipped, plain, atol=1e-4)
    np.testing.assert_allclose(np.exp(plain), tf.nn.softmax(whole(model, picture)), atol=1e-6)


def test_an_augmented_model_goes_through_in_tiles_by_its_networks_stride():
    augmented = inference.augmented(small_unet(), scales=(0.5, 1.0))
    assert tiles.padding_of(augmented) == (4, 0)
    image = noise(60, 70)
    logits = put_together(inference.tiled_logits(augmented, image, tile=56, overlap=0.5), image, 4)
    assert tiles.padding_of(pixelwise(stride=6)) == (6, 0)
    assert tiles.padding_of(keras.Sequential([keras.Input((None, None, 3)), layers.Conv2D(2, 1)])) == (32, 0)
    corner = np.s_[:4, :4]  # of the first tile alone
    np.testing.assert_allclose(logits[corner], whole(augmented, image[:56, :56])[corner], atol=1e-4)


@pytest.mark.slow
def test_an_augmented_model_is_saved_and_served(tmp_path):
    augmented, image = inference.augmented(small_unet(), scales=(0.75, 1.0)), noise(19, 26)
    augmented.save(tmp_path / "augmented.keras")
    np.testing.assert_array_equal(
        whole(keras.saving.load_model(tmp_path / "augmented.keras"), image), whole(augmented, image)
    )
    served = tf.saved_model.load(str(export(augmented, tmp_path / "served"))).signatures["serving_default"]
    np.testing.assert_array_equal(served(image=image[None])["label_map"][0], whole(augmented, image).argmax(-1))


@pytest.mark.parametrize("scales", [(), (1.0, 1.0), (0.0,), (-1.0,), (float("nan"),), (float("inf"),)])
def test_wrong_scales_are_named(scales):
    with pytest.raises(ValueError, match="`scales`"):
        inference.augmented(PIXELWISE, scales=scales)


def test_a_generator_will_do_and_a_model_is_traced_once():
    model, images = small_unet(), [noise(19, 26), noise(40, 12)]
    expected = [*inference.predict(model, images)]
    for ours, theirs in zip(inference.predict(model, (image for image in images)), expected, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    traces = network._COMPILED[model].experimental_get_tracing_count()
    assert len([*inference.predict(model, images)]) == 2
    assert network._COMPILED[model].experimental_get_tracing_count() == traces
    reference = weakref.ref(model)
    left = inference.predict(model, images)
    del model
    gc.collect()
    for ours, theirs in zip(left, expected, strict=True):  # what is under way holds it
        np.testing.assert_array_equal(ours, theirs)
    del left
    gc.collect()
    assert reference() is None


def test_overlap_tiles_of_an_unpadded_network_are_the_whole_image():
    # Two levels: a pixel sees 8 around it. Half of the overlap is 8.
    keras.utils.set_random_seed(0)
    model = unet(3, filters=(4, 6), padding="valid")
    image = noise(150, 170)
    blocks = inference.tiled_logits(model, image, tile=64, overlap=0.25, blending="none")
    np.testing.assert_allclose(put_together(blocks, image, 3), whole(model, image), atol=1e-5)


@settings(max_examples=20, deadline=None)
@given(height=sizes, width=sizes, overlap=overlaps)
def test_cut_tiles_cover_each_pixel_by_one_tile(height, width, overlap):
    image = noise(height, width)
    blocks = inference.tiled_logits(pixelwise(), image, tile=16, overlap=overlap, blending="none")
    np.testing.assert_allclose(put_together(blocks, image, 3), image / 2, atol=1e-4)


def test_unknown_blending_is_refused():
    with pytest.raises(ValueError, match="blending='box'"):
        inference.tiled_logits(pixelwise(), noise(8, 8), blending="box")
