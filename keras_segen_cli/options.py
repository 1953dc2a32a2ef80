"""Types of options: the values that each takes, checked as the command line is parsed."""

import difflib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import Parameter

# Data sets that go by name; a test holds these equal to what the tasks know.
SEGMENTATION_SETS = ("shapes", "voc", "voc_trainaug", "voc2007", "coco", "oxford_iiit_pet")
GENERATION_SETS = ("shapes", "cifar10", "mnist", "fashion_mnist", "celeb_a")
GREY_SETS = ("mnist", "fashion_mnist")
DATA_SETS = tuple(dict.fromkeys((*SEGMENTATION_SETS, *GENERATION_SETS)))
# Networks of keras.applications; likewise.
BACKBONES = (
    "convnext_base",
    "convnext_large",
    "convnext_small",
    "convnext_tiny",
    "convnext_xlarge",
    "densenet121",
    "densenet169",
    "densenet201",
    "efficientnet_b0",
    "efficientnet_b1",
    "efficientnet_b2",
    "efficientnet_b3",
    "efficientnet_b4",
    "efficientnet_b5",
    "efficientnet_b6",
    "efficientnet_b7",
    "efficientnet_v2_b0",
    "efficientnet_v2_b1",
    "efficientnet_v2_b2",
    "efficientnet_v2_b3",
    "efficientnet_v2_l",
    "efficientnet_v2_m",
    "efficientnet_v2_s",
    "inception_resnet_v2",
    "inception_v3",
    "mobilenet",
    "mobilenet_v2",
    "mobilenet_v3_large",
    "mobilenet_v3_small",
    "nasnet_large",
    "nasnet_mobile",
    "resnet101",
    "resnet101_v2",
    "resnet152",
    "resnet152_v2",
    "resnet50",
    "resnet50_v2",
    "vgg16",
    "vgg19",
    "xception",
)


def _whole(_: Any, tokens: Sequence[Any]) -> int:
    """Take whole numbers alone; 1.5 is not rounded."""
    try:
        return int(tokens[0].value)
    except ValueError:
        raise ValueError(f"must be a whole number, not {tokens[0].value!r}") from None


def _whole_or_none(type_: Any, tokens: Sequence[Any]) -> int | None:
    """As `_whole`; the word `none` takes back what a recipe sets."""
    return None if tokens[0].value == "none" else _whole(type_, tokens)


def _between(least: float, most: float, *, over: bool = False, or_none: bool = False) -> Parameter:
    """Take numbers from `least` (or, with `over`, above it) to `most`, or `none`."""
    limits = f"over {least:,} and at most {most:,}" if over else f"from {least:,} to {most:,}"

    def check(_: Any, value: Any) -> None:
        # NaN compares false with everything.
        if value is not None and not ((least < value if over else least <= value) and value <= most):
            raise ValueError(f"Must be {limits}.")

    whole = isinstance(least, int) and isinstance(most, int)
    convert = (_whole_or_none if or_none else _whole) if whole else None
    return Parameter(validator=check, converter=convert)


def _not_empty(_: Any, value: Any) -> None:
    if value is not None and not str(value):
        raise ValueError("Must not be empty.")


def _each_once(_: Any, values: Sequence[Any] | None) -> None:
    if values and len(set(values)) < len(values):
        raise ValueError("Takes each value once.")


def _unambiguous(_: Any, name: str | None) -> None:
    """Refuse a name that is a data set's and a folder's."""
    if name in DATA_SETS and Path(name).is_dir():
        raise ValueError(
            f"{name} is a data set, and a folder of this name lies here: write ./{name} for the folder; for the data "
            "set, run the command in another folder."
        )


def _a_backbone(_: Any, name: str | None) -> None:
    """Refuse what is neither a network of keras.applications nor a file of a model."""
    if name is None or name in BACKBONES or name.endswith(".keras"):
        return
    plain = {backbone.replace("_", ""): backbone for backbone in BACKBONES}
    close = difflib.get_close_matches(name.lower().replace("_", "").replace("-", ""), plain, n=1)
    hint = f"Did you mean {plain[close[0]]}? " if close else ""
    raise ValueError(f"{hint}Takes a file NAME.keras, or one of {', '.join(BACKBONES)}.")


def _checks(*checks: Callable[[Any, Any], None]) -> Parameter:
    return Parameter(validator=checks)


def _as_typed(values: Sequence[Any]) -> str:
    return " ".join(map(str, values))


# Of all options: flags without a --no-…, lists behind one option, and the last word where an option is repeated.
EVERY = Parameter(negative=(), consume_multiple=(1, None), allow_repeating=True)

Name = Annotated[str, _checks(_not_empty)]
Data = Annotated[str, _checks(_not_empty, _unambiguous)]
Backbone = Annotated[str, _checks(_a_backbone)]

