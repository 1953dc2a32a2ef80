"""The feature maps of a network at each stride, and where their cells lie on the image."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from keras import layers, ops

from keras_segen.types import Tensor

# Side of the images on which networks are looked at, in pixels: a multiple of the greatest stride, so that maps of any
# other multiple have as many cells more or fewer as they should.
SIDE = 256
_GREATEST_STRIDE = 32

WINDOWS = (
    layers.Conv2D,
    layers.DepthwiseConv2D,
    layers.SeparableConv2D,
    layers.MaxPooling2D,
    layers.AveragePooling2D,
)
_MERGES = (layers.Concatenate, layers.Add)
BORDERS = (layers.ZeroPadding2D, layers.Cropping2D)


@dataclass(frozen=True)
class Place:
    """Where the cells of a map lie on the image.

    Attributes:
        stride: The distance between the centres of neighbours, in pixels.
        origin: The centre of the first cell, in pixels.
        gain: How much of the image a cell carries, if every window hands on the mean of what is at its middle: 1, and
            more behind sums.
    """

    stride: float
    origin: float
    gain: float = 1.0

    def of_windows(self, stride: float, shift: float) -> "Place":
        """Return the place of cells whose centres are this map's cells shift, shift + stride, and so on."""
        return Place(self.stride * stride, self.origin + self.stride * shift, self.gain)


@dataclass(frozen=True)
class Level:
    """A feature map.

    Attributes:
        tensor: The map.
        place: Where its cells lie.
        cells: Their number along a side of an image of `SIDE` pixels.
    """

    tensor: Tensor
    place: Place
    cells: int


def levels(model: keras.Model) -> dict[int, Level]:
    """Return the last feature map at each stride that is a power of two, in ascending order.

    The last one is the last through which everything goes that comes behind it. Where there is none, because cells
    look back over each other, it is the last in which branches meet.

    Args:
        model: A Functional model of images, built for `SIDE` × `SIDE` pixels.

    Raises:
        ValueError: If no map has a place.
    """
    steps = Trace(model, Place(1, 0)).steps
    last_use = {id(tensor): i for i, step in enumerate(steps) for tensor in step.inputs}
    last_use |= {id(tensor): len(steps) for tensor in model.outputs}
    found: dict[int, tuple[int, Level]] = {}
    live: set[int] = set()
    for i, step in enumerate(steps):
        live = {tensor for tensor in live | {id(step.output)} if last_use.get(tensor, 0) > i}
        place, stride = step.place, 0 if step.place is None else int(step.place.stride)
        if place is None or not step.by_weights or isinstance(step.operation, BORDERS):
            continue
        if place.stride != stride or stride & (stride - 1) or stride > _GREATEST_STRIDE:
            continue
        rank = 2 if live <= {id(step.output)} else int(isinstance(step.operation, _MERGES))
        if stride not in found or rank >= found[stride][0]:
            found[stride] = rank, Level(step.output, place, step.output.shape[1])
    if not found:
        raise ValueError(f"The model {model.name!r} has no feature map whose cells lie on a grid over the image.")
    return {stride: found[stride][1] for stride in sorted(found)}


@dataclass(frozen=True)
class Step:
    """An operation of a network: what goes in and comes out, and where its cells lie, if they do anywhere."""

    operation: Any
    inputs: Sequence[Tensor]
    output: Tensor
    place_before: Place | None  # of the first input that lies anywhere
    place: Place | None
    by_weights: bool  # whether some convolution has come before, or this is one


