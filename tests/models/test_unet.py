import keras
import numpy as np
import pytest

from keras_segen import losses, metrics
from keras_segen.models import unet

SMALL = (4, 8, 16)


def batch(size=(37, 53), channels=3, num_classes=3, seed=0):
    rng = np.random.default_rng(seed)
    images = rng.uniform(0, 255, (2, *size, channels)).astype("float32")
    masks = rng.integers(0, num_classes, (2, *size)).astype("uint8")
    masks[:, :2] = 255
    return images, masks


def trained(steps=3, **compile_options):
    keras.utils.set_random_seed(0)
    model = unet(3, filters=SMALL, up_sampling=compile_options.pop("up_sampling", "transposed"))
    model.compile(
        keras.optimizers.SGD(0.01),
        losses.Sum([losses.CrossEntropy(), losses.Dice()]),
        metrics=[metrics.MeanIoU(3)],
        **compile_options,
    )
    history = [model.train_on_batch(*batch(seed=i), return_dict=True)["loss"] for i in range(steps)]
    return model, history


@pytest.mark.parametrize("up_sampling", ["transposed", "bilinear"])
@pytest.mark.parametrize("channels", [1, 3, 5])
@pytest.mark.parametrize("size", [(1, 1), (37, 53), (64, 64)])
def test_any_size_and_channels(up_sampling, channels, size):
    model = unet(7, filters=SMALL, input_channels=channels, up_sampling=up_sampling)
    images = batch(size, channels)[0]
    logits = model.predict(images, verbose=0)
    assert logits.shape == (2, *size, 7)
    assert logits.dtype == np.float32


def test_parameters_of_the_papers_network():
    # Layer by layer: 3×3 convolutions without bias, 4 numbers a channel of batch norm, 2×2 up-convolutions, 1×1 logits.
    expected, channels = 0, 3
    for width in (64, 128, 256, 512, 1024):
        expected += 9 * (channels * width + width * width) + 8 * width
        channels = width
    for width in (512, 256, 128, 64):
        expected += 4 * channels * width + width + 9 * (2 * width * width + width * width) + 8 * width
        channels = width
    assert unet(2).count_params() == expected + 64 * 2 + 2


def test_the_papers_tile_of_572_pixels_gives_388():
    model = unet(2, padding="valid")
    inner = keras.Model(model.input, [model.get_layer("mirror").output, model.get_layer("up0_relu2").output])
    tile, result = inner.compute_output_shape((1, 388, 388, 3))
    assert tile[1:3] == (572, 572)
    small = unet(2, padding="valid", filters=(2, 2, 2, 2, 2))
    inner = keras.Model(small.input, [small.get_layer("mirror").output, small.get_layer("up0_relu2").output])
    tile, result = inner(np.zeros((1, 388, 380, 3), "float32"))
    assert (tile.shape[1:3], result.shape[1:3]) == ((572, 572), (388, 388))


def test_without_padding_a_pixel_sees_nothing_but_the_image():
    # Where the mirror is out of reach, what lies around the picture does not matter; and a tile cut out of a larger
    # picture is judged as the picture is, if it starts at a multiple of the stride: the paper's overlap tiles.
    model = unet(2, filters=SMALL, padding="valid")
    picture = batch((120, 120))[0]
    margin = (12 * 2**2 - 8) // 2
    tile = picture[:, 16 : 16 + 80, 24 : 24 + 80]
    np.testing.assert_allclose(
        model(tile)[:, margin : 80 - margin, margin : 80 - margin],
        model(picture)[:, 16 + margin : 96 - margin, 24 + margin : 104 - margin],
        atol=1e-5,
    )


def test_deep_supervision_weighs_the_levels_and_shows_the_first():
    keras.utils.set_random_seed(0)
    model = unet(3, filters=(4, 8, 16, 32), deep_supervision=True)
    images, masks = batch((32, 32))
    outputs = model(images, training=True)
    assert [tuple(level.shape) for level in outputs] == [(2, 32, 32, 3)] * 3
    loss = losses.CrossEntropy()
    model.compile(keras.optimizers.SGD(0.0), loss, metrics=[metrics.MeanIoU(3)])
    logs = model.train_on_batch(images, masks, return_dict=True)
    expected = sum(w * float(loss(masks, level)) for w, level in zip((4, 2, 1), outputs, strict=True)) / 7
    assert logs["loss"] == pytest.approx(expected, rel=1e-5)
    metric = metrics.MeanIoU(3)
    metric.update_state(masks, outputs[0])
    assert logs["mean_iou"] == pytest.approx(float(metric.result()), rel=1e-5)
    judged = model.evaluate(images, masks, verbose=0, return_dict=True)
    assert judged["loss"] == pytest.approx(float(loss(masks, model(images, training=False))), rel=1e-5)


