from dataclasses import astuple

import keras
import numpy as np
import pytest
from keras import applications

from keras_segen.errors import InputError
from keras_segen.models import fcn, unet
from keras_segen.models._applications import BACKBONES, scaling
from keras_segen.models._backbones import backbone


def features(stages, images):
    image = keras.Input((None, None, 3))
    return keras.Model(image, stages.features(stages.preprocess(image))).predict(images, verbose=0)


@pytest.mark.slow
def test_vgg16_turned_into_convolutions_is_vgg16(tmp_path, monkeypatch):
    # At 224×224 the 7×7 convolution has one position at which it sees the whole map: the middle.
    keras.utils.set_random_seed(0)
    classifier = applications.VGG16(weights=None, classifier_activation=None)
    for layer in classifier.layers:
        if layer.weights:  # biases start at zero, which would hide what becomes of them
            layer.bias.assign(0.1 * np.random.default_rng(0).normal(size=layer.bias.shape))
    build = applications.VGG16

    def read(*, include_top, **options):  # a file of 550 MB is spared; that files are read is tested below
        return classifier if include_top else build(include_top=False, **options)

    read.__module__ = build.__module__  # which says how images are scaled
    monkeypatch.setattr(applications, "VGG16", read)
    (tmp_path / "vgg16.h5").touch()
    stages = backbone("vgg16", weights=tmp_path / "vgg16.h5", fully_connected=True)
    images = np.random.default_rng(1).uniform(0, 255, (1, 224, 224, 3)).astype("float32")
    expected = classifier.predict(applications.vgg16.preprocess_input(images.copy()), verbose=0)
    kernel, bias = classifier.get_layer("predictions").get_weights()
    middle = features(stages, images)[-1][:, 3, 3]
    assert np.abs(expected).max() > 0.1
    np.testing.assert_allclose(middle @ kernel + bias, expected, rtol=1e-5, atol=1e-5 * np.abs(expected).max())


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "application", "preprocess", "last"),
    [
        ("resnet50", applications.ResNet50, applications.resnet.preprocess_input, "conv5_block3_out"),
        ("mobilenet", applications.MobileNet, applications.mobilenet.preprocess_input, "conv_pw_13_relu"),
        ("vgg16", applications.VGG16, applications.vgg16.preprocess_input, "block5_pool"),
    ],
)
def test_weights_from_a_file_give_the_applications_features(name, application, preprocess, last, tmp_path):
    keras.utils.set_random_seed(0)
    original = application(include_top=False, weights=None, input_shape=(64, 96, 3))
    original.save_weights(tmp_path / "a.weights.h5")
    stages = backbone(name, weights=tmp_path / "a.weights.h5")
    images = np.random.default_rng(0).uniform(0, 255, (2, 64, 96, 3)).astype("float32")
    maps = features(stages, images)
    assert [m.shape[1:3] for m in maps] == [(64 // stride, 96 // stride) for stride in stages.strides]
    expected = keras.Model(original.input, original.get_layer(last).output).predict(
        preprocess(images.copy()), verbose=0
    )
    np.testing.assert_allclose(maps[-1], expected, rtol=1e-4, atol=1e-5 * np.abs(expected).max())


def test_the_published_weights_load(real_data):
    path = real_data("weights/mobilenet_2_5_224_tf_no_top.h5")
    stages = backbone("mobilenet", width=0.25, weights=path)
    original = applications.MobileNet(alpha=0.25, include_top=False, weights=str(path), input_shape=(224, 224, 3))
    kernels = stages.features.get_layer("conv1").get_weights()
    np.testing.assert_array_equal(kernels[0], original.get_layer("conv1").get_weights()[0])
    assert stages.features.count_params() == original.count_params() == 218_544


def test_weights_that_cannot_be_had_are_named(tmp_path, monkeypatch):
    with pytest.raises(InputError, match=r"nowhere.h5: no such file"):
        fcn(3, backbone="mobilenet", backbone_weights=tmp_path / "nowhere.h5")
    (tmp_path / "text.h5").write_text("no weights")
    with pytest.raises(InputError, match=r"text.h5: holds no weights for this resnet50"):
        unet(3, backbone="resnet50", backbone_weights=tmp_path / "text.h5")
    other = applications.MobileNet(alpha=0.5, include_top=False, weights=None, input_shape=(32, 32, 3))
    other.save_weights(tmp_path / "half.weights.h5")
    with pytest.raises(InputError, match=r"half.weights.h5: holds no weights for this mobilenet"):
        fcn(3, backbone="mobilenet", backbone_width=0.25, backbone_weights=tmp_path / "half.weights.h5")

    def unreachable(*_, **__):
        raise Exception("URL fetch failure on https://example.org: None -- no address")

    unreachable.__module__ = applications.MobileNet.__module__
    monkeypatch.setattr(applications, "MobileNet", unreachable)
    with pytest.raises(InputError, match=r"could not be had \(URL fetch .*example.org.* fetch the file"):
        fcn(3, backbone="mobilenet")


def test_wrong_arguments_of_backbones_are_named():
    with pytest.raises(ValueError, match="backbone='alexnet'"):
        backbone("alexnet")
    with pytest.raises(ValueError, match="backbone_width=0.5"):
        backbone("vgg16", width=0.5)
    with pytest.raises(ValueError, match="backbone_width=0"):
        backbone("mobilenet", width=0)
    with pytest.raises(ValueError, match="backbone=<Dense"):
        backbone(keras.layers.Dense(2))
    with pytest.raises(ValueError, match="which takes \\(None, 5\\)"):
        backbone(keras.Sequential([keras.Input((5,)), keras.layers.Dense(2)]))
    four = keras.Sequential([keras.Input((None, None, 4)), keras.layers.Conv2D(2, 2, strides=2)])
    with pytest.raises(
        ValueError, match="The backbone takes 4 channels: give images of as many .*Received: input_channels=3"
    ):
        backbone(four)
    with pytest.raises(ValueError, match="FCN needs maps at strides 8, 16 and 32. Received: a backbone without 8"):
        fcn(2, backbone=four, input_channels=4)


def own_network(channels=3):
    """A user's network of two levels, whose second one's windows are not padded."""
    image = keras.Input((None, None, channels))
    x = keras.layers.Rescaling(1 / 255)(image)
    x = keras.layers.Conv2D(4, 3, strides=2, padding="same", activation="relu")(x)
    x = keras.layers.Conv2D(8, 3, strides=2, activation="relu", name="last")(x)
    x = keras.layers.GlobalAveragePooling2D()(x)
    return keras.Model(image, keras.layers.Dense(5)(x))


def test_a_users_network_is_a_backbone():
    network = own_network()
    network.get_layer("last").bias.assign(np.full(8, 0.25))
    stages = backbone(network)
    assert (stages.strides, stages.origins, stages.exact) == ((2, 4), (1.0, 3.0), (True, False))
    images = np.random.default_rng(0).uniform(0, 255, (1, 64, 64, 3)).astype("float32")
    expected = keras.Model(network.inputs, network.get_layer("last").output).predict(images, verbose=0)
    np.testing.assert_allclose(features(stages, images)[-1], expected, atol=1e-6)


@pytest.mark.parametrize("size", [(97, 131), (1, 1)])
def test_a_users_network_makes_a_segmenter_of_images_of_any_size(size):
    model = unet(3, backbone=own_network(), decoder_filters=(4, 8))
    assert model(np.zeros((1, *size, 3), "float32")).shape == (1, *size, 3)


@pytest.mark.parametrize("name", ["mobilenet", pytest.param("resnet50", marks=pytest.mark.slow)])
def test_a_grey_image_is_what_it_is_as_rgb(name, tmp_path):
    width = {"width": 0.25} if name == "mobilenet" else {}
    options = {"alpha": 0.25} if name == "mobilenet" else {}
    builder = {"mobilenet": applications.MobileNet, "resnet50": applications.ResNet50}[name]
    builder(include_top=False, weights=None, input_shape=(64, 64, 3), **options).save_weights(tmp_path / "a.weights.h5")
    grey = np.random.default_rng(0).uniform(0, 255, (1, 64, 64, 1)).astype("float32")
    by_one = backbone(name, weights=tmp_path / "a.weights.h5", input_channels=1, **width)
    by_three = backbone(name, weights=tmp_path / "a.weights.h5", **width)
    one = keras.Input((None, None, 1))
    ours = keras.Model(one, by_one.features(by_one.preprocess(one))).predict(grey, verbose=0)
    for map_of_one, map_of_three in zip(ours, features(by_three, np.repeat(grey, 3, -1)), strict=True):
        np.testing.assert_allclose(map_of_one, map_of_three, rtol=1e-5, atol=1e-5 * np.abs(map_of_three).max())


def test_of_five_channels_each_has_the_kernel_of_one_of_red_green_and_blue(tmp_path):
    original = applications.MobileNet(alpha=0.25, include_top=False, weights=None, input_shape=(64, 64, 3))
    original.save_weights(tmp_path / "a.weights.h5")
    stages = backbone("mobilenet", width=0.25, weights=tmp_path / "a.weights.h5", input_channels=5)
    (rgb,) = original.get_layer("conv1").get_weights()
    (five,) = stages.features.get_layer("conv1").get_weights()
    np.testing.assert_allclose(five, rgb[:, :, [0, 1, 2, 0, 1]] * 3 / 5, rtol=1e-6)


@pytest.mark.slow
def test_where_blue_comes_first_five_channels_are_still_red_green_and_blue_in_turn(tmp_path):
    original = applications.ResNet50(include_top=False, weights=None, input_shape=(64, 64, 3))
    original.save_weights(tmp_path / "a.weights.h5")
    stages = backbone("resnet50", weights=tmp_path / "a.weights.h5", input_channels=5)
    bgr, _ = original.get_layer("conv1_conv").get_weights()
    five, _ = stages.features.get_layer("conv1_conv").get_weights()
    np.testing.assert_allclose(five, bgr[:, :, [2, 1, 0, 2, 1]] * 3 / 5, rtol=1e-6)
    image = keras.Input((None, None, 5))
    scaled = keras.Model(image, stages.preprocess(image))(np.zeros((1, 32, 32, 5), "float32"))
    np.testing.assert_allclose(scaled[0, 0, 0], [-123.68, -116.779, -103.939, -123.68, -116.779], rtol=1e-6)


@pytest.mark.parametrize("channels", [1, 4])
def test_without_weights_a_network_is_built_for_its_channels(channels):
    stages = backbone("resnet50", weights=None, input_channels=channels)
    assert stages.features.input_shape == (None, None, None, channels)


PREPROCESSED = {
    name: module.preprocess_input
    for name, module in (
        ("densenet121", applications.densenet),
        ("inception_v3", applications.inception_v3),
        ("mobilenet", applications.mobilenet),
        ("nasnet_mobile", applications.nasnet),
        ("resnet50", applications.resnet),
        ("resnet50_v2", applications.resnet_v2),
        ("vgg19", applications.vgg19),
        ("xception", applications.xception),
    )
}


@pytest.mark.parametrize("name", PREPROCESSED)
def test_colours_are_scaled_as_the_application_does(name):
    pixels = np.random.default_rng(0).uniform(0, 255, (1, 4, 5, 3))
    mean, deviation, flipped = astuple(scaling(name))
    ours = (pixels[..., ::-1] if flipped else pixels) - mean
    np.testing.assert_allclose(ours / deviation, PREPROCESSED[name](pixels.copy()), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("name", ["efficientnet_b0", "efficientnet_v2_b0", "convnext_tiny", "mobilenet_v3_small"])
def test_networks_that_scale_colours_themselves_are_left_alone(name):
    assert scaling(name) is None


def test_names_are_the_applications_in_snake_case():
    assert len(BACKBONES) == 40
    assert {"convnext_tiny", "densenet121", "efficientnet_b7", "efficientnet_v2_b0", "efficientnet_v2_s"} < {*BACKBONES}
    assert {"inception_resnet_v2", "inception_v3", "mobilenet_v3_small", "nasnet_large"} < {*BACKBONES}
    assert {"resnet152_v2", "vgg19", "xception"} < {*BACKBONES}


def strided(x, count):
    for _ in range(count):
        x = keras.layers.Conv2D(4, 3, strides=2, padding="same", activation="relu")(x)
    return x


def test_a_network_that_enlarges_again_is_a_backbone_up_to_there():
    image = keras.Input((None, None, 3))
    x = keras.layers.Conv2DTranspose(4, 2, strides=2)(strided(image, 5))
    network = keras.Model(image, keras.layers.Conv2D(2, 3, padding="same")(x))
    assert fcn(3, backbone=network).output_shape == (None, None, None, 3)


def test_a_classifier_of_one_size_is_a_backbone_without_its_top():
    image = keras.Input((64, 64, 3))
    network = keras.Model(image, keras.layers.Dense(5)(keras.layers.Flatten()(strided(image, 5))))
    segmenter = fcn(3, backbone=network)
    assert segmenter.output_shape == (None, None, None, 3)
    kernel = network.layers[1].get_weights()[0]
    np.testing.assert_array_equal(segmenter.get_layer("backbone").layers[1].get_weights()[0], kernel)


def test_a_shallow_backbone_has_fewer_levels():
    image = keras.Input((None, None, 3))
    network = keras.Model(image, strided(image, 2))
    assert unet(2, backbone=network).output_shape == (None, None, None, 2)


def test_weights_that_are_not_finite_are_refused():
    image = keras.Input((None, None, 3))
    network = keras.Model(image, strided(image, 5))
    network.set_weights([np.full_like(weight, np.nan) for weight in network.get_weights()])
    with pytest.raises(ValueError, match="A backbone's weights are finite numbers"):
        fcn(2, backbone=network)
