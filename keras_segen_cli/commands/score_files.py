"""Files (.json) that a command writes scores into, where `--out` says so."""

from pathlib import Path
from typing import Any

from keras_segen_cli.recipes import WrongUseError


def free_file(out: str | None) -> Path | None:
    """Return the file for scores, if one is named; `WrongUseError` if it exists, or does not end as JSON does."""
    if out is None:
        return None
    file = Path(out)
    if file.exists():
        raise WrongUseError(f"{file}: exists already: name another file")
    if file.suffix != ".json":
        raise WrongUseError(f"{file}: scores are written as JSON: name a file that ends in .json")
    return file


def write_scores(file: Path, scores: dict[str, Any]) -> None:
    """Write scores into a file, in a folder that is made if need be."""
    from keras_segen.runs import write_json

    file.absolute().parent.mkdir(parents=True, exist_ok=True)
    write_json(file, scores)
