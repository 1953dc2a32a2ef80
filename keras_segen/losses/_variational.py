"""Likelihoods of images, and the divergence of the posterior: the loss of a variational autoencoder.

Images are floats in [-1, 1]. Everything is in nats, summed over pixels and channels, or over latents. Means are taken
over the batch alone, because a mean over pixels would give the divergence a thousand times too much weight.
"""

import math
from typing import Any

import keras
from keras import ops

from keras_segen.types import Tensor

# A posterior's log-variance, and a pixel's log-scale, count as no further from 0 than this: exp stays finite.
MOST_LOG_VARIANCE = 20.0
MOST_LOG_SCALE = 7.0
FAR = 1e30  # stands for infinity, which times 0 would be NaN
LEAST_SCALE = 1e-3  # of a Gaussian whose scale is given: an eighth of a step of 8 bits
# Pixels of images have 256 values, 2 / 255 apart.
HALF_STEP = 1 / 255


def kl_divergence(mean: Tensor, log_variance: Tensor) -> Tensor:
    """Return each latent's divergence of N(mean, exp(log_variance)) from N(0, 1) in nats (Kingma & Welling, app. B).

    Shapes: both (batch, latent_dim) -> (batch, latent_dim).

    Example:
        >>> divergences = ks.losses.kl_divergence(np.zeros((2, 5)), np.zeros((2, 5)))
        >>> float(keras.ops.sum(divergences))
        0.0
    """
    return divergence(mean, bounded(log_variance, MOST_LOG_VARIANCE))


def divergence(mean: Tensor, log_variance: Tensor) -> Tensor:
    """Return the divergence for log-variances that are bounded already, as `kl_divergence` does."""
    return 0.5 * (ops.square(mean) + ops.exp(log_variance) - 1 - log_variance)


def bounded(values: Tensor, most: float) -> Tensor:
    """Return values clipped to [-most, most], the bounds in which everything is finite.

    Rectifiers, because TensorFlow's gradient of a clip selects values one by one, several times as slowly.
    """
    return most - ops.relu(2 * most - ops.relu(values + most))


class Likelihood:
    """The base class of likelihoods: the probability of images, given a decoder's output.

    Attributes:
        parameters: The number of channels that the decoder gives for each channel of the images.
        discrete: Whether images count as values of 8 bits, so that bits per dimension are meaningful.
    """

    parameters = 1
    discrete = False

    def log_prob(self, images: Tensor, decoded: Tensor) -> Tensor:
        """Return the log-probability of each image, (batch,) in nats.

        Args:
            images: The images (batch, ..., channels) in [-1, 1].
            decoded: The decoder's output, (batch, ..., parameters * channels).
        """
        each = self.each(ops.cast(images, "float32"), ops.cast(decoded, "float32"))
        return ops.sum(ops.reshape(each, (ops.shape(each)[0], -1)), -1)

    def each(self, images: Tensor, decoded: Tensor) -> Tensor:
        """Return the log-probability, or its density, of each value."""
        raise NotImplementedError

    def mean(self, decoded: Tensor) -> Tensor:
        """Return the expected images, in [-1, 1]."""
        raise NotImplementedError

    def get_config(self) -> dict[str, Any]:
        """Return the arguments."""
        return {}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "Likelihood":
        """Rebuild it from its config."""
        return cls(**config)


@keras.saving.register_keras_serializable("keras_segen")
class Gaussian(Likelihood):
    """A Gaussian likelihood: each value is normally distributed about the decoded one.

    It is a density, so its evidence lower bound compares only with that of the same likelihood.

    Args:
        scale: The standard deviation, of values in [-1, 1]. With None the decoder gives its logarithm for each value,
            in further channels.

    Example:
        >>> likelihood = ks.losses.Gaussian(scale=0.1)
        >>> encoder = ks.models.vae_encoder((32, 32, 3), latent_dim=8, filters=4)
        >>> decoder = ks.models.vae_decoder((32, 32, 3), latent_dim=8, parameters=likelihood.parameters, filters=4)
        >>> vae = ks.training.VAE(encoder, decoder, likelihood)
    """

    def __init__(self, scale: float | None = 0.1) -> None:
        if scale is not None and not LEAST_SCALE <= scale <= 1 / LEAST_SCALE:
            raise ValueError(
                f"`scale` is a standard deviation from {LEAST_SCALE} to {1 / LEAST_SCALE:.0f}, of values in [-1, 1], "
                f"or None. Received: scale={scale}"
            )
        self.scale = scale
        self.parameters = 2 if scale is None else 1

    def each(self, images: Tensor, decoded: Tensor) -> Tensor:
        """Return the log-density of each value."""
        if self.scale is None:
            decoded, log_scale = _split(decoded)
        else:
            log_scale = math.log(self.scale)
        return -0.5 * ops.square((images - decoded) * ops.exp(-log_scale)) - log_scale - 0.5 * math.log(2 * math.pi)

    def mean(self, decoded: Tensor) -> Tensor:
        """Return the expected images, in [-1, 1]."""
        return ops.clip(_split(decoded)[0] if self.scale is None else decoded, -1, 1)

    def get_config(self) -> dict[str, Any]:
        """Return the arguments."""
        return {"scale": self.scale}


