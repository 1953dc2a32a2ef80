"""Prediction of label maps for any number of images of any sizes, in bounded memory."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from PIL import Image

from keras_segen.inference import _tiles
from keras_segen.inference._network import check, logits_function, pixels_of
from keras_segen.types import Tensor

# Larger images go through in tiles by default: a network's activations fill the memory, and they grow with the pixels
# that go through at once. A U-Net of the paper's widths takes 2.1 GB for so many.
WHOLE = 2**21
# Smaller images of one size, or tiles, share a batch as long as they have no more pixels together; one alone may have
# more. Larger batches are no faster on a CPU.
BATCH = 2**19
Answer = tuple[np.ndarray, ...]  # of an image, arrays (height, width, …); or those of a batch
# Images that wait for others of their size, and label maps that wait for their turn, have so many pixels at most.
WAITING = 2**22


def predict(
    model: keras.Model,
    images: Iterable[Any],
    *,
    tile: int | None = None,
    overlap: float = 0.25,
    batch_size: int | None = None,
    verbose: bool = False,
) -> Iterator[np.ndarray]:
    """Segment images of any sizes, one after the other.

    Images are read from the iterable as they are needed, so a generator that reads files, such as
    `map(ks.data.read_image, paths)`, holds only a few of them in memory. Images of one size share batches. None is
    padded to another's size, which would change its label map.

    Args:
        model: A segmenter: images (batch, height, width, channels) in [0, 255] -> logits (batch, height, width,
            num_classes), or (batch, height, width, 1) of two classes, by sigmoid.
        images: Arrays or tensors, uint8 or floats (height, width, channels), in [0, 255].
        tile: The side in pixels above which images are cut into tiles of this side; see `tiled_logits`. With None,
            images of more than 2^21 pixels (1920×1080 has fewer) are cut into tiles of 512.
        overlap: The share of a tile that its neighbour covers too.
        batch_size: The number of images, or of tiles of one image, that go through the network at once. With None they
            have 2^19 pixels together at most, unless one has more.
        verbose: Whether to show a progress bar, which counts tiles.

    Returns:
        An iterator over label maps uint8 (height, width), in the images' order, each made when it is asked for.

    Raises:
        ValueError: For a model with more than 255 classes, and numbers out of range, at once. For an
            image of another shape, or something that is not an array: at once if `images` is a list, otherwise when it
            is reached.

    Example:
        >>> model = ks.models.unet(2, filters=(4, 8))
        >>> images = [np.zeros((32, 48, 3), np.uint8), np.zeros((50, 40, 3), np.uint8)]
        >>> for label_map in ks.inference.predict(model, images):
        ...     print(label_map.shape)
        (32, 48)
        (50, 40)
    """
    check(model, _tiles.TILE if tile is None else tile, overlap, batch_size)
    if isinstance(images, str | Path | Image.Image) or len(getattr(images, "shape", [None] * 4)) == 3:
        raise ValueError(f"`images` is a list of images: give a single one as `[image]`. Received: {_brief(images)}")
    if isinstance(images, Sequence):
        for i, image in enumerate(images):
            pixels_of(model, image, i)
    count = len(images) if isinstance(images, Sequence) else None
    examples = ((image, None) for image in images)
    stream = label_maps(
        model, examples, tile=tile, overlap=overlap, batch_size=batch_size, count=count, verbose=verbose
    )
    return (label_map for _, _, label_map in stream)


def _brief(image: Tensor) -> str:
    return f"one of shape {tuple(image.shape)}" if hasattr(image, "shape") else repr(image)


@dataclass
class _Held:
    """An image that was read and not yet handed out, with its companion, and its answer once it is computed."""

    image: np.ndarray
    companion: Any
    answer: Answer | None = None

    @property
    def pixels(self) -> int:
        return self.image.shape[0] * self.image.shape[1]


def label_maps(
    model: keras.Model,
    examples: Iterable[tuple[Any, Any]],
    *,
    tile: int | None = None,
    overlap: float = 0.25,
    batch_size: int | None = None,
    count: int | None = None,
    verbose: bool = False,
) -> Iterator[tuple[np.ndarray, Any, np.ndarray]]:
    """Segment images that each have a companion, such as a mask or a path; see `predict` for the other arguments.

    Args:
        model: A segmenter.
        examples: The pairs (image, companion), read as they are needed.
        tile: The side of tiles; see `predict`.
        overlap: The share of a tile that its neighbour covers too.
        batch_size: The number of images or tiles that go through the network at once; see `predict`.
        count: The number of examples, for the progress bar, if it is known.
        verbose: Whether to show a progress bar.

    Returns:
        An iterator over (image, companion, label map uint8 (height, width)), in order.

    Example:
        >>> model = ks.models.unet(3, filters=(4, 8))
        >>> photos = [(np.zeros((32, 48, 3), "uint8"), "a.png"), (np.zeros((40, 20, 3), "uint8"), "b.png")]
        >>> [(name, label_map.shape) for _, name, label_map in ks.inference.label_maps(model, photos)]
        [('a.png', (32, 48)), ('b.png', (40, 20))]
    """
    options: dict[str, Any] = {
        "tile": tile,
        "overlap": overlap,
        "batch_size": batch_size,
        "count": count,
        "verbose": verbose,
    }
    for image, companion, (label_map,) in _answers(model, examples, lambda logits: (_labels(logits),), **options):
        yield image, companion, label_map


def probabilities(
    model: keras.Model,
    examples: Iterable[tuple[Any, Any]],
    *,
    tile: int | None = None,
    overlap: float = 0.25,
    batch_size: int | None = None,
    count: int | None = None,
    verbose: bool = False,
) -> Iterator[tuple[np.ndarray, Any, np.ndarray, np.ndarray]]:
    """Do the same as `label_maps`, and return each class's probability at each pixel too.

    Returns:
        An iterator over (image, companion, label map uint8 (height, width), probabilities float32 (height, width,
        num_classes)), in order.

    Example:
        >>> model = ks.models.unet(3, filters=(4, 8))
        >>> for _, name, label_map, found in ks.inference.probabilities(model, [(np.zeros((32, 48, 3)), "a.png")]):
        ...     print(name, label_map.shape, found.shape)
        a.png (32, 48) (32, 48, 3)
    """
    options: dict[str, Any] = {
        "tile": tile,
        "overlap": overlap,
        "batch_size": batch_size,
        "count": count,
        "verbose": verbose,
    }

    def answer(logits: Tensor) -> Answer:
        return _labels(logits), tf.nn.softmax(logits).numpy()

    for image, companion, (label_map, found) in _answers(model, examples, answer, **options):
        yield image, companion, label_map, found


def _answers(
    model: keras.Model,
    examples: Iterable[tuple[Any, Any]],
    answer: Callable[[Tensor], Answer],
    *,
    tile: int | None,
    overlap: float,
    batch_size: int | None,
    count: int | None,
    verbose: bool,
) -> Iterator[tuple[np.ndarray, Any, Answer]]:
    """Yield (image, companion, what `answer` makes of the image's logits), in order."""
    call, padding = logits_function(model), _tiles.padding_of(model)
    most, side = (WHOLE, _tiles.TILE) if tile is None else (0, tile)
    bar = keras.utils.Progbar(count, unit_name="tile") if verbose else None
    held: deque[_Held] = deque()  # in order
    alike: dict[Any, list[_Held]] = {}  # those of them that wait for others of their size
    total = 0

    def run(key: Any) -> None:
        batch = alike.pop(key)
        for example, *answers in zip(batch, *answer(call(np.stack([e.image for e in batch]))), strict=True):
            example.answer = tuple(answers)
        if bar:
            bar.add(len(batch))

    def key(example: _Held) -> Any:
        return example.image.shape, example.image.dtype

    for number, (image, companion) in enumerate(examples):
        example = _Held(pixels_of(model, image, number), companion)
        held.append(example)
        total += example.pixels
        grid = _tiles.grid_of(example.image, side, overlap, padding)
        if grid.tiles > 1 and example.pixels > most:
            if bar and count:
                bar.target += grid.tiles - 1
            size = batch_size or max(BATCH // (grid.rows.size * grid.columns.size), 1)
            blocks = _tiles.blocks(call, example.image, grid, size, bar)
            example.answer = _joined(blocks, answer, example.image.shape[:2])
        else:
            waiting = alike.setdefault(key(example), [])
            waiting.append(example)
            if len(waiting) == (batch_size or max(BATCH // example.pixels, 1)):
                run(key(example))
        while held and (held[0].answer is not None or total > WAITING):
            if held[0].answer is None:
                run(key(held[0]))
            total -= held[0].pixels
            yield _handed_out(held.popleft())
    while held:
        if held[0].answer is None:
            run(key(held[0]))
        yield _handed_out(held.popleft())


def _handed_out(example: _Held) -> tuple[np.ndarray, Any, Answer]:
    assert example.answer is not None
    return example.image, example.companion, example.answer


def _joined(blocks: Iterable[_tiles.Block], answer: Callable[[Tensor], Answer], size: tuple[int, ...]) -> Answer:
    """Return what `answer` makes of an image's logits, block by block."""
    whole: Answer = ()
    for rows, columns, logits in blocks:
        parts = answer(logits)
        whole = whole or tuple(np.empty((*size, *part.shape[2:]), part.dtype) for part in parts)
        for array, part in zip(whole, parts, strict=True):
            array[rows, columns] = part
    return whole


def _labels(logits: Tensor) -> np.ndarray:
    return tf.argmax(logits, -1, tf.int32).numpy().astype(np.uint8)
