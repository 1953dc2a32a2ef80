"""Pictures of what came out."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from PIL import Image

from keras_segen._masks import VOID
from keras_segen.files import replacing

__all__ = [
    "class_ids",
    "comparison",
    "confusions",
    "curves",
    "grid",
    "labelled_rows",
    "overlay",
    "save_animation",
    "save_figure",
    "save_image",
    "voc_palette",
]

SHOWN = 512  # pixels of an image's longer side in a figure at most, more than its resolution shows


def voc_palette() -> np.ndarray:
    """Return the colours of Pascal VOC's label maps, uint8 (256, 3): an id's bits, dealt out to red, green and blue."""
    ids = np.arange(256)
    palette = np.zeros((256, 3), np.uint8)
    for bit in range(8):
        for channel in range(3):
            palette[:, channel] |= (((ids >> (3 * bit + channel)) & 1) << (7 - bit)).astype(np.uint8)
    return palette


def class_ids(colours: np.ndarray) -> np.ndarray:
    """Read a picture in Pascal VOC's colours back as a label map, the palette the other way.

    Args:
        colours: uint8 (height, width, 3).

    Returns:
        uint8 (height, width) of class ids.

    Raises:
        ValueError: for a colour that the palette does not hold.
    """
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


def overlay(image: np.ndarray, label_map: np.ndarray, *, opacity: float = 0.5) -> np.ndarray:
    """Lay a label map's colours over an image; class 0 and void leave it as it is.

    Args:
        image: (height, width, 3) in [0, 255].
        label_map: (height, width) class ids.
        opacity: of the colours, in [0, 1].

    Returns:
        uint8 (height, width, 3).
    """
    palette = voc_palette()
    mixed = np.empty(image.shape, np.uint8)
    for top in range(0, len(image), 256):  # a strip at a time: floats of a large image would fill the memory
        strip, ids = image[top : top + 256], label_map[top : top + 256]
        share = opacity * ((ids != 0) & (ids != VOID))[..., None]
        mixed[top : top + 256] = np.round(strip * (1 - share) + palette[ids] * share)
    return mixed


def comparison(
    images: Sequence[np.ndarray],
    truths: Sequence[np.ndarray],
    predictions: Sequence[np.ndarray],
    class_names: Sequence[str],
) -> Figure:
    """Plot image, truth and prediction side by side, one row an image, with the classes' colours below.

    Args:
        images: (height, width, 3) in [0, 255] each.
        truths: (height, width) class ids each, 255 void.
        predictions: likewise.
        class_names: the name of each class.
    """
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
    patches = [Patch(facecolor=palette[i] / 255, edgecolor="grey", label=names[i]) for i in shown]
    figure.legend(handles=patches, loc="outside lower center", ncols=min(len(patches), 5), frameon=False)
    return figure


def confusions(matrix: np.ndarray, class_names: Sequence[str]) -> Figure:
    """Plot a confusion matrix: of each class's pixels, a row, what share is called what; classes in no mask left out.

    Args:
        matrix: counts (num_classes, num_classes), rows the truth.
        class_names: the name of each class.
    """
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
    """Plot `history.csv`: one panel for each quantity, training and validation together."""
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
    """Lay images out in rows, white between them.

    Args:
        images: uint8 (count, height, width, channels).
        columns: images in a row; a last row that is not full ends in white.
        gap: between images, pixels.

    Returns:
        uint8 (height, width, 3).
    """
    count, height, width, channels = images.shape
    rows = -(-count // columns)
    canvas = np.full((rows * (height + gap) - gap, columns * (width + gap) - gap, 3), 255, np.uint8)
    for i, image in enumerate(images):
        top, left = i // columns * (height + gap), i % columns * (width + gap)
        canvas[top : top + height, left : left + width] = image if channels == 3 else image[..., :1]
    return canvas


def labelled_rows(rows: Sequence[np.ndarray], names: Sequence[str]) -> Figure:
    """Plot one row of images a name, the name at its left.

    Args:
        rows: uint8 (count, height, width, channels) each, all alike.
        names: one a row.
    """
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


def save_image(image: np.ndarray, path: Path) -> None:
    """Write an image (height, width, 3) as a file; what lay at `path` stays whole until the new file is complete."""
    with replacing(path) as temporary:
        Image.fromarray(image).save(temporary)


def save_animation(frames: Sequence[Path], path: Path, *, seconds: float = 10) -> None:
    """Join images of one size to a GIF that takes so long, the last one lingering."""
    pictures = []
    for frame in frames:
        with Image.open(frame) as picture:
            pictures.append(picture.convert("P", palette=Image.Palette.ADAPTIVE))
    shown = max(round(1000 * seconds / len(pictures)), 20)
    durations = [shown] * (len(pictures) - 1) + [shown + 2000]
    with replacing(path) as temporary:
        pictures[0].save(temporary, save_all=True, append_images=pictures[1:], duration=durations, loop=0)


def save_figure(figure: Figure, path: Path) -> None:
    """Write a figure as PNG; what lay at `path` stays whole until the new file is complete."""
    with replacing(path) as temporary:
        figure.savefig(temporary, dpi=120)
