"""Adversarial losses of a GAN's two players.

A loss takes logits, float32 (batch, 1), the higher the more real, and gives each player one scalar, a mean over the
batch.
"""

from typing import Any

import keras
from keras import ops

from keras_segen.types import Tensor


class AdversarialLoss:
    """The base class of adversarial losses: one loss for each player.

    Subclasses are saved by the arguments that `get_config` returns.
    """

    def discriminator(self, real_logits: Tensor, fake_logits: Tensor) -> Tensor:
        """Return the discriminator's loss."""
        raise NotImplementedError

    def generator(self, fake_logits: Tensor) -> Tensor:
        """Return the generator's loss."""
        raise NotImplementedError

    def get_config(self) -> dict[str, Any]:
        """Return the arguments."""
        return {}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "AdversarialLoss":
        """Rebuild it from its arguments."""
        return cls(**config)


@keras.saving.register_keras_serializable("keras_segen")
class NonSaturating(AdversarialLoss):
    """Cross-entropy for the discriminator; the generator maximises log D(fake) (Goodfellow et al., 2014, section 3).

    Args:
        smoothing: The one-sided label smoothing (Salimans et al., 2016, section 3.4): real images have the target
            1 - smoothing.

    Example:
        >>> generator = ks.models.dcgan_generator((32, 32, 3), filters=4)
        >>> discriminator = ks.models.dcgan_discriminator((32, 32, 3), filters=4)
        >>> gan = ks.training.GAN(generator, discriminator)
        >>> gan.compile(loss=ks.losses.NonSaturating(smoothing=0.1))
    """

    def __init__(self, smoothing: float = 0.0) -> None:
        if not 0 <= smoothing < 1:
            raise ValueError(f"`smoothing` must lie in [0, 1). Received: smoothing={smoothing}")
        self.smoothing = smoothing

    def discriminator(self, real_logits: Tensor, fake_logits: Tensor) -> Tensor:
        """Return the discriminator's loss."""
        # Cross-entropy with target t is softplus(-x) + (1 - t) x.
        return ops.mean(ops.softplus(-real_logits) + self.smoothing * real_logits) + ops.mean(ops.softplus(fake_logits))

    def generator(self, fake_logits: Tensor) -> Tensor:
        """Return the generator's loss."""
        return ops.mean(ops.softplus(-fake_logits))

    def get_config(self) -> dict[str, Any]:
        """Return the arguments."""
        return {"smoothing": self.smoothing}


@keras.saving.register_keras_serializable("keras_segen")
class Minimax(NonSaturating):
    """Cross-entropy for the discriminator; the generator minimises log(1 - D(fake)) (Goodfellow et al., 2014).

    Args:
        smoothing: The one-sided label smoothing, as for `NonSaturating`.

    Example:
        >>> generator = ks.models.dcgan_generator((32, 32, 3), filters=4)
        >>> discriminator = ks.models.dcgan_discriminator((32, 32, 3), filters=4)
        >>> gan = ks.training.GAN(generator, discriminator)
        >>> gan.compile(loss=ks.losses.Minimax())
    """

    def generator(self, fake_logits: Tensor) -> Tensor:
        """Return the generator's loss."""
        return -ops.mean(ops.softplus(fake_logits))


@keras.saving.register_keras_serializable("keras_segen")
class LeastSquares(AdversarialLoss):
    """Half the squared distance to 1 for real images and 0 for fake (Mao et al., 2017, arXiv:1611.04076, eq. 9).

    Example:
        >>> generator = ks.models.dcgan_generator((32, 32, 3), filters=4)
        >>> discriminator = ks.models.dcgan_discriminator((32, 32, 3), filters=4)
        >>> gan = ks.training.GAN(generator, discriminator)
        >>> gan.compile(loss=ks.losses.LeastSquares())
    """

    def discriminator(self, real_logits: Tensor, fake_logits: Tensor) -> Tensor:
        """Return the discriminator's loss."""
        return 0.5 * (ops.mean(ops.square(real_logits - 1)) + ops.mean(ops.square(fake_logits)))

    def generator(self, fake_logits: Tensor) -> Tensor:
        """Return the generator's loss."""
        return 0.5 * ops.mean(ops.square(fake_logits - 1))


@keras.saving.register_keras_serializable("keras_segen")
class Hinge(AdversarialLoss):
    """Hinge loss for the discriminator, the negative logit for the generator (Miyato et al., 2018, arXiv:1802.05957).

    Example:
        >>> generator = ks.models.sngan_generator((32, 32, 3), filters=4)
        >>> discriminator = ks.models.sngan_discriminator((32, 32, 3), filters=4)
        >>> gan = ks.training.GAN(generator, discriminator, discriminator_steps=5)
        >>> gan.compile(loss=ks.losses.Hinge())
    """

    def discriminator(self, real_logits: Tensor, fake_logits: Tensor) -> Tensor:
        """Return the discriminator's loss."""
        return ops.mean(ops.relu(1 - real_logits)) + ops.mean(ops.relu(1 + fake_logits))

    def generator(self, fake_logits: Tensor) -> Tensor:
        """Return the generator's loss."""
        return -ops.mean(fake_logits)


@keras.saving.register_keras_serializable("keras_segen")
class Wasserstein(AdversarialLoss):
    """The difference of the mean logits (Arjovsky et al., 2017, arXiv:1701.07875), which needs a penalty beside it.

    Compile with it and a `regularizer` such as `GradientPenalty`.

    Example:
        >>> generator = ks.models.dcgan_generator((32, 32, 3), filters=4)
        >>> discriminator = ks.models.dcgan_discriminator((32, 32, 3), filters=4, normalization=None)
        >>> gan = ks.training.GAN(generator, discriminator, discriminator_steps=5)
        >>> gan.compile(loss=ks.losses.Wasserstein(), regularizer=ks.losses.GradientPenalty())
    """

    def discriminator(self, real_logits: Tensor, fake_logits: Tensor) -> Tensor:
        """Return the discriminator's loss."""
        return ops.mean(fake_logits) - ops.mean(real_logits)

    def generator(self, fake_logits: Tensor) -> Tensor:
        """Return the generator's loss."""
        return -ops.mean(fake_logits)
