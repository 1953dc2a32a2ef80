"""Splits that a model can be scored on, of a named data set or a folder."""

from collections.abc import Sequence
from typing import Literal

from keras_segen.data import folder_splits
from keras_segen.errors import InputError

TRAIN, VAL, ALL = "train", "val", "all"


def require_named_split(name: str, split: str, splits: Sequence[str]) -> None:
    """Raise `InputError` for a split that a named data set does not have."""
    if split not in splits:
        raise InputError(f"--split {split}: {name} has no such split: give one of {', '.join(splits)}")


def scored_split(folder: str, *, target: Literal["mask", "label"]) -> str:
    """Return the split of a folder that a model is scored on which was trained on other data.

    All that is there, if the folder has no splits of its own; else its only split, or the only one beside "train".

    Args:
        folder: The folder's path.
        target: What is read from it, as in `keras_segen.data.folder`: "mask" or "label".

    Raises:
        InputError: If it is not a folder, or several splits are left.
    """
    own = folder_splits(folder, target=target)
    left = [split for split in own if split != TRAIN] or list(own)
    if len(left) > 1:
        raise InputError(f"{folder}: has the splits {', '.join(own)}: choose one by --split, or --split {ALL} for all")
    return left[0] if left else ALL
