"""`keras-segen baseline`: classical segmentation, scored as networks are."""

from pathlib import Path
from typing import Literal

from keras_segen_cli.commands.process import begin
from keras_segen_cli.commands.score_files import require_free, write_scores
from keras_segen_cli.options import MaxPixels, Name
from keras_segen_cli.recipes import WrongUseError


def baseline(
    method: Literal["otsu", "watershed", "region_growing"],
    /,
    *,
    data: Name,
    out: Name | None = None,
    max_pixels: MaxPixels = None,
) -> None:
    """Score a method that learns nothing on a folder's validation images; its settings are chosen on training images.

    Args:
        method: The method.
        data: Folder for segmentation with two classes.
        out: File (.json) for the scores and settings; a picture (.png) goes beside it.
        max_pixels: Refuse larger images. Default: 89478485, Pillow's.
    """
    if not Path(data).is_dir():
        raise WrongUseError(
            f"{data}: is not a folder: a baseline tells two classes apart, objects (1) and ground (0): name a folder"
        )
    verbose = begin(max_pixels=max_pixels)
    from keras_segen.errors import InputError
    from keras_segen_cli.tasks import baseline as task
    from keras_segen_cli.tasks.segmentation import table

    if out is not None:
        if Path(out).suffix != ".json":
            raise InputError(f"{out}: must end with .json, for the picture beside it ends with .png")
        picture = Path(out).with_suffix(".png")
        for file in (Path(out), picture):
            require_free(file)
    loaded = task.load_data(data, verbose=verbose)
    settings = task.settings(method, loaded, verbose=verbose)
    scores = task.score(method, settings, loaded, verbose=verbose)
    if out is not None:
        write_scores(Path(out), {**scores, "data": loaded.name, "baseline": method, "settings": settings})
        task.draw(method, settings, loaded, picture)
    print(f"\n{table(scores)}\n", flush=True)
