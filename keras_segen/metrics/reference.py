"""What is known of a set of real images: statistics that scores need, computed once and kept."""

import hashlib
import json
import warnings
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import keras
import numpy as np

from keras_segen.errors import InputError
from keras_segen.files import cache_folder, replacing
from keras_segen.metrics.distances import Moments
from keras_segen.metrics.features import feature_batches

# Features that are kept of a set, beside its moments: those of so many first images. The kernel distance and the four
# measures by neighbours use these; the Fréchet distance uses all.
KEPT = 10_000


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
        seen = Seen(images, extractor, verbose=verbose)
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


class Seen:
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
