"""Files for other engines: each network through ONNX Runtime, OpenVINO and LiteRT."""

import sys

import keras
import numpy as np
import pytest
from keras.src import applications as families

from keras_segen.errors import InputError
from keras_segen.models import (
    cgan_discriminator,
    cgan_generator,
    dcgan_discriminator,
    dcgan_generator,
    deeplab_v3_plus,
    fcn,
    fpn,
    refined,
    sngan_discriminator,
    sngan_generator,
    unet,
    vae_decoder,
    vae_dense_decoder,
    vae_dense_encoder,
    vae_encoder,
)
from keras_segen.serving import _conversion, export_litert, export_onnx
from keras_segen.training import GAN

SIZES = [(97, 131), (64, 96)]
IMAGE = (16, 16, 3)
NARROW = {"backbone": "mobilenet", "backbone_width": 0.25, "backbone_weights": None}

SEGMENTERS = {
    "fcn": lambda: fcn(3, **NARROW),
    "unet": lambda: unet(3, filters=(4, 8, 16)),
    "unet_valid": lambda: unet(3, filters=(4, 8, 16), padding="valid"),
    "unet_attention_gates": lambda: unet(3, filters=(4, 8, 16), attention_gates=True),
    "refined": lambda: refined(unet(3, filters=(4, 8)), filters=4),
    "deeplab_v3_plus": lambda: deeplab_v3_plus(3, filters=8, **NARROW),
    "fpn": lambda: fpn(3, pyramid_filters=8, segmentation_filters=8, **NARROW),
}
WITHOUT_TOP = {"weights": None, "include_top": False}


def thin(stack, strides):
    """Return the stages of a ResNet, of two narrow blocks each."""

    def stages(x):
        for i, (channels, stride) in enumerate(zip((8, 8, 12, 16), strides, strict=True), start=2):
            x = stack(x, channels, 2, stride1=stride, name=f"conv{i}")
        return x

    return stages


def unpadded():
    """Return what Inception and Xception are made of: windows without padding, branches side by side."""
    x = image = keras.Input((None, None, 3))
    for channels in (4, 6, 8, 10, 12):
        branch = keras.layers.SeparableConv2D(channels, 3, strides=2, activation="relu")(x)
        x = keras.layers.Concatenate()([branch, keras.layers.MaxPooling2D(3, 2)(x)])
        x = keras.layers.BatchNormalization()(keras.layers.Conv2D(channels, 1)(x))
    return keras.Model(image, x)


# Families of keras.applications, as thin and shallow as their own code builds them: the operations are the same.
FAMILIES = {
    "convnext": lambda: families.convnext.ConvNeXt([1] * 4, [8, 12, 16, 24], **WITHOUT_TOP),
    "densenet": lambda: families.densenet.DenseNet([1] * 4, **WITHOUT_TOP),
    "efficientnet": lambda: families.efficientnet.EfficientNet(0.25, 0.2, 224, **WITHOUT_TOP),
    "efficientnet_v2": lambda: families.efficientnet_v2.EfficientNetV2(
        0.25, 0.2, 224, name="efficientnetv2-b0", **WITHOUT_TOP
    ),
    "mobilenet_v2": lambda: families.mobilenet_v2.MobileNetV2((224, 224, 3), 0.1, **WITHOUT_TOP),
    "mobilenet_v3": lambda: families.mobilenet_v3.MobileNetV3Small((224, 224, 3), 0.1, **WITHOUT_TOP),
    "nasnet": lambda: families.nasnet.NASNet(
        (224, 224, 3), penultimate_filters=96, num_blocks=1, stem_block_filters=8, **WITHOUT_TOP
    ),
    "resnet": lambda: families.resnet.ResNet(
        thin(families.resnet.stack_residual_blocks_v1, (1, 2, 2, 2)), False, True, **WITHOUT_TOP
    ),
    "resnet_v2": lambda: families.resnet.ResNet(
        thin(families.resnet.stack_residual_blocks_v2, (2, 2, 2, 1)), True, True, **WITHOUT_TOP
    ),
    "unpadded": unpadded,
}
ATROUS = ("convnext", "efficientnet", "mobilenet_v3", "resnet")
# These run with the slow tests, the others with the exhaustive ones.
REPRESENTATIVE = ("efficientnet", "resnet")