@keras.saving.register_keras_serializable("keras_segen")
class Bernoulli(Likelihood):
    """A Bernoulli likelihood: each value is white with the probability that a decoded logit gives, otherwise black.

    Grey values count as a share of both (Kingma and Welling, 2014). For images in black and white it is a probability;
    for grey ones it is neither a probability nor a density.

    Example:
        >>> likelihood = ks.losses.Bernoulli()
        >>> encoder = ks.models.vae_encoder((32, 32, 1), latent_dim=8, filters=4)
        >>> decoder = ks.models.vae_decoder((32, 32, 1), latent_dim=8, parameters=likelihood.parameters, filters=4)
        >>> vae = ks.training.VAE(encoder, decoder, likelihood)
    """

    def each(self, images: Tensor, decoded: Tensor) -> Tensor:
        """Return the log-probability of each value."""
        return (images + 1) / 2 * decoded - ops.softplus(decoded)

    def mean(self, decoded: Tensor) -> Tensor:
        """Return the expected images, in [-1, 1]."""
        return 2 * ops.sigmoid(decoded) - 1


@keras.saving.register_keras_serializable("keras_segen")
class DiscretizedLogistic(Likelihood):
    """A discretised logistic likelihood: each value is one of 256 steps, with the logistic distribution's mass in it.

    Images are rounded to these steps, the first and the last of which reach to infinity (Kingma et al., 2016,
    arXiv:1606.04934, section 5.2; Salimans et al., 2017, arXiv:1701.05517, section 2.1). The decoder gives the mean and
    the log-scale of each value.

    Example:
        >>> likelihood = ks.losses.DiscretizedLogistic()
        >>> encoder = ks.models.vae_encoder((32, 32, 3), latent_dim=8, filters=4)
        >>> decoder = ks.models.vae_decoder((32, 32, 3), latent_dim=8, parameters=likelihood.parameters, filters=4)
        >>> vae = ks.training.VAE(encoder, decoder, likelihood)
    """

    parameters = 2
    discrete = True

    def each(self, images: Tensor, decoded: Tensor) -> Tensor:
        """Return the log-probability of each value."""
        mean, log_scale = _split(decoded)
        images = ops.round((images + 1) / (2 * HALF_STEP)) * (2 * HALF_STEP) - 1
        # Arithmetic instead of `where`, which selects values one by one in TensorFlow, several times as slowly.
        first, last = (ops.cast(end, "float32") for end in (images < -1 + HALF_STEP, images > 1 - HALF_STEP))
        precision = ops.exp(-log_scale)
        centre, margin = (images - mean) * precision, HALF_STEP * precision
        above, below = centre + margin + FAR * last, centre - margin - FAR * first
        # sigmoid(a) - sigmoid(b) = sigmoid(a) sigmoid(-b) (1 - exp(b - a)), which never cancels.
        inner = ops.log(-ops.expm1(-2 * margin)) * (1 - first - last)
        return inner - (ops.softplus(-above) + ops.softplus(below))

    def mean(self, decoded: Tensor) -> Tensor:
        """Return the expected images, up to the truncation at both ends."""
        return ops.clip(_split(decoded)[0], -1, 1)


def _split(decoded: Tensor) -> tuple[Tensor, Tensor]:
    location, log_scale = ops.split(decoded, 2, axis=-1)
    return location, bounded(log_scale, MOST_LOG_SCALE)
