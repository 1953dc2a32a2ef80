import keras
import numpy as np
import pytest

from keras_segen.models import dcgan_discriminator, dcgan_generator


@pytest.mark.parametrize("size", [16, 32, 64, 128])
@pytest.mark.parametrize("channels", [1, 3])
def test_images_of_every_size(size, channels):
    generator = dcgan_generator((size, size, channels), latent_dim=7, filters=4)
    images = generator(np.random.default_rng(0).normal(size=(2, 7)))
    assert images.shape == (2, size, size, channels)
    assert np.abs(images).max() <= 1
    for normalization in ("batch", "spectral", None):
        discriminator = dcgan_discriminator((size, size, channels), filters=4, normalization=normalization)
        assert discriminator(images).shape == (2, 1)


def test_as_many_weights_as_the_paper_has():
    # At 64×64 with kernels of 4: the counts of PyTorch's DCGAN tutorial, whose networks are these.
    assert (
        dcgan_generator((64, 64, 3), latent_dim=100).count_params() == 3_576_704 + 3 + 2 * 960
    )  # a bias, and running statistics
    trainable = sum(w.numpy().size for w in dcgan_discriminator((64, 64, 3)).trainable_weights)
    assert trainable == 2_765_568 + 64 + 1  # biases of the first and the last layer


@pytest.mark.parametrize("shape", [(8, 8, 3), (48, 48, 3), (64, 32, 3), (64, 64, 0)])
def test_other_sizes_are_refused(shape):
    for builder in (dcgan_generator, dcgan_discriminator):
        with pytest.raises(ValueError, match="power of two from 16"):
            builder(shape)
    with pytest.raises(ValueError, match="'layer'"):
        dcgan_discriminator((32, 32, 3), normalization="layer")


def test_weights_start_as_the_paper_has_them():
    keras.utils.set_random_seed(0)
    for network in (dcgan_generator((32, 32, 3)), dcgan_discriminator((32, 32, 3))):
        for weight in network.trainable_weights:
            value = weight.numpy()
            if value.ndim == 4:
                assert value.std() == pytest.approx(0.02, rel=0.1)
            elif weight.name == "gamma":
                assert value.mean() == pytest.approx(1, abs=0.01)
