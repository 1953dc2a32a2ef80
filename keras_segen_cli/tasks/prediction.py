"""Prediction: label maps of a user's own images, overlays, explanations and polygons."""

import functools
import importlib.util
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
from PIL import Image

from keras_segen import annotations, geotiff, inference, models, plotting
from keras_segen.data import ImageKind
from keras_segen.errors import InputError
from keras_segen.files import replacing, require_place
from keras_segen.inference import label_maps
from keras_segen_cli.options import Predicting
from keras_segen_cli.tasks.class_choice import chosen_class
from keras_segen_cli.tasks.images import Source, due_images, find_images, read_images, require_results
from keras_segen_cli.warning import warn

_RESULTS = ("{}.png", "{}_overlay.png")


def write_label_maps(
    segmenter: keras.Model,
    images: Sequence[str],
    out: Path,
    *,
    kind: ImageKind,
    class_names: Sequence[str],
    predicting: Predicting,
    skip_existing: bool,
    verbose: bool,
) -> None:
    """Write `NAME.png`, the label map with the palette of Pascal VOC, and `NAME_overlay.png` for each image.

    Of a GeoTIFF also `NAME.tif`, the label map on the same grid, if rasterio is installed.
    With `predicting.explain` also `NAME_why_CLASS.png`, what speaks for that class.
    With `predicting.polygons` that file in the end, of all images with a label map, those that were skipped too.

    Args:
        segmenter: the model.
        images: image files, and folders of them.
        out: folder for the results.
        kind: how the model reads images.
        class_names: the classes that it knows.
        predicting: how it predicts.
        skip_existing: pass over images that have their results.
        verbose: show a progress bar.

    Raises:
        InputError: before anything is written, for files that are not images, share a name, or have a result; and
            for a class, a pixel, a stride or sizes that cannot be explained.
        OSError: at the end, for images that turned out to be damaged; the others have their results.
    """
    names = list(_RESULTS)
    if predicting.explain is not None:
        class_id = chosen_class("--explain", predicting.explain, class_names)
        names.append("{}_why_" + re.sub(r"[^\w-]+", "_", class_names[class_id]) + ".png")
    polygons = None if predicting.polygons is None else Path(predicting.polygons)
    if polygons is not None:
        require_place(polygons.absolute().parent)
    model = segmenter
    if predicting.flip or predicting.scales:
        model = inference.augmented(model, flip=predicting.flip, scales=predicting.scales or [1.0])
    sources = find_images(images, out, lambda path: (*names, *_maps_of(path)), arrays=not kind.is_rgb)
    further = [] if polygons is None else [polygons]
    due = due_images(sources, skip_existing=skip_existing, further=further, read=kind.read)
    if predicting.explain is not None:
        _require_explainable(segmenter, due, predicting, kind.read)
    failures: list[InputError] = []
    read = read_images(due, kind.read, failures)
    tiles = {"tile": predicting.tile, "overlap": predicting.overlap}
    given: dict[str, Any] = {name: value for name, value in tiles.items() if value is not None}
    for image, source, label_map in label_maps(model, read, count=len(due), verbose=verbose, **given):
        shown = plotting.displayable(image, kind.value_range)
        contents = [plotting.label_map_picture(label_map), Image.fromarray(plotting.overlay(shown, label_map))]
        if predicting.explain is not None:
            pixel, stride = predicting.explain_pixel, predicting.explain_stride
            heat = inference.explain(segmenter, image, class_id, region=pixel, stride=stride)
            contents.append(Image.fromarray(plotting.heat_overlay(shown, heat)))
        source.results[0].parent.mkdir(parents=True, exist_ok=True)
        for result, content in zip(source.results, contents, strict=False):
            if not result.exists():  # what --skip-existing has found stays
                with replacing(result) as temporary:
                    content.save(temporary)
        if source.results[-1].suffix == ".tif" and not source.results[-1].exists():
            geotiff.save_label_map(label_map, source.results[-1], like=source.path)
    explained = "" if predicting.explain is None else f", and explanations of {predicting.explain},"
    print(f"{len(due) - len(failures)} label maps and overlays{explained} in {out}")
    if polygons is not None:
        count = annotations.save_coco(polygons, _label_maps(sources, out), class_names)
        print(f"{count} objects in {polygons}")
    require_results(failures, due)


def _label_maps(sources: Sequence[Source], out: Path) -> Iterator[tuple[str, np.ndarray]]:
    """Yield the label map that each image has in `out`, and the image's name below the folder that it was found in."""
    for source in sources:
        label_map = source.results[0]
        if label_map.exists():
            name = label_map.relative_to(out).with_name(source.path.name)
            with Image.open(label_map) as picture:
                yield name.as_posix(), np.asarray(picture)


@functools.cache
def _has_rasterio() -> bool:
    if importlib.util.find_spec("rasterio") is not None:
        return True
    warn("GeoTIFFs get no label maps on their grid: pip install 'keras-segen[geo]'")
    return False


def _maps_of(path: Path) -> Sequence[str]:
    """Return the names of results that only a GeoTIFF has."""
    return ("{}.tif",) if geotiff.is_geotiff(path) and _has_rasterio() else ()


def _require_explainable(
    model: keras.Model, due: Sequence[Source], predicting: Predicting, read: Callable[[Path], np.ndarray]
) -> None:
    """Raise `InputError` for a stride or an image that `inference.explain` refuses."""
    strides = list(models.encoder_maps(model))
    if predicting.explain_stride not in (None, *strides):
        raise InputError(
            f"--explain-stride {predicting.explain_stride}: the model's encoder has maps of the strides "
            f"{', '.join(map(str, strides))}"
        )
    for source in due:
        if source.pixels > inference.WHOLE:
            raise InputError(
                f"{source.path}: has {source.pixels:,} pixels, and images of at most {inference.WHOLE:,} are "
                "explained: make it smaller"
            )
    if predicting.explain_pixel is None:
        return
    row, column = predicting.explain_pixel
    for source in due:
        rows, columns, _ = read(source.path).shape
        if not (row < rows and column < columns):
            raise InputError(
                f"--explain-pixel {row} {column}: {source.path} has {rows} rows and {columns} columns: name a pixel "
                "that all images have, or explain them one by one"
            )
