"""`keras-segen compose`: a folder for segmentation with further scenes, made of its own objects."""

from pathlib import Path

from keras_segen_cli.commands.process import begin
from keras_segen_cli.options import Count, Counts, Factors, MaxPixels, Name, Seed, Softness
from keras_segen_cli.recipes import WrongUseError
from keras_segen_cli.recipes.segmenter import Segmenter


def compose(
    folder: Name,
    /,
    *,
    out: Name,
    count: Count,
    seed: Seed = 0,
    objects: Counts = (1, 8),
    scale: Factors = (0.5, 2.0),
    softness: Softness = 1.0,
    max_pixels: MaxPixels = None,
) -> None:
    """Copy a folder for segmentation, and add training images into which objects of others are pasted.

    Args:
        folder: Folder {train,val}/{images,masks}, or images and masks, which is divided. Beside masks, instances may
            hold the number of the object at each pixel; else objects are what hangs together in a mask.
        out: Folder that is made.
        count: How many scenes.
        seed: Seed of the scenes.
        objects: Least and greatest number of objects that are pasted into a scene.
        scale: Least and greatest factor of their sizes.
        softness: Softness of their edges in pixels, a Gaussian's standard deviation. 0: hard.
        max_pixels: Refuse larger images. Default: 89478485, Pillow's.
    """
    if not Path(folder).is_dir():
        raise WrongUseError(f"{folder}: is not a folder: name one that holds {Segmenter.layout}")
    verbose = begin(max_pixels=max_pixels)
    from keras_segen import data

    pasted = data.compose(
        folder, out, count=count, seed=seed, objects=objects, scale=scale, softness=softness, verbose=verbose
    )
    print(f"{count} scenes with {pasted} objects, beside copies of {folder}, in {out}")
