"""`keras-segen predict`: label maps of a user's own images, or a VAE's reconstructions and anomaly scores."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from keras_segen_cli.commands.inputs import require_images, require_run
from keras_segen_cli.commands.process import begin
from keras_segen_cli.options import MaxPixels, Name, Predicting
from keras_segen_cli.recipes import WrongUseError


def predict(
    run: Name,
    /,
    *images: Name,
    out: Name,
    skip_existing: bool = False,
    predicting: Annotated[Predicting, Parameter(name="*")] = Predicting(),  # noqa: B008 (it is frozen)
    max_pixels: MaxPixels = None,
) -> None:
    """Write label maps and overlays of images; with a VAE, reconstructions and anomaly scores.

    Args:
        run: The run folder.
        images: Image files, and folders with all their sub-folders.
        out: Folder for the results, in the sub-folders that the images' folders have.
        skip_existing: Skip images that have their results, after an interruption.
        predicting: How the model predicts.
        max_pixels: Refuse larger images. Default: 89478485, Pillow's.
    """
    if not images:
        raise WrongUseError("predict needs an image or a folder of images, behind the run folder")
    if predicting.explain is None and (predicting.explain_pixel or predicting.explain_stride):
        raise WrongUseError(
            f"{'--explain-pixel' if predicting.explain_pixel else '--explain-stride'} needs --explain CLASS"
        )
    require_run(run)
    require_images(images)
    verbose = begin(max_pixels=max_pixels)
    from keras_segen_cli.tasks import open_run

    task = open_run(run)
    task.predict(images, Path(out), predicting=predicting, skip_existing=skip_existing, verbose=verbose)
