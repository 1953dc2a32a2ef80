"""COCO's JSON: objects as polygons or run lengths, crowds among them (https://cocodataset.org/#format-data)."""

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from keras_segen.annotations._annotated import AnnotatedImage, Annotations, Object, Objects, named_classes
from keras_segen.annotations._fields import corners, field, image_path, read_json, records, unique
from keras_segen.annotations._regions import Polygons, Region, Runs, counts_of_text
from keras_segen.errors import InputError


def read(source: Path, *, images: Path | None, class_names: Sequence[str] | None) -> Annotations:
    """Read a file of COCO's form.

    The classes have the order of their ids. A crowd, which is no single object, counts among the masks, and not among
    the instances.

    Args:
        source: The JSON file.
        images: The folder of the images; None for the file's own folder, or `images` in or beside it.
        class_names: The names of the classes that are wanted; see `named_classes`.
    """
    content = read_json(source)
    place = str(source)
    folders = [source.parent, source.parent / "images", source.parent.parent / "images"]
    categories = [
        (field(category, "id", int, where), field(category, "name", str, where), where)
        for category, where in records(content, "categories", place)
    ]
    unique([(number, where) for number, _, where in categories], "the category's id")
    categories.sort(key=lambda category: category[0])
    names, ids = named_classes([name for _, name, _ in categories], class_names, place)
    class_of = {number: class_id for (number, _, _), class_id in zip(categories, ids, strict=True)}

    listed = records(content, "images", place)
    numbers = [(field(image, "id", int, where), where) for image, where in listed]
    unique(numbers, "the image's id")
    known = {number for number, _ in numbers}
    sizes = {
        number: (field(image, "height", int, where), field(image, "width", int, where))
        for (number, _), (image, where) in zip(numbers, listed, strict=True)
    }
    objects: dict[int, list[Object]] = defaultdict(list)
    found = records(content, "annotations", place)
    unique([(field(one, "id", int, where), where) for one, where in found], "the annotation's id")
    for annotation, where in found:
        number, category = field(annotation, "image_id", int, where), field(annotation, "category_id", int, where)
        if number not in known:
            raise InputError(f"{where}: is of image {number}, which is not listed: list it among the images")
        if category not in class_of:
            raise InputError(f"{where}: is of category {category}, which is not listed: list it among the categories")
        region = _region(annotation.get("segmentation"), sizes[number], where)
        objects[number].append(Object(class_of[category], region, where, crowd=bool(annotation.get("iscrowd"))))
    return Annotations(
        names,
        {
            "": [
                AnnotatedImage(
                    image_path(field(image, "file_name", str, where), images, folders, where),
                    Objects(objects[number]),
                    where,
                    sizes[number],
                )
                for (number, _), (image, where) in zip(numbers, listed, strict=True)
            ]
        },
    )


def _region(segmentation: Any, size: tuple[int, int], place: str) -> Region:
    if segmentation is None or isinstance(segmentation, list):
        return Polygons([corners(part, place) for part in segmentation or []])
    height, width = size
    runs, stated = field(segmentation, "counts", object, place), field(segmentation, "size", list, place)
    if stated != [height, width]:
        raise InputError(
            f"{place}: its run lengths are of the size {stated}, and its image of {[height, width]}: export it again"
        )
    try:
        counts = counts_of_text(runs) if isinstance(runs, str) else runs
        return Runs.of(counts, height, width, by_column=True)
    except ValueError as error:
        raise InputError(f"{place}: {error}: export it again") from error
