"""`keras-segen worth`: how much generated images are worth as training data."""

from keras_segen_cli.commands.inputs import require_data, require_folders
from keras_segen_cli.commands.process import begin
from keras_segen_cli.commands.score_files import free_file, write_scores
from keras_segen_cli.options import GREY_SETS, Data, MaxPixels, Name, Seed, SmallSide, Steps
from keras_segen_cli.recipes import VAE

BATCH = 128  # images of a step


def worth(
    *,
    real: Data,
    generated: Name,
    steps: Steps = 1000,
    image_size: SmallSide = 32,
    data_dir: Name | None = None,
    seed: Seed = 0,
    out: Name | None = None,
    max_pixels: MaxPixels = None,
) -> None:
    """Train a classifier on generated images, on real ones, and on both; score each on real test images.

    The first of the three is the classification accuracy score of Ravuri and Vinyals (2019, arXiv:1905.10887).

    Args:
        real: cifar10, mnist, fashion_mnist, shapes, or a folder with one sub-folder a class.
        generated: Folder with the same sub-folders, such as `sample` writes.
        steps: Steps of each training.
        image_size: Side at which all images are compared, in pixels.
        data_dir: Folder of the named data sets. Default: the one that TensorFlow Datasets uses.
        seed: Seed of the trainings.
        out: File (.json) for the scores.
        max_pixels: Refuse larger images. Default: 89478485, Pillow's.
    """
    require_data(real, VAE)
    require_folders([generated])
    file = free_file(out)
    verbose = begin(max_pixels=max_pixels)
    import keras
    import numpy as np

    from keras_segen import models
    from keras_segen.data import from_arrays, read_class_folders
    from keras_segen.errors import InputError
    from keras_segen.files import require_place
    from keras_segen.training import accuracy, train_classifier
    from keras_segen_cli.tasks.classifier_data import classifier_data
    from keras_segen_cli.tasks.splits import ALL

    if file is not None:
        require_place(file.absolute().parent)
    train, test, class_names = classifier_data(real, image_size=image_size, data_dir=data_dir)
    files = read_class_folders(ALL, generated, verbose=verbose)
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
        keras.utils.set_random_seed(seed)
        network = models.classifier(images.shape[1:], len(class_names))
        mirror = real not in GREY_SETS
        batches = from_arrays(images, labels, mirror=mirror, batch_size=BATCH, training=True, seed=seed, start=0)
        train_classifier(network, batches, steps=steps, seed=seed, verbose=1 if verbose else 2)
        scores[name] = {"images": len(images), "accuracy": accuracy(network, *test)}
    if file is not None:
        write_scores(file, {"test_images": len(test[1]), "steps": steps, **scores})
    print(f"\n{'trained on':10}  {'images':>8}  accuracy, %")
    for name, row in scores.items():
        print(f"{name:10}  {row['images']:8}  {100 * row['accuracy']:11.2f}")
