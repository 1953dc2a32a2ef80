import keras
import numpy as np
import pytest

from keras_segen.data import from_arrays
from keras_segen.models import classifier
from keras_segen.training._classifier import accuracy, train_classifier


@pytest.mark.slow
def test_it_learns_what_is_easy():
    rng = np.random.default_rng(0)
    labels = np.arange(300) % 2
    images = np.clip(rng.normal(80 + 100 * labels[:, None, None, None], 20, (300, 16, 16, 3)), 0, 255).astype(np.uint8)
    keras.utils.set_random_seed(0)
    batches = from_arrays(images[:200], labels[:200], batch_size=128, training=True, seed=0, start=0)
    network = train_classifier(classifier((16, 16, 3), 2), batches, steps=40, verbose=0)
    assert accuracy(network, images[200:], labels[200:]) > 0.95
    assert accuracy(network, images[200:], 1 - labels[200:]) < 0.05
