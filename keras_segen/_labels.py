"""Labels beside images or latents, or none."""

from typing import Any

from keras_segen.types import Tensor


def joined(x: Tensor, labels: Tensor) -> Any:
    """Return the inputs of a network: `x`, images or latents, alone; or a list of `x` and the labels, unless None."""
    return x if labels is None else [x, labels]


def part_of(labels: Tensor, part: slice) -> Tensor:
    """Return a part of an array of labels; None for None."""
    return None if labels is None else labels[part]
