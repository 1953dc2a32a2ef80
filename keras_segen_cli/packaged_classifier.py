"""The training of the classifier behind `metrics.cifar10_features`, whose file comes with the package.

python -m keras_segen_cli.packaged_classifier --data-dir DIR --out cifar10_classifier.keras
    21 minutes on two cores; 86.1 % of the test images right.
"""

from pathlib import Path

import cyclopts


def train(*, out: Path, data_dir: str | None = None, steps: int = 4680) -> None:
    """Train the classifier behind metrics.cifar10_features.

    Args:
        out: The file that is written, FILE.keras.
        data_dir: Where CIFAR-10 lies.
        steps: Steps of 128 images; 4,680 are twelve passes.
    """
    import keras
    import tensorflow as tf

    from keras_segen import models
    from keras_segen.callbacks import save
    from keras_segen.data import class_names, from_arrays, read_cifar10
    from keras_segen.training import accuracy, train_classifier

    tf.config.threading.set_inter_op_parallelism_threads(1)
    keras.utils.set_random_seed(0)
    network = models.classifier((32, 32, 3), len(class_names("cifar10")))
    images, labels = read_cifar10("train", data_dir)
    batches = from_arrays(images, labels, batch_size=128, training=True, seed=0, start=0)
    train_classifier(network, batches, steps=steps)
    save(network, out)
    print(f"test accuracy {accuracy(network, *read_cifar10('test', data_dir)):.4f}")


if __name__ == "__main__":
    cyclopts.run(train)
