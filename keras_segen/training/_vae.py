"""Variational autoencoders (Kingma and Welling, 2014, arXiv:1312.6114), with and without labels."""

import math
import zlib
from collections.abc import Collection, Mapping
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_segen._labels import joined, part_of
from keras_segen.losses._variational import MOST_LOG_VARIANCE, DiscretizedLogistic, Likelihood, bounded, divergence
from keras_segen.training._latent_model import LatentModel, require_functional, unpacked
from keras_segen.types import Tensor

# A latent whose posterior's mean varies less than this over the data says nothing of them (Burda et al., 2016, sec. 5).
ACTIVE = 0.01


@keras.saving.register_keras_serializable("keras_segen")
class VAE(LatentModel):
    """An encoder and a decoder that learn to describe images by few numbers, and to generate images from such numbers.

    It trains on images, float32 (batch, height, width, channels) in [-1, 1]. Where the encoder takes labels beside
    images, so does the decoder beside latents, and the data are (images, labels).

    Args:
        encoder: Images, or [images, labels], -> mean and log-variance, both (batch, latent_dim).
        decoder: Latents, or [latents, labels], -> the parameters of the likelihood, (batch, height, width, parameters *
            channels).
        likelihood: The likelihood of images, from `keras_segen.losses`; by default `DiscretizedLogistic()`.
        seed: The seed of the noise.

    Example:
        >>> encoder = ks.models.vae_dense_encoder((16, 16, 3), latent_dim=8, units=(32,))
        >>> vae = ks.training.VAE(encoder, ks.models.vae_dense_decoder((16, 16, 3), latent_dim=8, units=(32,)))
        >>> vae.compile(keras.optimizers.Adam(1e-3))
        >>> history = vae.fit(np.zeros((4, 16, 16, 3), np.float32), batch_size=4, verbose=0)
        >>> vae.generate(np.random.default_rng(0).normal(size=(2, 8))).shape
        (2, 16, 16, 3)
    """

    def __init__(
        self,
        encoder: keras.Model,
        decoder: keras.Model,
        likelihood: Likelihood | None = None,
        *,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        require_functional(encoder, decoder)
        super().__init__(seed=seed, **kwargs)
        self.encoder = encoder
        self.decoder = decoder
        self.likelihood = DiscretizedLogistic() if likelihood is None else likelihood
        if not isinstance(self.likelihood, Likelihood):
            raise ValueError(
                f"`likelihood` is one of `keras_segen.losses`, such as Gaussian(0.1). Received: {likelihood}"
            )
        self._require_alike()
        shapes = [tuple(output.shape) for output in encoder.outputs]
        if shapes != 2 * [tuple(decoder.inputs[0].shape)]:
            raise ValueError(
                "The encoder gives mean and log-variance of what the decoder takes. Received: encoder's outputs "
                f"{shapes}, decoder's input {tuple(decoder.inputs[0].shape)}"
            )
        height, width, channels = self.image_shape
        expected = (height, width, channels * self.likelihood.parameters)
        if decoder.output_shape[1:] != expected:
            raise ValueError(
                f"{type(self.likelihood).__name__} of images {self.image_shape} takes {expected} from the decoder. "
                f"Received: decoder's output {decoder.output_shape}"
            )
        self.built = True

    def networks(self) -> dict[str, keras.Model]:
        """Return decoder and encoder."""
        return {"decoder": self.decoder, "encoder": self.encoder}

    def _ends(self) -> tuple[keras.Model, keras.Model]:
        return self.decoder, self.encoder

    def compile(
        self,
        optimizer: Any = None,
        *,
        beta: float = 1.0,
        warm_up: int = 0,
        free_bits: float = 0.0,
        importance_samples: int = 1,
        **kwargs: Any,
    ) -> None:
        """Compile for `fit`.

        Args:
            optimizer: A `keras.optimizers.Optimizer` or its name; by default Adam(1e-3, global_clipnorm=1000), because
                likelihoods that learn a scale need clipping.
            beta: The weight of the divergence (Higgins et al., 2017); 1 is the evidence lower bound.
            warm_up: The number of steps over which the weight rises from 0 to `beta` (Bowman et al., 2016, section
                3.1). `evaluate` uses `beta` from the start.
            free_bits: The divergence in nats that costs nothing in each latent (Kingma et al., 2016, appendix C.8).
            importance_samples: The number of latents for each image. Over 1, the bound is the importance-weighted one
                (Burda et al., 2016, arXiv:1509.00519, eq. 8), which has no `beta` or `free_bits`. The other reported
                numbers stay those of one latent.
            kwargs: `jit_compile`, `run_eagerly` and `steps_per_execution`, as for any Keras model.
        """
        for name, value in (("beta", beta), ("free_bits", free_bits), ("warm_up", warm_up)):
            if not 0 <= value < math.inf:
                raise ValueError(f"`{name}` is a finite number of at least 0. Received: {name}={value}")
        if importance_samples < 1 or importance_samples != int(importance_samples):
            raise ValueError(f"`importance_samples` is a whole number from 1. Received: {importance_samples=}")
        if importance_samples > 1 and (beta != 1 or free_bits or warm_up):
            raise ValueError(
                "The importance-weighted bound has no beta, warm-up or free bits: leave them out, or use "
                "importance_samples=1."
            )
        self.beta, self.warm_up, self.free_bits, self.importance_samples = beta, warm_up, free_bits, importance_samples
        names = ["reconstruction", "kl", *(["bits_per_dim"] if self.likelihood.discrete else [])]
        self._compile_players(
            {"vae": optimizer or keras.optimizers.Adam(1e-3, global_clipnorm=1000.0)}, names, **kwargs
        )

    def _players(self) -> Mapping[str, keras.Model]:
        return {"vae": self}  # both networks are one player

    def compute_losses(self, data: Any, *, training: Collection[str]) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return the negative bound on a batch of images, or of (images, labels), in nats for each image."""
        images, labels = unpacked(data)
        labels = labels if self.conditional else None
        batch, k = ops.shape(images)[0], self.importance_samples
        mean, log_variance = self.encoder(joined(images, labels), training=bool(training))
        log_variance = bounded(log_variance, MOST_LOG_VARIANCE)
        noise = self._draw(keras.random.normal, batch, (k, self.latent_dim))
        latents = mean[:, None] + ops.exp(log_variance / 2)[:, None] * noise  # (batch, k, latent_dim)
        log_likelihood = self._log_likelihood(images, latents, labels, training=bool(training))  # (batch, k)
        each = divergence(mean, log_variance)  # (batch, latent_dim)
        reconstruction, kl = -ops.mean(log_likelihood), ops.mean(ops.sum(each, -1))
        if k > 1:
            weights = log_likelihood + _log_ratio(latents, noise, log_variance)
            loss = math.log(k) - ops.mean(ops.logsumexp(weights, -1))
        else:
            # Over the batch first: a latent may use its free bits on some images only.
            paid = ops.sum(ops.maximum(ops.mean(each, 0), self.free_bits))
            loss = reconstruction + self._weight(training) * paid
        extras = {"reconstruction": reconstruction, "kl": kl}
        if self.likelihood.discrete:
            extras["bits_per_dim"] = (reconstruction + kl) / (math.prod(self.image_shape) * math.log(2))
        return {"vae": loss}, extras

    def _log_likelihood(self, images: Tensor, latents: Tensor, labels: Tensor, *, training: bool) -> Tensor:
        """Return log p(image | latent) of latents (batch, k, latent_dim): (batch, k)."""
        k = latents.shape[1]
        flat = ops.reshape(latents, (-1, self.latent_dim))
        repeated = None if labels is None else ops.repeat(labels, k, axis=0)
        decoded = self.decoder(joined(flat, repeated), training=training)
        return ops.reshape(self.likelihood.log_prob(ops.repeat(images, k, axis=0), decoded), (-1, k))

    def _weight(self, training: Collection[str]) -> Tensor:
        if not (self.warm_up and training):
            return self.beta
        return self.beta * ops.minimum(ops.cast(self.optimizer.iterations, "float32") / self.warm_up, 1.0)

    def call(self, inputs: Tensor, training: bool = False) -> Tensor:
        """Generate the expected images: latents, or [latents, labels], -> images in [-1, 1]."""
        return self.likelihood.mean(self.decoder(inputs, training=training))

    def encode(self, images: Tensor, labels: Tensor = None, *, batch_size: int = 256) -> tuple[np.ndarray, np.ndarray]:
        """Return mean and log-variance of the posterior of images, both (count, latent_dim).

        Args:
            images: The images (count, height, width, channels) in [-1, 1].
            labels: The labels for a conditional model: class ids (count,), or attributes (count, num_classes).
            batch_size: The number of images encoded at once.

        Raises:
            ValueError: For images or labels that the model does not take.
        """
        parts = self._parts(images, labels, batch_size)
        means, log_variances = zip(*(self.encoder.predict_on_batch(joined(*part)) for part in parts), strict=True)
        return np.concatenate(means), np.clip(np.concatenate(log_variances), -MOST_LOG_VARIANCE, MOST_LOG_VARIANCE)

    def reconstruct(self, images: Tensor, labels: Tensor = None, *, batch_size: int = 256) -> np.ndarray:
        """Return the images decoded from the posterior's means, float32 in [-1, 1]; see `encode`."""
        return self.generate(self.encode(images, labels, batch_size=batch_size)[0], labels, batch_size=batch_size)

    def log_likelihood(
        self,
        images: Tensor,
        labels: Tensor = None,
        *,
        importance_samples: int = 64,
        seed: int = 0,
        batch_size: int = 64,
        verbose: bool = False,
    ) -> np.ndarray:
        """Return a lower bound of each image's log-likelihood in nats, (count,) float64.

        It is the importance-weighted bound (Burda et al., 2016, eq. 8), which gets tighter with more
        `importance_samples`. An image that is far less likely than others is an anomaly.

        Args:
            images: The images, as for `encode`.
            labels: The labels for a conditional model, as for `encode`.
            importance_samples: The number of latents drawn for each image.
            seed: The seed of the draws, which depend on it and the image.
            batch_size: The number of images processed at once.
            verbose: Whether to show a progress bar.
        """
        if importance_samples < 1:
            raise ValueError(f"`importance_samples` is at least 1. Received: {importance_samples=}")
        estimates: list[np.ndarray] = []
        parts = self._parts(images, labels, batch_size)
        bar = keras.utils.Progbar(len(parts), unit_name="batch") if verbose else None
        for x, its_labels in parts:
            posterior = self.encoder.predict_on_batch(joined(x, its_labels))
            mean, log_variance = (np.asarray(parameter, np.float64) for parameter in posterior)
            log_variance = np.clip(log_variance, -MOST_LOG_VARIANCE, MOST_LOG_VARIANCE)
            weights = np.empty((len(mean), importance_samples))
            # By image, so that its estimate does not depend on which others come with it.
            generators = [np.random.default_rng([seed, zlib.crc32(image.tobytes())]) for image in x]
            for i in range(importance_samples):
                noise = np.stack([rng.standard_normal(self.latent_dim) for rng in generators])
                latents = mean + np.exp(log_variance / 2) * noise
                decoded = self.decoder.predict_on_batch(joined(latents.astype(np.float32), its_labels))
                likelihood = ops.convert_to_numpy(self.likelihood.log_prob(x, decoded))
                weights[:, i] = likelihood + 0.5 * (noise**2 + log_variance - latents**2).sum(-1)
            estimates.append(np.logaddexp.reduce(weights, axis=1) - math.log(importance_samples))
            if bar:
                bar.add(1)
        return np.concatenate(estimates)

    def sampler(self) -> keras.Model:
        """Return the network that makes images for users: the decoder, followed by the likelihood's expected images."""
        decoder = self.decoder
        inputs = decoder.inputs if self.conditional else decoder.inputs[0]
        return keras.Model(inputs, self.likelihood.mean(decoder.outputs[0]), name=decoder.name)

    def _parts(self, images: Tensor, labels: Tensor, batch_size: int) -> list[tuple[np.ndarray, np.ndarray | None]]:
        images = np.asarray(images)
        labels = None if labels is None else np.asarray(labels)
        if labels is not None and not self.conditional:
            raise ValueError("The model takes no labels beside images.")
        self._check(images, labels)
        images = images.astype(np.float32)
        parts = [slice(first, first + batch_size) for first in range(0, len(images), batch_size)]
        return [(images[part], part_of(labels, part)) for part in parts]

    def get_config(self) -> dict[str, Any]:
        """Return what `from_config` needs."""
        parts = {"encoder": self.encoder, "decoder": self.decoder, "likelihood": self.likelihood}
        config = {name: keras.saving.serialize_keras_object(part) for name, part in parts.items()}
        return {**super().get_config(), **config, "seed": self.seed}

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> "VAE":
        """Rebuild it from its config."""
        names = ("encoder", "decoder", "likelihood")
        return cls(**{**config, **{name: keras.saving.deserialize_keras_object(config[name]) for name in names}})

    def get_compile_config(self) -> dict[str, Any]:
        """Return what `compile_from_config` needs; nothing before `compile`."""
        if not self.compiled:
            return {}
        return {
            "optimizer": keras.saving.serialize_keras_object(self.optimizer.by_player["vae"]),
            "beta": self.beta,
            "warm_up": self.warm_up,
            "free_bits": self.free_bits,
            "importance_samples": self.importance_samples,
            "jit_compile": self._jit_choice,
            "steps_per_execution": self.steps_per_execution,
        }

    def compile_from_config(self, config: dict[str, Any]) -> None:
        """Compile as it was when saved."""
        # Models of earlier versions call them samples.
        config = {("importance_samples" if name == "samples" else name): value for name, value in config.items()}
        self.compile(**{**config, "optimizer": keras.saving.deserialize_keras_object(config["optimizer"])})


def active_units(means: np.ndarray) -> int:
    """Return the number of active latents, whose posterior's mean varies over the data (Burda et al., 2016, section 5).

    Args:
        means: The means of the posteriors of many images, (count, latent_dim); see `VAE.encode`.

    Example:
        >>> encoder = ks.models.vae_dense_encoder((16, 16, 3), latent_dim=8, units=(32,))
        >>> vae = ks.training.VAE(encoder, ks.models.vae_dense_decoder((16, 16, 3), latent_dim=8, units=(32,)))
        >>> means, log_variances = vae.encode(np.zeros((4, 16, 16, 3)))
        >>> ks.training.active_units(means)  # all images are the same
        0
    """
    return int((np.var(means, 0) > ACTIVE).sum())


def _log_ratio(latents: Tensor, noise: Tensor, log_variance: Tensor) -> Tensor:
    """Return log p(z) - log q(z | x) of latents (batch, k, latent_dim): (batch, k)."""
    # Both normal densities have the same constant.
    return 0.5 * ops.sum(ops.square(noise) + log_variance[:, None] - ops.square(latents), -1)
