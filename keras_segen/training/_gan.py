"""Generative adversarial networks (Goodfellow et al., 2014, arXiv:1406.2661), with and without labels."""

import itertools
from collections.abc import Collection, Mapping
from typing import Any

import keras
from keras import ops

from keras_segen._autodiff import call_without_updates
from keras_segen._labels import joined, part_of
from keras_segen.losses._adversarial import AdversarialLoss, NonSaturating
from keras_segen.losses._regularizers import Regularizer
from keras_segen.training._latent_model import LatentModel, require_functional, unpacked
from keras_segen.types import Tensor


@keras.saving.register_keras_serializable("keras_segen")
class GAN(LatentModel):
    """A generator and a discriminator that learn from each other.

    It trains on images, float32 (batch, height, width, channels) in [-1, 1]. Where the generator takes labels beside
    latents, so does the discriminator, and the data are (images, labels).

    Both players learn from one forward pass of the generator, so their updates are simultaneous.

    Args:
        generator: Latents (batch, latent_dim), or [latents, labels], -> images in [-1, 1].
        discriminator: Images, or [images, labels], -> logits (batch, 1), the higher the more real.
        half_life: The half-life of the generator's exponential moving average, in images; None for no average. If there
            is one, `predict` and `generate` use it.
        ramp_up: The half-life at first, as a share of the images seen (Karras et al., 2020).
        discriminator_steps: The number of updates of the discriminator for each one of the generator. A batch is split
            into this number of parts, one for each update: choose a batch that is as many times larger. If it does not
            divide, its parts differ by one image; with fewer images than parts, each part has one image, and some parts
            have the same.
        seed: The seed of the noise.

    Example:
        >>> generator = ks.models.dcgan_generator((16, 16, 3), latent_dim=8, filters=4)
        >>> gan = ks.training.GAN(generator, ks.models.dcgan_discriminator((16, 16, 3), filters=4))
        >>> gan.compile()
        >>> history = gan.fit(np.zeros((4, 16, 16, 3), np.float32), batch_size=4, verbose=0)
        >>> gan.generate(np.random.default_rng(0).normal(size=(2, 8))).shape
        (2, 16, 16, 3)
    """

    def __init__(
        self,
        generator: keras.Model,
        discriminator: keras.Model,
        *,
        half_life: float | None = None,
        ramp_up: float = 0.05,
        discriminator_steps: int = 1,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        require_functional(generator, discriminator)
        super().__init__(seed=seed, averaged=generator, half_life=half_life, ramp_up=ramp_up, **kwargs)
        if discriminator_steps < 1:
            raise ValueError(f"`discriminator_steps` must be at least 1. Received: {discriminator_steps}")
        self.discriminator_steps = discriminator_steps
        self.generator = generator
        self.discriminator = discriminator
        self._require_alike()
        if generator.output_shape[1:] != discriminator.inputs[0].shape[1:]:
            raise ValueError(
                "The generator makes what the discriminator takes. Received: generator's output "
                f"{generator.output_shape}, discriminator's input {tuple(discriminator.inputs[0].shape)}"
            )
        self.built = True

    def networks(self) -> dict[str, keras.Model]:
        """Return generator, discriminator, and the generator's running average if there is one."""
        average = {} if self.average is None else {"average": self.average}
        return {"generator": self.generator, "discriminator": self.discriminator, **average}

    def _ends(self) -> tuple[keras.Model, keras.Model]:
        return self.generator, self.discriminator

    def sampler(self) -> keras.Model:
        """Return the network that makes images for users: the generator's running average if there is one."""
        return self.generator if self.average is None else self.average

    def call(self, inputs: Tensor, training: bool = False) -> Tensor:
        """Generate images: latents, or [latents, labels], -> (batch, height, width, channels) in [-1, 1]."""
        return self.sampler()(inputs, training=training)

    def compile(
        self,
        *,
        generator_optimizer: Any = None,
        discriminator_optimizer: Any = None,
        loss: Any = None,
        regularizer: Any = None,
        augmentation: Any = None,
        matching_aware: bool = False,
        **kwargs: Any,
    ) -> None:
        """Compile for `fit`.

        Args:
            generator_optimizer: A `keras.optimizers.Optimizer` or its name; by default DCGAN's Adam(2e-4, beta_1=0.5).
                Keras's `LearningRateScheduler` and `ReduceLROnPlateau` set the discriminator's rate, and scale this one
                by the same factor; if a rate follows a schedule of its own, Keras refuses to set it.
            discriminator_optimizer: The same for the discriminator; it must be another object.
            loss: The loss of both players, from `keras_segen.losses`; by default `NonSaturating()`.
            regularizer: The penalty on the discriminator, from `keras_segen.losses`, or None.
            augmentation: The augmentation of the discriminator's images, such as `DiffAugment()`, or None.
            matching_aware: Whether the discriminator also gets real images with other images' labels, to be judged fake
                (Reed et al., 2016, arXiv:1605.05396, section 4.3). It speeds up learning of the conditioning.
            kwargs: `jit_compile`, `run_eagerly` and `steps_per_execution`, as for any Keras model.
        """
        self.adversarial_loss = loss or NonSaturating()
        self.regularizer = regularizer
        self.augmentation = augmentation
        self.matching_aware = matching_aware
        if matching_aware and not self.conditional:
            raise ValueError("`matching_aware` needs networks that take labels.")
        if not isinstance(self.adversarial_loss, AdversarialLoss):
            raise ValueError(
                f"`loss` is one of both players, such as keras_segen.losses.NonSaturating(). Received: loss={loss}"
            )
        if not (regularizer is None or isinstance(regularizer, Regularizer)):
            raise ValueError(
                "`regularizer` is one of the discriminator's gradient, such as keras_segen.losses.R1(). "
                f"Received: regularizer={regularizer}"
            )
        if not (augmentation is None or callable(augmentation)):
            raise ValueError(
                "`augmentation` is called with images and a function that draws, as DiffAugment() is. "
                f"Received: augmentation={augmentation}"
            )
        optimizers = {
            "discriminator": keras.optimizers.get(discriminator_optimizer or keras.optimizers.Adam(2e-4, beta_1=0.5)),
            "generator": keras.optimizers.get(generator_optimizer or keras.optimizers.Adam(2e-4, beta_1=0.5)),
        }
        if optimizers["generator"] is optimizers["discriminator"]:
            raise ValueError("Each network needs an optimizer of its own: give two objects.")
        self._compile_players(optimizers, ["real_logit", "fake_logit", *(["penalty"] if regularizer else [])], **kwargs)

    def _players(self) -> Mapping[str, keras.Model]:
        return {"discriminator": self.discriminator, "generator": self.generator}

    def _rounds(self, data: Any) -> list[tuple[Any, Collection[str]]]:
        """Split a batch into `discriminator_steps` parts: the first ones train the discriminator, the last one both."""
        images, labels = unpacked(data)
        steps, batch = self.discriminator_steps, ops.shape(images)[0]
        greater = max if isinstance(batch, int) else ops.maximum
        starts = [i * batch // steps for i in range(steps + 1)]
        # Of fewer images than steps, some are seen twice: a round without images would have NaN for a mean.
        slices = [slice(a, greater(b, a + 1)) for a, b in itertools.pairwise(starts)]
        parts = [(images[part], part_of(labels, part)) for part in slices]
        return [*((part, ["discriminator"]) for part in parts[:-1]), (parts[-1], ["discriminator", "generator"])]

    def compute_losses(self, data: Any, *, training: Collection[str]) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return the losses of both players on a batch of images, or of (images, labels)."""
        real, labels = unpacked(data)
        labels = labels if self.conditional else None
        batch = ops.shape(real)[0]
        latents = self._draw(keras.random.normal, batch, (self.latent_dim,))
        fake = self._generate(joined(latents, labels), training)
        if self.augmentation:
            real, fake = self.augmentation(real, self._draw), self.augmentation(fake, self._draw)
        # Two batches, not one: batch normalisation must not mix real and fake.
        real_logits, fake_logits = (
            ops.cast(self.discriminator(joined(x, labels), training=bool(training)), "float32") for x in (real, fake)
        )
        false_logits = fake_logits
        if self.matching_aware:
            other = ops.roll(labels, 1, axis=0)
            mismatched = ops.cast(self.discriminator([real, other], training=bool(training)), "float32")
            # Where the next image has the same label, a generated one stands in.
            same = ops.all(ops.reshape(labels == other, (batch, -1)), axis=1, keepdims=True)
            false_logits = ops.concatenate([fake_logits, ops.where(same, fake_logits, mismatched)])
        losses = {
            "discriminator": self.adversarial_loss.discriminator(real_logits, false_logits),
            "generator": self.adversarial_loss.generator(fake_logits),
        }
        extras = {"real_logit": ops.mean(real_logits), "fake_logit": ops.mean(fake_logits)}
        if self.regularizer:
            penalty = self.regularizer(
                self.discriminator,
                real,
                ops.stop_gradient(fake),
                [] if labels is None else [labels],
                draw=self._draw,
                step=self.optimizer.iterations.value,
            )
            losses["discriminator"] += penalty
            extras["penalty"] = penalty
        return losses, extras

    def _generate(self, inputs: Tensor, training: Collection[str]) -> Tensor:
        if "generator" in training or not training:
            return self.generator(inputs, training=bool(training))
        return call_without_updates(self.generator, inputs)  # a round of the discriminator alone

    def get_config(self) -> dict[str, Any]:
        """Return what `from_config` needs."""
        return {
            **super().get_config(),
            "generator": keras.saving.serialize_keras_object(self.generator),
            "discriminator": keras.saving.serialize_keras_object(self.discriminator),
            "half_life": self.half_life,
            "ramp_up": self.ramp_up,
            "discriminator_steps": self.discriminator_steps,
            "seed": self.seed,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> "GAN":
        """Rebuild it from its config."""
        networks = {
            name: keras.saving.deserialize_keras_object(config[name]) for name in ("generator", "discriminator")
        }
        return cls(**{**config, **networks})

    def get_compile_config(self) -> dict[str, Any]:
        """Return what `compile_from_config` needs; nothing before `compile`."""
        if not self.compiled:
            return {}
        parts = {
            "generator_optimizer": self.optimizer.by_player["generator"],
            "discriminator_optimizer": self.optimizer.by_player["discriminator"],
            "loss": self.adversarial_loss,
            "regularizer": self.regularizer,
            "augmentation": self.augmentation,
            "matching_aware": self.matching_aware,
        }
        config = {name: keras.saving.serialize_keras_object(part) for name, part in parts.items()}
        return {**config, "jit_compile": self._jit_choice, "steps_per_execution": self.steps_per_execution}

    def compile_from_config(self, config: dict[str, Any]) -> None:
        """Compile as it was when saved."""
        self.compile(**{name: keras.saving.deserialize_keras_object(part) for name, part in config.items()})
