"""Every command in the README, the docs, the notebooks and the docstrings is one that the command line takes."""

import json
import re
import shlex
from pathlib import Path

import pytest

from keras_segen_cli.commands import app
from keras_segen_cli.commands.reference import commands_page, recipes_page

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    path
    for pattern in (
        "*.md",
        "docs/**/*.md",
        "notebooks/*",
        "saved_models/**/*.md",
        "benchmarks/*.md",
        "tests/*/README.md",
    )
    for path in ROOT.glob(pattern)
    if path.suffix in (".md", ".ipynb") and path.name != "commands.md"  # which is made of the commands
)
SOURCES = sorted(path for package in ("keras_segen", "keras_segen_cli") for path in (ROOT / package).rglob("*.py"))
# A command stands between backticks, or at the start of a line and to its end or a comment.
IN_LINE = re.compile(r"`keras-segen ([^`]+)`")
ON_A_LINE = re.compile(r"^(?:.*&& \.venv/bin/)?(?:    )*keras-segen ((?:.*\\\n)*.*)$", re.MULTILINE)


def commands(path: Path) -> list[str]:
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".ipynb":
        text = "\n".join("".join(cell["source"]) for cell in json.loads(text)["cells"])
    return [*IN_LINE.findall(text), *ON_A_LINE.findall(text)]


def tokens(command: str) -> list[str]:
    words = shlex.split(command.replace("\\\n", " "), comments=True)
    return [word for word in words if word != "…"]


def found() -> list[tuple[str, str]]:
    return [(str(path.relative_to(ROOT)), command) for path in [*PAGES, *SOURCES] for command in commands(path)]


def test_there_are_commands_to_parse():
    pages = {page for page, _ in found()}
    assert {"README.md", "saved_models/README.md", "saved_models/unet_nuclei/README.md"} <= pages
    assert len(found()) > 40


@pytest.mark.parametrize(("page", "command"), found())
def test_a_command_in_the_docs_is_parsed(page, command, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)  # no folder here is called like a data set
    words = tokens(command)
    # Where a sentence names a command alone, it is one.
    if len(words) == 1:
        assert words[0] in app or words[0] == "--help"
        return
    words = [{"MODEL": "unet", "NAME": "unet-demo", "METHOD": "otsu", "N": "1"}.get(word, word) for word in words]
    app.parse_args(words, exit_on_error=False, print_error=False)


@pytest.mark.parametrize(("page", "written"), [("commands.md", commands_page), ("recipes.md", recipes_page)])
def test_the_reference_is_what_the_options_say(page, written):
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    assert text == written(), "run python -m keras_segen_cli.commands.reference docs"