GENERATIVE = {
    "dcgan_generator": lambda: dcgan_generator(IMAGE, filters=8),
    "dcgan_discriminator": lambda: dcgan_discriminator(IMAGE, filters=8),
    "cgan_generator": lambda: cgan_generator(IMAGE, num_classes=4, filters=8),
    "cgan_discriminator": lambda: cgan_discriminator(IMAGE, num_classes=4, filters=8),
    "sngan_generator": lambda: sngan_generator(IMAGE, filters=8, num_classes=4),
    "sngan_discriminator": lambda: sngan_discriminator(IMAGE, filters=8),
    "vae_encoder": lambda: vae_encoder(IMAGE, filters=8),
    "vae_decoder": lambda: vae_decoder(IMAGE, filters=8, num_classes=4, multi_label=True),
    "vae_dense_encoder": lambda: vae_dense_encoder(IMAGE, units=(16,)),
    "vae_dense_decoder": lambda: vae_dense_decoder(IMAGE, units=(16,)),
}


def trained(model):
    """Give a network weights that no part of it ignores, as training does: FCN's scores begin with zeros."""
    rng = np.random.default_rng(0)
    for weight in model.weights:
        value = weight.numpy()
        if value.ndim and value.dtype.kind == "f" and np.ptp(value) == 0:
            weight.assign(value + np.abs(rng.normal(0, 0.05, value.shape)))
    return model


def images(size, channels=3):
    return np.random.default_rng(1).uniform(0, 255, (1, *size, channels)).astype("float32")


def with_onnx_runtime(path, image):
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return session.run(["logits"], {"image": image})[0]


def with_openvino(path, image):
    import openvino

    # By default OpenVINO may compute in fewer bits.
    model = openvino.Core().compile_model(openvino.convert_model(path), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return model(image)[0]


def with_litert(path, image):
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(str(path))
    interpreter.resize_tensor_input(interpreter.get_input_details()[0]["index"], image.shape)
    return interpreter.get_signature_runner()(image=image)["logits"]


def require_equal(model, run, path):
    for size in SIZES:
        image = images(size, model.input_shape[-1])
        expected = np.asarray(model(image, training=False))
        given = run(path, image)
        np.testing.assert_allclose(given, expected, atol=1e-4 * np.abs(expected).max())
        assert (given.argmax(-1) == expected.argmax(-1)).mean() >= 0.999


QUICK = ("unet", "fcn")


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name in QUICK else pytest.mark.slow) for name in SEGMENTERS]
)
def test_segmenters_give_the_same_logits_in_other_engines(name, tmp_path):
    model = trained(SEGMENTERS[name]())
    onnx = export_onnx(model, tmp_path / "model.onnx")
    litert = export_litert(model, tmp_path / "model.tflite")
    assert max(onnx.difference, litert.difference) < 1e-4
    assert min(onnx.labels, litert.labels) >= 0.999
    require_equal(model, with_onnx_runtime, onnx.path)
    require_equal(model, with_openvino, onnx.path)
    require_equal(model, with_litert, litert.path)


def coarse_fcn(backbone):
    return fcn(3, backbone=backbone, stride=32)


def narrow_deeplab(backbone):
    return deeplab_v3_plus(3, backbone=backbone, filters=8, low_level_filters=4)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("build", "name"),
    [
        pytest.param(build, name, marks=() if name in REPRESENTATIVE else pytest.mark.exhaustive)
        for build, names in ((coarse_fcn, FAMILIES), (narrow_deeplab, ATROUS))
        for name in names
    ],
)
def test_backbones_give_the_same_logits_in_other_engines(build, name, tmp_path):
    model = trained(build(FAMILIES[name]()))
    require_equal(model, with_onnx_runtime, export_onnx(model, tmp_path / "model.onnx").path)
    require_equal(model, with_openvino, tmp_path / "model.onnx")
    require_equal(model, with_litert, export_litert(model, tmp_path / "model.tflite").path)


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name == "cgan_generator" else pytest.mark.slow) for name in GENERATIVE]
)
def test_generative_networks_give_the_same_numbers_in_other_engines(name, tmp_path):
    model = trained(GENERATIVE[name]())
    for converted in (export_onnx(model, tmp_path / "model.onnx"), export_litert(model, tmp_path / "model.tflite")):
        assert converted.difference < 1e-4
        assert converted.labels is None