@pytest.mark.parametrize("padding", ["same", "valid"])
def test_the_levels_of_deep_supervision_lie_on_the_image(padding):
    # With averages for convolutions each level is a blurred image: its left half dark, its right half bright.
    model = unet(1, filters=(2, 2, 2, 2), padding=padding, deep_supervision=True)
    for layer in model.layers:
        if isinstance(layer, keras.layers.Conv2D | keras.layers.Conv2DTranspose):
            height, width, *channels = layer.kernel.shape
            transposed = isinstance(layer, keras.layers.Conv2DTranspose)
            value = 1 / channels[1] if transposed else 1 / (height * width * channels[0])
            layer.kernel.assign(np.full(layer.kernel.shape, value))
    images = np.full((1, 64, 128, 3), 128.0, "float32")
    images[:, :, 64:] = 255
    for level in keras.Model(model.input, model.outputs)(images):
        row = np.asarray(level)[0, 32, :, 0]
        middle = (row[24:40].mean() + row[88:104].mean()) / 2
        assert abs(np.argmax(row[24:104] > middle) + 24 - 64) <= 2  # half a cell of the coarsest level


def test_padding_does_not_move_the_picture():
    model = unet(2, filters=SMALL)
    images = batch((13, 14))[0]
    padded = np.pad(images, [(0, 0), (0, 3), (0, 2), (0, 0)], mode="edge")
    np.testing.assert_allclose(model(images), model(padded)[:, :13, :14], atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("up_sampling", ["transposed", "bilinear"])
def test_xla_takes_the_same_steps(up_sampling):
    plain, plain_losses = trained(up_sampling=up_sampling, jit_compile=False)
    compiled, compiled_losses = trained(up_sampling=up_sampling, jit_compile=True)
    np.testing.assert_allclose(plain_losses, compiled_losses, rtol=1e-4)
    for ours, theirs in zip(plain.get_weights(), compiled.get_weights(), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("jit_compile", [False, True])
def test_bfloat16_follows_float32(jit_compile):
    _, exact = trained(steps=6)
    keras.config.set_dtype_policy("mixed_bfloat16")
    model, rounded = trained(steps=6, jit_compile=jit_compile)
    assert model.output.dtype == "float32"
    np.testing.assert_allclose(rounded, exact, rtol=0.03)


def test_saved_model_loads_compiled_and_trains_on(tmp_path):
    model, _ = trained()
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    images, masks = batch(seed=9)
    np.testing.assert_array_equal(loaded(images), model(images))
    assert loaded.evaluate(images, masks, verbose=0) == model.evaluate(images, masks, verbose=0)
    assert loaded.train_on_batch(images, masks) == model.train_on_batch(images, masks)
    assert int(loaded.optimizer.iterations) == 4
    for ours, theirs in zip(loaded.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.slow
def test_learns_what_a_pixel_says():
    keras.utils.set_random_seed(0)
    images = np.random.default_rng(0).uniform(0, 255, (4, 32, 32, 3)).astype("float32")
    masks = (images[..., 0] > images[..., 1]).astype("uint8")
    model = unet(2, filters=SMALL, dropout=0.1)
    model.compile(keras.optimizers.Adam(0.01), losses.CrossEntropy(), metrics=[metrics.MeanIoU(2)])
    model.fit(images, masks, batch_size=2, epochs=30, verbose=0)
    assert model.evaluate(images, masks, verbose=0, return_dict=True)["mean_iou"] > 0.8


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_classes": 0}, "num_classes=0"),
        ({"num_classes": 2, "filters": (8,)}, "at least two"),
        ({"num_classes": 2, "input_channels": 0}, "input_channels=0"),
        ({"num_classes": 2, "up_sampling": "nearest"}, "nearest"),
        ({"num_classes": 2, "padding": "full"}, "full"),
        ({"num_classes": 2, "filters": (8, 8), "deep_supervision": True}, "between top and bottom"),
        (
            {"num_classes": 2, "backbone": "mobilenet", "decoder_filters": (8, 8), "backbone_weights": None},
            "hold 5 pos",
        ),
        ({"num_classes": 2, "backbone": "mobilenet", "filters": (8,) * 5, "backbone_weights": None}, "decoder_filters"),
        (
            {"num_classes": 2, "backbone": "mobilenet", "up_sampling": "transposed", "backbone_weights": None},
            "bilinear",
        ),
        ({"num_classes": 2, "filters": (8, 8), "decoder_filters": (8, 8)}, "hold 1 pos"),
        ({"num_classes": 2, "backbone_width": 0.5}, "need a `backbone`"),
        ({"num_classes": 2, "backbone": "mobilenet", "padding": "valid", "backbone_weights": None}, "padding='valid'"),
        ({"num_classes": 2, "backbone": "alexnet"}, "alexnet"),
    ],
)
def test_wrong_arguments_of_unet_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        unet(**arguments)


def test_random_state_is_not_in_the_network_without_dropout():
    assert not [v for v in unet(2, filters=SMALL).variables if "seed" in v.path]
