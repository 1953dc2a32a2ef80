"""Tiles of large images, whose logits are blended where they overlap."""

import math
from collections.abc import Iterator
from typing import Any, Literal, NamedTuple

import keras
import numpy as np
import tensorflow as tf

from keras_segen.inference._network import Network, check, logits_function, pixels_of
from keras_segen.layers import MirrorPad, PadToStride
from keras_segen.types import Tensor

TILE = 512


class Block(NamedTuple):
    """A finished part of an image.

    Attributes:
        rows: The rows of the image that it covers, a slice.
        columns: The columns of the image that it covers, a slice.
        logits: Their logits, a float32 tensor (height, width, num_classes).

    Example:
        >>> model = ks.models.unet(2, filters=(4, 8))
        >>> image = np.zeros((32, 48, 3), np.uint8)
        >>> for block in ks.inference.tiled_logits(model, image):
        ...     print(image[block.rows, block.columns].shape, block.logits.shape)
        (32, 48, 3) (32, 48, 2)
    """

    rows: slice
    columns: slice
    logits: Any


def tiled_logits(
    model: keras.Model,
    image: np.ndarray,
    *,
    tile: int = TILE,
    overlap: float = 0.25,
    blending: Literal["gaussian", "none"] = "gaussian",
    batch_size: int = 1,
) -> Iterator[Block]:
    """Segment an image tile by tile; where tiles overlap, blend their logits.

    Near a tile's edge the network has seen less of the image. So the logits are blended with Gaussian weights around
    each tile's middle, with a standard deviation of an eighth of its side, as in nnU-Net (Isensee et al., 2021,
    doi:10.1038/s41592-020-01008-z). A part of the image is handed out as soon as no later tile touches it; meanwhile
    only a strip as wide as the image and as high as the overlap is held in memory.

    Tiles begin at multiples of the network's stride, so that pooling falls on the same pixels as in the whole image,
    and the last ones end where the network would pad the image to. If a pixel's receptive field lies within all its
    tiles, its logits are those of the whole image. The stride is that of the model's `PadToStride`, or 32. A network
    that looks at the whole of its input, by global pooling or attention, sees the tile instead of the image; one that
    resizes its input, as `augmented` does with `scales`, resizes each tile by itself.

    Args:
        model: A segmenter, as for `predict`.
        image: The image, uint8 or floats (height, width, channels), in [0, 255].
        tile: The side of tiles in pixels, rounded up to a multiple of the network's stride. An image that is no larger
            is not cut.
        overlap: The least share of a tile's side that the next one covers too, in [0, 1).
        blending: "gaussian", or "none" to cut overlaps in their middles: U-Net's overlap tiles (Ronneberger et al.,
            2015, figure 2). The logits of an unpadded network then equal those of the whole image if half the overlap
            is at least the reach of its receptive field: 92 pixels with five levels, tile=576 and overlap=1/3.
        batch_size: The number of tiles that go through the network at once. A last batch with fewer is filled up, so
            that there is one shape to compile for.

    Returns:
        An iterator over `Block`s, which cover each pixel once.

    Raises:
        ValueError: For a model, an image or numbers that `predict` refuses too.

    Example:
        >>> model = ks.models.unet(2, filters=(4, 8))
        >>> image, label_map = np.zeros((48, 64, 3), np.uint8), np.empty((48, 64), np.uint8)
        >>> for block in ks.inference.tiled_logits(model, image, tile=32):
        ...     label_map[block.rows, block.columns] = np.argmax(block.logits, axis=-1)
    """
    check(model, tile, overlap, batch_size)
    pixels = pixels_of(model, image)
    if blending not in ("gaussian", "none"):
        raise ValueError(f'`blending` must be "gaussian" or "none". Received: blending={blending!r}')
    grid = grid_of(pixels, tile, overlap, padding_of(model), cut=blending == "none")
    return blocks(logits_function(model), pixels, grid, batch_size)


class Side(NamedTuple):
    """The places of tiles along one side of an image.

    Attributes:
        size: The size of a tile, in pixels.
        starts: The first pixel of each tile.
        shares: The weight of each tile beside all earlier ones, float32, in the pixels that it shares with them.
    """

    size: int
    starts: list[int]
    shares: list[np.ndarray]

    def finished(self, k: int) -> int:
        """Return the number of pixels of tile k that no later tile touches."""
        return self.starts[k + 1] - self.starts[k] if k + 1 < len(self.starts) else self.size


class Padding(NamedTuple):
    """A network's padding of images.

    Attributes:
        stride: The divisor of the padded sides, in pixels.
        margin: The number of pixels by which the network mirrors an image, or 0 if it repeats the last row and column.
    """

    stride: int
    margin: int

    def pixels(self, start: int, size: int, extent: int) -> np.ndarray:
        """Return the pixels of a side of the image that a tile holds, int (size,), including those beyond the image."""
        pixels = np.arange(start, start + size)
        if self.margin:
            period = max(extent - 1, 1)
            pixels = period - np.abs(pixels % (2 * period) - period)
        return np.minimum(pixels, extent - 1)


