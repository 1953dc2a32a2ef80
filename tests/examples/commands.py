"""The command line, called in this process, and what its tests draw and read."""

import contextlib
import io
import json
from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np
from PIL import Image

import keras_segen_cli


class Answer(NamedTuple):
    """What a command prints."""

    out: str
    err: str


def run(*arguments: object) -> int:
    """Run a command; its exit status."""
    return keras_segen_cli.main([str(each) for each in arguments])


def answer(folder: Path, *arguments: object, status: int = 0) -> Answer:
    """Run a command in a folder, for a fixture of a whole module, which cannot ask for `capsys`."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.chdir(folder), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        ended = run(*arguments)
    assert ended == status, f"{ended}: {out.getvalue()}{err.getvalue()}"
    return Answer(out.getvalue(), err.getvalue())


def as_typed(parameter: object) -> str | None:
    """Name a case by its command's arguments, for `ids`."""
    return " ".join(map(str, parameter)) if isinstance(parameter, list) else None


def read_json(path: Path | str) -> Any:
    """Read a run's config or scores."""
    return json.loads(Path(path).read_text())


def variables(path: Path | str) -> list[np.ndarray]:
    """Return what a saved model and its optimizer hold."""
    model = keras.saving.load_model(path)
    return [np.asarray(v) for v in (*model.variables, *model.optimizer.variables)]


def assert_equal_models(one: Path | str, other: Path | str) -> None:
    """Two saved models are the same to the bit, their optimizers too."""
    for ours, theirs in zip(variables(one), variables(other), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def draw_colours(root: Path, *, count: int, size: tuple[int, int]) -> Path:
    """Draw a folder of bluish and of reddish noise, the two being its classes."""
    rng = np.random.default_rng(0)
    for name, colour in (("blue", (40, 40, 200)), ("red", (200, 40, 40))):
        (root / name).mkdir(parents=True)
        for i in range(count):
            pixels = np.clip(rng.normal(colour, 30, (*size, 3)), 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(root / name / f"{i}.png")
    return root
