"""Networks of `keras.applications`, with their ImageNet weights, as the encoders of segmenters."""

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, get_args

import keras
from keras import applications, layers, ops

from keras_segen.errors import InputError
from keras_segen.layers import Dropout, FusedBatchNormalization, PadToStride
from keras_segen.types import BackboneName, PathLike, Tensor

BACKBONES = get_args(BackboneName)
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
    """The encoder of a segmenter, which turns an image into feature maps of falling resolution.

    Attributes:
        preprocess: Images (batch, height, width, channels) in [0, 255], of any size -> the input of `features`, scaled
            as in the network's training, and padded to its stride.
        features: Preprocessed images -> a list of feature maps. A classifier is a model of the name "backbone".
        strides: The stride of each map, in pixels, each twice the one before.
        origins: Where the centre of each map's first cell lies, in pixels: in the middle of the pixels that it covers
            after pooling; elsewhere after a strided convolution, which sees every second cell alone.
        score_scales: By stride, the factor of the maps whose numbers are too large for FCN to score.
    """

    preprocess: Callable[[Any], Any]
    features: Callable[[Any], list[Any]]
    strides: tuple[int, ...]
    origins: tuple[float, ...]
    score_scales: Mapping[int, float] = field(default_factory=dict)

    def origin(self, stride: int) -> float:
        """Return where the centre of the first cell of a map lies, in pixels; at stride 1 a cell is a pixel."""
        return 0.0 if stride == 1 else self.origins[self.strides.index(stride)]

    def phase(self, stride: int) -> float:
        """Return the origin of a map's cells on the grid of half its stride, as `BilinearUpSampling` takes it."""
        return (self.origin(stride) - self.origin(stride // 2)) / (stride // 2)


def backbone(
    name: str,
    *,
    weights: PathLike | None = "imagenet",
    width: float = 1.0,
    input_channels: int = 3,
    fully_connected: bool = False,
    dropout: float = 0.5,
) -> Backbone:
    """Build the encoder of a segmenter from a classifier.

    Its batch normalisation is `FusedBatchNormalization`, whose momentum suits small data.

    Args:
        name: "vgg16" (Simonyan and Zisserman, 2015), "resnet50" (He et al., 2016) or "mobilenet" (Howard et al., 2017).
        weights: "imagenet" to download the weights of `keras.applications`, a file that holds them, or None for random
            ones.
        width: MobileNet's width multiplier; ImageNet weights exist for 0.25, 0.5, 0.75 and 1.
        input_channels: The channels of the images, 3 unless the weights are random.
        fully_connected: Whether the deepest map goes through two fully connected layers as convolutions, as FCN has it:
            VGG16's own fc6 and fc7 (7×7 and 1×1), whose weights are those of the whole classifier; after the others a
            7×7 depthwise and a 1×1 convolution with random weights, outside the model "backbone".
        dropout: The share of these layers' activations that is set to 0 in training.

    Raises:
        InputError: For weights that cannot be downloaded or do not fit.
        ValueError: For an unknown name, or numbers that do not fit the network.
    """
    if name not in BACKBONES:
        raise ValueError(f"`backbone` must be one of {', '.join(BACKBONES)}. Received: backbone={name!r}")
    if name != "mobilenet" and width != 1:
        raise ValueError(f"`backbone_width` is MobileNet's alone. Received: backbone={name!r}, backbone_width={width}")
    if width <= 0:
        raise ValueError(f"`backbone_width` must be over 0. Received: backbone_width={width}")
    if weights is not None and input_channels != 3:
        raise ValueError(
            f"A backbone with weights takes 3 channels: use backbone_weights=None. Received: {input_channels=}"
        )
    if name == "vgg16":
        return (
            _fully_connected_vgg16(weights, input_channels, dropout)
            if fully_connected
            else _vgg16(weights, input_channels)
        )
    encoder = _resnet50(weights, input_channels) if name == "resnet50" else _mobilenet(weights, width, input_channels)
    if not fully_connected:
        return encoder

    def features(x: Tensor) -> list[Any]:
        *finer, deepest = encoder.features(x)
        return [*finer, _fully_connected(deepest, dropout)]

    return replace(encoder, features=features)


def _vgg16(weights: PathLike | None, channels: int) -> Backbone:
    source = _load("vgg16", weights, applications.VGG16, include_top=False, input_shape=(None, None, channels))
    names = ["block1_conv2", "block2_conv2", "block3_conv3", "block4_conv3", "block5_conv3", "block5_pool"]
    model = _rebuilt(source.input, [source.get_layer(name).output for name in names])
    strides = (1, *_STRIDES)
    # Pools of 2×2: a cell lies in the middle of its pixels.
    return Backbone(_padded(_caffe, channels), model, strides, tuple((stride - 1) / 2 for stride in strides))


def _fully_connected_vgg16(weights: PathLike | None, channels: int, dropout: float) -> Backbone:
    source = _load("vgg16", None, applications.VGG16, include_top=False, input_shape=(None, None, channels))
    pool3, pool4, x = (source.get_layer(f"block{i}_pool").output for i in (3, 4, 5))
    for fc, size in (("fc6", 7), ("fc7", 1)):
        x = layers.Conv2D(FULLY_CONNECTED, size, padding="same", activation="relu", name=fc)(x)
        if dropout:
            x = Dropout(dropout, name=f"{fc}_dropout")(x)
    model = _rebuilt(source.input, [pool3, pool4, x])
    if weights is not None:
        classifier = _load("vgg16", weights, applications.VGG16, include_top=True, input_shape=(224, 224, 3))
        for layer in model.layers:
            if layer.weights:
                # fc1 and fc2 of the classifier are products with the flattened map, row by row.
                twin = classifier.get_layer({"fc6": "fc1", "fc7": "fc2"}.get(layer.name, layer.name))
                kernel, bias = twin.get_weights()
                layer.set_weights([kernel.reshape(layer.kernel.shape), bias])
    strides = (8, 16, 32)
    # VGG16 has no batch normalisation, and its finer maps hold so much larger numbers than its deepest that they would
    # drown it when trained at once. The authors' factors: shelhamer/fcn.berkeleyvision.org, voc-fcn8s-atonce.
    scales = {16: 1e-2, 8: 1e-4}
    return Backbone(_padded(_caffe, channels), model, strides, tuple((stride - 1) / 2 for stride in strides), scales)


def _fully_connected(x: Tensor, dropout: float) -> Tensor:
    """Look around as far as VGG16's fc6 does; these classifiers average their deepest map instead."""
    channels = min(x.shape[-1], 512)
    x = layers.DepthwiseConv2D(7, padding="same", use_bias=False, name="fc6")(x)
    x = FusedBatchNormalization(name="fc6_norm")(x)
    x = layers.ReLU(name="fc6_relu")(x)
    x = layers.Conv2D(channels, 1, use_bias=False, kernel_initializer="he_normal", name="fc7")(x)
    x = FusedBatchNormalization(name="fc7_norm")(x)
    x = layers.ReLU(name="fc7_relu")(x)
    return Dropout(dropout, name="fc7_dropout")(x) if dropout else x


def _resnet50(weights: PathLike | None, channels: int) -> Backbone:
    source = _load("resnet50", weights, applications.ResNet50, include_top=False, input_shape=(None, None, channels))
    names = ["conv1_relu", "conv2_block3_out", "conv3_block4_out", "conv4_block6_out", "conv5_block3_out"]
    # Convolutions of stride 2 that are padded alike on both sides: cell i sees pixel stride·i.
    model = _rebuilt(source.input, [source.get_layer(name).output for name in names])
    return Backbone(_padded(_caffe, channels), model, _STRIDES, (0,) * 5)


def _mobilenet(weights: PathLike | None, width: float, channels: int) -> Backbone:
    source = _load(
        "mobilenet",
        weights,
        applications.MobileNet,
        include_top=False,
        alpha=width,
        input_shape=(None, None, channels),
    )
    outputs = [source.get_layer(f"conv_pw_{i}_relu").output for i in (1, 3, 5, 11, 13)]
    # Convolutions of stride 2 that are padded below and to the right alone: cell i sees its last pixel.
    origins = tuple(stride - 1 for stride in _STRIDES)
    return Backbone(_padded(_unit, channels), _rebuilt(source.input, outputs), _STRIDES, origins)


def _padded(scale: Callable[[Any], Any], channels: int) -> Callable[[Any], Any]:
    """Return the preprocessing of a classifier: its own scaling of RGB, [-1, 1] for other channels; then padding."""
    scale = scale if channels == 3 else _unit
    return lambda image: PadToStride(32, name="pad")(scale(image))


def _caffe(image: Tensor) -> Tensor:
    x = ops.flip(image, axis=-1)
    return layers.Normalization(mean=_CAFFE_MEANS, variance=[1, 1, 1], dtype="float32", name="subtract_means")(x)


def _unit(image: Tensor) -> Tensor:
    return layers.Rescaling(1 / 127.5, offset=-1, name="scale")(image)


def _rebuilt(source_input: Tensor, outputs: list[Any]) -> keras.Model:
    """Rebuild a network with fused batch normalisation, and give it the same weights."""

    def copied(layer: Any) -> Any:
        if isinstance(layer, layers.BatchNormalization):
            return FusedBatchNormalization(epsilon=layer.epsilon, name=layer.name)
        return layer.__class__.from_config(layer.get_config())

    source = keras.Model(source_input, outputs, name="backbone")
    copy = keras.models.clone_model(source, clone_function=copied)
    copy.set_weights(source.get_weights())
    return copy


def _load(name: str, weights: PathLike | None, build: Callable[..., keras.Model], **options: Any) -> keras.Model:
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
                "the file as `backbone_weights`"
            ) from error
        if weights is None:
            raise
        raise InputError(f"{weights}: holds no weights for this {name}: {str(error).splitlines()[0]}") from error
