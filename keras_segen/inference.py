"""What a segmenter makes of images of any size: whole, in tiles that are blended, averaged over flips and scales."""

import functools
import math
import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Literal, NamedTuple

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from keras_segen.layers import MirrorPad, PadToStride, ResizeLike

__all__ = ["Block", "augmented", "predict", "tiled_logits"]

# Images of more pixels than these go through in tiles unless told otherwise: a network's activations, not its input,
# are what fills the memory.
WHOLE = 2048**2
TILE = 512

Network = Callable[[np.ndarray], Any]  # images (batch, height, width, channels) -> logits


class Block(NamedTuple):
    """A finished part of an image.

    Attributes:
        rows: of the image, which it covers,
        columns: likewise.
        logits: float32 (height, width, num_classes) tensor.
    """

    rows: slice
    columns: slice
    logits: Any


def predict(
    model: keras.Model,
    images: Iterable[np.ndarray],
    *,
    tile: int | None = None,
    overlap: float = 0.25,
    batch_size: int = 1,
    verbose: bool = False,
) -> Iterator[np.ndarray]:
    """Segment images of any sizes, one after the other.

    Images of one size share batches. None is padded to another's size, which would change what comes out.

    Args:
        model: a segmenter: images (batch, height, width, channels) in [0, 255] -> logits (batch, height, width,
            num_classes).
        images: uint8 or floats (height, width, channels), in [0, 255].
        tile: images larger than this, in pixels a side, go through in tiles; see `tiled_logits`. None: those of more
            than 2048² pixels do, in tiles of 512.
        overlap: of neighbouring tiles.
        batch_size: images, or tiles of one, that go through the network at once.
        verbose: show a progress bar, of tiles.

    Returns:
        An iterator over label maps uint8 (height, width), in the images' order, each made when it is asked for.

    Raises:
        ValueError: for images of other shapes, a model with fewer than 2 classes or more than 255, and numbers out of
            range, before anything is predicted.
    """
    images = list(images)
    most, side = (WHOLE, TILE) if tile is None else (0, tile)
    _check(model, images, side, overlap, batch_size)
    padding = _padding(model)

    def grid(image: np.ndarray) -> _Grid | None:
        found = _grid(image, side, overlap, padding)
        return found if found.tiles > 1 and image.shape[0] * image.shape[1] > most else None

    return _label_maps(
        functools.partial(_logits, model), images, [grid(image) for image in images], batch_size, verbose
    )


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

    Near a tile's edge the network has seen less of the image. So each tile counts by a Gaussian around its middle with
    a standard deviation of an eighth of its side, as in nnU-Net (Isensee et al., 2021, doi:10.1038/s41592-020-01008-z).
    A part of the image is handed out as soon as no later tile touches it; what is held meanwhile is a strip as wide as
    the image and as high as the overlap.

    Tiles begin at multiples of the network's stride, so that pooling falls on the same pixels as in the whole image,
    and the last ones end where the network would pad the image to. A pixel whose receptive field lies within all its
    tiles has the logits that the whole image gives it. The stride is that of the model's `PadToStride`, or 32. A
    network that looks at the whole of its input, by global pooling or attention, sees the tile instead of the image;
    one that resizes its input, as `augmented` does with `scales`, has each tile resized by itself.

    Args:
        model: as for `predict`.
        image: likewise.
        tile: side in pixels; rounded up to a multiple of the network's stride. An image no larger goes through whole.
        overlap: share of a tile's side that the next one covers too, at least, in [0, 1).
        blending: "gaussian", or "none" to cut overlaps in their middles: U-Net's overlap tiles (Ronneberger et al.,
            2015, figure 2). An unpadded network then gives each pixel just what the whole image gives it, if half the
            overlap is as wide as its receptive field reaches: 92 pixels with five levels, tile=576 and overlap=1/3.
        batch_size: tiles that go through the network at once. A last batch with fewer is filled up, so that there is
            one shape to compile for.

    Returns:
        An iterator over `Block`s, which cover each pixel once.

    Raises:
        ValueError: as for `predict`.
    """
    _check(model, [image], tile, overlap, batch_size)
    if blending not in ("gaussian", "none"):
        raise ValueError(f'`blending` must be "gaussian" or "none". Received: blending={blending!r}')
    grid = _grid(image, tile, overlap, _padding(model), cut=blending == "none")
    return _blocks(functools.partial(_logits, model), image, grid, batch_size)


def augmented(model: keras.Model, *, flip: bool = True, scales: Sequence[float] = (1.0,)) -> keras.Model:
    """Make a segmenter that looks at each image several times: flipped left and right, enlarged and shrunk.

    The probabilities of all looks, at the image's own size, are averaged. What comes back is a segmenter like any
    other, which `predict`, metrics and `serving.export` take. It shares its weights with the model.

    Args:
        model: as for `predict`.
        flip: look at the mirrored image, too, at each scale.
        scales: factors of height and width. Images are resized bilinearly without antialiasing, as in training.

    Returns:
        A Functional model: images (batch, height, width, channels) in [0, 255] -> logits (batch, height, width,
        num_classes), the logarithms of the mean probabilities.

    Raises:
        ValueError: for no scales, or one that is not over 0, or twice there; for a model with fewer than 2 classes.
    """
    num_classes = model.output_shape[-1]
    if not num_classes or num_classes < 2:
        raise ValueError(f"Probabilities of 2 classes or more are averaged. Received: a model of {num_classes}")
    if not scales or len(set(scales)) < len(scales) or not all(0 < scale < math.inf for scale in scales):
        raise ValueError(f"`scales` must be factors over 0, each once. Received: scales={scales}")
    image = keras.Input(model.input_shape[1:], name="image")
    looks = []
    for scale in scales:
        scaled = image if scale == 1 else ResizeLike(scale, dtype="float32")([image, image])
        views = [ops.softmax(model(scaled, training=False))]
        if flip:
            views.append(ops.flip(ops.softmax(model(ops.flip(scaled, 2), training=False)), 2))
        looks += views if scale == 1 else [ResizeLike(dtype="float32")([view, image]) for view in views]
    mean = sum(looks[1:], looks[0]) / len(looks)
    return keras.Model(image, ops.log(ops.maximum(mean, 1e-30)), name=f"{model.name}_augmented")  # 0 has no logarithm


class _Side(NamedTuple):
    """Where tiles lie along one side of an image.

    Attributes:
        size: of a tile, in pixels.
        starts: each tile's first pixel.
        shares: for each tile, how much it counts beside all earlier ones, float32, in the pixels that these reach, too.
    """

    size: int
    starts: list[int]
    shares: list[np.ndarray]

    def finished(self, k: int) -> int:
        """Return how many pixels of tile k no later tile touches."""
        return self.starts[k + 1] - self.starts[k] if k + 1 < len(self.starts) else self.size


class _Padding(NamedTuple):
    """What a network does at the borders of an image.

    Attributes:
        stride: it pads the image to a multiple of this,
        margin: and, if it mirrors it, by so many pixels; otherwise 0, and it repeats the last row and column.
    """

    stride: int
    margin: int

    def pixels(self, start: int, size: int, extent: int) -> np.ndarray:
        """Return which pixels of a side of the image a tile holds, int (size,), those beyond the image among them."""
        pixels = np.arange(start, start + size)
        if self.margin:
            period = max(extent - 1, 1)
            pixels = period - np.abs(pixels % (2 * period) - period)
        return np.minimum(pixels, extent - 1)


class _Grid(NamedTuple):
    rows: _Side
    columns: _Side
    padding: _Padding

    @property
    def tiles(self) -> int:
        return len(self.rows.starts) * len(self.columns.starts)


def _grid(image: np.ndarray, tile: int, overlap: float, padding: _Padding, *, cut: bool = False) -> _Grid:
    rows, columns = (_side(extent, tile, overlap, padding, cut=cut) for extent in image.shape[:2])
    return _Grid(rows, columns, padding)


def _side(extent: int, tile: int, overlap: float, padding: _Padding, *, cut: bool = False) -> _Side:
    stride = padding.stride
    size = -(-tile // stride) * stride
    if padding.margin and extent <= size:
        return _Side(extent, [0], [np.zeros(0, np.float32)])  # mirrored as the whole image is
    # Where a tile mirrors itself beyond the image, the image must be out of sight.
    padded = -(-(extent + padding.margin) // stride) * stride
    size = min(size, padded)
    step = max(int(size * (1 - overlap)) // stride * stride, stride)
    starts = [*range(0, padded - size, step), padded - size]
    if cut:
        ends = [0, *(start + size for start in starts[:-1])]  # how far the tile before reaches
        both = [max(end - start, 0) for start, end in zip(starts, ends, strict=True)]
        return _Side(size, starts, [(np.arange(pixels) >= pixels // 2).astype(np.float32) for pixels in both])
    bump = np.exp(-0.5 * ((np.arange(size) + 0.5 - size / 2) / (size / 8)) ** 2)
    total = np.zeros(padded)
    shares = []
    for start in starts:
        total[start : start + size] += bump
        earlier = np.flatnonzero(total[start : start + size] > bump)
        shares.append((bump[earlier] / total[start + earlier]).astype(np.float32))
    return _Side(size, starts, shares)


def _padding(model: keras.Model) -> _Padding:
    """Return how a network, or those inside it, pad images."""

    def found(model: keras.Model) -> Iterator[_Padding]:
        for layer in model.layers:
            if isinstance(layer, PadToStride):
                yield _Padding(layer.stride, 0)
            elif isinstance(layer, MirrorPad):
                yield _Padding(layer.multiple, layer.margin)
            elif isinstance(layer, keras.Model):
                yield from found(layer)

    paddings = [*found(model)] or [_Padding(32, 0)]
    return _Padding(math.lcm(*(p.stride for p in paddings)), max(p.margin for p in paddings))


# By model, so that a second call traces nothing anew. They must not hold the model, or it would never go.
_COMPILED: weakref.WeakKeyDictionary[keras.Model, Network] = weakref.WeakKeyDictionary()


def _logits(model: keras.Model, images: np.ndarray) -> Any:
    if model not in _COMPILED:
        reference: Any = weakref.ref(model)

        @tf.function(reduce_retracing=True)
        def network(images: Any) -> Any:
            return tf.cast(reference()(tf.cast(images, tf.float32), training=False), tf.float32)

        _COMPILED[model] = network
    return _COMPILED[model](images)


def _label_maps(
    network: Network, images: Sequence[np.ndarray], grids: Sequence[_Grid | None], batch_size: int, verbose: bool
) -> Iterator[np.ndarray]:
    """Yield each image's label map, of those that have a grid by tiles."""
    tiles = sum(grid.tiles if grid else 1 for grid in grids)
    bar = keras.utils.Progbar(tiles, unit_name="tile") if verbose else None
    same_size: dict[tuple[int, ...], list[int]] = {}
    for i, (image, grid) in enumerate(zip(images, grids, strict=True)):
        if grid is None:
            same_size.setdefault(image.shape, []).append(i)
    ready: dict[int, np.ndarray] = {}
    for i, (image, grid) in enumerate(zip(images, grids, strict=True)):
        if grid:
            ready[i] = np.empty(image.shape[:2], np.uint8)
            for rows, columns, logits in _blocks(network, image, grid, batch_size, bar):
                ready[i][rows, columns] = _labels(logits)
        elif i not in ready:
            waiting = same_size[image.shape]
            batch, waiting[:batch_size] = waiting[:batch_size], []
            ready |= zip(batch, _labels(network(np.stack([images[k] for k in batch]))), strict=True)
            if bar:
                bar.add(len(batch))
        yield ready.pop(i)


