"""Conversion: a folder for segmentation from the annotations of any tool."""

import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
from PIL import Image

from keras_segen import plotting
from keras_segen._masks import VOID
from keras_segen.annotations import _coco, _colours, _cvat, _labelme, _object_masks, _yolo
from keras_segen.annotations._annotated import AnnotatedImage, Annotations, Drawn, Overlap, Rules
from keras_segen.data import read_channels, read_class_names
from keras_segen.data._in_threads import in_threads
from keras_segen.errors import InputError
from keras_segen.files import building
from keras_segen.types import PathLike

Format = Literal["coco", "labelme", "cvat", "cvat_masks", "yolo", "colours", "object_masks"]
_READERS = {
    "coco": _coco.read,
    "labelme": _labelme.read,
    "cvat": _cvat.read,
    "cvat_masks": _colours.read_cvat,
    "yolo": _yolo.read,
    "object_masks": _object_masks.read,
}


@dataclass
class Converted:
    r"""What a conversion has written.

    Attributes:
        class_names: The names of the classes, ground first.
        images: The number of images.
        objects: The number of objects of each class id; empty where objects are not known.
        pixels: The number of pixels of each class id, void's among them.
        contested: The number of pixels that two objects claimed.
        left_out: The number of objects without a pixel.

    Example:
        >>> for name, level in (("images", 0), ("masks", 200)):
        ...     ks.plotting.save_image(np.full((8, 8, 3), level, "uint8"), f"painted/{name}/0.png")
        >>> tf.io.write_file("painted/colours.txt", "ground,0,0,0\nwall,200,200,200\n")
        >>> ks.annotations.convert("painted", "my_folder").pixels[1]
        64
    """

    class_names: tuple[str, ...]
    images: int = 0
    objects: Counter[int] = field(default_factory=Counter)
    pixels: Counter[int] = field(default_factory=Counter)
    contested: int = 0
    left_out: int = 0

    def table(self) -> str:
        """Return the counts as a table, a row a class, and below what was settled by `overlap` and `repair`."""
        width = max(map(len, (*self.class_names, "class")))
        total = self.pixels.total() or 1
        lines = [f"{'class':{width}}  objects  % of the pixels"]
        for i, name in [*enumerate(self.class_names), (VOID, "void")]:
            if i == VOID and not self.pixels[VOID]:
                continue
            objects = f"{self.objects[i]:,}" if self.objects and i not in (0, VOID) else ""
            lines.append(f"{name:{width}}  {objects:>7}  {100 * self.pixels[i] / total:15.2f}")
        if self.contested:
            lines.append(f"{self.contested:,} pixels belonged to two objects")
        if self.left_out:
            lines.append(f"{self.left_out:,} objects without a pixel were left out")
        return "\n".join(lines)


def convert(
    source: PathLike,
    out: PathLike,
    *,
    format: Format | None = None,
    images: PathLike | None = None,
    class_names: Sequence[str] | None = None,
    colours: PathLike | None = None,
    split: str | None = None,
    overlap: Overlap = "refuse",
    repair: bool = False,
    verbose: bool = False,
) -> Converted:
    r"""Write a folder for segmentation, `data.folder`'s, from annotations as a tool has saved them.

    The folder holds `images`, copied as they are, `masks` of class ids (palette PNGs), `instances` where objects are
    known (PNGs of 16 bits: 0 for none, else the object's number), and `classes.txt`; or that for each split. An
    object's pixels are those that COCO's rule gives its polygon; the ground below all objects is class 0. What a format
    knows beyond classes and objects, such as attributes, is not kept. Whatever masks cannot hold is refused. The folder
    appears when all is written.

    Args:
        source: The file or folder of annotations: COCO's JSON; a folder of labelme's JSON files; CVAT's XML for images,
            or its "Segmentation mask 1.1"; a `data.yaml` or folder of YOLO's polygons; a folder of `images` and `masks`
            with colours, which `colours.txt` lists; or of `ID/images` and `ID/masks` with one mask an object.
        out: The folder to write, which does not exist; with `split`, it may hold other splits.
        format: The format; None to tell by the file or folder.
        images: The folder of the images, where they do not lie with the annotations.
        class_names: The names of the classes in the order of their ids, ground first. None for `background` and the
            format's own order; a table of colours has its own alone.
        colours: The table of colours of the format "colours".
        split: The split that the annotations are, such as "train": they go into `out/train`.
        overlap: What becomes of pixels that two objects claim: "refuse" raises; "smaller" gives them to the smaller
            object, "later" to the one that comes later in the file, "void" to none. A crowd and an object of its class
            may share pixels, which are the object's; so may objects on CVAT's layers, of which the higher one counts.
        repair: Whether polygons that cross themselves are filled by the even-odd rule, and objects without a pixel left
            out. Otherwise they are refused.
        verbose: Whether to show a progress bar.

    Returns:
        The counts of what was written.

    Raises:
        InputError: For annotations that cannot be read or that masks cannot hold, images that are missing or of
            another size, or an `out` that exists. The message names the file and the place.

    Example:
        >>> for name, level in (("images", 0), ("masks", 200)):
        ...     ks.plotting.save_image(np.full((8, 8, 3), level, "uint8"), f"painted/{name}/0.png")
        >>> tf.io.write_file("painted/colours.txt", "ground,0,0,0\nwall,200,200,200\n")
        >>> ks.annotations.convert("painted", "my_folder").class_names
        ('ground', 'wall')
    """
    source, out = Path(source), Path(out)
    kind = format or ("colours" if colours is not None else format_of(source))
    given: dict[str, Any] = {"images": None if images is None else Path(images), "class_names": class_names}
    if given["images"] is not None and not given["images"].is_dir():
        raise InputError(f"{images}: is not a folder: name the one that holds the images")
    if colours is not None and kind != "colours":
        raise InputError(f"{colours}: a table of colours is for the format colours, not {kind}: leave it out")
    if kind == "colours":
        annotations = _colours.read(source, **given, colours=None if colours is None else Path(colours))
    else:
        annotations = _READERS[kind](source, **given)
    if split is not None:
        if [*annotations.splits] != [""]:
            raise InputError(f"{source}: has splits of its own, {', '.join(annotations.splits)}: leave `split` out")
        annotations = Annotations(annotations.class_names, {split: annotations.splits[""]})
    if not any(annotations.splits.values()):
        raise InputError(f"{source}: holds no images: name another file")
    return _write(annotations, out, Rules(overlap, repair), verbose=verbose)


