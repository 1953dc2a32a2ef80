"""The start of a command's work: TensorFlow imported quietly, the limit on images, progress bars or none."""

import os
import sys
import tempfile
import warnings


def begin(*, max_pixels: int | None = None) -> bool:
    """Prepare the process; say whether to show progress bars.

    What a command checks before is answered at once: importing TensorFlow takes seconds.

    Args:
        max_pixels: Images with more pixels are refused. None leaves Pillow's limit.
    """
    _import_quietly()
    warnings.formatwarning = lambda message, *_, **__: f"keras-segen: warning: {message}\n"
    if max_pixels is not None:
        from PIL import Image

        Image.MAX_IMAGE_PIXELS = max_pixels
    return sys.stdout.isatty()


def _import_quietly() -> None:
    """Import TensorFlow without the lines on CPU features and absent GPUs that no setting of it can silence."""
    os.environ["KERAS_BACKEND"] = "tensorflow"  # which the commands' data sets and servables are made for
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # what matters comes as an exception
    standard_error = os.dup(2)
    with tempfile.TemporaryFile() as captured:
        os.dup2(captured.fileno(), 2)
        try:
            import tensorflow as tf

            tf.config.list_physical_devices()
            tf.get_logger().setLevel("ERROR")  # it warns of functions traced for several networks, which is meant
        except Exception:
            captured.seek(0)
            os.write(standard_error, captured.read())
            raise
        finally:
            os.dup2(standard_error, 2)
            os.close(standard_error)
