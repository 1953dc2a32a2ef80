"""Variational autoencoders."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from keras_segen_cli.options import (
    Count,
    CountOrNone,
    CountOrZero,
    Each,
    Name,
    Positive,
    Weight,
    Width,
    Widths,
)
from keras_segen_cli.recipes.generator import Generator
from keras_segen_cli.recipes.losses import named
from keras_segen_cli.recipes.recipe import WrongUseError

if TYPE_CHECKING:
    import keras

_MOST_LATENTS = 2048  # the mixture's covariances take their square


@dataclass(frozen=True, kw_only=True)
class VAE(Generator):
    """Variational autoencoder (Kingma and Welling, 2014), conditional on labels or not."""

    model: ClassVar[str] = "vae"
    structure: ClassVar[tuple[str, ...]] = (
        "image_size",
        "architecture",
        "filters",
        "units",
        "blocks",
        "latent_dim",
        "latent_side",
        "likelihood",
        "conditional",
        "attributes",
    )

    architecture: Literal["convolutional", "dense"] = "convolutional"
    """Networks: residual convolutions, or fully connected layers."""
    filters: Width = 64
    """Filters at half the image's size."""
    blocks: CountOrZero = 1
    """Residual blocks at each size."""
    units: Widths = (512, 512)
    """Units of the hidden layers, with --architecture dense."""
    latent_dim: Width = 128
    """Size of a latent, all places of a spatial one together."""
    latent_side: CountOrNone = None
    """Side of a spatial latent. Default: one vector describes the image as a whole."""
    likelihood: Literal["discretized_logistic", "gaussian", "bernoulli"] = "discretized_logistic"
    """Likelihood of the pixels."""
    scale: Positive | None = None
    """Standard deviation of the Gaussian. Default: learned."""
    beta: Weight = 1.0
    """Weight of the KL divergence."""
    beta_warm_up: CountOrZero = 0
    """Steps over which that weight rises from 0."""
    free_bits: Weight = 0.0
    """Nats of each latent that cost nothing."""
    importance_samples: Count = 1
    """Latents an image. More than one: train on the importance-weighted bound."""
    conditional: bool = False
    """Condition on classes, or on --attributes."""
    attributes: Annotated[tuple[Name, ...], Each] = ()
    """Attributes of CelebA, such as Smiling Male, for --conditional."""

    def check(self) -> None:
        """Raise `WrongUseError` for settings that do not go together."""
        super().check()
        if self.scale is not None and self.likelihood != "gaussian":
            raise WrongUseError(f"--scale needs --likelihood gaussian, not {self.likelihood}")
        if self.attributes and not self.conditional:
            raise WrongUseError("--attributes needs --conditional")
        if self.importance_samples > 1 and (self.beta != 1 or self.beta_warm_up or self.free_bits):
            raise WrongUseError("--importance-samples goes without --beta, --beta-warm-up and --free-bits")
        if self.latent_dim > _MOST_LATENTS:
            raise WrongUseError(f"--latent-dim {self.latent_dim}: give at most {_MOST_LATENTS}")
        if self.architecture == "dense":
            self._check_dense()
        else:
            self._check_convolutional()

    def _check_dense(self) -> None:
        for name in ("latent_side", "filters", "blocks"):
            if getattr(self, name) != getattr(VAE, name):
                raise WrongUseError(f"--{name.replace('_', '-')} needs --architecture convolutional")

    def _check_convolutional(self) -> None:
        if self.units != VAE.units:
            raise WrongUseError("--units needs --architecture dense")
        last = self.latent_side or 4
        halvings, rest = divmod(self.image_size, last)
        fits = not rest and halvings > 1 and not halvings & (halvings - 1)
        if not fits and self.latent_side is None:
            raise WrongUseError(f"--image-size {self.image_size}: a VAE's images have a side of 16, 32, 64, … pixels")
        if not fits:
            sides = [str(self.image_size >> level) for level in range(1, 14) if not self.image_size % (1 << level)]
            raise WrongUseError(
                f"--latent-side {self.latent_side}: it must be --image-size {self.image_size} halved at least once: "
                f"give {', '.join(sides) or 'another image size'}"
            )
        if self.latent_side is not None and self.latent_dim % self.latent_side**2:
            raise WrongUseError(
                f"--latent-dim {self.latent_dim}: is not a multiple of {self.latent_side}², the places of "
                f"--latent-side {self.latent_side}: give {self.latent_side**2} or a multiple"
            )

    def build(self, class_names: Sequence[str]) -> "keras.Model":
        """Return the compiled model."""
        import keras

        from keras_segen import models, training

        options: dict[str, Any] = {"latent_dim": self.latent_dim}
        if self.conditional:
            options |= {"num_classes": len(class_names), "multi_label": bool(self.attributes)}
        likelihood = named("gaussian")(self.scale) if self.likelihood == "gaussian" else named(self.likelihood)()
        if self.architecture == "dense":
            options["units"] = self.units
            encoder = models.vae_dense_encoder(self.image_shape, **options)
            decoder = models.vae_dense_decoder(self.image_shape, parameters=likelihood.parameters, **options)
        else:
            options |= {"filters": self.filters, "blocks": self.blocks, "latent_side": self.latent_side}
            encoder = models.vae_encoder(self.image_shape, **options)
            decoder = models.vae_decoder(self.image_shape, parameters=likelihood.parameters, **options)
        vae = training.VAE(encoder, decoder, likelihood, seed=self.seed)
        decay = keras.optimizers.schedules.PolynomialDecay(
            self.learning_rate, self.epochs * self.steps, end_learning_rate=0.0
        )
        vae.compile(
            # A pixel that is far off costs hundreds of nats where the scale is small: one batch would undo a hundred.
            keras.optimizers.Adam(decay, global_clipnorm=1000.0),
            beta=self.beta,
            warm_up=self.beta_warm_up,
            free_bits=self.free_bits,
            importance_samples=self.importance_samples,
            jit_compile=self.jit,
        )
        return vae
