"""Files (.json) that a command writes scores into, where `--out` says so."""

from pathlib import Path
from typing import Any


def require_free(file: Path) -> None:
    """Raise `InputError` if there is something where a file is to be written, or it cannot be written there."""
    from keras_segen.errors import InputError
    from keras_segen.files import require_place

    if file.exists():
        raise InputError(f"{file}: exists already: name another file")
    require_place(file.absolute().parent)


def write_scores(file: Path, scores: dict[str, Any]) -> None:
    """Write scores into a file, in a folder that is made if need be."""
    from keras_segen.runs import write_json

    file.absolute().parent.mkdir(parents=True, exist_ok=True)
    write_json(file, scores)
