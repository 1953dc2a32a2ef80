"""`keras-segen convert`: a folder for segmentation from the annotations of any tool."""

from pathlib import Path
from typing import Literal

from keras_segen_cli.commands.process import begin
from keras_segen_cli.options import MaxPixels, Name
from keras_segen_cli.recipes import WrongUseError


def convert(
    source: Name,
    /,
    *,
    out: Name,
    format: Literal["coco", "labelme", "cvat", "cvat_masks", "yolo", "colours", "object_masks"] | None = None,
    images: Name | None = None,
    classes: Name | None = None,
    colours: Name | None = None,
    split: Name | None = None,
    overlap: Literal["refuse", "smaller", "later", "void"] = "refuse",
    repair: bool = False,
    max_pixels: MaxPixels = None,
) -> None:
    """Write a folder for segmentation from annotations as a tool has saved them.

    Args:
        source: COCO's .json; a folder of labelme's .json files; CVAT's .xml for images, or the folder of its
            "Segmentation mask 1.1"; YOLO's data.yaml, or its folder; a folder of images and masks with colours; or one
            of ID/images and ID/masks with one mask an object.
        out: Folder to write: images, masks, classes.txt, and instances where objects are known.
        format: Format of the annotations. Default: what the file or folder looks like.
        images: Folder of the images, if they do not lie with the annotations.
        classes: File of the names of all classes, one a line, ground first, such as another folder's classes.txt.
            Default: background and the format's own order.
        colours: Table of colours: a line for each class, such as cat,128,0,0. Default: colours.txt in the folder.
        split: Split that the annotations are, such as train or val: they go into a sub-folder of --out, beside others.
        overlap: What becomes of pixels that two objects claim. smaller: the smaller object's. later: that of the one
            that comes later in the file. void: nobody's.
        repair: Fill polygons that cross themselves by the even-odd rule, and leave out objects without a pixel.
        max_pixels: Refuse larger images. Default: 89478485, Pillow's.
    """
    if not Path(source).exists():
        raise WrongUseError(f"{source}: does not exist: name a file or folder of annotations")
    if split is not None and (Path(split).name != split or split.startswith(".")):
        raise WrongUseError(f"--split {split}: give a plain name, such as train")
    verbose = begin(max_pixels=max_pixels)
    from keras_segen.annotations import convert
    from keras_segen.data import read_class_names
    from keras_segen.errors import InputError

    names = None
    if classes is not None:
        names = read_class_names(Path(classes))
        if names is None:
            raise InputError(f"{classes}: does not exist: write the classes' names into it, one a line")
    converted = convert(
        source,
        out,
        format=format,
        images=images,
        class_names=names,
        colours=colours,
        split=split,
        overlap=overlap,
        repair=repair,
        verbose=verbose,
    )
    print(converted.table())
    print(f"{converted.images} images in {out if split is None else Path(out) / split}")