class Grid(NamedTuple):
    """The places of an image's tiles."""

    rows: Side
    columns: Side
    padding: Padding

    @property
    def tiles(self) -> int:
        """The number of tiles."""
        return len(self.rows.starts) * len(self.columns.starts)


def grid_of(image: np.ndarray, tile: int, overlap: float, padding: Padding, *, cut: bool = False) -> Grid:
    """Lay tiles over an image; see `tiled_logits` for the arguments, `cut` being `blending="none"`."""
    rows, columns = (side_of(extent, tile, overlap, padding, cut=cut) for extent in image.shape[:2])
    return Grid(rows, columns, padding)


def side_of(extent: int, tile: int, overlap: float, padding: Padding, *, cut: bool = False) -> Side:
    """Lay tiles along a side of `extent` pixels."""
    stride = padding.stride
    size = -(-tile // stride) * stride
    if padding.margin and extent <= size:
        return Side(extent, [0], [np.zeros(0, np.float32)])  # mirrored as the whole image is
    # Where a tile mirrors itself beyond the image, the image must be out of sight.
    padded = -(-(extent + padding.margin) // stride) * stride
    size = min(size, padded)
    step = max(int(size * (1 - overlap)) // stride * stride, stride)
    starts = [*range(0, padded - size, step), padded - size]
    if cut:
        ends = [0, *(start + size for start in starts[:-1])]  # how far the tile before reaches
        both = [max(end - start, 0) for start, end in zip(starts, ends, strict=True)]
        return Side(size, starts, [(np.arange(pixels) >= pixels // 2).astype(np.float32) for pixels in both])
    bump = np.exp(-0.5 * ((np.arange(size) + 0.5 - size / 2) / (size / 8)) ** 2)
    total = np.zeros(padded)
    shares = []
    for start in starts:
        total[start : start + size] += bump
        earlier = np.flatnonzero(total[start : start + size] > bump)
        shares.append((bump[earlier] / total[start + earlier]).astype(np.float32))
    return Side(size, starts, shares)


def padding_of(model: keras.Model) -> Padding:
    """Return how a network, or those inside it, pad images."""

    def found(model: keras.Model) -> Iterator[Padding]:
        for layer in model.layers:
            if isinstance(layer, PadToStride):
                yield Padding(layer.stride, 0)
            elif isinstance(layer, MirrorPad):
                yield Padding(layer.multiple, layer.margin)
            elif isinstance(layer, keras.Model):
                yield from found(layer)

    paddings = [*found(model)] or [Padding(32, 0)]
    return Padding(math.lcm(*(p.stride for p in paddings)), max(p.margin for p in paddings))


def blocks(call: Network, image: np.ndarray, grid: Grid, batch_size: int, bar: Any = None) -> Iterator[Block]:
    """Yield the finished parts of an image's logits, tile by tile; see `tiled_logits`."""
    height, width, _ = image.shape
    if grid.tiles == 1:
        yield Block(slice(height), slice(width), call(image[None])[0])
        return
    tiles = _tiles(call, image, grid, batch_size)
    # Logits that tiles to come will change: of the tile to the left, and of those above, one a column.
    left_logits, upper_logits = None, [None] * len(grid.columns.starts)
    for i, top in enumerate(grid.rows.starts):
        for j, left in enumerate(grid.columns.starts):
            logits = _blend(left_logits, next(tiles), grid.columns.shares[j], axis=1)
            logits, left_logits = _split(logits, grid.columns.finished(j), axis=1)
            logits = _blend(upper_logits[j], logits, grid.rows.shares[i], axis=0)
            logits, upper_logits[j] = _split(logits, grid.rows.finished(i), axis=0)
            logits = logits[: max(height - top, 0), : max(width - left, 0)]
            if tf.size(logits):
                yield Block(slice(top, top + logits.shape[0]), slice(left, left + logits.shape[1]), logits)
            if bar:
                bar.add(1)


def _tiles(call: Network, image: np.ndarray, grid: Grid, batch_size: int) -> Iterator[Any]:
    """Yield each tile's logits (height, width, num_classes), row by row."""
    height, width = grid.rows.size, grid.columns.size
    pixels = grid.padding.pixels
    places = [(top, left) for top in grid.rows.starts for left in grid.columns.starts]
    batch_size = min(batch_size, len(places))
    for first in range(0, len(places), batch_size):
        parts = [
            image[pixels(top, height, image.shape[0])[:, None], pixels(left, width, image.shape[1])]
            for top, left in places[first : first + batch_size]
        ]
        batch = np.stack(parts)
        batch = np.pad(batch, [(0, batch_size - len(parts)), (0, 0), (0, 0), (0, 0)])
        yield from call(batch)[: len(parts)]


def _blend(earlier: Tensor, logits: Tensor, share: np.ndarray, axis: int) -> Tensor:
    if not len(share):
        return logits
    shared, own = _split(logits, len(share), axis)
    # A running weighted mean. Written as a step towards what is new, it leaves equal logits as they are, to the bit.
    blended = earlier + (shared - earlier) * np.expand_dims(share, (1 - axis, 2))
    return tf.concat([blended, own], axis)


def _split(logits: Tensor, first: int, axis: int) -> Tensor:
    return tf.split(logits, [first, logits.shape[axis] - first], axis)
