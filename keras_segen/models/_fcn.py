"""Fully convolutional networks (Long, Shelhamer and Darrell, 2015, arXiv:1411.4038)."""

from typing import Literal

import keras
from keras import layers

from keras_segen.models._backbones import Backbone
from keras_segen.models._backbones import backbone as build_backbone
from keras_segen.models._enlarged import enlarged
from keras_segen.models._logits import check_arguments, on_image
from keras_segen.types import PathLike, Tensor


def fcn(
    num_classes: int,
    *,
    backbone: str | keras.Model = "mobilenet",
    backbone_weights: PathLike | None = "imagenet",
    backbone_width: float = 1.0,
    input_channels: int = 3,
    value_range: tuple[float, float] | None = None,
    dropout: float = 0.5,
    stride: Literal[32, 16, 8] = 8,
    up_sampling: Literal["bilinear", "transposed"] = "bilinear",
    coarser: keras.Model | None = None,
    name: str = "fcn",
) -> keras.Model:
    """Build an FCN-32s, -16s or -8s for images of any size.

    As in the paper (section 4.2, figure 3): the deepest map of a classifier is turned into class scores by a 1×1
    convolution; FCN-16s and -8s add the scores of finer maps; scores are up-sampled bilinearly. All scores start at
    zero. Three things differ: images are padded to the stride and cropped back instead of by 100 pixels, so that no
    scores need cropping before they are added; each up-sampling starts where the backbone's cells really lie; and its
    kernels mix no classes.

    Args:
        num_classes: The number of classes to tell apart, background included.
        backbone: The name of a classifier of `keras.applications` in snake case, such as "efficientnet_b0", or any
            Functional model of images in [0, 255]. "vgg16" is the paper's, with fc6 and fc7 as convolutions. The others
            get a 7×7 depthwise and a 1×1 convolution in their place, because what surrounds a pixel tells much about
            it.
        backbone_weights: The weights of a classifier by name: "imagenet" to download them, a file, or None for random
            ones. A model brings its own.
        backbone_width: The width multiplier of MobileNets.
        input_channels: The channels of the image, from 1. A grey image is shown to a backbone of RGB as red, green and
            blue; of other numbers each channel gets the kernel of one of the three in turn, times 3 over the number.
        value_range: The values of the image that become 0 and 255 inside the network, such as (0, 4095) for a camera of
            12 bits; what lies beyond is cut off. None for images in [0, 255].
        dropout: The share of the activations of fc6 and fc7, or of what takes their place, that is set to 0 in
            training.
        stride: The stride of the finest map whose scores count: 32, 16 or 8.
        up_sampling: "bilinear" with fixed kernels, as in the networks that the paper's authors published; or
            "transposed" for kernels that start bilinear and are learned, as the paper describes. That is much slower.
        coarser: An FCN of a greater stride on the same backbone from whose weights this one starts: the paper's staged
            training, 32s, 16s, 8s. Without it the network is trained at once. Use `backbone_weights=None` with it.
        name: The name of the model.

    Returns:
        A Functional model: images (batch, height, width, input_channels) in [0, 255] or `value_range` -> float32 logits
        (batch, height, width, num_classes). Its layer "backbone" is the classifier, which `callbacks.FineTuning`
        freezes.

    Raises:
        InputError: For weights that cannot be downloaded or do not fit.
        ValueError: For unknown names, numbers that make no network, or a `coarser` that is not a coarser FCN.

    Example:
        >>> model = ks.models.fcn(21, backbone="mobilenet", backbone_weights=None, backbone_width=0.25)
        >>> model.compile("adam", ks.losses.CrossEntropy(), metrics=[ks.metrics.MeanIoU(21)])
        >>> model.output_shape
        (None, None, None, 21)
    """
    check_arguments(num_classes, input_channels, value_range)
    if stride not in (32, 16, 8):
        raise ValueError(f"`stride` must be 32, 16 or 8. Received: stride={stride}")
    if up_sampling not in ("bilinear", "transposed"):
        raise ValueError(f'`up_sampling` must be "bilinear" or "transposed". Received: up_sampling={up_sampling!r}')
    encoder = build_backbone(
        backbone,
        weights=backbone_weights,
        width=backbone_width,
        input_channels=input_channels,
        fully_connected=True,
        dropout=dropout,
    )
    learned = up_sampling == "transposed"

    image = keras.Input((None, None, input_channels), name="image")
    maps = encoder.maps(image, value_range)
    if missing := {8, 16, 32} - maps.keys():
        raise ValueError(f"FCN needs maps at strides 8, 16 and 32. Received: a backbone without {min(missing)}")
    logits = _score(maps[32], num_classes, 32, encoder)
    finest = 32
    while finest > stride:
        finer = _score(maps[finest // 2], num_classes, finest // 2, encoder)
        logits = enlarged(
            logits, encoder, stride=finest, to=finest // 2, like=finer, learned=learned, name=f"up{finest}"
        )
        finest //= 2
        logits = layers.Add(name=f"fuse{finest}")([logits, finer])
    model = keras.Model(image, on_image(logits, image, encoder, stride=stride, learned=learned), name=name)
    if coarser is not None:
        _start_from(model, coarser)
    return model


def _score(x: Tensor, num_classes: int, stride: int, encoder: Backbone) -> Tensor:
    if stride in encoder.score_scales:
        x = layers.Rescaling(encoder.score_scales[stride], name=f"scale{stride}")(x)
    return layers.Conv2D(num_classes, 1, kernel_initializer="zeros", name=f"score{stride}")(x)


def _start_from(model: keras.Model, coarser: keras.Model) -> None:
    weights = {layer.name: layer.get_weights() for layer in coarser.layers}
    if "score32" not in weights or set(weights) >= {layer.name for layer in model.layers if layer.weights}:
        raise ValueError(f"`coarser` must be an FCN of a greater stride. Received: coarser={coarser.name!r}")
    for layer in model.layers:
        if layer.name not in weights:
            continue
        if [w.shape for w in layer.get_weights()] != [w.shape for w in weights[layer.name]]:
            raise ValueError(
                "`coarser` must be an FCN of a greater stride with the same backbone and classes. Received: "
                f"coarser={coarser.name!r}, whose layer {layer.name!r} has other weights"
            )
        layer.set_weights(weights[layer.name])
