"""How a set of images compares with real ones: every score at once, each named for the protocol it follows."""

import hashlib
import json
import warnings
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import keras
import numpy as np
from keras import ops

from keras_segen.errors import InputError
from keras_segen.files import cache_folder, replacing
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
FEWEST = 6  # images that have scores: the fifth neighbour, and the image itself
SPLITS = 10  # of the inception score
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
            images: in no particular order.
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
    def kept(
        cls,
        images: Any,
        extractor: keras.Model,
        *,
        data: str,
        split: str,
        count: int,
        crop: str,
        resize: str,
        fingerprint: str,
        verbose: bool = False,
    ) -> Self:
        """Return what is kept in Keras's cache under these words, or look at the images and keep it.

        Args:
            images: as for `of`; not looked at if there are statistics of these words.
            extractor: likewise.
            data: name of the data set.
            split: such as "train".
            count: how many images of it.
            crop: what of each picture they are.
            resize: their side, or "none".
            fingerprint: the same if and only if the images are.
            verbose: show a progress bar.
        """
        words = {"data": data, "split": split, "count": str(count), "crop": crop, "resize": resize}
        words["fingerprint"] = fingerprint
        whole = {**words, "extractor": extractor.name}
        path = cls.path(whole)
        if path.is_file():
            return cls.load(path, whole)
        reference = cls.of(images, extractor, verbose=verbose, **words)
        try:
            reference.save(path)
        except OSError as error:  # a cache that cannot be written costs time, nothing else
            warnings.warn(f"the statistics of the real images are not kept: {error}", stacklevel=2)
        return reference

    @staticmethod
    def path(protocol: dict[str, str]) -> Path:
        """Return where statistics of a protocol are kept: its words are the file's name."""

        def plain(word: str) -> str:
            return "".join(c if c.isascii() and (c.isalnum() or c in "._") else "_" for c in word)

        words = "-".join(plain(word) for name, word in protocol.items() if name != "fingerprint")
        digest = hashlib.sha256(json.dumps(protocol, sort_keys=True).encode()).hexdigest()
        return cache_folder() / "references" / f"{words[:150]}-{digest[:8]}.npz"

    def save(self, path: Path | str) -> None:
        """Write a NumPy archive, without pickles."""
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as temporary, temporary.open("wb") as file:
            np.savez(
                file,
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
            InputError: if it is not there, damaged, or of another protocol than is asked for.
        """
        path = Path(path)
        if not path.is_file():
            raise InputError(f"{path}: does not exist, or is no file: name one that `Reference.save` wrote")
        try:
            with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
                found = json.loads(str(archive["protocol"]))
                reference = cls(
                    found, int(archive["count"]), *(archive[name] for name in ("mean", "covariance", "features"))
                )
            reference._check()
        except (OSError, ValueError, KeyError, TypeError, EOFError, MemoryError, zipfile.BadZipFile) as error:
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise InputError(f"{path}: is damaged ({reason}): delete it, and compute it anew") from error
        for name in {**found, **protocol}:
            if found.get(name) != protocol.get(name):
                raise InputError(
                    f"{path}: holds statistics of another protocol ({name} {found.get(name)}, where "
                    f"{protocol.get(name)} is asked for): name another file, or delete it, and compute it anew"
                )
        return reference

    def _check(self) -> None:
        d = len(self.mean)
        fits = self.mean.shape == (d,) and self.covariance.shape == (d, d) and self.features.shape[1:] == (d,)
        numbers = self.mean, self.covariance, self.features
        if not (isinstance(self.protocol, dict) and fits and 2 <= len(self.features) <= self.count):
            raise ValueError("what it holds does not go together")
        if not all(np.isfinite(array).all() for array in numbers):
            raise ValueError("it holds NaN or infinities")


def image_set_scores(
    images: Any, reference: Reference, extractor: keras.Model, *, verbose: bool = False
) -> dict[str, float]:
    """Return all scores of a set of images by their names: how like the real ones they are, and how varied.

    Distances (lower is better): Fréchet, and kernel over 100 subsets of up to 1,000. Inception score (higher is better)
    in 10 splits, if the extractor gives logits and there are as many images. Precision, recall, density and coverage at
    the fifth neighbour (1 is good). See `distances` for each, and `score_name` for the names.

    Where images are few, fewer than five times the features, a warning says what Fréchet distance as many real images
    have from others: so much of the score is for their number alone.

    Args:
        images: as `feature_batches` takes them, in no particular order.
        reference: of the real images, by the same extractor.
        extractor: see `features.feature_extractor`.
        verbose: show a progress bar.

    Raises:
        ValueError: for a reference by another extractor, fewer than `FEWEST` images, or images that cannot be used.
    """
    if reference.protocol["extractor"] != extractor.name:
        raise ValueError(
            f"The reference is by {reference.protocol['extractor']}, the images are to be scored by {extractor.name}: "
            "use one extractor for both."
        )
    seen = _Seen(images, extractor, verbose=verbose)
    count = seen.moments.count
    if min(count, reference.count) < FEWEST:
        raise ValueError(f"Scores need {FEWEST} images or more, real and other. Received: {reference.count}, {count}")
    if not reference.covariance.any():
        raise ValueError(f"All real images have the same features by {extractor.name}: it sees nothing of them.")
    _warn_of_few(count, reference)
    scores = {"frechet_distance": _distance(seen.moments, reference.mean, reference.covariance)}
    size = min(1000, len(seen.features), len(reference.features))
    scores["kernel_distance"], _ = kernel_distance(reference.features, seen.features, subset_size=size)
    if seen.logits is not None and count >= SPLITS:
        scores["inception_score"], _ = inception_score(ops.convert_to_numpy(ops.softmax(seen.logits)), SPLITS)
    scores |= precision_recall_density_coverage(reference.features, seen.features)
    return {score_name(score, extractor.name): value for score, value in scores.items()}


def _warn_of_few(count: int, reference: Reference) -> None:
    d, few = len(reference.mean), min(count, reference.count)
    if few >= 5 * d:
        return
    rows = min(few, len(reference.features) // 2)
    some, others = Moments().update(reference.features[:rows]), Moments().update(reference.features[rows:])
    warnings.warn(
        f"{count} images beside {reference.count} real ones are few for {d} features: the Fréchet distance is too high "
        f"(real images, {some.count} beside {others.count}, have "
        f"{_distance(some, others.mean, others.covariance):.4g}), the inception score too low; the kernel distance "
        "does not depend on how many there are",
        stacklevel=3,
    )


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


def _distance(moments: Moments, mean: np.ndarray, covariance: np.ndarray) -> float:
    return frechet_distance(moments.mean, moments.covariance, mean, covariance)
