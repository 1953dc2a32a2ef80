"""`keras-segen compare`: scores of one folder of images beside another."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from keras_segen_cli.commands.inputs import require_folders, require_images
from keras_segen_cli.commands.process import begin
from keras_segen_cli.commands.score_files import free_file, write_scores
from keras_segen_cli.options import Features, MaxPixels, Name, Samples
from keras_segen_cli.recipes import WrongUseError
from keras_segen_cli.warning import warn

if TYPE_CHECKING:
    import keras

    from keras_segen.metrics import Reference


def compare(
    *,
    fake: Name,
    real: Name | None = None,
    features: Annotated[Features, Parameter(name="*")] = Features(),  # noqa: B008 (it is frozen)
    samples: Samples = None,
    out: Name | None = None,
    max_pixels: MaxPixels = None,
) -> None:
    """Score the images below one folder by those below another, as they lie.

    Args:
        fake: Folder of images made elsewhere, sub-folders included.
        real: Folder of real images, sub-folders included.
        features: How the images are compared.
        samples: Images of each folder, drawn at random. Default: all.
        out: File (.json) for the scores.
        max_pixels: Refuse larger images. Default: 89478485, Pillow's.
    """
    if (real is None) == (features.reference is None):
        raise WrongUseError("compare needs either --real DIR or --reference FILE.npz, beside --fake DIR")
    folders = [folder for folder in (real, fake) if folder is not None]
    require_folders(folders)
    require_images(folders)
    file = free_file(out)
    verbose = begin(max_pixels=max_pixels)
    from keras_segen.data import image_batches, image_files
    from keras_segen.errors import InputError
    from keras_segen.files import require_place
    from keras_segen.metrics import MIN_IMAGES, image_set_scores
    from keras_segen_cli.tasks.features import extractor_of, reference_from
    from keras_segen_cli.tasks.generation import table

    if file is not None:
        require_place(file.absolute().parent)
    files = {name: _drawn(image_files(Path(name)), samples) for name in (real, fake) if name is not None}
    for name, paths in files.items():
        if len(paths) < MIN_IMAGES:
            raise InputError(f"{name}: holds too few images to compare ({len(paths)}): add some, {MIN_IMAGES} at least")
        print(f"{name}: {len(paths)} images", flush=True)
    if real is not None:
        _warn_of_sizes(files[real][0], files[fake][0])
    network = extractor_of(features)
    known = (
        reference_from(str(features.reference), network)
        if real is None
        else _known(real, files[real], network, verbose)
    )
    scores = {
        "images": len(files[fake]),
        "reference_images": known.count,
        "protocol": known.protocol,
        **image_set_scores(image_batches(files[fake]), known, network, verbose=verbose),
    }
    if file is not None:
        write_scores(file, scores)
    print(f"\n{table(scores)}\n", flush=True)


def _warn_of_sizes(real: Path, fake: Path) -> None:
    from keras_segen.data import read_image

    shapes = [read_image(path).shape for path in (real, fake)]
    if shapes[0] != shapes[1]:
        sizes = "the real images are {}×{} pixels, the others {}×{}".format(*shapes[0][:2], *shapes[1][:2])
        warn(
            f"{sizes} (the first of each): a part of the distance is how they are resized; bring both to one size first"
        )


def _known(folder: str, files: list[Path], extractor: "keras.Model", verbose: bool) -> "Reference":
    from keras_segen.data import fingerprint, image_batches
    from keras_segen.metrics import Reference

    return Reference.kept(
        image_batches(files),
        extractor,
        verbose=verbose,
        data=Path(folder).resolve().name,
        split="all",
        count=len(files),
        crop="none",
        resize="none",
        fingerprint=fingerprint(files)[:16],
    )


def _drawn(paths: list[Path], most: int | None) -> list[Path]:
    """Return some of them, or all, in an order that has nothing to do with their names."""
    import numpy as np

    order = np.random.default_rng(0).permutation(len(paths))[:most]
    return [paths[i] for i in order]
