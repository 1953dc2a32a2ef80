"""Fully convolutional networks: Long, Shelhamer and Darrell, 2015 (arXiv:1411.4038)."""

from pathlib import Path
from typing import Any, Literal

import keras
from keras import layers

from keras_segen.layers import BilinearUpSampling, CropLike, Dropout, FusedBatchNormalization, PadToStride
from keras_segen.models.backbones import backbone as build_backbone


def fcn(
    num_classes: int,
    *,
    backbone: Literal["vgg16", "resnet50", "mobilenet"] = "vgg16",
    stride: Literal[32, 16, 8] = 8,
    weights: str | Path | None = "imagenet",
    alpha: float = 1.0,
    learned_up_sampling: bool = False,
    coarser: keras.Model | None = None,
    name: str | None = None,
) -> keras.Model:
    """Build an FCN-32s, -16s or -8s for images of any size.

    As in the paper (section 4.2, figure 3): the deepest map of a classifier is turned into class scores by a 1×1
    convolution; FCN-16s and -8s add the scores of finer maps; scores are up-sampled bilinearly. All scores start at
    zero. Three things differ: images are padded to the stride and cropped back instead of by 100 pixels, so that no
    scores need cropping before they are added; each up-sampling starts where the backbone's cells really lie; and its
    kernels mix no classes.

    Args:
        num_classes: classes to tell apart, background included.
        backbone: the classifier; "vgg16" with fc6 and fc7 as convolutions. The others get a 7×7 depthwise and a 1×1
            convolution in their place, for they have none, and what surrounds a pixel tells much about it.
        stride: of the finest map whose scores count: 32, 16 or 8.
        weights: of the backbone: "imagenet" to download them, a file, or None for random ones.
        alpha: MobileNet's width multiplier.
        learned_up_sampling: let training change the up-sampling kernels, as the paper has it. Otherwise they stay
            bilinear, as in the networks that its authors published; that is much faster.
        coarser: an FCN of a greater stride on the same backbone from whose weights this one starts: the paper's staged
            training, 32s, 16s, 8s. Without it the network is trained at once. Give `weights=None` with it.
        name: the model's name; "fcn32s", "fcn16s" or "fcn8s" by default.

    Returns:
        A Functional model: images (batch, height, width, 3) in [0, 255] -> float32 logits (batch, height, width,
        num_classes). Its layer "backbone" is the classifier, which `callbacks.FineTuning` freezes.

    Raises:
        InputError: for weights that cannot be had or do not fit.
        ValueError: for unknown names, or a `coarser` that is no coarser one.
    """
    if num_classes < 1:
        raise ValueError(f"`num_classes` must be at least 1. Received: num_classes={num_classes}")
    if stride not in (32, 16, 8):
        raise ValueError(f"`stride` must be 32, 16 or 8. Received: stride={stride}")
    stages = build_backbone(backbone, weights=weights, alpha=alpha, fully_connected=backbone == "vgg16")

    image = keras.Input((None, None, 3), name="image")
    x = PadToStride(32, name="pad")(stages.preprocess(image))
    maps = stages.model(x)

    level = stages.strides.index(32)
    maps[level] = maps[level] if backbone == "vgg16" else _fully_connected(maps[level])
    logits = _score(maps[level], num_classes, 32, backbone)
    while stages.strides[level] > stride:
        logits = BilinearUpSampling(
            2, origin=stages.phase(level, level - 1), learned=learned_up_sampling, name=f"up{stages.strides[level]}"
        )(logits)
        level -= 1
        logits = layers.Add(name=f"fuse{stages.strides[level]}")(
            [logits, _score(maps[level], num_classes, stages.strides[level], backbone)]
        )
    logits = BilinearUpSampling(
        stride, origin=stages.origins[level], learned=learned_up_sampling, dtype="float32", name=f"up{stride}_to_image"
    )(logits)
    logits = CropLike(dtype="float32", name="crop")([logits, image])
    model = keras.Model(image, logits, name=name or f"fcn{stride}s")
    if coarser is not None:
        _start_from(model, coarser)
    return model


def _fully_connected(x: Any) -> Any:
    """Look around as far as VGG16's fc6 does; these classifiers average their deepest map instead."""
    channels = min(x.shape[-1], 512)
    x = layers.DepthwiseConv2D(7, padding="same", use_bias=False, name="fc6")(x)
    x = FusedBatchNormalization(name="fc6_norm")(x)
    x = layers.ReLU(name="fc6_relu")(x)
    x = layers.Conv2D(channels, 1, use_bias=False, kernel_initializer="he_normal", name="fc7")(x)
    x = FusedBatchNormalization(name="fc7_norm")(x)
    x = layers.ReLU(name="fc7_relu")(x)
    return Dropout(0.5, name="fc7_dropout")(x)


def _score(x: Any, num_classes: int, stride: int, backbone: str) -> Any:
    if backbone == "vgg16" and stride < 32:
        # VGG16 has no batch normalisation, and its finer maps hold so much larger numbers than its deepest that they
        # would drown it when trained at once. The authors' factors: shelhamer/fcn.berkeleyvision.org, voc-fcn8s-atonce.
        x = layers.Rescaling({16: 1e-2, 8: 1e-4}[stride], name=f"scale{stride}")(x)
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
