"""Named data sets, which TensorFlow Datasets downloads, checks against their hashes, and prepares."""

from pathlib import Path
from typing import Any

from keras_segen.errors import InputError
from keras_segen.types import PathLike


def check_target(target: str | None) -> None:
    """Raise `ValueError` for a target that images of one class each do not have."""
    if target not in ("label", None):
        raise ValueError(f'`target` must be "label" or None. Received: target={target!r}')


def prepared(name: str, data_dir: PathLike | None, *, by_hand: str) -> Any:
    """Return TensorFlow Datasets' builder of a data set that lies prepared on disk, downloading it first if need be.

    Args:
        name: The name of the data set with its version, such as "cifar10:3.0.2".
        data_dir: The folder of data sets; None for TensorFlow Datasets' own, `~/tensorflow_datasets`.
        by_hand: The files to fetch and their address, for the message when the download fails.

    Raises:
        InputError: If the data are missing and cannot be downloaded.
    """
    import tensorflow_datasets as tfds  # which takes seconds

    if data_dir is not None and not Path(data_dir).is_dir():
        raise InputError(f"{data_dir}: is not a folder: name the one that holds the prepared data sets")
    builder = tfds.builder(name, data_dir=data_dir)
    # Of Google's mirror there is no use offline, and its absence costs minutes.
    settings = tfds.download.DownloadConfig(try_download_gcs=False)
    try:
        builder.download_and_prepare(download_config=settings)
    except Exception as error:  # hosts fail in as many ways as there are libraries below
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise InputError(
            f"{builder.data_dir}: {name} is not there, and its download failed ({reason}): {by_hand}"
        ) from error
    return builder