@pytest.mark.parametrize("padding", ["same", "valid"])
def test_a_depthwise_convolution_with_a_spread_kernel_is_one_operation(padding, tmp_path):
    import onnx

    x = image = keras.Input((None, None, 3), name="image")
    for side, spread in ((3, 3), (5, 2)):
        x = keras.layers.DepthwiseConv2D(side, padding=padding, dilation_rate=spread, bias_initializer="ones")(x)
    model = keras.Model(image, x)
    path = export_onnx(model, tmp_path / "m.onnx").path
    spreads = [
        list(value.ints) for node in onnx.load(path).graph.node for value in node.attribute if value.name == "dilations"
    ]
    assert spreads == [[3, 3], [2, 2]]
    require_equal(model, with_openvino, path)


def test_a_gan_is_exported_as_its_generator(tmp_path):
    import onnxruntime

    gan = GAN(dcgan_generator(IMAGE, filters=8), dcgan_discriminator(IMAGE, filters=8))
    session = onnxruntime.InferenceSession(str(export_onnx(gan, tmp_path / "gan.onnx").path))
    latent = np.random.default_rng(0).normal(size=(3, 128)).astype("float32")
    (image,) = session.run(["image"], {"latent": latent})
    np.testing.assert_allclose(image, gan.sampler()(latent, training=False), atol=1e-5)


@pytest.mark.parametrize("quantization", ["dynamic_range", "int8"])
def test_a_quantised_segmenter_is_smaller_and_gives_almost_the_same_labels(quantization, tmp_path):
    model = trained(unet(3, filters=(8, 16, 32)))
    examples = [images((48, 64))[0] for _ in range(4)]
    plain = export_litert(model, tmp_path / "plain.tflite")
    small = export_litert(model, tmp_path / "small.tflite", quantization=quantization, examples=examples)
    assert small.path.stat().st_size < 0.5 * plain.path.stat().st_size
    assert 0.9 < small.labels <= 1


def test_an_int8_segmenter_takes_the_pixels_of_an_image_as_they_are(tmp_path):
    from ai_edge_litert.interpreter import Interpreter

    model = trained(unet(3, filters=(8, 16)))
    examples = [images((48, 64))[0]]
    path = export_litert(model, tmp_path / "small.tflite", quantization="int8", examples=examples).path
    (image,), (logits,) = (
        get(Interpreter(str(path))) for get in (Interpreter.get_input_details, Interpreter.get_output_details)
    )
    assert (image["dtype"], logits["dtype"]) == (np.uint8, np.int8)
    scale, zero = image["quantization"]
    assert scale == pytest.approx(1, abs=0.02)
    assert zero == 0


def test_an_onnx_file_holds_the_names_of_the_classes(tmp_path):
    import onnx

    path = export_onnx(unet(2, filters=(4, 8)), tmp_path / "m.onnx", class_names=["background", "cell"]).path
    properties = {entry.key: entry.value for entry in onnx.load(path).metadata_props}
    assert properties["class_names"] == "background\ncell"


def test_a_conversion_that_gives_other_numbers_leaves_no_file(tmp_path, monkeypatch):
    monkeypatch.setattr(_conversion, "TOLERANCE", -1.0)
    for write, name in ((export_onnx, "m.onnx"), (export_litert, "m.tflite")):
        with pytest.raises(InputError, match="of the greatest off after the conversion"):
            write(unet(2, filters=(4, 8)), tmp_path / name)
    assert not list(tmp_path.iterdir())


def test_a_quantised_segmenter_that_gives_other_labels_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(_conversion, "LABELS_QUANTIZED", 1.1)
    with pytest.raises(InputError, match="of the pixels other labels.*export it without quantisation"):
        export_litert(
            unet(2, filters=(4, 8)), tmp_path / "m.tflite", quantization="int8", examples=[images((32, 32))[0]]
        )


