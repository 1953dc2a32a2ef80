"""Scores of a set of images beside real ones: all at once, each named for the protocol it follows."""

import warnings

import keras
import numpy as np
from keras import ops

from keras_segen.metrics._distances import (
    Moments,
    frechet_distance,
    inception_score,
    kernel_distance,
    precision_recall_density_coverage,
)
from keras_segen.metrics._inception import NAME as INCEPTION
from keras_segen.metrics._reference import FeatureSummary, Reference
from keras_segen.types import Tensor

MIN_IMAGES = 6  # images that have scores: the fifth neighbour, and the image itself
SPLITS = 10  # of the inception score
_PUBLISHED = {"frechet_distance": "fid", "kernel_distance": "kid", "inception_score": "inception_score"}


def score_name(score: str, extractor: str) -> str:
    """Return the full name of a score: "fid", "kid" and "inception_score" for FID's own network alone.

    Args:
        score: One of "frechet_distance", "kernel_distance", "inception_score", "precision", "recall", "density" and
            "coverage".
        extractor: The name of the extractor.

    Example:
        >>> ks.metrics.score_name("precision", ks.metrics.cifar10_features().name)
        'precision_cifar10_features_...'
    """
    return _PUBLISHED[score] if extractor == INCEPTION and score in _PUBLISHED else f"{score}_{extractor}"


def image_set_scores(
    images: Tensor, reference: Reference, extractor: keras.Model, *, verbose: bool = False
) -> dict[str, float]:
    """Return all scores of a set of images by their names: their likeness to real images, and their variety.

    - The Fréchet distance, and the kernel distance over 100 subsets of up to 1,000 images: lower is better.
    - The inception score in 10 splits, if the extractor gives logits and there are as many images: higher is better.
    - Precision, recall, density and coverage at the fifth neighbour: 1 is good.

    See the functions of these names for each, and `score_name` for the names.

    A reference from published statistics (`Reference.from_statistics`) has no features of single images: the Fréchet
    distance and the inception score are computed, the others are left out.

    If there are fewer images than five times the number of features, a warning gives the Fréchet distance between as
    many real images and others: the part of the score that comes from the number of images alone.

    Args:
        images: The images (count, height, width, channels), uint8 or floats in [-1, 1], or batches of them, in no
            particular order.
        reference: The statistics of the real images, by the same extractor.
        extractor: The extractor; see `feature_extractor`.
        verbose: Whether to show a progress bar.

    Returns:
        The scores by their full names, which end in the extractor's name or are "fid", "kid" and "inception_score".

    Raises:
        ValueError: For a reference by another extractor, fewer than `MIN_IMAGES` images, or images that cannot be used.

    Example:
        >>> network = keras.Sequential([keras.Input((32, 32, 3)), keras.layers.GlobalAveragePooling2D()])
        >>> extractor = ks.metrics.feature_extractor(network, name="colours")
        >>> real, samples = np.random.default_rng(0).uniform(-1, 1, (2, 100, 32, 32, 3))
        >>> scores = ks.metrics.image_set_scores(samples, ks.metrics.Reference.of(real, extractor), extractor)
        >>> [*scores][0]
        'frechet_distance_colours_...'
    """
    if reference.protocol["extractor"] != extractor.name:
        raise ValueError(
            f"The reference is by {reference.protocol['extractor']}, the images are to be scored by {extractor.name}: "
            "use one extractor for both."
        )
    summary = FeatureSummary(images, extractor, verbose=verbose)
    count = summary.moments.count
    if min(count, reference.count or count) < MIN_IMAGES:
        real = "published statistics" if reference.count is None else reference.count
        raise ValueError(f"Scores need {MIN_IMAGES} images or more, real and other. Received: {real}, {count}")
    if not reference.covariance.any():
        raise ValueError(f"All real images have the same features by {extractor.name}: it sees nothing of them.")
    _warn_of_few(count, reference)
    scores = {"frechet_distance": _distance(summary.moments, reference.mean, reference.covariance)}
    if reference.count is not None:
        size = min(1000, len(summary.features), len(reference.features))
        scores["kernel_distance"], _ = kernel_distance(reference.features, summary.features, subset_size=size)
    if summary.logits is not None and count >= SPLITS:
        scores["inception_score"], _ = inception_score(ops.convert_to_numpy(ops.softmax(summary.logits)), SPLITS)
    if reference.count is not None:
        scores |= precision_recall_density_coverage(reference.features, summary.features)
    return {score_name(score, extractor.name): value for score, value in scores.items()}


def _warn_of_few(count: int, reference: Reference) -> None:
    d, few = len(reference.mean), min(count, reference.count or count)
    if few >= 5 * d:
        return
    if reference.count is None:
        warnings.warn(
            f"{count} images are few for {d} features: the Fréchet distance is too high, the inception score too low",
            stacklevel=3,
        )
        return
    rows = min(few, len(reference.features) // 2)
    first_half, second_half = Moments().update(reference.features[:rows]), Moments().update(reference.features[rows:])
    warnings.warn(
        f"{count} images beside {reference.count} real ones are few for {d} features: the Fréchet distance is too high "
        f"(real images, {first_half.count} beside {second_half.count}, have "
        f"{_distance(first_half, second_half.mean, second_half.covariance):.4g}), the inception score too low; the "
        "kernel distance does not depend on how many there are",
        stacklevel=3,
    )


def _distance(moments: Moments, mean: np.ndarray, covariance: np.ndarray) -> float:
    return frechet_distance(moments.mean, moments.covariance, mean, covariance)
