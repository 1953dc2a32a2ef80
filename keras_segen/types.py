"""Types of arguments and results, by the names that signatures use."""

from pathlib import Path
from typing import Any, Literal

__all__ = [
    "BackboneName",
    "ImageShape",
    "PathLike",
    "Shape",
    "Tensor",
]

Tensor = Any  # of Keras's backend, symbolic, or an array: none of the backends ships types
Shape = tuple[int | None, ...]  # of a tensor, the batch first; None where a side is open
ImageShape = tuple[int, int, int]  # height, width and channels
PathLike = str | Path
BackboneName = Literal["vgg16", "resnet50", "mobilenet"]
