"""The feature maps of a finished segmenter's encoder."""

import re
from typing import Any, NamedTuple

import keras

from keras_segen.layers import MirrorPad, PadToStride
from keras_segen.models._backbones import at_known_size
from keras_segen.models._levels import Place, Trace, functional
from keras_segen.types import Tensor

# Where U-Net's own way down ends on each of its levels.
_OWN_MAP = re.compile(r"(down\d+|bottom)_relu2")


class EncoderMap(NamedTuple):
    """A feature map of a segmenter's encoder.

    Attributes:
        tensor: The symbolic tensor in the segmenter's graph, (batch, cells high, cells wide, channels).
        origin: Where the centre of its first cell lies, in pixels of the image from the centre of the first.

    Example:
        >>> model = ks.models.unet(2, filters=(4, 8, 16))
        >>> coarsest = ks.models.encoder_maps(model)[4]
        >>> coarsest.origin, coarsest.tensor.shape[-1]
        (1.5, 16)
    """

    tensor: Any
    origin: float


def encoder_maps(model: keras.Model, *, backbone: str = "backbone") -> dict[int, EncoderMap]:
    """Find the feature maps that a segmenter's decoder gets, such as for `keras.Model(model.inputs, tensors)`.

    Args:
        model: A segmenter of this package: on a backbone, or a U-Net with its own way down.
        backbone: The name of the backbone's layer.

    Returns:
        The maps by their strides in pixels, in ascending order.

    Raises:
        ValueError: If there are none, such as in a model that `inference.augmented` made.

    Example:
        >>> model = ks.models.fcn(21, backbone="mobilenet_v2", backbone_weights=None)
        >>> list(ks.models.encoder_maps(model))
        [2, 4, 8, 16, 32]
    """
    nodes = [node for group in functional(model)._nodes_by_depth.values() for node in group if not node.is_input]
    whole = [node for node in nodes if node.operation.name == backbone]
    own = [node for node in nodes if _OWN_MAP.fullmatch(node.operation.name)]
    if whole:
        encoder = whole[0].operation
        given, tensors = whole[0].input_tensors[0], whole[0].output_tensors
        part = encoder if isinstance(encoder, keras.Model) else None
    elif own:
        borders = [node for node in nodes if isinstance(node.operation, PadToStride | MirrorPad)]
        given, tensors = borders[0].output_tensors[0], [node.output_tensors[0] for node in own]
        part = keras.Model(given, tensors)
    if not (whole or own) or part is None:
        raise ValueError(
            f"The model {model.name!r} has no encoder whose maps are known: give a segmenter as it was built, such as "
            "by `models.unet` or `models.fcn`"
        )
    part = at_known_size(part)
    trace = Trace(part, Place(1, -_margin(given)))
    found = {}
    for tensor, twin in zip(tensors, part.outputs, strict=True):
        place = trace.place_of(twin)
        if place is not None:
            found[round(place.stride)] = EncoderMap(tensor, place.origin)
    return dict(sorted(found.items()))


def _margin(tensor: Tensor) -> int:
    """Return by how many pixels the image was mirrored around its edges to make a tensor."""
    layer = tensor._keras_history.operation
    return layer.margin if isinstance(layer, MirrorPad) else 0
