"""Reference statistics of real images, which scores need: computed once and kept."""

import hashlib
import json
import warnings
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Self

import keras
import numpy as np

from keras_segen.errors import InputError
from keras_segen.files import cache_folder, replacing
from keras_segen.metrics._distances import Moments
from keras_segen.metrics._features import feature_batches
from keras_segen.types import PathLike, Tensor

# Features that are kept of a set, beside its moments: those of so many first images. The kernel distance and the four
# measures by neighbours use these; the Fréchet distance uses all.
KEPT = 10_000


@dataclass(frozen=True)
class Reference:
    """Reference statistics of the real images for `image_set_scores`, computed once.

    Attributes:
        protocol: The properties that the statistics depend on, by name: "extractor", and those given to `of`.
        count: The number of images; None for published statistics, which do not say.
        mean: The mean of the features, float64 (d,).
        covariance: The covariance of the features, float64 (d, d).
        features: The features of the first images, float32 (at most `KEPT`, d); (0, d) for published statistics.

    Example:
        >>> extractor = ks.metrics.cifar10_features()
        >>> images = np.random.default_rng(0).uniform(-1, 1, (16, 32, 32, 3))
        >>> reference = ks.metrics.Reference.of(images, extractor, data="noise")
        >>> reference.count, reference.mean.shape
        (16, (192,))
    """

    protocol: dict[str, str]
    count: int | None
    mean: np.ndarray
    covariance: np.ndarray
    features: np.ndarray

    @classmethod
    def of(cls, images: Tensor, extractor: keras.Model, *, verbose: bool = False, **protocol: str) -> Self:
        """Compute the statistics of real images.

        Args:
            images: The images (count, height, width, channels), uint8 or floats in [-1, 1], or batches of them, in no
                particular order.
            extractor: The extractor; see `feature_extractor`.
            verbose: Whether to show a progress bar.
            protocol: Further properties that the statistics depend on, such as data, split, crop and resize.
        """
        summary = FeatureSummary(images, extractor, verbose=verbose)
        return cls(
            {**protocol, "extractor": extractor.name},
            summary.moments.count,
            summary.moments.mean,
            summary.moments.covariance,
            summary.features,
        )

    @classmethod
    def kept(
        cls,
        images: Tensor,
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
        """Return the statistics kept in Keras's cache under this protocol, or compute and keep them.

        Args:
            images: The images, as for `of`; they are not read if the statistics are in the cache.
            extractor: The extractor; see `feature_extractor`.
            data: The name of the data set.
            split: The split, such as "train".
            count: The number of images.
            crop: The part of each picture that the images show.
            resize: The side of the images in pixels, or "none".
            fingerprint: A hash that is the same if and only if the images are.
            verbose: Whether to show a progress bar.
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

    @classmethod
    def from_statistics(cls, path: PathLike, extractor: keras.Model) -> Self:
        """Read published statistics of real images: an .npz with their features' mean `mu` and covariance `sigma`.

        pytorch-fid, TTUR and EDM publish such files for FID's network. Only the Fréchet distance can be computed from
        them: the kernel distance, precision, recall, density and coverage need the features themselves.

        Args:
            path: The file, with `mu` of shape (d,) and `sigma` of shape (d, d). It is read without executing pickles.
            extractor: The network that the statistics were made with, which the file does not say.

        Returns:
            A reference whose `protocol` holds the file's name and the first 16 digits of its SHA-256.

        Raises:
            InputError: If the file is not such an archive, its arrays do not have the extractor's d, hold numbers that
                are not finite, or `sigma` is not a covariance (symmetric, without negative eigenvalues).

        Example:
            >>> extractor = ks.metrics.inception_features()
            >>> reference = ks.metrics.Reference.from_statistics("cifar10-32x32.npz", extractor)
            >>> samples = np.random.default_rng(0).uniform(-1, 1, (50000, 32, 32, 3))
            >>> scores = ks.metrics.image_set_scores(samples, reference, extractor)
            >>> [*scores]
            ['fid', 'inception_score']
        """
        path = Path(path)
        mean, covariance, digest = read_statistics(path)
        d = int(extractor.outputs[0].shape[-1])
        if mean.shape != (d,):
            raise InputError(
                f"{path}: holds no statistics that can be used (mu is {mean.shape} and sigma {covariance.shape}, but "
                f"{extractor.name} has {d} features): name an .npz with `mu` and `sigma`"
            )
        protocol = {"statistics": path.name, "fingerprint": digest, "extractor": extractor.name}
        return cls(protocol, None, mean, covariance, np.empty((0, d), np.float32))

    @staticmethod
    def path(protocol: dict[str, str]) -> Path:
        """Return the path under which statistics of a protocol are kept, named after its properties."""

        def plain(word: str) -> str:
            return "".join(c if c.isascii() and (c.isalnum() or c in "._") else "_" for c in word)

        words = "-".join(plain(word) for name, word in protocol.items() if name != "fingerprint")
        digest = hashlib.sha256(json.dumps(protocol, sort_keys=True).encode()).hexdigest()
        return cache_folder() / "references" / f"{words[:150]}-{digest[:8]}.npz"

    def save(self, path: PathLike) -> None:
        """Write a NumPy archive, without pickles.

        Raises:
            ValueError: For published statistics, which have a file already.
        """
        if self.count is None:
            raise ValueError(f"{self.protocol['statistics']} holds these statistics already: keep that file.")
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
    def load(cls, path: PathLike, protocol: dict[str, str]) -> Self:
        """Read what `save` wrote.

        Raises:
            InputError: If the file does not exist, is damaged, or has another protocol.
        """
        path = Path(path)
        if not path.is_file():
            raise InputError(f"{path}: does not exist, or is not a file: name one that `Reference.save` wrote")
        try:
            with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
                own_protocol = json.loads(str(archive["protocol"]))
                reference = cls(
                    own_protocol, int(archive["count"]), *(archive[name] for name in ("mean", "covariance", "features"))
                )
            reference._check()
        except (OSError, ValueError, KeyError, TypeError, EOFError, MemoryError, zipfile.BadZipFile) as error:
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise InputError(f"{path}: is damaged ({reason}): delete it, and compute it anew") from error
        for name in {**own_protocol, **protocol}:
            if own_protocol.get(name) != protocol.get(name):
                raise InputError(
                    f"{path}: holds statistics of another protocol ({name} {own_protocol.get(name)}, where "
                    f"{protocol.get(name)} is asked for): name another file, or delete it, and compute it anew"
                )
        return reference

    def _check(self) -> None:
        d = len(self.mean)
        fits = self.mean.shape == (d,) and self.covariance.shape == (d, d) and self.features.shape[1:] == (d,)
        numbers = self.mean, self.covariance, self.features
        if not (isinstance(self.protocol, dict) and fits and 2 <= len(self.features) <= (self.count or 0)):
            raise ValueError("what it holds does not go together")
        if not all(np.isfinite(array).all() for array in numbers):
            raise ValueError("it holds NaN or infinities")


def read_statistics(path: PathLike) -> tuple[np.ndarray, np.ndarray, str]:
    """Read and check published statistics; see `Reference.from_statistics`.

    Returns:
        Mean (d,) and covariance (d, d) as float64, and the first 16 digits of the file's SHA-256.

    Raises:
        InputError: If the file cannot be used, as for `Reference.from_statistics`.

    Example:
        >>> np.savez("statistics.npz", mu=np.zeros(5), sigma=np.eye(5))
        >>> mean, covariance, digest = ks.metrics.read_statistics("statistics.npz")
        >>> covariance.shape
        (5, 5)
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: does not exist, or is not a file: name an .npz with `mu` and `sigma`")
    try:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()[:16]
            file.seek(0)
            mean, covariance = _statistics(file)
        if mean.ndim != 1 or covariance.shape != (len(mean), len(mean)):
            raise ValueError(f"mu is {mean.shape} and sigma {covariance.shape}")
        _check_covariance(mean, covariance)
    except (OSError, ValueError, EOFError, MemoryError, zipfile.BadZipFile) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(
            f"{path}: holds no statistics that can be used ({reason}): name an .npz with `mu` and `sigma`"
        ) from error
    return mean, covariance, digest


def _statistics(file: BinaryIO) -> tuple[np.ndarray, np.ndarray]:
    """Read `mu` and `sigma` as float64."""
    archive = np.load(file, allow_pickle=False)
    if not isinstance(archive, np.lib.npyio.NpzFile):
        raise ValueError("it is a single array")
    with archive:
        if missing := {"mu", "sigma"} - set(archive):
            raise ValueError(f"no {' and no '.join(sorted(missing))}, but {', '.join(archive) or 'nothing'}")
        arrays = archive["mu"], archive["sigma"]
    if any(array.dtype.kind != "f" for array in arrays):
        raise ValueError(f"mu is {arrays[0].dtype} and sigma {arrays[1].dtype}, where floats are due")
    return arrays[0].astype(np.float64), arrays[1].astype(np.float64)


def _check_covariance(mean: np.ndarray, covariance: np.ndarray) -> None:
    """Raise ValueError unless these are a mean and a covariance, to what float32 rounds."""
    if not (np.isfinite(mean).all() and np.isfinite(covariance).all()):
        raise ValueError("NaN or infinities")
    tolerance = 1e-4 * np.abs(covariance).max()
    if np.abs(covariance - covariance.T).max() > tolerance:
        raise ValueError("sigma is not symmetric")
    if np.linalg.eigvalsh(covariance)[0] < -tolerance:
        raise ValueError("sigma has negative eigenvalues")


class FeatureSummary:
    """A summary of images from one pass: moments of all features, features of the first images, logits."""

    def __init__(self, images: Tensor, extractor: keras.Model, *, verbose: bool) -> None:
        self.moments = Moments()
        features, logits, kept = [], [], 0
        for batch, its_logits in feature_batches(images, extractor, verbose=verbose):
            self.moments.update(batch)
            features.append(batch[: KEPT - kept])
            kept += len(features[-1])
            if its_logits is not None:
                logits.append(its_logits)
        self.features = np.concatenate(features)
        self.logits = np.concatenate(logits) if logits else None
