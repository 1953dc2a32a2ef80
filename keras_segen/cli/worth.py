"""`keras-segen worth`: what generated images are worth as training data."""

from typing import Any

import numpy as np

from keras_segen.data.class_folders import LAYOUT, read_class_folders
from keras_segen.data.folder import existing_folder
from keras_segen.data.split import ALL
from keras_segen.errors import InputError
from keras_segen.recipes.classifier import BATCH, accuracy, train_classifier
from keras_segen.recipes.classifier_data import classifier_data


def worth(
    real: str, *, generated: str, steps: int, image_size: int, data_dir: str | None, seed: int, verbose: bool
) -> dict[str, Any]:
    """Train a classifier on generated images, on real ones, and on both; score each on real test images.

    The first of the three is the classification accuracy score of Ravuri and Vinyals (2019, arXiv:1905.10887).

    Args:
        real: a data set's name, or a folder with one sub-folder a class.
        generated: a folder with the same sub-folders, such as `sample` writes.
        steps: of each training, the same for all three.
        image_size: side in pixels at which all are compared.
        data_dir: where named data sets lie.
        seed: of the trainings.
        verbose: show progress bars.
    """
    train, test, class_names = classifier_data(real, image_size=image_size, data_dir=data_dir)
    files = read_class_folders(ALL, existing_folder(generated, LAYOUT), verbose=verbose)
    if sorted(files.class_names) != sorted(class_names):
        raise InputError(
            f"{generated}: its sub-folders are {', '.join(files.class_names)}, but the real classes are "
            f"{', '.join(class_names)}: they must be the same"
        )
    ids = np.array([class_names.index(name) for name in files.class_names], np.int32)
    fake = files.decode(image_size), ids[files.labels]
    both = tuple(np.concatenate(pair) for pair in zip(train, fake, strict=True))
    print(f"{steps} steps of {BATCH} images for each; test: {len(test[1])} real images", flush=True)
    scores = {}
    for name, (images, labels) in {"generated": fake, "real": train, "both": both}.items():
        print(f"\ntraining on {name}: {len(images)} images", flush=True)
        network = train_classifier(
            images, labels, len(class_names), steps=steps, seed=seed, verbose=1 if verbose else 2
        )
        scores[name] = {"images": len(images), "accuracy": accuracy(network, *test)}
    print(f"\n{'trained on':10}  {'images':>8}  accuracy, %")
    for name, row in scores.items():
        print(f"{name:10}  {row['images']:8}  {100 * row['accuracy']:11.2f}")
    return scores