Count = Annotated[int, _between(1, 10**6)]
CountOrNone = Annotated[int | None, _between(1, 10**6, or_none=True)]
Number = Annotated[int, _between(1, 10**7)]
Steps = Annotated[int, _between(10, 10**7)]
Samples = Annotated[int | None, _between(6, 10**7, or_none=True)]
CountOrZero = Annotated[int, _between(0, 10**9)]
BatchSize = Annotated[int, _between(1, 2**16)]
Side = Annotated[int, _between(16, 2**13)]
SmallSide = Annotated[int, _between(16, 512)]
Width = Annotated[int, _between(1, 2**14)]
Seed = Annotated[int, _between(0, 2**31 - 1)]
Rate = Annotated[float, _between(0.0, 1000.0, over=True)]
Factor = Annotated[float, _between(0.0, 8.0, over=True)]
Share = Annotated[float, _between(0.0, 1.0)]
Strength = Annotated[float, _between(0.0, 2.0)]
Dropout = Annotated[float, _between(0.0, 0.99)]
MOST_WEIGHT = 1e6
Weight = Annotated[float, _between(0.0, MOST_WEIGHT)]
ClassWeights = Annotated[tuple[float | str, ...] | None, Parameter(show_default=False)]
Positive = Annotated[float, _between(0.0, 1e12, over=True)]


def _in_order(_: Any, pair: tuple[float, float] | None) -> None:
    if pair is not None and not (pair[0] < pair[1] and abs(pair[0]) < float("inf") and abs(pair[1]) < float("inf")):
        raise ValueError("Takes two numbers, the lower one first.")


def _lower_first(_: Any, pair: tuple[float, float]) -> None:
    if pair[0] > pair[1]:
        raise ValueError("Takes two numbers, the lower one first.")


ValueRange = Annotated[tuple[float, float] | None, Parameter(validator=_in_order, show_default=False)]

Widths = Annotated[tuple[Width, ...], Parameter(show_default=_as_typed)]
Objects = Annotated[int, _between(1, 1000)]
Counts = Annotated[tuple[Objects, Objects], Parameter(validator=_lower_first, show_default=_as_typed)]
Factors = Annotated[tuple[Factor, Factor], Parameter(validator=_lower_first, show_default=_as_typed)]
Softness = Annotated[float, _between(0.0, 100.0)]
Each = Parameter(validator=_each_once, show_default=False)  # of a tuple whose values differ
Quantization = Literal["dynamic_range", "int8"]
MaxPixels = Annotated[int | None, _between(1, 10**11, or_none=True)]


@dataclass(frozen=True, kw_only=True)
class Augmented:
    """Test-time augmentation of a segmenter."""

    flip: bool = False
    """Segmenters: average over each image and its mirror image."""
    scales: Annotated[tuple[Factor, ...], Each] | None = None
    """Segmenters: average over each image at these scales, such as 0.75 1 1.25."""


@dataclass(frozen=True, kw_only=True)
class Features:
    """How sets of images are compared."""

    extractor: Literal["cifar10", "inception"] | None = None
    """Network whose features are compared. Default: cifar10, which comes with the package. inception is FID's own,
    whose weights (96 MB) are downloaded once."""
    inception_weights: Name | None = None
    """File of FID's network, .pth or .pb, instead of the download."""
    reference: Name | None = None
    """File (.npz) of published statistics, mu and sigma of inception's features, instead of real images."""


@dataclass(frozen=True, kw_only=True)
class Scoring(Augmented, Features):
    """How a run is scored."""

    samples: Samples = None
    """Generative models: images to generate, beside at most as many real ones. Default: 10,000, or as many as there are
    real ones."""


@dataclass(frozen=True, kw_only=True)
class Tiling:
    """How images go through a network."""

    tile: Annotated[int | None, _between(16, 2**14, or_none=True)] = None
    """Segmenters: side of the tiles. Default: 512 for images of more than 2^21 pixels; others go whole."""
    overlap: Annotated[float | None, _between(0.0, 0.9)] = None
    """Segmenters: share of a tile that its neighbour covers too. Default: 0.25."""


@dataclass(frozen=True, kw_only=True)
class Explaining:
    """Why a segmenter gives a label."""

    explain: Name | None = None
    """Segmenters: class, by name or number, for which NAME_why_CLASS.png shows what speaks in each image (Grad-CAM)."""
    explain_pixel: Annotated[tuple[CountOrZero, CountOrZero] | None, Parameter(show_default=False)] = None
    """Row and column of the pixel whose label is explained. Default: all pixels of the class."""
    explain_stride: Count | None = None
    """Stride of the feature map that is looked at, in pixels. Default: the coarsest."""


@dataclass(frozen=True, kw_only=True)
class Predicting(Augmented, Tiling, Explaining):
    """How a model predicts."""

    polygons: Name | None = None
    """Segmenters: file (.json) for the objects of all images as polygons in COCO's form."""
