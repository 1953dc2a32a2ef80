"""The reference of the command line for the docs, made of the options' own words.

python -m keras_segen_cli.commands.reference docs
    writes commands.md and recipes.md
"""

import re
import shlex
import sys
from dataclasses import fields
from pathlib import Path

from keras_segen_cli.commands import app
from keras_segen_cli.recipes import NAMED, YOURS, Recipe


def commands_page() -> str:
    """Return each command with its options, in Markdown; the named recipes have a page of their own."""
    page = app.generate_docs()
    page = re.sub(r"^(keras-segen[a-z0-9_ -]*) -m [\w.]+", r"\1", page, flags=re.MULTILINE)  # of `python -m`
    for name in NAMED:
        page = re.sub(rf"^ *[-*] \[`{name}`\].*\n", "", page, flags=re.MULTILINE)
        page = re.sub(rf"^### keras-segen train {name}\n.*?(?=^##)", "", page, flags=re.MULTILINE | re.DOTALL)
    page = page.replace("**Named recipes**:\n", "").rstrip()
    return re.sub(r"\n{3,}", "\n\n", page) + "\n"


def recipes_page() -> str:
    """Return the named recipes as a table, in Markdown."""
    rows = [
        f"| `keras-segen train {name}{' --data FOLDER' if named.recipe.data == YOURS else ''}` | {named.on} | "
        f"{named.score} | {named.time} | `{_as_command(named.recipe)}` |"
        for name, named in NAMED.items()
    ]
    head = [
        "# Named recipes",
        "",
        "Each is a command with its settings. Any further option overrides one, `--no-FLAG` takes a flag back, and",
        "`none` takes back a value that may be left out. Times are by the clock, on two cores of an AMD EPYC (Zen 4),",
        "unless they say otherwise. All have seed 0 and were trained once. `keras-segen recipes` lists them too.",
        "",
        "| recipe | data | score | time | the same by its options |",
        "|---|---|---|---|---|",
    ]
    return "\n".join([*head, *rows]) + "\n"


def _as_command(recipe: Recipe) -> str:
    """Return the command that names all settings other than the model's defaults."""
    words = ["keras-segen", "train", recipe.model]
    for each in fields(recipe):
        value = getattr(recipe, each.name)
        if each.name == "data":
            words += ["--data", value or "FOLDER"]
        elif value != each.default:
            words.append("--" + each.name.replace("_", "-"))
            values = value if isinstance(value, tuple) else (value,)
            words += [] if value is True else [str(part) for part in values]
    return shlex.join(words)


if __name__ == "__main__":
    (_folder,) = map(Path, sys.argv[1:])
    (_folder / "commands.md").write_text(commands_page(), encoding="utf-8")
    (_folder / "recipes.md").write_text(recipes_page(), encoding="utf-8")
