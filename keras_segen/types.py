"""Types of arguments and results, by the names that signatures use."""

from pathlib import Path
from typing import Any

__all__ = [
    "ImageShape",
    "PathLike",
    "Shape",
    "Tensor",
]

Tensor = Any  # of Keras's backend, symbolic, or an array: none of the backends ships types
Shape = tuple[int | None, ...]  # of a tensor, the batch first; None where a side is open
ImageShape = tuple[int, int, int]  # height, width and channels
PathLike = str | Path
