"""The networks by whose features sets of images are compared, and what is known of real images."""

from pathlib import Path

import keras

from keras_segen.errors import InputError
from keras_segen.metrics import Reference, cifar10_features, inception_features, read_statistics
from keras_segen_cli.options import Features


def extractor_of(features: Features, *, channels: int = 3) -> keras.Model:
    """Return the network that options name, for images of 1 or 3 channels.

    Raises:
        InputError: for options that do not go together.
    """
    if features.extractor == "inception":
        if features.reference is not None:
            read_statistics(Path(features.reference))  # before the network is fetched
        return inception_features(features.inception_weights, channels=channels)
    for option, value in (
        ("--inception-weights", features.inception_weights),
        ("--reference", features.reference),
    ):
        if value is not None:
            raise InputError(f"{option} goes with --extractor inception: give both")
    return cifar10_features(channels)


def reference_from(file: str, extractor: keras.Model) -> Reference:
    """Return published statistics, and print what they cannot give."""
    reference = Reference.from_statistics(file, extractor)
    print(
        f"{file}: published statistics, which give the Fréchet distance alone; kernel distance, precision, recall, "
        "density and coverage need images, and are left out",
        flush=True,
    )
    return reference
