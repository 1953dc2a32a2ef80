"""A repeatable split into training and validation for folders that have none of their own."""

import hashlib
from collections.abc import Iterable

SPLITS = ("train", "val")


def check_split(split: str) -> None:
    """Raise `ValueError` for a split that folders do not have."""
    if split not in SPLITS:
        raise ValueError(f"A folder's splits are {' and '.join(SPLITS)}. Received: split={split!r}")


def choose(names: Iterable[str], split: str, val_fraction: float) -> set[str]:
    """Return the names that belong to a split: `val_fraction` of them, rounded but never none, to "val".

    Which ones follows from the names alone, by their hash: the same on every machine, and no matter in which order
    they were found.
    """
    if not 0 < val_fraction < 1:
        raise ValueError(f"`val_fraction` must lie between 0 and 1. Received: val_fraction={val_fraction}")
    mixed = sorted(names, key=lambda name: hashlib.sha256(name.encode()).digest())
    held_out = max(1, round(val_fraction * len(mixed)))
    return set(mixed[:held_out] if split == "val" else mixed[held_out:])
