"""Task: what a run of one kind can do."""

import abc
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Generic, Literal, Protocol, TypeVar

import keras
import numpy as np
import tensorflow as tf

from keras_segen import serving
from keras_segen.errors import InputError
from keras_segen.runs import Run
from keras_segen_cli.options import Predicting, Quantization, Scoring
from keras_segen_cli.recipes import Recipe


class Data(Protocol):
    """What every kind of data has.

    Attributes:
        name: of the data set, or the folder's path.
        class_names: one a class, or an attribute; none without labels.
        fingerprint: the same if and only if the data are.
        count: training images.
        kept_aside: further images that are not trained on.
        train: (batch_size, start) -> batches without end, beginning behind `start` samples.
    """

    @property
    def name(self) -> str: ...  # noqa: D102
    @property
    def class_names(self) -> tuple[str, ...]: ...  # noqa: D102
    @property
    def fingerprint(self) -> str: ...  # noqa: D102
    @property
    def count(self) -> int: ...  # noqa: D102
    @property
    def kept_aside(self) -> int: ...  # noqa: D102
    @property
    def train(self) -> Callable[[int, int], tf.data.Dataset]: ...  # noqa: D102


R = TypeVar("R", bound=Recipe)
D = TypeVar("D", bound=Data)


@dataclass(frozen=True)
class Task(abc.ABC, Generic[R, D]):
    """A run and what can be done with it.

    Attributes:
        run: the run folder.
        recipe: its settings.
        known_classes: the classes that the model knows; None before data are read.
        data_fingerprint: the data's; empty before they are read, and in runs that did not keep it.
    """

    mode: ClassVar[Literal["max", "min"]]  # of the monitored score

    run: Run
    recipe: R
    known_classes: tuple[str, ...] | None = None
    data_fingerprint: str = ""

    @property
    def class_names(self) -> tuple[str, ...]:
        """The classes that the model knows; none for a model without labels."""
        return self.known_classes or ()

    def config(self) -> dict[str, Any]:
        """Return the content of config.json, versions aside."""
        facts = {"class_names": list(self.class_names), "data_fingerprint": self.data_fingerprint}
        return {**self.recipe.settings(), **facts}

    @property
    @abc.abstractmethod
    def monitor(self) -> str:
        """The name of the score that says which epoch is best."""

    @abc.abstractmethod
    def load_data(self, name: str, *, split: str | None = None, samples: int | None = None, verbose: bool = False) -> D:
        """Read and check data, or one split of them; `InputError` says what is wrong with them.

        Args:
            name: of a data set, or a folder's path.
            split: read this one alone, to score a model on it; None: train on one and validate on another.
            samples: real images to compare generated ones with, at most.
            verbose: show progress.
        """

    @abc.abstractmethod
    def default_split(self, name: str) -> str | None:
        """Return the split of other data than the run's own on which its model is scored if none is named."""

    def settings_of(self, data: D) -> dict[str, Any]:
        """Return the recipe's settings that follow from the data."""
        return {}

    @abc.abstractmethod
    def validate(self, model: keras.Model, data: D) -> dict[str, float]:
        """Return an epoch's scores on the validation images."""

    @abc.abstractmethod
    def callbacks(self, data: D) -> list[keras.callbacks.Callback]:
        """Return what an epoch needs beside what every run has."""

    @abc.abstractmethod
    def check_scoring(self, scoring: Scoring) -> None:
        """Raise `InputError` for a way of scoring that this kind does not have."""

    @abc.abstractmethod
    def score(self, model: keras.Model, data: D, *, scoring: Scoring, verbose: bool) -> dict[str, Any]:
        """Return a model's scores."""

    @abc.abstractmethod
    def table(self, scores: dict[str, Any]) -> str:
        """Return scores as a table."""

    @abc.abstractmethod
    def draw(self, model: keras.Model, data: D) -> Path:
        """Draw what a model can do, whose scores have been written; return the first picture's file."""

    def predict(
        self, images: Sequence[str], out: Path, *, predicting: Predicting, skip_existing: bool, verbose: bool
    ) -> None:
        """Write predictions on images; `InputError` if models of this kind take none."""
        raise InputError(f"{self.run.path}: its model is a {self.recipe.model}, which takes no images: use `sample`")

    def sample(self, count: int, out: Path, *, label: str | None, mixture: bool, seed: int, verbose: bool) -> None:
        """Write generated images; `InputError` if models of this kind generate none."""
        raise InputError(
            f"{self.run.path}: its model is a {self.recipe.model}, which generates nothing: name another run"
        )

    def export(self, out: Path) -> Path:
        """Write the best model as a servable's next version; return that version's folder."""
        return serving.export(self.run.load_best(), out, class_names=self.class_names or None)

    def convert(self, out: Path, *, quantization: Quantization | None) -> serving.Converted:
        """Write the best model as an ONNX or LiteRT file, as the file's name ends.

        Raises:
            InputError: for a file that cannot be written, or numbers that differ from Keras's.
        """
        examples = None if quantization is None else self.quantization_examples()
        model = self.run.load_best()
        if out.suffix == ".onnx":
            return serving.export_onnx(model, out, class_names=self.class_names or None)
        return serving.export_litert(model, out, quantization=quantization, examples=examples)

    def quantization_examples(self) -> list[np.ndarray]:
        """Return images (height, width, channels) that say how large a network's numbers get."""
        raise InputError(
            f"{self.run.path}: its model is a {self.recipe.model}, and only segmenters are quantised: remove "
            "--quantization"
        )
