"""Atrous convolutions: a classifier that keeps a finer map to its end (Chen et al., 2017, arXiv:1706.05587)."""

from typing import Any

import keras
from keras import layers

from keras_segen.models._levels import BORDERS, WINDOWS, Place, Step, Trace


def atrous(network: keras.Model, stride: int) -> keras.Model:
    """Rebuild a network so that no map is coarser than a stride, with the same weights.

    The windows that would take the maps beyond the stride move by one cell instead of two, and those behind them are
    spread by as much (section 3.1). So every second cell, or every fourth, sees what the network's own cells saw; those
    between them are new.

    Args:
        network: A Functional model of images, built for `SIDE` × `SIDE` pixels.
        stride: The greatest stride that is left, in pixels.

    Raises:
        ValueError: If one of the layers cannot be spread.
    """
    copy = _rebuilt(network, Place(1, 0), stride)
    copy.set_weights(network.get_weights())
    return copy


def _rebuilt(network: keras.Model, start: Place, stride: int) -> keras.Model:
    """Rebuild a network, or a model within one, whose input's cells lie at `start`."""
    steps = Trace(network, start).steps
    users: dict[int, list[Any]] = {}
    for step in steps:
        for tensor in step.inputs:
            users.setdefault(id(tensor), []).append(step.operation)
    by_name = {step.operation.name: step for step in steps}

    def copied(layer: Any) -> Any:
        step = by_name.get(layer.name)
        if step is None or step.place_before is None:
            return layer.__class__.from_config(layer.get_config())
        if isinstance(layer, keras.Model):
            return _rebuilt(layer, step.place_before, stride)
        changes = _changes(step, stride, users.get(id(step.output), []))
        return layer.__class__.from_config({**layer.get_config(), **changes})

    image = network.inputs[0]
    # A model within another is shown larger maps than it was.
    sized = None if start.stride == 1 else keras.Input((None, None, image.shape[-1]))
    return keras.models.clone_model(network, input_tensors=sized, clone_function=copied)


def _changes(step: Step, stride: int, users: list[Any]) -> dict[str, Any]:
    """Return what changes in a layer's configuration."""
    operation, before, after = step.operation, step.place_before, step.place
    if before is None or after is None:
        return {}
    spread = round(max(before.stride / stride, 1))
    if isinstance(operation, layers.ZeroPadding2D) and (
        spread > 1 or any(_stride_behind(user, before) > stride for user in users)
    ):
        window = users[0] if len(users) == 1 else None
        if (
            not isinstance(window, WINDOWS)
            or not 0 <= _side(window) - 1 - sum(operation.padding[0]) < window.strides[0]
        ):
            raise _refusal(operation, stride, "its border is not that of one window")
        return {"padding": 0}  # the window's own padding does it
    if after.stride <= stride:
        return {}
    if isinstance(operation, WINDOWS):
        spreads = hasattr(operation, "dilation_rate")
        if spread > 1 and _side(operation) > 1 and not spreads:
            raise _refusal(operation, stride, "pooling has no spread windows")
        dilation = {"dilation_rate": spread * operation.dilation_rate[0]} if spreads else {}
        return {"strides": 1, "padding": "same", **dilation}
    if after.stride != before.stride or isinstance(operation, BORDERS):
        raise _refusal(operation, stride, "how its cells lie cannot be changed")
    return {}


def _stride_behind(operation: Any, before: Place) -> float:
    return before.stride * (operation.strides[0] if isinstance(operation, WINDOWS) else 1)


def _side(window: Any) -> int:
    return (getattr(window, "kernel_size", None) or window.pool_size)[0]


def _refusal(operation: Any, stride: int, reason: str) -> ValueError:
    return ValueError(
        f"The backbone's layer {operation.name!r}, a {type(operation).__name__}, cannot be made atrous: {reason}. Use "
        f"an output stride of 32. Received: output_stride={stride}"
    )
