"""DeepLabV3+ (Chen et al., 2018, arXiv:1802.02611)."""

from collections.abc import Sequence
from typing import Literal

import keras
from keras import layers

from keras_segen.layers import Dropout, FusedBatchNormalization
from keras_segen.models._backbones import backbone as build_backbone
from keras_segen.models._convolution import convolution, separable_convolution
from keras_segen.models._enlarged import enlarged
from keras_segen.models._logits import check_arguments, on_image
from keras_segen.types import PathLike, Tensor


def deeplab_v3_plus(
    num_classes: int,
    *,
    backbone: str | keras.Model = "mobilenet",
    backbone_weights: PathLike | None = "imagenet",
    backbone_width: float = 1.0,
    input_channels: int = 3,
    value_range: tuple[float, float] | None = None,
    dropout: float = 0.0,
    output_stride: Literal[32, 16, 8] = 16,
    atrous_rates: Sequence[int] = (6, 12, 18),
    filters: int = 256,
    low_level_filters: int = 48,
    name: str = "deeplab_v3_plus",
) -> keras.Model:
    """Build a DeepLabV3+ for images of any size.

    As in the paper (section 3, figure 2): the backbone's last stages are made atrous, so that its deepest map is finer;
    atrous spatial pyramid pooling looks at that map at several scales and at its mean over the image; the result is
    enlarged to stride 4, joined with the backbone's map there, refined by two 3×3 convolutions, scored, and enlarged to
    the image. All 3×3 convolutions are separable, as in the paper's section 4.3. Two things differ: the mean over the
    image is not normalised over the batch, which may be a single image; and up-sampling starts where the backbone's
    cells really lie.

    The mean over the image means that a tile of a large image does not see quite what the whole image does.

    Args:
        num_classes: The number of classes to tell apart, background included.
        backbone: The name of a classifier of `keras.applications` in snake case, such as "efficientnet_b0", or any
            Functional model of images in [0, 255].
        backbone_weights: The weights of a classifier by name: "imagenet" to download them, a file, or None for random
            ones. A model brings its own.
        backbone_width: The width multiplier of MobileNets.
        input_channels: The channels of the image, from 1. A grey image is shown to a backbone of RGB as red, green and
            blue; of other numbers each channel gets the kernel of one of the three in turn, times 3 over the number.
        value_range: The values of the image that become 0 and 255 inside the network, such as (0, 4095) for a camera of
            12 bits; what lies beyond is cut off. None for images in [0, 255].
        dropout: The share of the activations that is set to 0 in training, after atrous spatial pyramid pooling.
        output_stride: The stride of the backbone's deepest map: 16 or 8, or 32 for a backbone as it is. Those with
            pooling in their last stage, such as "inception_v3" and "nasnet_mobile", have 32 alone.
        atrous_rates: How far apart the cells are that each branch of the pyramid pooling looks at, for an output stride
            of 16; for 8 twice as far, and for 32 half as far.
        filters: The channels of the pyramid pooling and of the decoder.
        low_level_filters: The channels to which the map at stride 4 is brought before it is joined.
        name: The name of the model.

    Returns:
        A Functional model: images (batch, height, width, input_channels) in [0, 255] or `value_range` -> float32 logits
        (batch, height, width, num_classes). Its layer "backbone" is the classifier, which `callbacks.FineTuning`
        freezes.

    Raises:
        InputError: For weights that cannot be downloaded or do not fit.
        ValueError: For unknown names, numbers that make no network, or a backbone that cannot be made atrous.

    Example:
        >>> model = ks.models.deeplab_v3_plus(21, backbone="mobilenet_v2", backbone_weights=None, filters=32)
        >>> model.compile("adam", ks.losses.CrossEntropy(), metrics=[ks.metrics.MeanIoU(21)])
        >>> model.output_shape
        (None, None, None, 21)
    """
    check_arguments(num_classes, input_channels, value_range)
    if output_stride not in (32, 16, 8):
        raise ValueError(f"`output_stride` must be 32, 16 or 8. Received: output_stride={output_stride}")
    if filters < 1 or low_level_filters < 1 or not atrous_rates or min(atrous_rates) < 1:
        raise ValueError(
            "`filters`, `low_level_filters` and each of `atrous_rates` must be at least 1. Received: "
            f"filters={filters}, low_level_filters={low_level_filters}, atrous_rates={tuple(atrous_rates)}"
        )
    encoder = build_backbone(
        backbone,
        weights=backbone_weights,
        width=backbone_width,
        input_channels=input_channels,
        output_stride=output_stride,
    )
    deepest = encoder.strides[-1]
    low = min((stride for stride in encoder.strides if stride >= 4), default=deepest)
    if low == deepest:
        raise ValueError(
            "DeepLabV3+ needs a map at stride 4, or one that is at least finer than the deepest. "
            f"Received: a backbone with strides {encoder.strides}"
        )

    image = keras.Input((None, None, input_channels), name="image")
    maps = encoder.maps(image, value_range)
    rates = [max(round(rate * 16 / deepest), 1) for rate in atrous_rates]
    x = _pyramid_pooling(maps[deepest], filters, rates)
    if dropout:
        x = Dropout(dropout, name="aspp_dropout")(x)
    x = enlarged(x, encoder, stride=deepest, to=low, like=maps[low], name="aspp_enlarge")
    skip = convolution(maps[low], low_level_filters, 1, name="low_level")
    x = layers.Concatenate(name="decoder_join")([x, skip])
    for i in (1, 2):
        x = separable_convolution(x, filters, 3, name=f"decoder{i}")
    logits = layers.Conv2D(num_classes, 1, name="logits")(x)
    return keras.Model(image, on_image(logits, image, encoder, stride=low), name=name)


def _pyramid_pooling(x: Tensor, filters: int, rates: Sequence[int]) -> Tensor:
    """Look at a map at several scales (Chen et al., 2017, arXiv:1706.05587, section 3.3)."""
    branches = [convolution(x, filters, 1, name="aspp1")]
    branches += [
        separable_convolution(x, filters, 3, dilation=rate, name=f"aspp{i}") for i, rate in enumerate(rates, start=2)
    ]
    mean = layers.GlobalAveragePooling2D(keepdims=True, name="aspp_mean")(x)
    mean = layers.Conv2D(filters, 1, activation="relu", kernel_initializer="he_normal", name="aspp_mean_conv")(mean)
    # The 1×1 convolution of all branches side by side, without spreading the mean over all cells first.
    x = layers.Concatenate(name="aspp_join")(branches)
    x = layers.Conv2D(filters, 1, use_bias=False, kernel_initializer="he_normal", name="aspp_project_cells")(x)
    mean = layers.Conv2D(filters, 1, use_bias=False, kernel_initializer="he_normal", name="aspp_project_mean")(mean)
    x = layers.Add(name="aspp_project")([x, mean])
    x = FusedBatchNormalization(name="aspp_project_norm")(x)
    return layers.ReLU(name="aspp_project_relu")(x)
