"""Networks of `keras.applications`, with their ImageNet weights, as the first stages of segmenters."""

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
from keras import applications, layers, ops

from keras_segen.errors import InputError
from keras_segen.layers import Dropout, FusedBatchNormalization

BACKBONES = ("vgg16", "resnet50", "mobilenet")
FULLY_CONNECTED = 4096  # channels of VGG16's fc6 and fc7
URLS = {
    "vgg16": "https://storage.googleapis.com/tensorflow/keras-applications/vgg16/",
    "resnet50": "https://storage.googleapis.com/tensorflow/keras-applications/resnet/",
    "mobilenet": "https://storage.googleapis.com/tensorflow/keras-applications/mobilenet/",
}
_STRIDES = (2, 4, 8, 16, 32)
_CAFFE_MEANS = [103.939, 116.779, 123.68]  # of ImageNet's blue, green and red; VGG16 and ResNet50 want them subtracted


@dataclass(frozen=True)
class Backbone:
    """The first stages of a segmenter.

    Attributes:
        preprocess: RGB (batch, height, width, 3) in [0, 255] -> what the network was trained on.
        model: of what `preprocess` gives, height and width multiples of 32 -> a list of feature maps.
        strides: of each map, in pixels, ascending.
        origins: where the centre of each map's first cell lies, in pixels: in the middle of the pixels that it covers
            after pooling; elsewhere after a strided convolution, which sees every second cell alone.
    """

    preprocess: Callable[[Any], Any]
    model: keras.Model
    strides: tuple[int, ...]
    origins: tuple[float, ...]

    def phase(self, coarse: int, fine: int) -> float:
        """Return the origin of one map on the grid of another, as `BilinearUpSampling` wants it."""
        return (self.origins[coarse] - self.origins[fine]) / self.strides[fine]


def backbone(
    name: str, *, weights: str | Path | None = "imagenet", alpha: float = 1.0, fully_connected: bool = False
) -> Backbone:
    """Build the first stages of a segmenter.

    Their batch normalisation is `FusedBatchNormalization`, whose momentum suits small data.

    Args:
        name: "vgg16" (Simonyan and Zisserman, 2015), "resnet50" (He et al., 2016) or "mobilenet" (Howard et al., 2017).
        weights: "imagenet" to download the weights of `keras.applications`, a file that holds them, or None for random
            ones.
        alpha: MobileNet's width multiplier; ImageNet weights exist for 0.25, 0.5, 0.75 and 1.
        fully_connected: end VGG16 in fc6 and fc7 as convolutions (7×7 and 1×1) with dropout, as FCN wants them. Its
            weights are then those of the whole classifier.

    Raises:
        InputError: for weights that cannot be had or do not fit.
        ValueError: for an unknown name.
    """
    if name not in BACKBONES:
        raise ValueError(f"`backbone` must be one of {', '.join(BACKBONES)}. Received: backbone={name!r}")
    if name != "mobilenet" and alpha != 1:
        raise ValueError(f"`alpha` is MobileNet's alone. Received: backbone={name!r}, alpha={alpha}")
    if alpha <= 0:
        raise ValueError(f"`alpha` must be over 0. Received: alpha={alpha}")
    if name == "vgg16":
        return _vgg16(weights, fully_connected)
    return _resnet50(weights) if name == "resnet50" else _mobilenet(weights, alpha)


