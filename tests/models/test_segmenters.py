"""What holds for every segmenter: one set of tests that each inherits; see `test_every_backbone` for backbones."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_segen import losses, metrics
from keras_segen.models import _backbones as backbones
from keras_segen.models import deeplab_v3_plus, fcn, fpn, refined, unet
from keras_segen.serving import export

CLASSES = 3
ODD = (37, 53)
NARROW = {"backbone": "mobilenet", "backbone_width": 0.25, "backbone_weights": None}


@pytest.fixture(autouse=True)
def narrow_fully_connected(monkeypatch):
    monkeypatch.setattr(backbones, "FULLY_CONNECTED", 16)  # 4,096 take gigabytes


def batch(size=(32, 32), seed=0):
    rng = np.random.default_rng(seed)
    images = rng.uniform(0, 255, (2, *size, 3)).astype("float32")
    masks = (images.mean(-1) // 100).astype("uint8")
    masks[:, :2] = 255
    return images, masks


def pass_everything_on(model):
    """Make convolutions hand on what their middle sees, so that nothing but the sampling of the levels is left."""
    for layer in model._flatten_layers():
        kernel = getattr(layer, "kernel", None)
        if not isinstance(layer, keras.layers.Conv2D | keras.layers.DepthwiseConv2D | keras.layers.Conv2DTranspose):
            continue
        height, width, channels, _ = kernel.shape
        value = np.zeros(kernel.shape, "float32")
        if layer.name == "aspp_project_mean":
            pass  # what every pixel sees of the whole image
        elif isinstance(layer, keras.layers.Conv2DTranspose):
            value[:] = 1
        else:
            depthwise = isinstance(layer, keras.layers.DepthwiseConv2D)
            middle = [slice((size - 1) // 2, size // 2 + 1) for size in (height, width)]
            value[*middle] = 1 if depthwise else 1 / channels
            value /= value[..., 0, 0].sum() if depthwise else value[..., 0].sum()
        kernel.assign(value)
        if layer.bias is not None:
            layer.bias.assign(np.zeros(layer.bias.shape))


@pytest.fixture(scope="class")
def all_pass(request):
    """The class's network, once for both axes, with weights that pass everything on."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(backbones, "FULLY_CONNECTED", 16)
        model = request.cls().build(num_classes=1)
    pass_everything_on(model)
    return model


class SegmenterTests:
    """The set. A subclass says how to build its network.

    Transposed convolutions with a kernel no wider than their stride give all pixels of a cell what that saw: pixel by
    pixel such a network is off by up to half a cell, but not on average over the cell. Where `xla` is False, other
    subclasses compile the same backbone and the same decoder with XLA.
    """

    blocky = False
    xla = True

    def build(self, num_classes=CLASSES):
        raise NotImplementedError

    def compiled(self, **options):
        keras.utils.set_random_seed(0)
        model = self.build()
        loss = losses.Sum([losses.CrossEntropy(), losses.Dice()])
        model.compile(keras.optimizers.Adam(1e-3), loss, metrics=[metrics.MeanIoU(CLASSES)], **options)
        model.optimizer.build(model.trainable_variables)  # or the step is traced twice
        return model

    def test_predicts_odd_sizes_and_serves_the_same(self, tmp_path):
        model = self.build()
        logits = model.predict(batch(ODD)[0], verbose=0)
        assert logits.shape == (2, *ODD, CLASSES)
        assert logits.dtype == np.float32
        servable = tf.saved_model.load(str(export(model, tmp_path / "servable")))
        for size in (ODD, (1, 1)):
            images = np.round(batch(size)[0]).astype("uint8")
            answer = servable.signatures["serving_default"](image=tf.constant(images))
            expected = model(images.astype("float32"), training=False)
            np.testing.assert_allclose(answer["score"], tf.nn.softmax(expected).numpy().max(-1), atol=1e-5)

    def test_a_saved_model_trains_on_as_the_first_does(self, tmp_path):
        model = self.compiled(run_eagerly=True)  # one step is done before a graph of it is traced
        images, masks = batch()
        model.train_on_batch(images, masks)
        model.save(tmp_path / "model.keras")
        loaded = keras.saving.load_model(tmp_path / "model.keras")
        loaded.run_eagerly = True
        assert type(loaded) is type(model)
        np.testing.assert_array_equal(loaded(images, training=False), model(images, training=False))
        assert loaded.evaluate(images, masks, verbose=0) == model.evaluate(images, masks, verbose=0)
        assert loaded.get_layer("score32" if "fcn" in model.name else "logits").trainable
        assert int(loaded.optimizer.iterations) == 1
        for ours, theirs in zip(loaded.optimizer.variables, model.optimizer.variables, strict=True):
            np.testing.assert_array_equal(ours, theirs)

    def test_learns_in_bfloat16(self):
        keras.config.set_dtype_policy("mixed_bfloat16")
        model = self.compiled(jit_compile=self.xla)
        assert model.outputs[0].dtype == "float32"
        images, masks = batch((64, 64))
        history = [model.train_on_batch(images, masks, return_dict=True)["loss"] for _ in range(8)]
        assert np.isfinite(history).all()
        assert min(history) < 0.995 * history[0]

    @pytest.mark.parametrize("axis", [1, 2])
    def test_an_impulse_comes_out_where_it_went_in(self, all_pass, axis):
        sides = [32, 32]
        sides[axis - 1] = 192
        places = np.arange(32, 160)
        images = np.full((len(places), *sides, 3), 127.5, "float32")  # so that every ReLU lets it through
        for image, place in zip(images, places, strict=True):
            image[(slice(None),) * (axis - 1) + (place,)] = 255
        grey = np.full((1, *sides, 3), 127.5, "float32")

        def profile(batch):
            logits = all_pass.predict(batch, batch_size=16, verbose=0)[..., 0]
            return logits[:, :, 16] if axis == 1 else logits[:, 16]

        response = profile(images) - profile(grey)  # (places, pixels)
        pixels = np.arange(80, 112)
        shares = response[:, pixels] / response[:, pixels].sum(0)
        offsets = (shares * places[:, None]).sum(0) - pixels
        assert np.abs(offsets.mean() if self.blocky else offsets).max() <= 0.5


