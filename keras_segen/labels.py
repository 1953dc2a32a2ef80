"""Labels that come with images or latents, or do not."""

from typing import Any


def joined(x: Any, labels: Any) -> Any:
    """Return the inputs of a network: `x` alone, or a list of `x` and the labels.

    Args:
        x: images or latents.
        labels: a list of one tensor, or an empty one.
    """
    return [x, *labels] if labels else x
