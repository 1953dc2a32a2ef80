"""Backbones: the encoders of segmenters, made of classifiers of `keras.applications` or of any network of images."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import keras
import numpy as np
from keras import layers, ops

from keras_segen.layers import DepthwiseInParts, Dropout, FusedBatchNormalization, PadToStride, ValueRange
from keras_segen.models._applications import Scaling, classifier, scaling
from keras_segen.models._atrous import atrous
from keras_segen.models._levels import SIDE, Level, Place, Trace, functional, levels
from keras_segen.types import PathLike, Tensor

_OF_A_WINDOW = ("kernel_size", "strides", "padding", "dilation_rate", "activation", "use_bias", "name")
FULLY_CONNECTED = 4096  # channels of VGG16's fc6 and fc7


@dataclass(frozen=True)
class Backbone:
    """The encoder of a segmenter, which turns an image into feature maps of falling resolution.

    Attributes:
        preprocess: Images (batch, height, width, channels) in [0, 255], of any size -> the input of `features`, scaled
            as in the network's training, and padded to its stride.
        features: Preprocessed images -> a list of feature maps. A classifier is a model of the name "backbone".
        strides: The stride of each map, in pixels, a power of two; each is greater than the one before.
        origins: Where the centre of each map's first cell lies, in pixels: in the middle of the pixels that it covers
            after pooling; elsewhere after a strided convolution, which sees every second cell alone.
        exact: Whether each map has as many cells as there are strides in the padded image. Convolutions without padding
            leave fewer.
        score_scales: By stride, the factor of the maps whose numbers are too large for FCN to score.
    """

    preprocess: Callable[[Any], Any]
    features: Callable[[Any], list[Any]]
    strides: tuple[int, ...]
    origins: tuple[float, ...]
    exact: tuple[bool, ...]
    score_scales: Mapping[int, float] = field(default_factory=dict)

    def maps(self, image: Tensor, value_range: tuple[float, float] | None = None) -> dict[int, Any]:
        """Return the feature maps of an image by their strides.

        Args:
            image: Images (batch, height, width, channels).
            value_range: The values of the image that become 0 and 255; None if it is in [0, 255].
        """
        x = image if value_range is None else ValueRange(*value_range, name="value_range")(image)
        return dict(zip(self.strides, self.features(self.preprocess(x)), strict=True))

    def origin(self, stride: int) -> float:
        """Return where the centre of the first cell of a map lies, in pixels; at stride 1 a cell is a pixel.

        A map that is not there would lie where pooling would put it, under the next one that is.
        """
        if stride == 1:
            return 0.0
        if stride in self.strides:
            return self.origins[self.strides.index(stride)]
        return self.origin(2 * stride) - stride / 2

    def phase(self, stride: int) -> float:
        """Return the origin of a map's cells on the grid of half its stride."""
        return (self.origin(stride) - self.origin(stride // 2)) / (stride // 2)

    def is_exact(self, stride: int) -> bool:
        """Return whether a map has cells for all of the padded image; one that is not there is as the next that is."""
        return next(exact for coarser, exact in zip(self.strides, self.exact, strict=True) if coarser >= stride)


def backbone(
    source: str | keras.Model,
    *,
    weights: PathLike | None = "imagenet",
    width: float = 1.0,
    input_channels: int = 3,
    fully_connected: bool = False,
    dropout: float = 0.5,
    output_stride: int | None = None,
) -> Backbone:
    """Build the encoder of a segmenter from a network of images.

    The last map at each stride is found in the network, and so is where its cells lie. Batch normalisation becomes
    `FusedBatchNormalization`, whose momentum suits small data.

    Args:
        source: The name of a classifier of `keras.applications`, such as "mobilenet_v2"; or a Functional model of
            images (batch, height, width, channels) in [0, 255], whose weights are copied.
        weights: "imagenet" to download the weights of `keras.applications`, a file that holds them, or None for random
            ones. A model brings its own.
        width: The width multiplier of MobileNets.
        input_channels: The channels of the images. A network of RGB is shown a single one as red, green and blue, which
            equals summing its first kernel; for other numbers the kernel's channels are repeated in turn, times 3
            over the number.
        fully_connected: Whether the deepest map goes through two fully connected layers as convolutions, as FCN has it:
            VGG16's own fc6 and fc7 (7×7 and 1×1), whose weights are those of the whole classifier; after the others a
            7×7 depthwise and a 1×1 convolution with random weights, outside the model "backbone".
        dropout: The share of these layers' activations that is set to 0 in training.
        output_stride: The greatest stride of a map, for which the last stages are made atrous; None to leave them.

    Raises:
        InputError: For weights that cannot be downloaded or do not fit.
        ValueError: For an unknown name, numbers that do not fit the network, a model that is no such network, or layers
            that cannot be made atrous.
    """
    if width <= 0:
        raise ValueError(f"`backbone_width` must be over 0. Received: backbone_width={width}")
    if source == "vgg16" and fully_connected:
        return _fully_connected_vgg16(weights, width, input_channels, dropout)
    if isinstance(source, str):
        colours = 3 if weights is not None else input_channels
        network = classifier(source, weights=weights, width=width, input_channels=colours)
        scaled = scaling(source)
    else:
        network, scaled = at_known_size(source), None
    if output_stride is not None:
        network = atrous(network, output_stride)
    encoder = _encoder(levels(network), scaled, network, input_channels)
    if not fully_connected:
        return encoder

    def features(x: Tensor) -> list[Any]:
        *finer, deepest = encoder.features(x)
        return [*finer, _fully_connected(deepest, dropout)]

    return replace(encoder, features=features)


def at_known_size(source: keras.Model) -> keras.Model:
    """Return a user's network, with its own weights, for images of one known size."""
    source = functional(source)
    if not isinstance(source, keras.Model) or not hasattr(source, "_nodes_by_depth"):
        raise ValueError(
            "`backbone` is the name of a network of keras.applications, or a Functional keras.Model. "
            f"Received: backbone={source!r}"
        )
    if len(source.inputs) != 1 or len(source.inputs[0].shape) != 4 or source.inputs[0].shape[-1] is None:
        raise ValueError(
            "A backbone takes images (batch, height, width, channels). Received: "
            f"backbone={source.name!r}, which takes {source.input_shape}"
        )
    if not all(np.isfinite(weight).all() for weight in source.get_weights()):
        raise ValueError(
            f"A backbone's weights are finite numbers. Received: backbone={source.name!r}, which has others"
        )
    image = keras.Input((SIDE, SIDE, source.inputs[0].shape[-1]))
    part = keras.Model(source.inputs[0], _maps_of(source), name=source.name)
    copy = keras.models.clone_model(part, input_tensors=image)
    copy.set_weights(part.get_weights())
    return copy


def _maps_of(network: keras.Model) -> list[Any]:
    """Return a network's outputs, or its last feature map if they are no maps: a classifier's top has one size."""
    if all(len(output.shape) == 4 for output in network.outputs):
        return list(network.outputs)
    tensors = [step.output for step in Trace(network, Place(1, 0)).steps if len(step.output.shape) == 4]
    if not tensors:
        raise ValueError(f"A backbone has feature maps. Received: backbone={network.name!r}, which has none")
    return [tensors[-1]]


def _encoder(
    found: Mapping[int, Level], colours: Scaling | None, network: keras.Model, input_channels: int
) -> Backbone:
    """Make the encoder of a network that was built for images of a known size, from its maps by their strides."""
    known = network.inputs[0].shape[-1]
    if known not in (input_channels, 3):
        raise ValueError(
            f"The backbone takes {known} channel{'s' * (known != 1)}: give images of as many (by command --channels "
            f"{known}). Received: input_channels={input_channels}"
        )
    as_rgb = input_channels == 1 and known == 3
    channels = 3 if as_rgb else input_channels
    flipped = colours is not None and colours.flipped
    # Which of the network's channels each of ours is like: red, green and blue in turn.
    like = np.arange(channels) % known
    model = _rebuilt(network, found, 2 - like if flipped and channels != known else like)
    stride, deepest = max(found), found[max(found)]

    def preprocess(image: Tensor) -> Tensor:
        x = layers.Concatenate(name="grey_as_rgb")([image] * 3) if as_rgb else image
        if colours is not None:
            x = _scaled(x, colours)
        return PadToStride(stride, least=SIDE - stride * (deepest.cells - 1), name="pad")(x)

    return Backbone(
        preprocess,
        model,
        tuple(found),
        tuple(level.place.origin for level in found.values()),
        tuple(level.cells * stride == SIDE for stride, level in found.items()),
    )


def _scaled(image: Tensor, colours: Scaling) -> Tensor:
    """Scale the channels as those of red, green and blue in turn."""
    channels = image.shape[-1]
    if colours.flipped and channels == 3:
        image = ops.flip(image, axis=-1)
    rgb = slice(None, None, -1) if colours.flipped and channels != 3 else slice(None)
    mean, deviation = (np.resize(values[rgb], channels) for values in (colours.mean, colours.deviation))
    if not (np.ptp(mean) or np.ptp(deviation)):
        mean, deviation = mean[:1], deviation[:1]
    return _affine(mean, deviation, name="scale", dtype="float32")(image)


def _affine(mean: np.ndarray, deviation: np.ndarray, **options: Any) -> layers.Layer:
    """Return (image - mean) / deviation as a layer whose numbers, other than a `Normalization`'s, go to any engine."""
    scale, offset = (
        values.tolist() if values.size > 1 else float(values[0]) for values in (1 / deviation, -mean / deviation)
    )
    return layers.Rescaling(scale, offset=offset, **options)


def _rebuilt(network: keras.Model, found: Mapping[int, Level], like: np.ndarray) -> keras.Model:
    """Rebuild a network for images of any size, with fused batch normalisation, and give it the same weights.

    Args:
        network: The network, for images of a known size.
        found: Its maps, which become the outputs.
        like: For each channel of the new network's images, the channel of the old one's whose weights it takes.
    """
    source = keras.Model(network.inputs[0], [level.tensor for level in found.values()], name="backbone")
    known = source.inputs[0].shape[-1]

    def copied(layer: Any) -> Any:
        config = layer.get_config()
        if isinstance(layer, layers.BatchNormalization):
            kept = {name: config[name] for name in ("epsilon", "center", "scale", "name")}
            return FusedBatchNormalization(**kept)
        if _is_depthwise(layer):
            # Keras compiles its grouped convolutions with XLA, which other engines do not know.
            kept = {name: config[name] for name in _OF_A_WINDOW}
            return DepthwiseInParts(**kept)
        if isinstance(layer, layers.Normalization):
            mean, variance = (np.asarray(value).ravel() for value in (layer.mean, layer.variance))
            if mean.size == known > 1:
                mean, variance = mean[like], variance[like]
            return _affine(mean, np.maximum(np.sqrt(variance), keras.config.epsilon()), name=layer.name)
        if isinstance(layer, layers.Rescaling):
            for name in ("scale", "offset"):
                values = np.asarray(config[name])
                if values.size == known > 1:
                    config[name] = values.ravel()[like].tolist()
        return layer.__class__.from_config(config)

    image = keras.Input((None, None, len(like)), name=source.inputs[0].name)
    copy = keras.models.clone_model(source, input_tensors=image, clone_function=copied)
    for layer in copy.layers:
        ours = [weight.shape for weight in layer.weights]
        theirs = source.get_layer(layer.name).get_weights() if layer.weights else []
        if theirs and _is_depthwise(source.get_layer(layer.name)):
            theirs[0] = np.swapaxes(theirs[0], 2, 3)
        layer.set_weights([_as_channels(value, shape, like) for value, shape in zip(theirs, ours, strict=True)])
    return copy


def _is_depthwise(layer: Any) -> bool:
    """Say whether a convolution has one group a channel, and so does what a depthwise one does."""
    return type(layer) is layers.Conv2D and 1 < layer.groups == layer.filters == layer.input.shape[-1]


def _as_channels(value: np.ndarray, shape: tuple[int, ...], like: np.ndarray) -> np.ndarray:
    """Return a weight; where it belongs to the image's channels, repeat it in turn, and scale a kernel accordingly."""
    if value.shape == shape:
        return value
    (axis,) = (i for i, (ours, theirs) in enumerate(zip(shape, value.shape, strict=True)) if ours != theirs)
    repeated = np.take(value, like, axis)
    return repeated * value.shape[axis] / len(like) if value.ndim == 4 else repeated


def _fully_connected_vgg16(weights: PathLike | None, width: float, input_channels: int, dropout: float) -> Backbone:
    colours = 3 if weights is not None else input_channels
    network = classifier("vgg16", weights=None, width=width, input_channels=colours)
    pool3, pool4, x = (network.get_layer(f"block{i}_pool").output for i in (3, 4, 5))
    for fc, size in (("fc6", 7), ("fc7", 1)):
        x = layers.Conv2D(FULLY_CONNECTED, size, padding="same", activation="relu", name=fc)(x)
        if dropout:
            x = Dropout(dropout, name=f"{fc}_dropout")(x)
    network = keras.Model(network.inputs[0], [pool3, pool4, x])
    if weights is not None:
        whole = classifier("vgg16", weights=weights, include_top=True)
        for layer in network.layers:
            if layer.weights:
                # fc1 and fc2 of the classifier are products with the flattened map, row by row.
                twin = whole.get_layer({"fc6": "fc1", "fc7": "fc2"}.get(layer.name, layer.name))
                kernel, bias = twin.get_weights()
                layer.set_weights([kernel.reshape(layer.kernel.shape), bias])
    # Pools of 2×2: a cell lies in the middle of its pixels.
    found = {
        stride: Level(output, Place(stride, (stride - 1) / 2), SIDE // stride)
        for stride, output in zip((8, 16, 32), network.outputs, strict=True)
    }
    # VGG16 has no batch normalisation, and its finer maps hold so much larger numbers than its deepest that they would
    # drown it when trained at once. The authors' factors: shelhamer/fcn.berkeleyvision.org, voc-fcn8s-atonce.
    scales = {16: 1e-2, 8: 1e-4}
    return replace(_encoder(found, scaling("vgg16"), network, input_channels), score_scales=scales)


def _fully_connected(x: Tensor, dropout: float) -> Tensor:
    """Look around as far as VGG16's fc6 does; these classifiers average their deepest map instead."""
    channels = min(x.shape[-1], 512)
    x = DepthwiseInParts(7, padding="same", use_bias=False, name="fc6")(x)
    x = FusedBatchNormalization(name="fc6_norm")(x)
    x = layers.ReLU(name="fc6_relu")(x)
    x = layers.Conv2D(channels, 1, use_bias=False, kernel_initializer="he_normal", name="fc7")(x)
    x = FusedBatchNormalization(name="fc7_norm")(x)
    x = layers.ReLU(name="fc7_relu")(x)
    return Dropout(dropout, name="fc7_dropout")(x) if dropout else x
