"""Writing files so that what was there stays whole until what is new is complete."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

INCOMPLETE = ".incomplete-"


@contextmanager
def replacing(path: Path | str) -> Iterator[Path]:
    """Yield a temporary path beside `path`; rename it to `path` if the block ends well, delete it if it does not.

    Raises:
        OSError: naming `path`, if it cannot be written.
    """
    path = Path(path)
    temporary = path.with_name(INCOMPLETE + path.name)  # the ending stays: writers go by it
    try:
        yield temporary
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        raise OSError(
            f"{path}: cannot be written: {error.strerror or error}: mend that; what was there before is whole"
        ) from error
    finally:
        temporary.unlink(missing_ok=True)
