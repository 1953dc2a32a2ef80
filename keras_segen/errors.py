"""The one exception of this package."""

__all__ = [
    "InputError",
]


class InputError(ValueError):
    """What the user gave cannot be used: the message names the file, the value found and the fix, in one line."""
