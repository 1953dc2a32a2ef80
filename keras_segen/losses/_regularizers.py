"""Regularizers of a GAN: penalties on the discriminator's gradient, which keep it smooth."""

from collections.abc import Callable, Sequence
from typing import Any

import keras
from keras import ops

from keras_segen._autodiff import input_gradient
from keras_segen.types import Tensor


class Regularizer:
    """The base class of penalties on the discriminator's gradient with respect to its input.

    A penalty is called with the discriminator, real and fake images (batch, height, width, channels), the labels as a
    list of none or one, `draw(function of keras.random, batch, shape)`, and `step`, the number of steps done. It
    returns a scalar. Subclasses are saved as losses are.

    Args:
        weight: The weight of the penalty in the discriminator's loss, over 0.
    """

    def __init__(self, weight: float) -> None:
        if not weight > 0:
            raise ValueError(f"`weight` must be over 0. Received: weight={weight}")
        self.weight = weight

    def __call__(
        self,
        discriminator: Any,
        real: Tensor,
        fake: Tensor,
        labels: Sequence[Any],
        *,
        draw: Callable[..., Any],
        step: Tensor,
    ) -> Tensor:
        """Return the penalty."""
        raise NotImplementedError

    def get_config(self) -> dict[str, Any]:
        """Return the arguments."""
        return {"weight": self.weight}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "Regularizer":
        """Rebuild it from its arguments."""
        return cls(**config)


def squared_gradient_norms(discriminator: Any, images: Tensor, labels: Sequence[Any]) -> Tensor:
    """Return |∇D|² of each image, float32 (batch,)."""
    gradient, _ = input_gradient(discriminator, images, *labels)
    return ops.sum(ops.square(ops.cast(gradient, "float32")), axis=(1, 2, 3))


def distance_to_one(squared_norms: Tensor) -> Tensor:
    """Return the mean of (|∇D| - 1)²; the root's slope stays finite at 0."""
    return ops.mean(ops.square(ops.sqrt(squared_norms + 1e-12) - 1))


@keras.saving.register_keras_serializable("keras_segen")
class GradientPenalty(Regularizer):
    """A penalty for gradients whose norm is not 1 between real and fake images, as in WGAN-GP.

    Source: Gulrajani et al., 2017 (arXiv:1704.00028), eq. 3.

    Args:
        weight: The weight of the penalty in the discriminator's loss, over 0.

    Example:
        >>> generator = ks.models.dcgan_generator((32, 32, 3), filters=4)
        >>> discriminator = ks.models.dcgan_discriminator((32, 32, 3), filters=4, normalization=None)
        >>> gan = ks.training.GAN(generator, discriminator, discriminator_steps=5)
        >>> gan.compile(loss=ks.losses.Wasserstein(), regularizer=ks.losses.GradientPenalty(weight=10.0))
    """

    def __init__(self, weight: float = 10.0) -> None:
        super().__init__(weight)

    def __call__(
        self,
        discriminator: Any,
        real: Tensor,
        fake: Tensor,
        labels: Sequence[Any],
        *,
        draw: Callable[..., Any],
        step: Tensor,
    ) -> Tensor:
        """Return the penalty."""
        share = ops.cast(draw(keras.random.uniform, ops.shape(real)[0], (1, 1, 1)), real.dtype)
        between = share * real + (1 - share) * ops.cast(fake, real.dtype)
        return self.weight * distance_to_one(squared_gradient_norms(discriminator, between, labels))


@keras.saving.register_keras_serializable("keras_segen")
class DRAGAN(Regularizer):
    """A penalty for gradients whose norm is not 1 around real images (Kodali et al., 2017, arXiv:1705.07215).

    Args:
        weight: The weight of the penalty in the discriminator's loss, over 0.
        spread: The standard deviation of the noise around an image, in standard deviations of the batch's pixels.

    Example:
        >>> generator = ks.models.dcgan_generator((32, 32, 3), filters=4)
        >>> discriminator = ks.models.dcgan_discriminator((32, 32, 3), filters=4, normalization=None)
        >>> gan = ks.training.GAN(generator, discriminator)
        >>> gan.compile(loss=ks.losses.NonSaturating(), regularizer=ks.losses.DRAGAN(weight=10.0))
    """

    def __init__(self, weight: float = 10.0, spread: float = 0.5) -> None:
        super().__init__(weight)
        self.spread = spread

    def __call__(
        self,
        discriminator: Any,
        real: Tensor,
        fake: Tensor,
        labels: Sequence[Any],
        *,
        draw: Callable[..., Any],
        step: Tensor,
    ) -> Tensor:
        """Return the penalty."""
        noise = ops.cast(draw(keras.random.normal, ops.shape(real)[0], tuple(real.shape[1:])), real.dtype)
        around = real + self.spread * ops.std(real) * noise
        return self.weight * distance_to_one(squared_gradient_norms(discriminator, around, labels))

    def get_config(self) -> dict[str, Any]:
        """Return the arguments."""
        return {**super().get_config(), "spread": self.spread}


@keras.saving.register_keras_serializable("keras_segen")
class R1(Regularizer):
    """A penalty for gradients at real images: weight / 2 · E|∇D(x)|² (Mescheder et al., 2018, arXiv:1801.04406, eq. 9).

    Args:
        weight: The weight of the penalty, the paper's gamma, over 0.
        interval: The number of steps from one computation of the penalty to the next. The penalty is multiplied by it
            (lazy regularisation; Karras et al., 2020, arXiv:1912.04958, section 3.1).

    Example:
        >>> generator = ks.models.dcgan_generator((32, 32, 3), filters=4)
        >>> discriminator = ks.models.dcgan_discriminator((32, 32, 3), filters=4, normalization=None)
        >>> gan = ks.training.GAN(generator, discriminator)
        >>> gan.compile(loss=ks.losses.NonSaturating(), regularizer=ks.losses.R1(weight=10.0, interval=16))
    """

    def __init__(self, weight: float = 10.0, interval: int = 1) -> None:
        super().__init__(weight)
        if interval < 1:
            raise ValueError(f"`interval` must be at least 1. Received: interval={interval}")
        self.interval = interval

    def __call__(
        self,
        discriminator: Any,
        real: Tensor,
        fake: Tensor,
        labels: Sequence[Any],
        *,
        draw: Callable[..., Any],
        step: Tensor,
    ) -> Tensor:
        """Return the penalty."""

        def penalty() -> Tensor:
            return self.weight * self.interval / 2 * ops.mean(squared_gradient_norms(discriminator, real, labels))

        if self.interval == 1:
            return penalty()
        return ops.cond(ops.equal(step % self.interval, 0), penalty, lambda: ops.zeros(()))

    def get_config(self) -> dict[str, Any]:
        """Return the arguments."""
        return {**super().get_config(), "interval": self.interval}
