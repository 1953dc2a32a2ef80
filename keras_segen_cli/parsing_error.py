"""What the parser of the command line finds wrong, in one line."""

import re

from cyclopts import CycloptsError, MissingArgumentError, ValidationError


def in_words(error: CycloptsError) -> str:
    """Return an error of the parser as a sentence or two."""
    # Its heirs say how many values an option takes.
    if type(error) is MissingArgumentError and error.argument is not None:
        if error.keyword is not None:
            return f"{error.keyword} needs a value."
        # What was typed instead of it says more than that it is missing.
        unknown = [token for token in error.unused_tokens or () if token.startswith("-")]
        if "--config" in unknown:
            return "A config.json names its model: write `train --config FILE` alone, without a model or a recipe."
        return f"Unknown option: {unknown[0]}." if unknown else f"{error.argument.name} is missing."
    if isinstance(error, ValidationError) and error.argument is not None and isinstance(error.argument.value, tuple):
        error.value = " ".join(map(str, error.argument.value))
    line = " ".join(str(error).split())
    line = re.sub(r'^(Command ".*?" parameter|Parameter) ', "", line)
    return re.sub(r"^Unused Tokens: \[(.*)\]\.", r"There is no place for \1.", line)
