"""Labels that come with images or latents, or do not."""

from typing import Any


def joined(x: Any, labels: Any) -> Any:
    """Return the inputs of a network: `x`, images or latents, alone; or a list of `x` and the labels, unless None."""
    return x if labels is None else [x, labels]


def part_of(labels: Any, part: slice) -> Any:
    """Return a part of an array of labels; None for None."""
    return None if labels is None else labels[part]
