"""COCO's JSON of label maps, which annotation tools open."""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy import ndimage

from keras_segen.annotations._annotated import is_ground
from keras_segen.annotations._outlines import outlines
from keras_segen.files import replacing
from keras_segen.types import PathLike


def save_coco(path: PathLike, label_maps: Iterable[tuple[str, np.ndarray]], class_names: Sequence[str]) -> int:
    """Write label maps as polygons in COCO's form, from which `convert` makes the same label maps again.

    An object is a group of pixels of one class that touch each other, by their corners too. Its polygons run along the
    pixels' edges; a hole is cut open by a line of no width. Classes called background, and a first class without a
    name (`class_0`), are ground and have no objects; void has none either. A category's id is the class's.

    Args:
        path: The path of the JSON file.
        label_maps: The name of each image, as the file is to have it, and its class ids, uint8 (height, width).
        class_names: The names of the classes.

    Returns:
        The number of objects.

    Raises:
        OSError: If the file cannot be written.

    Example:
        >>> label_map = np.zeros((20, 30), "uint8")
        >>> label_map[5:10, 5:20] = 1
        >>> ks.annotations.save_coco("cats.json", [("cat.jpg", label_map)], ["background", "cat"])
        1
    """
    classes = [i for i, name in enumerate(class_names) if not is_ground(name) and (i, name) != (0, "class_0")]
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for name, label_map in label_maps:
        height, width = label_map.shape
        images.append({"id": len(images) + 1, "file_name": name, "height": height, "width": width})
        for class_id in classes:
            for annotation in _objects(label_map == class_id):
                ids = {"id": len(annotations) + 1, "image_id": len(images), "category_id": class_id}
                annotations.append({**ids, **annotation})
    categories = [{"id": i, "name": class_names[i], "supercategory": ""} for i in classes]
    content = {"images": images, "annotations": annotations, "categories": categories}
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(content), encoding="utf-8")
    return len(annotations)


def _objects(mask: np.ndarray) -> list[dict[str, Any]]:
    """Return the annotations of a class's objects, without their ids."""
    parts, _ = ndimage.label(mask, np.ones((3, 3)))
    found = []
    for number, (rows, columns) in enumerate(ndimage.find_objects(parts)):
        pixels = parts[rows, columns] == number + 1
        top, left = rows.start, columns.start
        polygons = [[value for x, y in ring for value in (x + left, y + top)] for ring in outlines(pixels)]
        found.append(
            {
                "segmentation": polygons,
                "area": int(pixels.sum()),
                "bbox": [left, top, columns.stop - left, rows.stop - top],
                "iscrowd": 0,
            }
        )
    return found
