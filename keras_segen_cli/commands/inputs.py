"""What a command line names: runs, data and folders, looked for before TensorFlow is imported, which takes seconds."""

from collections.abc import Sequence
from pathlib import Path

from keras_segen_cli.options import DATA_SETS
from keras_segen_cli.recipes import MODELS, Recipe, WrongUseError, read_settings


def require_run(folder: str) -> type[Recipe]:
    """Return the recipe class of a run; `WrongUseError` if the folder does not hold a run."""
    config = Path(folder) / "config.json"
    if not config.is_file():
        raise WrongUseError(f"{folder}: is not a run folder (it holds no config.json): name one that `train` wrote")
    model = read_settings(config)["model"]
    if not isinstance(model, str) or model not in MODELS:
        raise WrongUseError(f"{config}: names a model that this version does not know: {model}")
    return MODELS[model]


def require_data(data: str, recipe: type[Recipe]) -> None:
    """Raise `WrongUseError` for data that are neither a folder nor a data set for a recipe's models."""
    if data in recipe.data_sets or Path(data).is_dir():
        return
    what = "is a file" if Path(data).exists() else "is not there"
    if data in DATA_SETS:
        what = "is a data set for other models"
    raise WrongUseError(
        f"{data}: {what}: name one of {', '.join(recipe.data_sets)}, or a folder that holds {recipe.layout}"
    )


def require_folders(folders: Sequence[str]) -> None:
    """Raise `WrongUseError` for the first that is not a folder."""
    for folder in folders:
        if not Path(folder).is_dir():
            what = "is a file" if Path(folder).exists() else "does not exist"
            raise WrongUseError(f"{folder}: {what}: name a folder of images")


def require_images(paths: Sequence[str]) -> None:
    """Raise `WrongUseError` for the first that is neither a file nor a folder, or a folder that holds masks too."""
    for path in paths:
        if not Path(path).exists():
            raise WrongUseError(f"{path}: cannot be read (it does not exist): name an image or a folder of images")
        for masks in (Path(path, "masks"), *Path(path).glob("*/masks")):
            images = masks.with_name("images")
            if masks.is_dir() and images.is_dir():
                raise WrongUseError(f"{path}: holds masks too, which are not photographs: name {images}")
