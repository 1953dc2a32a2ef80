"""Bilinear up-sampling in operations that every backend and every engine for inference has."""

import math
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_segen.types import Shape, Tensor


@keras.saving.register_keras_serializable("keras_segen")
class BilinearUpSampling(keras.layers.Layer):
    """Enlarge height and width by a whole factor, bilinearly, with the edges repeated.

    By default it equals `tf.image.resize(..., "bilinear")`, which has no gradient under XLA and knows one origin. It is
    written in slices, sums and products alone, so that it converts to ONNX, LiteRT and OpenVINO. Its kernel, of twice
    the factor, may be learned (Long et al., 2015, section 3.3).

    Args:
        factor: The factor of height and width, a whole number from 1.
        origin: The place of the first coarse cell's centre on the fine grid. The default, (factor - 1) / 2, is the
            middle of the pixels that the cell becomes. A strided convolution's cells may lie elsewhere.
        learned: Whether to train the kernel, one for each channel; it starts bilinear.

    Shapes: (batch, height, width, channels) -> (batch, factor·height, factor·width, channels).

    Example:
        >>> coarse = np.zeros((1, 8, 8, 3))
        >>> ks.layers.BilinearUpSampling(4)(coarse).shape
        TensorShape([1, 32, 32, 3])
    """

    def __init__(self, factor: int = 2, *, origin: float | None = None, learned: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if factor < 1:
            raise ValueError(f"`factor` must be a whole number from 1. Received: factor={factor}")
        self.factor = factor
        self.origin = (factor - 1) / 2 if origin is None else origin
        if not 0 <= self.origin < factor:
            raise ValueError(f"`origin` must lie in the first cell, 0 <= origin < {factor}. Received: origin={origin}")
        self.learned = learned

    def build(self, input_shape: Shape) -> None:
        """Make the kernel, (2·factor, 2·factor, channels, 1), if it is learned."""
        if self.learned:
            pixels = np.arange(2 * self.factor) + self._first
            tent = np.maximum(0, 1 - np.abs(pixels - self.origin) / self.factor)
            kernel = np.repeat(np.outer(tent, tent)[:, :, None, None], input_shape[-1] or 1, axis=2)
            self.kernel = self.add_weight(
                name="kernel", shape=kernel.shape, initializer=keras.initializers.Constant(kernel.astype("float32"))
            )

    @property
    def _first(self) -> int:
        """The first fine pixel on which a coarse cell weighs, counted from the first pixel of its own."""
        return math.floor(self.origin - self.factor) + 1

    def call(self, inputs: Tensor) -> Tensor:
        """Enlarge."""
        if self.learned:
            return self._by_kernel(inputs)
        # Each fine pixel is a mean of the cell before its own one, its own, and the cell after.
        places = (np.arange(self.factor) - self.origin) / self.factor
        before, after = np.maximum(0, -places), np.maximum(0, places)
        return _enlarged(inputs, np.stack([before, 1 - before - after, after]).tolist())

    def _by_kernel(self, x: Tensor) -> Tensor:
        """Weigh the four cells around each fine pixel, which lies in an interval between neighbours on either axis."""
        batch, height, width, channels = ops.shape(x)
        factor, start = self.factor, -self._first
        kernel = ops.cast(self.kernel, x.dtype)
        x = _with_edges(_with_edges(x, axis=1), axis=2)
        total: Any = 0
        for row in (0, 1):
            for column in (0, 1):
                cells = x[:, row : height + 1 + row, column : width + 1 + column]
                # The cell before is beyond the middle of its kernel.
                rows, columns = ((1 - i) * factor for i in (row, column))
                weights = kernel[rows : rows + factor, columns : columns + factor, :, 0]
                cells = ops.reshape(cells, [batch * (height + 1), 1, width + 1, 1, channels])
                total = total + cells * weights[:, None]
        fine = ops.reshape(total, [batch, (height + 1) * factor, (width + 1) * factor, channels])
        return fine[:, start : start + height * factor, start : start + width * factor]

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """Return the shape with height and width times the factor; None stays None."""
        batch, height, width, channels = input_shape
        return batch, height and height * self.factor, width and width * self.factor, channels

    def get_config(self) -> dict[str, Any]:
        """Return what `from_config` needs."""
        return {**super().get_config(), "factor": self.factor, "origin": self.origin, "learned": self.learned}


# The shares of the cell before, the own cell and the cell after, each a number for each fine pixel of a cell.
_Shares = Sequence[Sequence[float]]


def _enlarged(x: Tensor, shares: _Shares) -> Tensor:
    """Enlarge both axes. The gradient is written out: derived from the operations, it takes twice as long."""

    @ops.custom_gradient
    def enlarged(x: Tensor) -> tuple[Tensor, Any]:
        def gradient(*upstreams: Tensor, upstream: Tensor = None) -> Tensor:
            (upstream,) = upstreams or (upstream,)
            return _gathered(_gathered(upstream, shares, axis=2), shares, axis=1)

        return _spread(_spread(x, shares, axis=1), shares, axis=2), gradient

    return enlarged(x)


def _spread(x: Tensor, shares: _Shares, *, axis: int) -> Tensor:
    """Turn each cell into several pixels, which are means of it and its neighbours."""
    padded = _with_edges(x, axis)
    cells = (_cut(padded, axis, None, -2), x, _cut(padded, axis, 2, None))
    phases = [_mean(cells, phase) for phase in zip(*shares, strict=True)]
    shape = [*ops.shape(x)]
    shape[axis] *= len(phases)
    return ops.reshape(ops.stack(phases, axis + 1), shape)


def _gathered(fine: Tensor, shares: _Shares, *, axis: int) -> Tensor:
    """Sum what each cell gave to its pixels and to its neighbours': the transpose of `_spread`."""
    factor = len(shares[0])
    shape = [*ops.shape(fine)]
    shape[axis : axis + 1] = [shape[axis] // factor, factor]
    phases = ops.unstack(ops.reshape(fine, shape), factor, axis + 1)
    before, own, after = (_mean(phases, share) for share in shares)
    first, last = _cut(before, axis, None, 1), _cut(after, axis, -1, None)
    # Beyond the edges it is the outermost cell that gave.
    own = ops.concatenate([_cut(own, axis, None, 1) + first, _cut(own, axis, 1, None)], axis)
    own = ops.concatenate([_cut(own, axis, None, -1), _cut(own, axis, -1, None) + last], axis)
    own = own + ops.concatenate([_cut(before, axis, 1, None), ops.zeros_like(first)], axis)
    return own + ops.concatenate([ops.zeros_like(last), _cut(after, axis, None, -1)], axis)


def _mean(parts: Sequence[Tensor], shares: Sequence[float]) -> Tensor:
    """Sum parts by their shares; what has no share costs nothing."""
    total: Any = None
    for part, share in zip(parts, shares, strict=True):
        if share:
            weighted = part if share == 1 else part * share
            total = weighted if total is None else total + weighted
    return ops.zeros_like(parts[0]) if total is None else total


def _with_edges(x: Tensor, axis: int) -> Tensor:
    return ops.concatenate([_cut(x, axis, None, 1), x, _cut(x, axis, -1, None)], axis)


def _cut(x: Tensor, axis: int, start: int | None, stop: int | None) -> Tensor:
    return x[(*[slice(None)] * axis, slice(start, stop))]
