"""What the commands' actions share: progress bars on a terminal, and the limit on images."""

import sys


def verbose() -> bool:
    """Say whether to show progress bars."""
    return sys.stdout.isatty()


def limit_pixels(max_pixels: int | None) -> None:
    """Refuse images of more pixels from now on; None leaves Pillow's limit."""
    if max_pixels is not None:
        from PIL import Image

        Image.MAX_IMAGE_PIXELS = max_pixels