def _labels(logits: Any) -> np.ndarray:
    return tf.argmax(logits, -1, tf.int32).numpy().astype(np.uint8)


def _blocks(network: Network, image: np.ndarray, grid: _Grid, batch_size: int, bar: Any = None) -> Iterator[Block]:
    height, width, _ = image.shape
    if grid.tiles == 1:
        yield Block(slice(height), slice(width), network(image[None])[0])
        return
    tiles = _tiles(network, image, grid, batch_size)
    # Logits that tiles to come will change: of the tile to the left, and of those above, one a column.
    beside, above = None, [None] * len(grid.columns.starts)
    for i, top in enumerate(grid.rows.starts):
        for j, left in enumerate(grid.columns.starts):
            logits = _blend(beside, next(tiles), grid.columns.shares[j], axis=1)
            logits, beside = _split(logits, grid.columns.finished(j), axis=1)
            logits = _blend(above[j], logits, grid.rows.shares[i], axis=0)
            logits, above[j] = _split(logits, grid.rows.finished(i), axis=0)
            logits = logits[: max(height - top, 0), : max(width - left, 0)]
            if tf.size(logits):
                yield Block(slice(top, top + logits.shape[0]), slice(left, left + logits.shape[1]), logits)
            if bar:
                bar.add(1)


