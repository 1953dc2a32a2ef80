"""Feature pyramid network for segmentation (Kirillov et al., 2019, arXiv:1901.02446)."""

from collections.abc import Mapping

import keras
from keras import layers

from keras_segen.layers import Dropout
from keras_segen.models._backbones import Backbone
from keras_segen.models._backbones import backbone as build_backbone
from keras_segen.models._convolution import convolution
from keras_segen.models._enlarged import enlarged
from keras_segen.models._logits import check_arguments, on_image
from keras_segen.types import PathLike, Tensor


def fpn(
    num_classes: int,
    *,
    backbone: str | keras.Model = "mobilenet",
    backbone_weights: PathLike | None = "imagenet",
    backbone_width: float = 1.0,
    input_channels: int = 3,
    value_range: tuple[float, float] | None = None,
    dropout: float = 0.0,
    pyramid_filters: int = 256,
    segmentation_filters: int = 128,
    name: str = "fpn",
) -> keras.Model:
    """Build a feature pyramid network with the segmentation branch of "Panoptic Feature Pyramid Networks".

    As in the paper (section 3.1, figures 1 and 3): a 1×1 convolution brings the backbone's maps at strides 4 to 32 to
    one width; from the deepest on, each is enlarged and added to the next. Each level of this pyramid is brought to
    stride 4 by 3×3 convolutions with bilinear up-sampling by 2 after each; the sum of the levels is scored. Three
    things differ: batch normalisation stands in for group normalisation; the levels go into the branch without another
    3×3 convolution first; and up-sampling starts where the backbone's cells really lie.

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
        dropout: The share of the activations of the levels' sum that is set to 0 in training.
        pyramid_filters: The channels of the pyramid.
        segmentation_filters: The channels of the segmentation branch.
        name: The name of the model.

    Returns:
        A Functional model: images (batch, height, width, input_channels) in [0, 255] or `value_range` -> float32 logits
        (batch, height, width, num_classes). Its layer "backbone" is the classifier, which `callbacks.FineTuning`
        freezes.

    Raises:
        InputError: For weights that cannot be downloaded or do not fit.
        ValueError: For unknown names or numbers that make no network.

    Example:
        >>> model = ks.models.fpn(21, backbone="mobilenet_v2", backbone_weights=None, pyramid_filters=32)
        >>> model.compile("adam", ks.losses.CrossEntropy(), metrics=[ks.metrics.MeanIoU(21)])
        >>> model.output_shape
        (None, None, None, 21)
    """
    check_arguments(num_classes, input_channels, value_range)
    if pyramid_filters < 1 or segmentation_filters < 1:
        raise ValueError(
            "`pyramid_filters` and `segmentation_filters` must be at least 1. "
            f"Received: pyramid_filters={pyramid_filters}, segmentation_filters={segmentation_filters}"
        )
    encoder = build_backbone(backbone, weights=backbone_weights, width=backbone_width, input_channels=input_channels)

    image = keras.Input((None, None, input_channels), name="image")
    maps = encoder.maps(image, value_range)
    strides = sorted((stride for stride in maps if stride >= 4), reverse=True)
    if len(strides) < 2:
        raise ValueError(
            f"FPN needs maps at two strides from 4 on. Received: a backbone with strides {encoder.strides}"
        )
    pyramid: dict[int, Tensor] = {}
    for coarser, stride in zip([None, *strides], strides, strict=False):
        x = layers.Conv2D(pyramid_filters, 1, name=f"lateral{stride}")(maps[stride])
        if coarser is not None:
            above = enlarged(
                pyramid[coarser], encoder, stride=coarser, to=stride, like=x, name=f"up{coarser}_to_{stride}"
            )
            x = layers.Add(name=f"pyramid{stride}")([x, above])
        pyramid[stride] = x

    finest = strides[-1]
    branches = [_branch(pyramid, stride, finest, segmentation_filters, encoder) for stride in strides]
    x = layers.Add(name="branches")(branches)
    if dropout:
        x = Dropout(dropout, name="branches_dropout")(x)
    logits = layers.Conv2D(num_classes, 1, name="logits")(x)
    return keras.Model(image, on_image(logits, image, encoder, stride=finest), name=name)


def _branch(pyramid: Mapping[int, Tensor], stride: int, finest: int, channels: int, encoder: Backbone) -> Tensor:
    """Bring a level of the pyramid to the finest stride, by 2 after each convolution."""
    x, name = pyramid[stride], f"branch{stride}"
    if stride == finest:
        return convolution(x, channels, 3, name=name)
    while stride > finest:
        x = convolution(x, channels, 3, name=f"{name}_at_{stride}")
        like, stride = pyramid.get(stride // 2), stride // 2
        x = enlarged(x, encoder, stride=2 * stride, to=stride, like=like, name=f"{name}_to_{stride}")
    return x
