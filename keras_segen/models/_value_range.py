"""The range of values of the images that a segmenter takes."""

import keras

from keras_segen.layers import ValueRange


def value_range(model: keras.Model) -> tuple[float, float] | None:
    """Return the values of an image that become 0 and 255 inside a segmenter; None if it takes images in [0, 255].

    Args:
        model: What a builder of segmenters has returned, or a run or a file has held.

    Example:
        >>> ks.models.value_range(ks.models.unet(2, filters=(4, 8), value_range=(0, 4095)))
        (0.0, 4095.0)
    """
    for layer in model.layers:
        if isinstance(layer, ValueRange):
            return layer.low, layer.high
        if isinstance(layer, keras.Model) and (inside := value_range(layer)):
            return inside
    return None
