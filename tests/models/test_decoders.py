import keras
import numpy as np
import pytest

from keras_segen.models import deeplab_v3_plus, fpn, unet

MOBILENET = {"backbone": "mobilenet", "backbone_width": 0.25, "backbone_weights": None}


def outputs(model, image, *names):
    """Return what layers give for an image."""
    tensors = {name: model.get_layer(name).output for name in names}
    values = keras.Model(model.input, tensors)(image).values()
    return [np.asarray(value) for value in values]


@pytest.fixture
def image():
    return np.random.default_rng(0).uniform(0, 255, (2, 64, 96, 3)).astype("float32")


def test_the_pyramids_levels_are_the_lateral_maps_plus_the_enlarged_one_above(image):
    model = fpn(3, pyramid_filters=4, segmentation_filters=4, **MOBILENET)
    for stride in (4, 8, 16):
        lateral, above, level = outputs(
            model, image, f"lateral{stride}", f"up{2 * stride}_to_{stride}", f"pyramid{stride}"
        )
        np.testing.assert_allclose(level, lateral + above, atol=1e-5)


def test_every_level_reaches_the_finest_in_one_step_a_halving():
    model = fpn(3, pyramid_filters=4, segmentation_filters=4, **MOBILENET)
    steps = {
        stride: sum(layer.name.startswith(f"branch{stride}_to") for layer in model.layers) for stride in (4, 8, 16, 32)
    }
    assert steps == {4: 0, 8: 1, 16: 2, 32: 3}


def test_the_mean_over_the_image_is_projected_as_if_it_stood_beside_the_branches(image):
    model = deeplab_v3_plus(3, filters=8, low_level_filters=4, **MOBILENET)
    joined, mean, projected = outputs(model, image, "aspp_join", "aspp_mean_conv", "aspp_project")
    beside = np.concatenate([joined, np.broadcast_to(mean, (*joined.shape[:3], 8))], -1)
    kernels = [model.get_layer(f"aspp_project_{part}").kernel.numpy()[0, 0] for part in ("cells", "mean")]
    np.testing.assert_allclose(projected, beside @ np.concatenate(kernels), atol=1e-4)


@pytest.mark.parametrize(("stride", "rates"), [(8, [12, 24, 36]), (16, [6, 12, 18]), (32, [3, 6, 9])])
def test_atrous_rates_keep_their_distance_in_pixels(stride, rates):
    model = deeplab_v3_plus(3, filters=4, low_level_filters=2, output_stride=stride, **MOBILENET)
    assert [model.get_layer(f"aspp{i}_depthwise").dilation_rate[0] for i in (2, 3, 4)] == rates


def test_the_decoder_joins_at_stride_4(image):
    model = deeplab_v3_plus(3, filters=4, low_level_filters=2, **MOBILENET)
    (joined,) = outputs(model, image, "decoder_join")
    assert joined.shape == (2, 16, 24, 4 + 2)


def test_an_attention_gate_weights_the_map_by_equation_1_of_the_paper(image):
    model = unet(3, filters=(4, 8), attention_gates=True)
    # What is joined, what comes from below, and the result.
    skip, signal, gated = outputs(model, image, "down0_relu2", "up0_conv", "up0_gate")
    weights = {name: model.get_layer(f"up0_gate_{name}").get_weights() for name in ("map", "signal", "weight")}
    additive = skip @ weights["map"][0][0, 0] + signal @ weights["signal"][0][0, 0] + weights["signal"][1]
    weight = np.maximum(additive, 0) @ weights["weight"][0][0, 0] + weights["weight"][1]
    np.testing.assert_allclose(gated, skip / (1 + np.exp(-weight)), atol=1e-5)


@pytest.mark.parametrize(
    ("build", "options", "message"),
    [
        (fpn, {"num_classes": 0}, "`num_classes` and `input_channels` must be whole numbers of at least 1"),
        (fpn, {"pyramid_filters": 0}, "pyramid_filters=0"),
        (fpn, {"segmentation_filters": -1}, "segmentation_filters=-1"),
        (deeplab_v3_plus, {"output_stride": 4}, "`output_stride` must be 32, 16 or 8. Received: output_stride=4"),
        (deeplab_v3_plus, {"atrous_rates": ()}, r"atrous_rates=\(\)"),
        (deeplab_v3_plus, {"atrous_rates": (6, 0)}, r"atrous_rates=\(6, 0\)"),
        (deeplab_v3_plus, {"filters": 0}, "filters=0"),
        (deeplab_v3_plus, {"backbone": "vgg15"}, "`backbone` must be one of .*Received: backbone='vgg15'"),
    ],
)
def test_wrong_use_is_refused(build, options, message):
    with pytest.raises(ValueError, match=message):
        build(**{"num_classes": 3, **MOBILENET, **options})


def test_a_backbone_of_a_single_map_is_refused():
    image = keras.Input((None, None, 3))
    shallow = keras.Model(image, keras.layers.Conv2D(4, 3, strides=2, padding="same")(image))
    with pytest.raises(ValueError, match="DeepLabV3.* needs a map at stride 4"):
        deeplab_v3_plus(3, backbone=shallow)
    with pytest.raises(ValueError, match="FPN needs maps at two strides"):
        fpn(3, backbone=shallow)
