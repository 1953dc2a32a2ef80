"""How a set of images compares with real ones: every score at once, each named for the protocol it follows."""

import hashlib
import json
import os
import warnings
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import keras
import numpy as np
from keras import ops

from keras_segen.errors import InputError
from keras_segen.files import replacing
from keras_segen.metrics.distances import (
    Moments,
    frechet_distance,
    inception_score,
    kernel_distance,
    precision_recall_density_coverage,
)
from keras_segen.metrics.features import feature_batches
from keras_segen.metrics.inception import NAME as INCEPTION

# Features that are kept of a set, beside its moments: those of so many first images. The kernel distance and the four
# measures by neighbours use these; the Fréchet distance uses all.
KEPT = 10_000
_PUBLISHED = {"frechet_distance": "fid", "kernel_distance": "kid", "inception_score": "inception_score"}


def score_name(score: str, extractor: str) -> str:
    """Return what a score is called: "fid", "kid" and "inception_score" for FID's own network alone.

    Args:
        score: "frechet_distance", "kernel_distance", "inception_score", "precision", "recall", "density", "coverage".
        extractor: the extractor's name.
    """
    return _PUBLISHED[score] if extractor == INCEPTION and score in _PUBLISHED else f"{score}_{extractor}"


@dataclass(frozen=True)
class Reference:
    """What scores need to know of the real images, computed once.

    Attributes:
        protocol: what the statistics depend on, by name: "extractor", and what `of` was told.
        count: images.
        mean: float64 (d,).
        covariance: float64 (d, d).
        features: float32 (at most `KEPT`, d), of the first images.
    """

    protocol: dict[str, str]
    count: int
    mean: np.ndarray
    covariance: np.ndarray
    features: np.ndarray

    @classmethod
    def of(cls, images: Any, extractor: keras.Model, *, verbose: bool = False, **protocol: str) -> Self:
        """Look at real images, as `feature_batches` takes them.

        Args:
            images: in no particular order, two at least.
            extractor: see `features.feature_extractor`.
            verbose: show a progress bar.
            protocol: what the statistics depend on besides, such as data, split, crop and resize.
        """
        seen = _Seen(images, extractor, verbose=verbose)
        return cls(
            {**protocol, "extractor": extractor.name},
            seen.moments.count,
            seen.moments.mean,
            seen.moments.covariance,
            seen.features,
        )

    @classmethod
    def kept(cls, images: Any, extractor: keras.Model, *, verbose: bool = False, **protocol: str) -> Self:
        """Return what is kept in Keras's cache under these words, or look at the images and keep it."""
        whole = {**protocol, "extractor": extractor.name}
        path = cls.path(whole)
        if path.is_file():
            return cls.load(path, whole)
        reference = cls.of(images, extractor, verbose=verbose, **protocol)
        try:
            reference.save(path)
        except OSError as error:  # a cache that cannot be written costs time, nothing else
            warnings.warn(f"the statistics of the real images are not kept: {error}", stacklevel=2)
        return reference

    @staticmethod
    def path(protocol: dict[str, str]) -> Path:
        """Return where statistics of a protocol are kept: its words are the file's name."""
        words = "-".join("".join(c if c.isalnum() or c in "._" else "_" for c in v) for v in protocol.values())
        digest = hashlib.sha256(json.dumps(protocol, sort_keys=True).encode()).hexdigest()
        home = Path(os.environ.get("KERAS_HOME", "~/.keras")).expanduser()
        return home / "keras_segen" / "references" / f"{words[:150]}-{digest[:8]}.npz"

    def save(self, path: Path | str) -> None:
        """Write a NumPy archive, without pickles."""
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as temporary:
            np.savez(
                temporary,
                protocol=json.dumps(self.protocol),
                count=self.count,
                mean=self.mean,
                covariance=self.covariance,
                features=self.features,
            )

    @classmethod
    def load(cls, path: Path | str, protocol: dict[str, str]) -> Self:
        """Read what `save` wrote.

        Raises:
            InputError: if it is damaged, or of another protocol than is asked for.
        """
        try:
            with Path(path).open("rb") as file, np.load(file, allow_pickle=False) as archive:
                found = json.loads(str(archive["protocol"]))
                arrays = {name: archive[name] for name in ("mean", "covariance", "features")}
                count = int(archive["count"])
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
            raise InputError(f"{path}: is damaged ({error}): delete it, and it is made anew") from error
        for name in {**found, **protocol}:
            if found.get(name) != protocol.get(name):
                raise InputError(
                    f"{path}: holds statistics of another protocol ({name} {found.get(name)}, where "
                    f"{protocol.get(name)} is asked for): name another file, or delete it, and it is made anew"
                )
        return cls(found, count, **arrays)


def image_set_scores(
    images: Any, reference: Reference, extractor: keras.Model, *, verbose: bool = False
) -> dict[str, float]:
    """Return all scores of a set of images by their names: how like the real ones they are, and how varied.

    Distances (lower is better): Fréchet and kernel. Inception score (higher is better), if the extractor gives logits.
    Precision, recall, density and coverage (1 is good). See `distances` for each, and `score_name` for the names. With
    fewer images than features, a warning says how far too high the Fréchet distance is.

    Args:
        images: as `feature_batches` takes them, in no particular order, six at least.
        reference: of the real images, by the same extractor.
        extractor: see `features.feature_extractor`.
        verbose: show a progress bar.

    Raises:
        ValueError: for a reference by another extractor, or images that cannot be used.
    """
    if reference.protocol["extractor"] != extractor.name:
        raise ValueError(
            f"The reference is by {reference.protocol['extractor']}, the images are to be scored by {extractor.name}: "
            "use one extractor for both."
        )
    seen = _Seen(images, extractor, verbose=verbose)
    count, d = seen.moments.count, len(seen.moments.mean)
    scores = {"frechet_distance": _distance(seen.moments, reference)}
    if count < d:
        rows = reference.features[: min(count, len(reference.features) // 2)]
        warnings.warn(
            f"{count} images are fewer than the {d} features: the Fréchet distance is too high; {len(rows)} of the "
            f"real images would have {_distance(Moments().update(rows), reference):.4g}. Give more images; the kernel "
            "distance does not depend on how many there are",
            stacklevel=2,
        )
    size = min(1000, len(seen.features), len(reference.features))
    scores["kernel_distance"], _ = kernel_distance(reference.features, seen.features, subset_size=size)
    if seen.logits is not None:
        splits = min(10, count)
        scores["inception_score"], _ = inception_score(ops.convert_to_numpy(ops.softmax(seen.logits)), splits)
    scores |= precision_recall_density_coverage(reference.features, seen.features)
    return {score_name(score, extractor.name): value for score, value in scores.items()}


class _Seen:
    """One pass over images: moments of all, features of the first, logits."""

    def __init__(self, images: Any, extractor: keras.Model, *, verbose: bool) -> None:
        self.moments = Moments()
        features, logits, kept = [], [], 0
        for some, answers in feature_batches(images, extractor, verbose=verbose):
            self.moments.update(some)
            features.append(some[: KEPT - kept])
            kept += len(features[-1])
            if answers is not None:
                logits.append(answers)
        self.features = np.concatenate(features)
        self.logits = np.concatenate(logits) if logits else None


def _distance(moments: Moments, reference: Reference) -> float:
    return frechet_distance(moments.mean, moments.covariance, reference.mean, reference.covariance)