@pytest.mark.parametrize(
    ("write", "name", "options", "error", "message"),
    [
        (export_onnx, "m.tflite", {}, InputError, "m.tflite: must end in .onnx"),
        (export_litert, "m.onnx", {}, InputError, "m.onnx: must end in .tflite"),
        (export_onnx, "there.onnx", {}, InputError, "there.onnx: exists"),
        (export_onnx, "there.onnx/m.onnx", {}, InputError, "there.onnx: is a file"),
        (export_litert, "m.tflite", {"quantization": "int4"}, ValueError, "quantization='int4'"),
        (export_litert, "m.tflite", {"quantization": "int8"}, ValueError, "needs `examples`"),
    ],
)
def test_wrong_use_is_refused(write, name, options, error, message, tmp_path):  # noqa: PLR0917
    (tmp_path / "there.onnx").write_text("here already")
    with pytest.raises(error, match=message):
        write(unet(2, filters=(4, 8)), tmp_path / name, **options)
    assert (tmp_path / "there.onnx").read_text() == "here already"


def test_only_segmenters_are_quantised(tmp_path):
    with pytest.raises(ValueError, match="Only segmenters are quantised"):
        export_litert(dcgan_generator(IMAGE, filters=8), tmp_path / "m.tflite", quantization="int8", examples=[])


def test_a_model_without_shapes_is_refused(tmp_path):
    with pytest.raises(ValueError, match="takes a Functional model"):
        export_onnx(keras.Sequential([keras.layers.Dense(2)]), tmp_path / "m.onnx")


@pytest.mark.parametrize(
    ("write", "name", "module"),
    [(export_onnx, "m.onnx", "tf2onnx"), (export_litert, "m.tflite", "ai_edge_litert")],
)
def test_a_missing_extra_is_named(write, name, module, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(InputError, match=rf"needs {module}.*pip install 'keras-segen\[(onnx|litert)\]'"):
        write(unet(2, filters=(4, 8)), tmp_path / name)


@pytest.mark.parametrize("write", [export_onnx, export_litert])
def test_numbers_that_are_not_finite_are_refused(write, tmp_path):
    model = unet(2, filters=(4, 8))
    *weights, bias = model.get_weights()
    model.set_weights([*weights, np.full_like(bias, np.nan)])
    path = tmp_path / "new" / ("m.onnx" if write is export_onnx else "m.tflite")
    with pytest.raises(InputError, match="unet: gives numbers that are not finite$"):
        write(model, path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("wrong", [np.nan, np.inf])
def test_an_engine_whose_numbers_are_not_finite_is_refused(wrong):
    model = unet(2, filters=(4, 8))
    with pytest.raises(InputError, match="not finite after the conversion"):
        _conversion.compared(
            model,
            lambda image: [np.full((*image.shape[:3], 2), wrong, np.float32)],
            iter([{"image": images((32, 32))}]),
        )


@pytest.mark.parametrize(("write", "name"), [(export_onnx, "m.onnx"), (export_litert, "m.tflite")])
def test_a_network_in_bfloat16_is_written_in_float32(write, name, tmp_path):
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        model = unet(3, filters=(4, 8))
    finally:
        keras.config.set_dtype_policy("float32")
    assert write(model, tmp_path / name).difference < 1e-4


@pytest.mark.parametrize("wrong", [np.zeros((32, 32, 1)), np.zeros((32, 32)), np.full((32, 32, 3), np.nan)])
def test_wrong_examples_are_refused(wrong, tmp_path):
    with pytest.raises(ValueError, match="`examples` are images"):
        export_litert(unet(2, filters=(4, 8)), tmp_path / "m.tflite", quantization="int8", examples=[wrong])


def test_8_bits_stand_for_the_range_of_values(tmp_path):
    from ai_edge_litert.interpreter import Interpreter

    model = trained(unet(2, filters=(4, 8), value_range=(100, 4195)))
    examples = [np.random.default_rng(0).uniform(0, 3000, (48, 64, 3))]
    path = export_litert(model, tmp_path / "small.tflite", quantization="int8", examples=examples).path
    (image,) = Interpreter(str(path)).get_input_details()
    scale, zero = image["quantization"]
    # 0 belongs to the range that LiteRT keeps.
    assert scale == pytest.approx(4195 / 255, rel=0.02)
    assert zero == 0
