import keras
import numpy as np
import pytest
from keras import applications

from keras_segen.errors import InputError
from keras_segen.models import _backbones as backbones
from keras_segen.models import fcn, unet
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

    monkeypatch.setattr(backbones.applications, "VGG16", read)
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

    monkeypatch.setattr(backbones.applications, "MobileNet", unreachable)
    with pytest.raises(InputError, match=r"could not be had \(URL fetch .* fetch them from https://storage"):
        fcn(3, backbone="mobilenet")


def test_wrong_arguments_of_backbones_are_named():
    with pytest.raises(ValueError, match="backbone='alexnet'"):
        backbone("alexnet")
    with pytest.raises(ValueError, match="backbone_width=0.5"):
        backbone("vgg16", width=0.5)
    with pytest.raises(ValueError, match="backbone_width=0"):
        backbone("mobilenet", width=0)
    for build in (fcn, unet):
        with pytest.raises(ValueError, match="backbone_weights=None. Received: input_channels=4"):
            build(2, backbone="resnet50", input_channels=4)
