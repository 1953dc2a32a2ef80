"""Splits of a folder: its own sub-folders, or a repeatable division by the files' names."""

import hashlib
import unicodedata
from collections.abc import Iterable, Sequence
from pathlib import Path

from keras_segen.errors import InputError
from keras_segen.types import PathLike

TRAIN, VAL, ALL = "train", "val", "all"
# Other programs' names for these folders, in lower case.
_OTHER_NAMES = {
    TRAIN: ("training",),
    VAL: ("valid", "validation", "dev"),
    "test": ("testing",),
    "images": ("image", "imgs", "img", "jpegimages"),
    "masks": ("mask", "labels", "label", "annotations", "segmentationclass"),
}


def existing_folder(path: PathLike, holding: str = "{train,val}/{images,masks}, or images and masks") -> Path:
    """Return the path if it is a folder; otherwise `InputError`, which says what it should hold."""
    path = Path(path)
    if not path.is_dir():
        what = "is a file" if path.exists() else "does not exist"
        raise InputError(f"{path}: {what}: name a folder that holds {holding}")
    return path


def require_split(root: Path, split: str, own: Sequence[str]) -> None:
    """Raise `InputError` for a split that a folder does not have.

    Args:
        root: The folder.
        split: The split: "all", or one of the folder's own splits; "train" or "val" if it has none.
        own: The folder's own splits.
    """
    if split == ALL or split in (own or (TRAIN, VAL)) or (own and (root / split).is_dir()):
        return
    if not own:
        raise InputError(
            f"{root / split}: does not exist: the folder has no splits of its own, only {TRAIN!r} and {VAL!r}, chosen "
            f"by name, and {ALL!r}. Received: split={split!r}"
        )
    fix = hint(root, split) or f": the folder's splits are {', '.join(own)}, or {ALL!r} for all of them"
    raise InputError(f"{root / split}: does not exist, though {root / own[0]} does{fix}")


def hint(folder: Path, wanted: str) -> str:
    """Return the end of a message about a missing sub-folder: which one to rename, or nothing."""
    alike = (wanted, *_OTHER_NAMES.get(wanted, ()))
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        if path.name != wanted and path.name.lower() in alike and path.is_dir():
            return f": rename {path} to {wanted}"
    return ""


def normalized(name: str) -> str:
    """Return a file's name with composed characters (NFC): macOS decomposes them, other systems do not."""
    return unicodedata.normalize("NFC", name)


def choose(names: Iterable[str], split: str, val_fraction: float) -> set[str]:
    """Return the names that belong to "train" or "val": `val_fraction` of them, rounded but never none, to "val".

    Which ones follows from the names alone, by their hash: the same on every machine, and no matter in which order
    they were found.
    """
    if not 0 < val_fraction <= 1:
        raise ValueError(f"`val_fraction` must be greater than 0 and at most 1. Received: val_fraction={val_fraction}")
    mixed = sorted(names, key=lambda name: hashlib.sha256(normalized(name).encode()).digest())
    held_out = max(1, round(val_fraction * len(mixed)))
    return set(mixed[:held_out] if split == VAL else mixed[held_out:])
