import keras
import numpy as np
import pytest

from keras_segen.losses import Hinge
from keras_segen.models import sngan_discriminator, sngan_generator
from keras_segen.training import GAN


@pytest.mark.parametrize("size", [16, 32, 64])
@pytest.mark.parametrize("num_classes", [None, 3])
def test_shapes_and_ranges(size, num_classes):
    latents = np.random.default_rng(0).normal(size=(2, 7))
    labels = [] if num_classes is None else [np.array([0, 2])]
    generator = sngan_generator((size, size, 3), latent_dim=7, num_classes=num_classes, filters=4)
    images = np.asarray(generator([latents, *labels] if labels else latents))
    assert images.shape == (2, size, size, 3)
    assert np.abs(images).max() <= 1
    discriminator = sngan_discriminator((size, size, 3), num_classes=num_classes, filters=4)
    assert discriminator([images, *labels] if labels else images).shape == (2, 1)
    plain = sngan_discriminator((size, size, 3), num_classes=num_classes, normalization=None, filters=4)
    assert len(plain.trainable_weights) == len(discriminator.trainable_weights)
    assert not plain.non_trainable_weights  # spectral norm's singular vectors
    with pytest.raises(ValueError, match="'batch'"):
        sngan_discriminator((size, size, 3), normalization="batch")


def test_as_many_weights_as_the_papers_table_has():
    # Table 4 at 32×32: a dense layer to 4×4×256; three blocks of batch norm, 3×3, batch norm, 3×3 and a 1×1 shortcut;
    # batch norm and 3×3 to the image.
    conv = lambda kernel, inputs, outputs: kernel**2 * inputs * outputs + outputs  # noqa: E731
    block = 2 * conv(3, 256, 256) + conv(1, 256, 256) + 2 * 512
    trainable = sum(w.numpy().size for w in sngan_generator((32, 32, 3)).trainable_weights)
    assert trainable == 129 * 4096 + 3 * block + 512 + conv(3, 256, 3)
    # Two blocks that halve (the first from the image), two that do not, and a dense layer.
    halving = [conv(3, n, 128) + conv(3, 128, 128) + conv(1, n, 128) for n in (3, 128)]
    trainable = sum(w.numpy().size for w in sngan_discriminator((32, 32, 3)).trainable_weights)
    assert trainable == sum(halving) + 2 * 2 * conv(3, 128, 128) + 129


@pytest.mark.slow
def test_it_trains():
    keras.utils.set_random_seed(0)
    gan = GAN(
        sngan_generator((16, 16, 3), latent_dim=4, num_classes=2, filters=8),
        sngan_discriminator((16, 16, 3), num_classes=2, filters=8),
        seed=0,
    )
    gan.compile(loss=Hinge())
    kernels = [w for w in gan.trainable_variables if len(w.shape) > 1]
    before = [np.array(w) for w in kernels]
    images = np.random.default_rng(0).uniform(-1, 1, (8, 16, 16, 3)).astype("float32")
    history = gan.fit(images, np.arange(8) % 2, batch_size=4, verbose=0).history
    assert np.isfinite(list(history.values())).all()
    assert not any(np.array_equal(a, b) for a, b in zip(before, kernels, strict=True))
