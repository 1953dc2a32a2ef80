"""GeoTIFFs: label maps on the grid of the image that they were made from (needs the extra `geo`, which is rasterio)."""

from pathlib import Path
from typing import Any

import numpy as np
import tifffile

from keras_segen.errors import InputError
from keras_segen.files import replacing
from keras_segen.plotting import voc_palette
from keras_segen.types import PathLike

__all__ = ["is_geotiff", "save_label_map"]


def _rasterio() -> Any:
    """Return the library; `InputError` says how to install it."""
    try:
        import rasterio as library
    except ImportError as error:
        raise InputError("GeoTIFFs need rasterio: pip install 'keras-segen[geo]'") from error
    return library


def is_geotiff(path: PathLike) -> bool:
    """Say whether a file is a TIFF that knows its place on the map.

    Example:
        >>> np.save("image.npy", np.zeros((32, 48), "uint16"))
        >>> ks.geotiff.is_geotiff("image.npy")
        False
    """
    if Path(path).suffix.lower() not in (".tif", ".tiff"):
        return False
    try:
        with tifffile.TiffFile(path) as tiff:
            return bool(tiff.is_geotiff)
    except (OSError, ValueError):  # which reading says in words
        return False


def save_label_map(label_map: np.ndarray, path: PathLike, *, like: PathLike) -> None:
    """Write a label map as a GeoTIFF of 8 bits with the palette of Pascal VOC, on the grid of an image.

    Args:
        label_map: The class ids, uint8 (height, width).
        path: The file to write.
        like: The GeoTIFF that the label map belongs to, of the same size.

    Raises:
        InputError: If rasterio is not installed, or `like` is no GeoTIFF of this size.

    Example:
        >>> ks.geotiff.save_label_map(label_map, "field_labels.tif", like="field.tif")
    """
    library = _rasterio()
    try:
        with library.open(like) as source:
            if (source.height, source.width) != label_map.shape:
                raise InputError(
                    f"{like}: is {source.width}×{source.height} pixels, but its label map is "
                    f"{label_map.shape[1]}×{label_map.shape[0]}: give both the same size"
                )
            grid = {"crs": source.crs, "transform": source.transform}
            points, points_crs = source.gcps
    except library.errors.RasterioError as error:
        raise InputError(f"{like}: cannot be read as a GeoTIFF ({error})") from error
    height, width = label_map.shape
    layout = {"driver": "GTiff", "height": height, "width": width, "count": 1, "dtype": "uint8", "compress": "deflate"}
    with replacing(path) as temporary, library.open(temporary, "w", **layout, **grid) as target:
        target.write(label_map, 1)
        target.write_colormap(1, {i: tuple(colour) for i, colour in enumerate(voc_palette().tolist())})
        if points:
            target.gcps = points, points_crs
