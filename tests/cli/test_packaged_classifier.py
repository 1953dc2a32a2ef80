import re

import keras
import numpy as np

from keras_segen import data
from keras_segen.training import accuracy
from keras_segen_cli.packaged_classifier import train


def cifar10(split, data_dir):
    assert data_dir == "somewhere"
    rng = np.random.default_rng(0 if split == "train" else 1)
    labels = np.arange(160 if split == "train" else 40) % 10
    images = np.clip(25 * labels[:, None, None, None] + rng.integers(0, 20, (len(labels), 32, 32, 3)), 0, 255)
    return images.astype("uint8"), labels


def test_the_file_holds_the_classifier_whose_accuracy_is_printed(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(data, "read_cifar10", cifar10)
    train(out=tmp_path / "classifier.keras", data_dir="somewhere", steps=2)
    printed = float(re.search(r"^test accuracy (.*)$", capsys.readouterr().out, re.MULTILINE)[1])
    network = keras.saving.load_model(tmp_path / "classifier.keras")
    assert network.output_shape == (None, 10)
    assert round(accuracy(network, *cifar10("test", "somewhere")), 4) == printed
