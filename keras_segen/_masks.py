"""Masks of class ids: the id of void, and the ids in the form that losses and metrics read."""

import keras
from keras import ops

from keras_segen.types import Tensor

VOID = 255  # the id of pixels that do not count
NO_CLASS = -(2**31)  # what an id becomes that cannot be one
_EXACT = ("bool", "int8", "uint8", "int16", "uint16", "int32")


def flat_masks(masks: Tensor) -> Tensor:
    """Return masks (batch, height, width, 1) as (batch, height, width), and others as they are."""
    return ops.squeeze(masks, -1) if len(masks.shape) == 4 and masks.shape[-1] == 1 else masks


def one_a_class(logits: Tensor) -> Tensor:
    """Return logits of one a class: a single one z becomes (-z / 2, z / 2), whose softmax is its sigmoid."""
    return ops.concatenate([-logits / 2, logits / 2], -1) if logits.shape[-1] == 1 else logits


def class_ids(masks: Tensor) -> Tensor:
    """Return the ids as int32.

    An id that is not a whole number, as in a resized or scaled mask, or that int32 does not hold, becomes `NO_CLASS`:
    rounded, it would count as a wrong class.
    """
    ids = ops.cast(masks, "int32")
    if keras.backend.standardize_dtype(masks.dtype) in _EXACT:
        return ids
    return ops.where(ops.cast(ids, masks.dtype) == masks, ids, NO_CLASS)
