"""Losses, penalties and likelihoods by the names that they have as options."""

from typing import Any


def named(name: str) -> Any:
    """Return the class in `keras_segen.losses` that an option's value names: "cross_entropy" -> CrossEntropy."""
    from keras_segen import losses

    classes = {each.lower(): each for each in losses.__all__}
    return getattr(losses, classes[name.replace("_", "")])