class TestUNet(SegmenterTests):
    blocky = True

    def build(self, num_classes=CLASSES):
        return unet(num_classes, filters=(4, 8, 16))


@pytest.mark.slow
class TestUNetBilinear(SegmenterTests):
    def build(self, num_classes=CLASSES):
        return unet(num_classes, filters=(4, 8, 16), up_sampling="bilinear")


@pytest.mark.slow
class TestUNetValid(SegmenterTests):
    blocky = True

    def build(self, num_classes=CLASSES):
        return unet(num_classes, filters=(4, 8, 16), padding="valid")


@pytest.mark.slow
class TestUNetDeeplySupervised(SegmenterTests):
    blocky = True

    def build(self, num_classes=CLASSES):
        return unet(num_classes, filters=(4, 8, 16, 32), deep_supervision=True)


@pytest.mark.slow
class TestUNetMobileNet(SegmenterTests):
    def build(self, num_classes=CLASSES):
        return unet(
            num_classes,
            decoder_filters=(4, 8, 8, 16, 16),
            **NARROW,
        )


class TestFCNMobileNet(SegmenterTests):
    def build(self, num_classes=CLASSES):
        return fcn(num_classes, stride=8, **NARROW)


@pytest.mark.slow
class TestFCNVGG16(SegmenterTests):
    def build(self, num_classes=CLASSES):
        return fcn(num_classes, backbone="vgg16", backbone_weights=None, stride=8, up_sampling="transposed")


@pytest.mark.slow
class TestFCN32s(SegmenterTests):
    xla = False

    def build(self, num_classes=CLASSES):
        return fcn(num_classes, stride=32, **NARROW)


@pytest.mark.slow
class TestFCNRefined(SegmenterTests):
    def build(self, num_classes=CLASSES):
        return refined(fcn(num_classes, stride=16, **NARROW), filters=8)


@pytest.mark.slow
class TestUNetAttentionGates(SegmenterTests):
    blocky = True
    xla = False

    def build(self, num_classes=CLASSES):
        return unet(num_classes, filters=(4, 8, 16), attention_gates=True)


@pytest.mark.slow
class TestFPNMobileNet(SegmenterTests):
    xla = False

    def build(self, num_classes=CLASSES):
        return fpn(num_classes, pyramid_filters=8, segmentation_filters=8, **NARROW)


@pytest.mark.slow
class TestDeepLabMobileNet(SegmenterTests):
    def build(self, num_classes=CLASSES):
        return deeplab_v3_plus(num_classes, filters=8, low_level_filters=4, output_stride=8, **NARROW)
