"""A small residual classifier for judging generated images: by their features, and by what can be learnt from them."""

import keras
from keras import layers

from keras_segen.layers import FusedBatchNormalization
from keras_segen.types import Tensor


def classifier(
    image_shape: tuple[int | None, int | None, int], num_classes: int, *, filters: int = 24, name: str = "classifier"
) -> keras.Model:
    """Build a residual network of nine layers with weights (He et al., 2016, arXiv:1512.03385, section 3.3).

    Args:
        image_shape: The height and width, each at least 8 or None, and the channels.
        num_classes: The number of classes.
        filters: The channels of the first layer, which are doubled three times.
        name: The name of the model.

    Returns:
        Images (batch, height, width, channels) in [-1, 1] -> logits (batch, num_classes). The layer "features" holds
        what they are linear in, (batch, 8 * filters).

    Example:
        >>> network = ks.models.classifier((32, 32, 3), 10, filters=4)
        >>> network.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True), metrics=["accuracy"])
        >>> network.output_shape
        (None, 10)
    """
    images = keras.Input(image_shape, name="image")
    x = _convolution(images, filters)
    x = layers.MaxPooling2D()(_convolution(x, 2 * filters))
    x = layers.Add()([x, _convolution(_convolution(x, 2 * filters), 2 * filters)])
    x = layers.MaxPooling2D()(_convolution(x, 4 * filters))
    x = layers.MaxPooling2D()(_convolution(x, 8 * filters))
    x = layers.Add()([x, _convolution(_convolution(x, 8 * filters), 8 * filters)])
    features = layers.GlobalAveragePooling2D(dtype="float32", name="features")(x)
    logits = layers.Dense(num_classes, dtype="float32", name="logit")(features)
    return keras.Model(images, logits, name=name)


def _convolution(x: Tensor, filters: int) -> Tensor:
    x = layers.Conv2D(filters, 3, padding="same", use_bias=False, kernel_initializer="he_normal")(x)
    return layers.ReLU()(FusedBatchNormalization(momentum=0.9)(x))