def _vgg16(weights: str | Path | None, fully_connected: bool) -> Backbone:
    if not fully_connected:
        source = _load("vgg16", weights, applications.VGG16, include_top=False)
        names = ["block1_conv2", "block2_conv2", "block3_conv3", "block4_conv3", "block5_conv3", "block5_pool"]
        outputs = [source.get_layer(name).output for name in names]
        strides: tuple[int, ...] = (1, 2, 4, 8, 16, 32)
    else:
        source = _load("vgg16", None, applications.VGG16, include_top=False)
        pool3, pool4, x = (source.get_layer(f"block{i}_pool").output for i in (3, 4, 5))
        for fc, size in (("fc6", 7), ("fc7", 1)):
            x = layers.Conv2D(FULLY_CONNECTED, size, padding="same", activation="relu", name=fc)(x)
            x = Dropout(0.5, name=f"{fc}_dropout")(x)
        outputs, strides = [pool3, pool4, x], (8, 16, 32)
    model = _rebuilt(source.input, outputs)
    if fully_connected and weights is not None:
        classifier = _load("vgg16", weights, applications.VGG16, include_top=True, input_shape=(224, 224, 3))
        for layer in model.layers:
            if layer.weights:
                # fc1 and fc2 of the classifier are products with the flattened map, row by row.
                twin = classifier.get_layer({"fc6": "fc1", "fc7": "fc2"}.get(layer.name, layer.name))
                kernel, bias = twin.get_weights()
                layer.set_weights([kernel.reshape(layer.kernel.shape), bias])
    # Pools of 2×2: a cell lies in the middle of its pixels.
    return Backbone(_caffe, model, strides, tuple((stride - 1) / 2 for stride in strides))


def _resnet50(weights: str | Path | None) -> Backbone:
    source = _load("resnet50", weights, applications.ResNet50, include_top=False)
    names = ["conv1_relu", "conv2_block3_out", "conv3_block4_out", "conv4_block6_out", "conv5_block3_out"]
    # Convolutions of stride 2 that are padded alike on both sides: cell i sees pixel stride·i.
    model = _rebuilt(source.input, [source.get_layer(name).output for name in names])
    return Backbone(_caffe, model, _STRIDES, (0,) * 5)


def _mobilenet(weights: str | Path | None, alpha: float) -> Backbone:
    source = _load("mobilenet", weights, applications.MobileNet, include_top=False, alpha=alpha)
    outputs = [source.get_layer(f"conv_pw_{i}_relu").output for i in (1, 3, 5, 11, 13)]
    # Convolutions of stride 2 that are padded below and to the right alone: cell i sees its last pixel.
    return Backbone(_unit, _rebuilt(source.input, outputs), _STRIDES, tuple(stride - 1 for stride in _STRIDES))


def _caffe(image: Any) -> Any:
    x = ops.flip(image, axis=-1)
    return layers.Normalization(mean=_CAFFE_MEANS, variance=[1, 1, 1], dtype="float32", name="subtract_means")(x)


def _unit(image: Any) -> Any:
    return layers.Rescaling(1 / 127.5, offset=-1, name="scale")(image)


def _rebuilt(source_input: Any, outputs: list[Any]) -> keras.Model:
    """Rebuild a network with fused batch normalisation, and give it the same weights."""

    def copied(layer: Any) -> Any:
        if isinstance(layer, layers.BatchNormalization):
            return FusedBatchNormalization(epsilon=layer.epsilon, name=layer.name)
        return layer.__class__.from_config(layer.get_config())

    source = keras.Model(source_input, outputs, name="backbone")
    copy = keras.models.clone_model(source, clone_function=copied)
    copy.set_weights(source.get_weights())
    return copy


def _load(name: str, weights: str | Path | None, build: Callable[..., keras.Model], **options: Any) -> keras.Model:
    if weights is not None and weights != "imagenet" and not Path(weights).is_file():
        raise InputError(f'{weights}: no such file: give "imagenet", a file of weights for {name}, or None')
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of input shapes that the weights were not trained on
            return build(weights=weights if weights is None else str(weights), **options)
    except Exception as error:
        if weights == "imagenet":
            raise InputError(
                f"the ImageNet weights of {name} could not be had ({error}): fetch them from {URLS[name]}, and give "
                "the file as `weights`"
            ) from error
        if weights is None:
            raise
        raise InputError(f"{weights}: holds no weights for this {name}: {str(error).splitlines()[0]}") from error