def format_of(source: Path) -> Format:
    """Tell a format by a file's ending, or by what a folder holds; `InputError` if it is none."""
    if source.is_file():
        formats: dict[str, Format] = {".json": "coco", ".xml": "cvat", ".yaml": "yolo", ".yml": "yolo"}
        if source.suffix.lower() in formats:
            return formats[source.suffix.lower()]
    elif source.is_dir():
        if (source / _colours.LABEL_MAP).is_file() and (source / _colours.CLASSES).is_dir():
            return "cvat_masks"
        if _yolo.yaml_of(source) or ((source / "labels").is_dir() and (source / _yolo.NAMES).is_file()):
            return "yolo"
        if _object_masks.holds_one_image_a_folder(source):
            return "object_masks"
        if (source / "masks").is_dir() or any(source.glob("*/masks")):
            return "colours"
        if any(source.rglob("*.json")):
            return "labelme"
    else:
        raise InputError(f"{source}: does not exist: name a file or folder of annotations")
    raise InputError(
        f"{source}: is not of a known form: name COCO's .json, CVAT's .xml, YOLO's data.yaml, or a folder of labelme's "
        ".json files, of images and masks, or of a folder an image; or say by --format which it is"
    )


def _write(annotations: Annotations, out: Path, rules: Rules, *, verbose: bool) -> Converted:
    """Write all images and masks into a temporary folder beside their place, and rename it."""
    for split, images in annotations.splits.items():
        _require_own_names(images, split)
    single = [*annotations.splits] != [""] and len(annotations.splits) == 1 and out.is_dir()
    if single:  # one more split of a folder that is there
        (split,) = annotations.splits
        if read_class_names(out / "classes.txt") != annotations.class_names:
            raise InputError(
                f"{out / 'classes.txt'}: is not there, or names other classes than these "
                f"({', '.join(annotations.class_names)}): name them by --classes {out / 'classes.txt'}, or give "
                "another --out"
            )
        with building(out / split) as folder:
            return _write_splits({"": annotations.splits[split]}, annotations.class_names, folder, rules, verbose)
    with building(out) as folder:
        counts = _write_splits(annotations.splits, annotations.class_names, folder, rules, verbose)
        (folder / "classes.txt").write_text("\n".join(annotations.class_names) + "\n", encoding="utf-8")
    return counts


def _write_splits(
    splits: Mapping[str, Sequence[AnnotatedImage]],
    class_names: tuple[str, ...],
    folder: Path,
    rules: Rules,
    verbose: bool,
) -> Converted:
    counts = Converted(class_names)
    for split, images in splits.items():
        for name in ("images", "masks"):
            (folder / split / name).mkdir(parents=True)
        done = in_threads(partial(_write_image, folder=folder / split, rules=rules), images, verbose=verbose)
        for drawn, pixels in done:
            counts.images += 1
            counts.objects += drawn.objects
            counts.pixels += pixels
            counts.contested += drawn.contested
            counts.left_out += drawn.left_out
    return counts


def _write_image(image: AnnotatedImage, folder: Path, rules: Rules) -> tuple[Drawn, Counter[int]]:
    height, width = read_channels(image.path).shape[:2]
    if image.size not in (None, (height, width)):
        stated = "{1}×{0}".format(*image.size)
        raise InputError(
            f"{image.path}: is {width}×{height} pixels upright, and its annotations are of {stated} ({image.place}): "
            "give both the same size"
        )
    drawn = image.contents.draw(height, width, rules)
    shutil.copyfile(image.path, folder / "images" / image.path.name)
    plotting.label_map_picture(drawn.mask).save(folder / "masks" / f"{image.path.stem}.png")
    if drawn.instances is not None:
        (folder / "instances").mkdir(exist_ok=True)
        Image.fromarray(drawn.instances).save(folder / "instances" / f"{image.path.stem}.png")
    ids, counts = np.unique(drawn.mask, return_counts=True)
    # The masks themselves would fill the memory.
    kept = Drawn(np.empty(0), None, drawn.objects, drawn.contested, drawn.left_out)
    return kept, Counter(dict(zip(ids.tolist(), counts.tolist(), strict=True)))


def _require_own_names(images: Sequence[AnnotatedImage], split: str) -> None:
    """Raise `InputError` for two images that would get one name."""
    seen: dict[str, Path] = {}
    for image in images:
        stem = image.path.stem.casefold()
        if stem in seen:
            raise InputError(
                f"{image.place}: its image {image.path} would have the name of {seen[stem]}: list each image once, and "
                "give all names of their own"
            )
        seen[stem] = image.path
