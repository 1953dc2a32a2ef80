"""Errors: the one exception of this package."""

__all__ = [
    "InputError",
]


class InputError(ValueError):
    """An error in the user's input: the message names the file, the value found and the fix, in one line."""
