"""`keras-segen baseline`: classical segmentation, scored as networks are."""

from pathlib import Path
from typing import Literal

from keras_segen_cli.commands.process import begin
from keras_segen_cli.commands.score_files import free_file, write_scores
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
    file = free_file(out)
    picture = None if file is None else file.with_suffix(".png")
    if picture is not None and picture.exists():
        raise WrongUseError(f"{picture}: exists already: name another file")
    verbose = begin(max_pixels=max_pixels)
    from keras_segen.files import require_place
    from keras_segen_cli.tasks import baseline as task
    from keras_segen_cli.tasks.segmentation import table

    if file is not None:
        require_place(file.absolute().parent)
    loaded = task.load_data(data, verbose=verbose)
    settings = task.settings(method, loaded, verbose=verbose)
    scores = task.score(method, settings, loaded, verbose=verbose)
    if file is not None and picture is not None:
        write_scores(file, {**scores, "data": loaded.name, "baseline": method, "settings": settings})
        task.draw(method, settings, loaded, picture)
    print(f"\n{table(scores)}\n", flush=True)
