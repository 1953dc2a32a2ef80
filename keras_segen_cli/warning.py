"""Warnings of the command line: one line each, on stderr, all with the same beginning."""

import sys


def warn(message: str) -> None:
    """Print a warning."""
    print(f"keras-segen: warning: {message}", file=sys.stderr, flush=True)
