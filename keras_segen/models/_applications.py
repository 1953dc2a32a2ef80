"""The classifiers of `keras.applications`: names, weights, and what each does to an image first."""

import inspect
import re
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import applications

from keras_segen.errors import InputError
from keras_segen.models._levels import SIDE
from keras_segen.types import PathLike


def _snake_case(builder: str) -> str:
    """Turn a builder's name, such as EfficientNetV2B0, into one in snake case, such as efficientnet_v2_b0."""
    name = re.sub(r"(?<=Inception)(?=ResNet)|(?=V\d)", "_", builder)
    return re.sub(r"(?<=[a-z\d])(?=(?:B\d|S|M|L|Tiny|Small|Base|Large|XLarge|Mobile)$)", "_", name).lower()


_BUILDERS = {_snake_case(name): name for name, build in vars(applications).items() if inspect.isfunction(build)}
BACKBONES = tuple(sorted(_BUILDERS))  # a test holds the command line's list equal to it


@dataclass(frozen=True)
class Scaling:
    """What a classifier does to the colours of an image first: (image - mean) / deviation, perhaps to BGR.

    Attributes:
        mean: Of each channel that the classifier takes.
        deviation: Likewise.
        flipped: Whether the classifier takes BGR.
    """

    mean: np.ndarray
    deviation: np.ndarray
    flipped: bool


def scaling(name: str) -> Scaling | None:
    """Return what a classifier wants done to its images; None if it does all itself."""
    module: Any = inspect.getmodule(getattr(applications, _BUILDERS[name]))
    # Which of three ways it is, its module does not tell: black tells, and 1 in each of red, green and blue.
    black, *colours = module.preprocess_input(
        np.vstack([np.zeros((1, 3)), np.eye(3)])[:, None, None].astype("float64")
    )[:, 0, 0]
    slopes = np.array(colours) - black  # (of red, green and blue; channel)
    if np.array_equal(slopes, np.eye(3)) and not black.any():
        return None
    deviation = 1 / slopes.sum(0)
    return Scaling(-black * deviation, deviation, bool(slopes[0, 2]))


def classifier(
    name: str, *, weights: PathLike | None, width: float = 1.0, input_channels: int = 3, include_top: bool = False
) -> keras.Model:
    """Build a classifier for images of `SIDE` × `SIDE` pixels, without its top; for 224 × 224 pixels with it.

    Args:
        name: One of `BACKBONES`.
        weights: "imagenet" to download them, a file, or None for random ones.
        width: The width multiplier of MobileNets.
        input_channels: The channels of the images, 3 unless the weights are random.
        include_top: Whether to build the layers that classify, too.

    Raises:
        InputError: For weights that cannot be downloaded or do not fit.
        ValueError: For an unknown name, or a width where there is none.
    """
    if name not in _BUILDERS:
        raise ValueError(f"`backbone` must be one of {', '.join(BACKBONES)}. Received: backbone={name!r}")
    build = getattr(applications, _BUILDERS[name])
    options: dict[str, Any] = {"include_top": include_top}
    if width != 1:
        if "alpha" not in inspect.signature(build).parameters:
            raise ValueError(f"`backbone_width` is for MobileNets. Received: backbone={name!r}, backbone_width={width}")
        options["alpha"] = width
    side = 224 if include_top else SIDE
    options["input_shape"] = (side, side, input_channels)
    if weights is not None and weights != "imagenet" and not Path(weights).is_file():
        raise InputError(f'{weights}: no such file: give "imagenet", a file of weights for {name}, or None')
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of input shapes that the weights were not trained on
            return build(weights=weights if weights is None else str(weights), **options)
    except Exception as error:
        if weights == "imagenet":
            raise InputError(
                f"the ImageNet weights of {name} could not be had ({error}): fetch the file that this names, and give "
                "it as `backbone_weights` (by command --backbone-weights FILE)"
            ) from error
        if weights is None:
            raise
        reason = " ".join(str(error).split())
        raise InputError(f"{weights}: holds no weights for this {name}: {reason[:300]}") from error