class Trace:
    """The operations of a network in an order in which each comes behind what it needs."""

    def __init__(self, model: keras.Model, start: Place) -> None:
        model = functional(model)
        self.steps: list[Step] = []
        self._by_output: dict[int, Step] = {}
        self._start = {id(tensor): start for tensor in model.inputs}
        for _, nodes in sorted(model._nodes_by_depth.items(), reverse=True):
            for node in nodes:
                if not node.is_input:
                    self._add(node)

    def place_of(self, tensor: Tensor) -> Place | None:
        """Return where a tensor's cells lie."""
        step = self._by_output.get(id(tensor))
        return self._start.get(id(tensor)) if step is None else step.place

    def _add(self, node: Any) -> None:
        operation, inputs = node.operation, node.input_tensors
        place_before = next(filter(None, map(self.place_of, inputs)), None)
        before = [step.by_weights for tensor in inputs if (step := self._by_output.get(id(tensor)))]
        for output in node.output_tensors:
            place = self._after(operation, inputs, output)
            weighs = isinstance(operation, keras.Model) or hasattr(operation, "kernel_size")
            step = Step(operation, inputs, output, place_before, place, weighs or any(before))
            self._by_output[id(output)] = step
            self.steps.append(step)

    def _after(self, operation: Any, inputs: Sequence[Tensor], output: Tensor) -> Place | None:
        """Return the place of an operation's output."""
        placed = [(tensor, place) for tensor in inputs if (place := self.place_of(tensor)) is not None]
        if not placed or len(output.shape) != 4 or output.shape[1] == 1:
            return None  # numbers of the whole image, such as those of squeeze and excitation
        tensor, place = placed[0]
        if isinstance(operation, keras.Model):
            return Trace(operation, place).place_of(functional(operation).outputs[0])
        if isinstance(operation, WINDOWS):
            return place.of_windows(*_window(operation, tensor.shape[1]))
        if isinstance(operation, BORDERS):
            padded = isinstance(operation, layers.ZeroPadding2D)
            return place.of_windows(1, -operation.padding[0][0] if padded else operation.cropping[0][0])
        if output.shape[1:3] == tensor.shape[1:3]:
            met = [(same, other) for same, other in placed if same.shape[1:3] == tensor.shape[1:3]]
            return _met(operation, [same.shape[-1] for same, _ in met], [other for _, other in met])
        # Where something enlarges a map, the encoder has ended.
        known = len(inputs) == 1 and output.shape[1] <= tensor.shape[1]
        return place.of_windows(*_measured(operation, tensor)) if known else None


def _met(operation: Any, channels: Sequence[int], places: Sequence[Place]) -> Place:
    """Return the place of branches that meet, which may look to either side: each counts by what it carries."""
    beside = isinstance(operation, layers.Concatenate)
    carried = [place.gain * (count if beside else 1) for place, count in zip(places, channels, strict=True)]
    origin = np.average([place.origin for place in places], weights=carried)
    gain = sum(carried) / sum(channels) if beside else sum(carried)
    return Place(places[0].stride, round(float(origin), 6), gain)


def functional(model: keras.Model) -> keras.Model:
    """Return the Functional model that a Sequential one holds, or a Functional one itself."""
    return getattr(model, "_functional", None) or model


def _window(layer: Any, size: int | None) -> tuple[int, float]:
    """Return the stride of a layer's window, and its middle when it is at its first place, in cells of the input."""
    side = (getattr(layer, "kernel_size", None) or layer.pool_size)[0]
    stride, dilation = layer.strides[0], getattr(layer, "dilation_rate", (1,))[0]
    reach = (side - 1) * dilation
    if layer.padding == "valid":
        return stride, reach / 2
    left_over = 0 if size is None else -size % stride
    padded = max(reach + 1 - stride + left_over, 0)
    return stride, reach / 2 - padded // 2


def _measured(operation: Any, tensor: Tensor) -> tuple[float, float]:
    """Measure as much of a layer that nothing is known of: where does what happens at a cell come out?"""
    _, size, _, channels = tensor.shape
    image = np.random.default_rng(0).normal(size=(1, size, size, channels)).astype("float32")
    still = ops.convert_to_numpy(operation(image))
    stride = round(size / still.shape[1])
    cells = size // 2 // stride * stride + np.arange(stride)  # in the middle, and each as often as the others
    impulses = np.repeat(image, stride, axis=0)
    impulses[np.arange(stride), cells, cells] += 1
    response = np.abs(ops.convert_to_numpy(operation(impulses)) - still).sum((2, 3))
    shifts = cells[:, None] - stride * np.arange(response.shape[1])
    return stride, round(2 * float(np.average(shifts, weights=response + 1e-9))) / 2
