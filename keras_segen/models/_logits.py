"""The end of a segmenter: the logits of a map, on the grid of the image."""

from typing import Any

import numpy as np

from keras_segen.layers import CropLike
from keras_segen.models._backbones import Backbone
from keras_segen.models._enlarged import enlarged
from keras_segen.ranges import check_value_range
from keras_segen.types import Tensor


def check_arguments(num_classes: int, input_channels: int, value_range: tuple[float, float] | None) -> None:
    """Raise `ValueError` for classes, channels or a range of values that no segmenter has."""
    if not all(isinstance(count, int | np.integer) and count >= 1 for count in (num_classes, input_channels)):
        raise ValueError(
            "`num_classes` and `input_channels` must be whole numbers of at least 1. "
            f"Received: num_classes={num_classes}, input_channels={input_channels}"
        )
    check_value_range(value_range)


def on_image(logits: Tensor, image: Tensor, encoder: Backbone, *, stride: int, **options: Any) -> Tensor:
    """Enlarge the logits of a map of some stride to the image's grid, bilinearly, and cut the padding off.

    Args:
        logits: (batch, cells high, cells wide, num_classes).
        image: (batch, height, width, channels).
        encoder: The backbone that says where cells lie.
        stride: The stride of the map.
        options: Further arguments of the up-sampling layer, such as `learned`.
    """
    logits = enlarged(
        logits, encoder, stride=stride, to=1, like=image, dtype="float32", name=f"up{stride}_to_image", **options
    )
    return CropLike(dtype="float32", name="crop")([logits, image])
