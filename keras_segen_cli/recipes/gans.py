"""GANs: DCGAN and a conditional GAN, and what both have in common."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from keras_segen_cli.options import Count, Each, Name, Positive, Rate, Width
from keras_segen_cli.recipes.generator import Generator
from keras_segen_cli.recipes.losses import named
from keras_segen_cli.recipes.recipe import WrongUseError

if TYPE_CHECKING:
    import keras


@dataclass(frozen=True, kw_only=True)
class GANRecipe(Generator):
    """What both GANs have in common."""

    structure: ClassVar[tuple[str, ...]] = ("image_size", "filters", "latent_dim", "architecture")

    learning_rate: Rate = 5e-4
    """Learning rate of the generator's Adam. It falls to 0 along a line."""
    discriminator_learning_rate: Rate = 2e-4
    """Learning rate of the discriminator's Adam, likewise."""
    discriminator_steps: Count = 1
    """Updates of the discriminator for each of the generator. Each has its part of the batch."""
    filters: Width = 64
    """Filters next to the image; of every block in SNGAN."""
    latent_dim: Width = 128
    """Size of a latent."""
    loss: Literal["non_saturating", "minimax", "least_squares", "hinge", "wasserstein"] = "hinge"
    """Adversarial loss."""
    regularizer: Literal["none", "r1", "gradient_penalty", "dragan"] = "none"
    """Penalty on the discriminator's gradient."""
    regularizer_weight: Positive = 10.0
    """Weight of the penalty."""
    half_life: Positive = 20_000.0
    """Half-life of the generator's running average, in images."""
    diff_augment: bool = False
    """Augment what the discriminator sees, for few images (DiffAugment)."""
    stop_on_collapse: bool = False
    """Stop at the first warning of a collapse, and go back to the best model."""

    def check(self) -> None:
        """Raise `WrongUseError` for settings that do not go together."""
        super().check()
        size = self.image_size
        if size & (size - 1):
            raise WrongUseError(f"--image-size {size}: a GAN's images have a power of two for a side: 16, 32, 64, …")
        if self.regularizer == "none" and self.regularizer_weight != 10:
            raise WrongUseError(f"--regularizer-weight {self.regularizer_weight:g} needs --regularizer")
        if self.batch_size < self.discriminator_steps:
            raise WrongUseError(
                f"--discriminator-steps {self.discriminator_steps} needs a --batch-size of as many images at least"
            )

    def _gan(self, generator: "keras.Model", discriminator: "keras.Model", **options: Any) -> "keras.Model":
        """Return the compiled GAN of two networks."""
        import keras

        from keras_segen.training import GAN, DiffAugment

        def adam(rate: float) -> keras.optimizers.Optimizer:
            steps = self.epochs * self.steps
            decay = keras.optimizers.schedules.PolynomialDecay(rate, steps, end_learning_rate=0.0)
            return keras.optimizers.Adam(decay, beta_1=0.5)

        gan = GAN(
            generator,
            discriminator,
            half_life=self.half_life,
            discriminator_steps=self.discriminator_steps,
            seed=self.seed,
        )
        gan.compile(
            generator_optimizer=adam(self.learning_rate),
            discriminator_optimizer=adam(self.discriminator_learning_rate),
            loss=named(self.loss)(),
            regularizer=None if self.regularizer == "none" else named(self.regularizer)(self.regularizer_weight),
            augmentation=DiffAugment() if self.diff_augment else None,
            jit_compile=self.jit,
            **options,
        )
        return gan


@dataclass(frozen=True, kw_only=True)
class DCGAN(GANRecipe):
    """DCGAN (Radford, Metz and Chintala, 2016), or SNGAN's residual networks."""

    model: ClassVar[str] = "dcgan"

    architecture: Literal["dcgan", "sngan"] = "dcgan"
    """Networks: DCGAN's, or SNGAN's residual ones (Miyato et al., 2018)."""

    def build(self, class_names: Sequence[str]) -> "keras.Model":
        """Return the compiled model."""
        from keras_segen import models

        shape = self.image_shape
        if self.architecture == "sngan":
            return self._gan(
                models.sngan_generator(shape, latent_dim=self.latent_dim, filters=self.filters),
                models.sngan_discriminator(shape, filters=self.filters),
            )
        return self._gan(
            models.dcgan_generator(shape, latent_dim=self.latent_dim, filters=self.filters),
            models.dcgan_discriminator(shape, filters=self.filters, normalization="spectral"),
        )


@dataclass(frozen=True, kw_only=True)
class CGAN(GANRecipe):
    """Conditional GAN: images of a class, or with attributes."""

    model: ClassVar[str] = "cgan"
    structure: ClassVar[tuple[str, ...]] = (*GANRecipe.structure, "conditioning", "attributes")

    discriminator_learning_rate: Rate = 4e-4
    architecture: Literal["dcgan", "sngan"] = "dcgan"
    """Networks: DCGAN's, or SNGAN's residual ones (Miyato and Koyama, 2018)."""
    conditioning: Literal["projection", "concat"] = "projection"
    """How the networks see the label: by projection and conditional normalisation, or as further channels."""
    attributes: Annotated[tuple[Name, ...], Each] = ()
    """Attributes of CelebA, such as Smiling Male. Without labels of another kind, they are needed."""

    def check(self) -> None:
        """Raise `WrongUseError` for settings that do not go together."""
        super().check()
        if self.architecture == "sngan" and self.conditioning != "projection":
            raise WrongUseError("--architecture sngan is conditional by projection: remove --conditioning")

    def build(self, class_names: Sequence[str]) -> "keras.Model":
        """Return the compiled model."""
        from keras_segen import models

        shape = self.image_shape
        options: dict[str, Any] = {
            "num_classes": len(class_names),
            "multi_label": bool(self.attributes),
            "filters": self.filters,
        }
        if self.architecture == "sngan":
            generator = models.sngan_generator(shape, latent_dim=self.latent_dim, **options)
            discriminator = models.sngan_discriminator(shape, **options)
        else:
            options["conditioning"] = self.conditioning
            generator = models.cgan_generator(shape, latent_dim=self.latent_dim, **options)
            discriminator = models.cgan_discriminator(shape, **options)
        # Without, its samples were hardly of the class asked for after five passes over CIFAR-10.
        return self._gan(generator, discriminator, matching_aware=True)