def _tiles(network: Network, image: np.ndarray, grid: _Grid, batch_size: int) -> Iterator[Any]:
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
        yield from network(batch)[: len(parts)]


def _blend(earlier: Any, logits: Any, share: np.ndarray, axis: int) -> Any:
    if not len(share):
        return logits
    both, own = _split(logits, len(share), axis)
    # A running weighted mean. Written as a step towards what is new, it leaves equal logits as they are, to the bit.
    blended = earlier + (both - earlier) * np.expand_dims(share, (1 - axis, 2))
    return tf.concat([blended, own], axis)


def _split(logits: Any, first: int, axis: int) -> Any:
    return tf.split(logits, [first, logits.shape[axis] - first], axis)


def _check(model: keras.Model, images: Sequence[np.ndarray], tile: int, overlap: float, batch_size: int) -> None:
    channels, num_classes = model.input_shape[-1], model.output_shape[-1]
    if not num_classes or not 2 <= num_classes <= 255:
        raise ValueError(f"Label maps have room for 2 to 255 classes. Received: a model of {num_classes}")
    for i, image in enumerate(images):
        if image.ndim != 3 or image.shape[-1] != channels or not image.size:
            raise ValueError(
                f"Each image must have the shape (height, width, {channels}). Received: image {i}, shape {image.shape}"
            )
    if tile < 1 or batch_size < 1:
        raise ValueError(f"`tile` and `batch_size` must be at least 1. Received: tile={tile}, batch_size={batch_size}")
    if not 0 <= overlap < 1:
        raise ValueError(f"`overlap` must be in [0, 1). Received: overlap={overlap}")
