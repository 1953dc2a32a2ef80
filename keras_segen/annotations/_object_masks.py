"""One mask an object, as the 2018 Data Science Bowl has them: `ID/images/ID.png` and `ID/masks/*.png`."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from keras_segen.annotations._annotated import (
    AnnotatedImage,
    Annotations,
    Drawn,
    Object,
    Objects,
    Rules,
    named_classes,
)
from keras_segen.annotations._regions import Bitmap
from keras_segen.data import image_files, read_channels
from keras_segen.data._image_files import is_hidden
from keras_segen.errors import InputError

CLASS = "object"


@dataclass(frozen=True)
class MaskFiles:
    """The masks of an image's objects.

    Attributes:
        paths: The path of each object's mask.
        class_id: The class of all.
    """

    paths: Sequence[Path]
    class_id: int

    def draw(self, height: int, width: int, rules: Rules) -> Drawn:
        """Draw all objects; see `Contents.draw`."""
        objects = [Object(self.class_id, Bitmap(_read(path, height, width)), str(path)) for path in self.paths]
        return Objects(objects).draw(height, width, rules)


def _read(path: Path, height: int, width: int) -> np.ndarray:
    pixels = read_channels(path)
    if pixels.shape[2] > 1 and not (pixels[..., :3] == pixels[..., :1]).all():
        raise InputError(f"{path}: has colours, and an object's mask is black and white: save it so")
    grey = pixels[..., 0]
    if grey.shape != (height, width):
        raise InputError(
            f"{path}: is {grey.shape[1]}×{grey.shape[0]} pixels, and its image {width}×{height}: give both the same "
            "size"
        )
    levels = [level for level in np.unique(grey) if level]
    if len(levels) > 1:
        raise InputError(f"{path}: holds {len(levels)} values beside 0, and one object has one: save it without edges")
    return grey > 0


def holds_one_image_a_folder(source: Path) -> bool:
    """Say whether a folder of it holds one image that is called like the folder, ID/images/ID.png."""
    return any(path.stem == path.parts[-3] for path in source.glob("*/images/*"))


def read(source: Path, *, images: Path | None, class_names: Sequence[str] | None) -> Annotations:
    """Read a folder that holds a folder an image.

    Args:
        source: The folder.
        images: None: the images lie in their folders.
        class_names: The names of ground and objects; None for background and object.
    """
    if images is not None:
        raise InputError(f"{images}: of one mask an object the images lie in ID/images: leave --images out")
    names, _ = named_classes([] if class_names else [CLASS], class_names, str(source))
    if len(names) != 2:
        raise InputError(f"{source}: its objects are of one class, and --classes names {len(names) - 1} beside ground")
    annotated = []
    for folder in sorted(place for place in source.iterdir() if place.is_dir() and not is_hidden(place)):
        if not (folder / "images").is_dir():
            raise InputError(f"{folder}: has no folder images: put the image there, or move the folder away")
        found = image_files(folder / "images")
        if len(found) != 1:
            raise InputError(f"{folder / 'images'}: holds {len(found)} images, and needs one")
        if not (folder / "masks").is_dir():
            raise InputError(f"{folder}: has no masks: add {folder / 'masks'}, which is empty where there is no object")
        masks = image_files(folder / "masks") if any((folder / "masks").iterdir()) else []
        annotated.append(AnnotatedImage(found[0], MaskFiles(masks, 1), str(folder)))
    return Annotations(names, {"": annotated})
