"""Plots and pictures of results: overlays, heat, comparisons, confusion matrices, learning curves, grids of images."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from PIL import Image

from keras_segen._masks import VOID
from keras_segen.files import replacing
from keras_segen.types import PathLike

__all__ = [
    "class_ids",
    "comparison",
    "confusions",
    "curves",
    "displayable",
    "grid",
    "heat_overlay",
    "label_map_picture",
    "labelled_rows",
    "overlay",
    "save_animation",
    "save_figure",
    "save_image",
    "voc_palette",
]

_LUMA = (0.299, 0.587, 0.114)  # red, green and blue in the brightness of Rec. 601
SHOWN = 512  # pixels of an image's longer side in a figure at most, more than its resolution shows


def voc_palette() -> np.ndarray:
    """Return the colours of Pascal VOC's label maps, uint8 (256, 3): an id's bits, spread over red, green and blue.

    Example:
        >>> ks.plotting.voc_palette()[15]  # a person
        array([192, 128, 128], dtype=uint8)
    """
    ids = np.arange(256)
    palette = np.zeros((256, 3), np.uint8)
    for bit in range(8):
        for channel in range(3):
            palette[:, channel] |= (((ids >> (3 * bit + channel)) & 1) << (7 - bit)).astype(np.uint8)
    return palette


def label_map_picture(label_map: np.ndarray) -> Image.Image:
    """Return a label map as a palette picture: its indices are the class ids, its colours Pascal VOC's.

    Args:
        label_map: The class ids, uint8 (height, width).

    Example:
        >>> picture = ks.plotting.label_map_picture(np.eye(32, dtype="uint8"))
        >>> picture.getpixel((0, 0)), picture.convert("RGB").getpixel((0, 0))
        (1, (128, 0, 0))
    """
    picture = Image.fromarray(label_map, mode="P")
    picture.putpalette(voc_palette().tobytes())
    return picture


def class_ids(colours: np.ndarray) -> np.ndarray:
    """Turn a picture in Pascal VOC's colours back into a label map, by the inverse of `voc_palette`.

    Args:
        colours: The picture, uint8 (height, width, 3).

    Returns:
        The class ids, uint8 (height, width).

    Raises:
        ValueError: For another shape, or a colour that the palette does not hold.

    Example:
        >>> picture = ks.plotting.voc_palette()[np.array([[0, 15, 255]])]
        >>> ks.plotting.class_ids(picture)
        array([[  0,  15, 255]], dtype=uint8)
    """
    if colours.ndim != 3 or colours.shape[2] != 3:
        raise ValueError(f"A picture in colours is (height, width, 3). Received: shape {colours.shape}")
    pixels = colours.astype(np.int64)
    codes = (pixels[..., 0] << 16) | (pixels[..., 1] << 8) | pixels[..., 2]
    palette = voc_palette().astype(np.int64)
    palette_codes = (palette[:, 0] << 16) | (palette[:, 1] << 8) | palette[:, 2]
    order = np.argsort(palette_codes)
    ids = order[np.searchsorted(palette_codes, codes, sorter=order).clip(max=255)]
    wrong = palette_codes[ids] != codes
    if wrong.any():
        raise ValueError(f"Pascal VOC's palette has no colour {tuple(colours[wrong][0].tolist())}")
    return ids.astype(np.uint8)


def displayable(image: np.ndarray, value_range: tuple[float, float] | None = None) -> np.ndarray:
    """Turn an image of any channels and range of values into one that can be looked at.

    One channel becomes grey; two become red and green; of more than three the first three become red, green and blue.

    Args:
        image: The image, (height, width, channels).
        value_range: The values that become black and white; by default 0 and 255.

    Returns:
        The picture, uint8 (height, width, 3).

    Raises:
        ValueError: For another shape.

    Example:
        >>> ks.plotting.displayable(np.full((32, 48, 1), 4095, np.uint16), (0, 4095))[0, 0]
        array([255, 255, 255], dtype=uint8)
    """
    if image.ndim != 3 or not image.shape[-1]:
        raise ValueError(f"An image is (height, width, channels). Received: shape {image.shape}")
    channels = image[..., :3]
    if value_range is not None:
        low, high = value_range
        channels = (np.clip(channels, low, high).astype(np.float32) - low) * (255 / (high - low))
    if channels.dtype != np.uint8:
        channels = np.clip(np.round(channels), 0, 255).astype(np.uint8)
    if channels.shape[-1] == 1:
        return np.repeat(channels, 3, axis=-1)
    missing = 3 - channels.shape[-1]
    return np.pad(channels, [(0, 0), (0, 0), (0, missing)]) if missing else channels


def overlay(image: np.ndarray, label_map: np.ndarray, *, opacity: float = 0.5) -> np.ndarray:
    """Lay a label map's colours over an image; class 0 and void leave it as it is.

    Args:
        image: The image, (height, width, 3) in [0, 255].
        label_map: The class ids, (height, width), from 0 to 255.
        opacity: The opacity of the colours, in [0, 1].

    Returns:
        The picture, uint8 (height, width, 3).

    Raises:
        ValueError: For other shapes, ids or opacities.

    Example:
        >>> image, label_map = np.zeros((32, 48, 3), np.uint8), np.full((32, 48), 15)
        >>> ks.plotting.overlay(image, label_map, opacity=0.5)[0, 0]
        array([96, 64, 64], dtype=uint8)
    """
    if image.shape != (*label_map.shape, 3):
        raise ValueError(
            "An image (height, width, 3) needs a label map (height, width). "
            f"Received: shapes {image.shape} and {label_map.shape}"
        )
    if label_map.dtype.kind not in "iub":
        raise ValueError(f"Class ids are whole numbers. Received: a label map of {label_map.dtype}")
    if label_map.size and not 0 <= label_map.min() <= label_map.max() <= VOID:
        raise ValueError(f"Class ids lie from 0 to {VOID}. Received: {label_map.min()} to {label_map.max()}")
    if not 0 <= opacity <= 1:
        raise ValueError(f"`opacity` must be from 0 to 1. Received: opacity={opacity}")
    palette = voc_palette()
    mixed = np.empty(image.shape, np.uint8)
    for top in range(0, len(image), 256):  # a strip at a time: floats of a large image would fill the memory
        strip, ids = image[top : top + 256], label_map[top : top + 256]
        share = opacity * ((ids != 0) & (ids != VOID))[..., None]
        mixed[top : top + 256] = np.round(strip * (1 - share) + palette[ids] * share)
    return mixed


def heat_overlay(image: np.ndarray, heat: np.ndarray) -> np.ndarray:
    """Lay heat over an image in grey, from dark to bright colours; where there is none the grey stays.

    Args:
        image: The image, (height, width, 3) in [0, 255].
        heat: How hot each pixel is, (height, width), from 0 to 1, such as `inference.explain` gives.

    Returns:
        The picture, uint8 (height, width, 3).

    Raises:
        ValueError: For other shapes or ranges.

    Example:
        >>> image, heat = np.full((32, 48, 3), 128, np.uint8), np.zeros((32, 48))
        >>> ks.plotting.heat_overlay(image, heat)[0, 0]
        array([128, 128, 128], dtype=uint8)
    """
    if image.shape != (*heat.shape, 3):
        raise ValueError(
            f"An image (height, width, 3) needs heat (height, width). Received: shapes {image.shape} and {heat.shape}"
        )
    if heat.size and not 0 <= heat.min() <= heat.max() <= 1:  # False for NaN
        raise ValueError(f"Heat lies from 0 to 1. Received: {heat.min()} to {heat.max()}")
    grey = np.repeat(np.asarray(image, np.float32) @ np.array(_LUMA, np.float32)[:, None], 3, axis=-1)
    share = 0.8 * np.sqrt(heat)[..., None]
    colours = 255 * colormaps["inferno"](0.2 + 0.8 * heat)[..., :3]
    return np.round(grey * (1 - share) + colours * share).clip(0, 255).astype(np.uint8)


def comparison(
    images: Sequence[np.ndarray],
    truths: Sequence[np.ndarray],
    predictions: Sequence[np.ndarray],
    class_names: Sequence[str],
) -> Figure:
    """Plot image, truth and prediction side by side, one row for each image, with the classes' colours below.

    Args:
        images: The images, each (height, width, 3) in [0, 255].
        truths: The true class ids, each (height, width), with 255 for void.
        predictions: The predicted class ids, each (height, width).
        class_names: The name of each class.

    Returns:
        The figure, for `save_figure`.

    Example:
        >>> image, mask = np.zeros((32, 48, 3), np.uint8), np.zeros((32, 48), np.uint8)
        >>> figure = ks.plotting.comparison([image], [mask], [mask], ["background", "nucleus"])
        >>> figure.savefig("comparison.png")
    """
    _require_some(images, "image")
    palette = voc_palette()
    figure = Figure(figsize=(7.5, 2.4 * len(images) + 0.5), layout="constrained")
    axes = figure.subplots(len(images), 3, squeeze=False)
    rows = zip(axes, images, truths, predictions, strict=True)
    for (left, middle, right), image, truth, prediction in rows:
        step = -(-max(truth.shape) // SHOWN)  # of every so many pixels one: large images would fill the memory
        left.imshow(np.clip(image[::step, ::step], 0, 255).astype(np.uint8))
        middle.imshow(palette[truth[::step, ::step]])
        right.imshow(palette[prediction[::step, ::step]])
    for axis, title in zip(axes[0], ("image", "truth", "prediction"), strict=True):
        axis.set_title(title)
    for axis in axes.ravel():
        axis.set_axis_off()
    shown = sorted({int(i) for label_map in (*truths, *predictions) for i in np.unique(label_map)})
    names = {**dict(enumerate(class_names)), VOID: "void"}
    if unknown := [i for i in shown if i not in names]:
        raise ValueError(f"Each class needs a name. Received: {len(class_names)} names, and the id {unknown[0]}")
    patches = [Patch(facecolor=palette[i] / 255, edgecolor="grey", label=names[i]) for i in shown]
    figure.legend(handles=patches, loc="outside lower center", ncols=min(len(patches), 5), frameon=False)
    return figure


def confusions(matrix: np.ndarray, class_names: Sequence[str]) -> Figure:
    """Plot a confusion matrix: a row for each true class, with the share of its pixels in each predicted class.

    Classes that occur in no mask have no row.

    Args:
        matrix: The counts (num_classes, num_classes), with the truth in rows.
        class_names: The name of each class.

    Returns:
        The figure, for `save_figure`.

    Raises:
        ValueError: For another number of names, or a matrix without counts.

    Example:
        >>> figure = ks.plotting.confusions(np.array([[90, 10], [5, 45]]), ["background", "nucleus"])
        >>> figure.savefig("confusions.png")
    """
    if matrix.shape != (len(class_names),) * 2 or not matrix.any():
        raise ValueError(
            "A confusion matrix counts pixels of each class in each class. "
            f"Received: shape {matrix.shape}, {matrix.sum()} counts, {len(class_names)} names"
        )
    rows = np.flatnonzero(matrix.sum(1)).tolist()
    columns = np.flatnonzero(matrix.sum(0) + matrix.sum(1)).tolist()
    shares = matrix[np.ix_(rows, columns)] / matrix[rows].sum(1, keepdims=True)
    figure = Figure(figsize=(0.5 * len(columns) + 2.5, 0.4 * len(rows) + 2), layout="constrained")
    axis = figure.subplots()
    shown = axis.imshow(shares, cmap="viridis", vmin=0, vmax=1, aspect="auto")
    axis.set_xticks(range(len(columns)), [class_names[i] for i in columns], rotation=60, ha="right")
    axis.set_yticks(range(len(rows)), [class_names[i] for i in rows])
    axis.set_xlabel("prediction")
    axis.set_ylabel("truth")
    for (i, j), share in np.ndenumerate(shares):
        if share >= 0.005:
            axis.text(j, i, f"{100 * share:.0f}", ha="center", va="center", color="black" if share > 0.6 else "white")
    figure.colorbar(shown, label="share of the truth")
    return figure


def curves(history: Sequence[dict[str, float]]) -> Figure:
    """Plot learning curves: one panel for each quantity, training and validation together.

    Args:
        history: The epochs, as `runs.Run.history` returns them: numbers by name, "epoch" among them.

    Returns:
        The figure, for `save_figure`.

    Example:
        >>> history = [{"epoch": 0, "loss": 0.7, "val_loss": 0.8}, {"epoch": 1, "loss": 0.5, "val_loss": 0.6}]
        >>> figure = ks.plotting.curves(history)
        >>> figure.savefig("curves.png")
    """
    _require_some(history, "epoch")
    names = [name for name in history[0] if not name.startswith("val_") and name not in ("epoch", "learning_rate")]
    columns = min(len(names), 4)
    rows = -(-len(names) // columns)
    figure = Figure(figsize=(4 * columns, 3.2 * rows), layout="constrained")
    epochs = [row["epoch"] + 1 for row in history]
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    for axis in axes[len(names) :]:
        axis.remove()
    for axis, name in zip(axes, names, strict=False):
        for key, label in ((name, "training"), (f"val_{name}", "validation")):
            if key in history[0]:
                axis.plot(
                    epochs,
                    [row.get(key, np.nan) for row in history],
                    label=label,
                    marker="." if len(epochs) < 40 else None,
                )
        axis.set_title(name.replace("_", " "))
        axis.set_xlabel("epoch")
        axis.xaxis.get_major_locator().set_params(integer=True, min_n_ticks=1)
        axis.grid(alpha=0.3)
        if f"val_{name}" in history[0]:
            axis.legend()
    return figure


def grid(images: np.ndarray, columns: int, *, gap: int = 2) -> np.ndarray:
    """Lay images out in a grid, white between them.

    Args:
        images: The images, uint8 (count, height, width, channels).
        columns: The number of images in a row; a last row that is not full ends in white.
        gap: The gap between images, in pixels.

    Returns:
        The picture, uint8 (height, width, 3).

    Raises:
        ValueError: For other shapes or numbers, or no image.

    Example:
        >>> ks.plotting.grid(np.zeros((6, 32, 32, 3), np.uint8), columns=3).shape
        (66, 100, 3)
    """
    if images.ndim != 4 or images.shape[-1] not in (1, 3):
        raise ValueError(f"Images are (count, height, width, 1 or 3). Received: shape {images.shape}")
    if columns < 1 or gap < 0:
        raise ValueError(f"`columns` is at least 1, and `gap` at least 0. Received: {columns=}, {gap=}")
    _require_some(images, "image")
    count, height, width, channels = images.shape
    rows = -(-count // columns)
    canvas = np.full((rows * (height + gap) - gap, columns * (width + gap) - gap, 3), 255, np.uint8)
    for i, image in enumerate(images):
        top, left = i // columns * (height + gap), i % columns * (width + gap)
        canvas[top : top + height, left : left + width] = image if channels == 3 else image[..., :1]
    return canvas


def labelled_rows(rows: Sequence[np.ndarray], names: Sequence[str]) -> Figure:
    """Plot rows of images, each with a name at its left.

    Args:
        rows: The images of each row, uint8 (count, height, width, channels), all of one shape.
        names: The name of each row.

    Returns:
        The figure, for `save_figure`.

    Example:
        >>> rows = np.zeros((2, 4, 32, 32, 3), np.uint8)
        >>> figure = ks.plotting.labelled_rows(rows, ["originals", "reconstructions"])
        >>> figure.savefig("rows.png")
    """
    _require_some(rows, "row")
    count = len(rows[0])
    name_width = 0.1 * max(map(len, names)) + 0.1  # inches, for the longest name
    figure = Figure(figsize=(0.75 * count + name_width, 0.75 * len(rows)), layout="compressed")
    for axis, row, name in zip(np.atleast_1d(figure.subplots(len(rows), 1)), rows, names, strict=True):
        axis.imshow(grid(row, count))
        axis.set_ylabel(name, rotation=0, ha="right", va="center")
        axis.set_xticks([])
        axis.set_yticks([])
        for spine in axis.spines.values():
            spine.set_visible(False)
    return figure


def save_image(image: np.ndarray, path: PathLike) -> None:
    """Write an image as a file, in a folder that is made if need be.

    An earlier file at `path` stays whole until the new one is complete.

    Args:
        image: The image, uint8 (height, width, 3) or (height, width).
        path: The path of the file, whose ending says the format.

    Example:
        >>> ks.plotting.save_image(np.zeros((32, 48, 3), np.uint8), "image.png")
        >>> ks.data.read_image("image.png").shape
        (32, 48, 3)
    """
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary:
        Image.fromarray(image).save(temporary)


def save_animation(frames: Sequence[PathLike], path: PathLike, *, seconds: float = 10) -> None:
    """Join images of one size to a GIF, which shows the last one for two seconds more.

    Args:
        frames: The paths of the images.
        path: The path of the GIF.
        seconds: The length of the animation, in seconds.

    Example:
        >>> for name, grey in (("1.png", 0), ("2.png", 255)):
        ...     ks.plotting.save_image(np.full((32, 32, 3), grey, np.uint8), name)
        >>> ks.plotting.save_animation(["1.png", "2.png"], "both.gif", seconds=2)
    """
    _require_some(frames, "image")
    pictures = []
    for frame in frames:
        with Image.open(frame) as picture:
            pictures.append(picture.convert("P", palette=Image.Palette.ADAPTIVE))
    shown = max(round(1000 * seconds / len(pictures)), 20)
    durations = [shown] * (len(pictures) - 1) + [shown + 2000]
    with replacing(path) as temporary:
        pictures[0].save(temporary, save_all=True, append_images=pictures[1:], duration=durations, loop=0)


def save_figure(figure: Figure, path: PathLike) -> None:
    """Write a figure as PNG; an earlier file at `path` stays whole until the new one is complete.

    Args:
        figure: The figure.
        path: The path of the file.

    Example:
        >>> figure = ks.plotting.confusions(np.array([[90, 10], [5, 45]]), ["background", "nucleus"])
        >>> ks.plotting.save_figure(figure, "confusions.png")
    """
    with replacing(path) as temporary:
        figure.savefig(temporary, dpi=120)


def _require_some(things: Sequence[Any] | np.ndarray, noun: str) -> None:
    if not len(things):
        raise ValueError(f"A picture needs one {noun} at least. Received: none")
