"""Recipe: the settings of a training. Each field is an option of `keras-segen train`, and stands in config.json.

A field's type says what the option takes, its default is the option's, and the words below it are the option's help.
"""

import abc
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

from keras_segen_cli.options import BatchSize, Count, CountOrNone, Data, Name, Rate, Seed, Side

if TYPE_CHECKING:
    import keras


class WrongUseError(ValueError):
    """Options that do not go together: the message names them and the fix, in one line."""


@dataclass(frozen=True, kw_only=True)
class Recipe(abc.ABC):
    """What every training has."""

    model: ClassVar[str]
    least_steps: ClassVar[int] = 200
    data_sets: ClassVar[tuple[str, ...]]  # that go by name
    layout: ClassVar[str]  # what a folder of data holds
    structure: ClassVar[tuple[str, ...]]  # the settings that say which weights a network has, beside its classes

    data: Data
    """Name of a data set, or path of a folder."""
    data_dir: Name | None = None
    """Folder of the named data sets. Default: the one that TensorFlow Datasets uses."""
    epochs: Count = 10
    """Epochs in all. The learning rate falls over all of them, those that --resume adds included."""
    steps_per_epoch: CountOrNone = None
    """Steps of an epoch. Default: one pass over the data, but 200 steps at least."""
    batch_size: BatchSize = 32
    """Images of a step."""
    image_size: Side = 32
    """Side of the training images, in pixels."""
    learning_rate: Rate = 1e-3
    """Learning rate at the start."""
    early_stopping: CountOrNone = None
    """Stop after this many epochs without a better score. Default: never."""
    start_from: Name | None = None
    """Run whose best weights the training begins with. Where its classes differ, what belongs to them is new."""
    seed: Seed = 0
    """Seed of weights, order, augmentation and noise."""
    precision: Literal["float32", "mixed_bfloat16"] = "float32"
    """Precision of the computation."""
    jit_compile: Literal["auto", "on", "off"] = "auto"
    """Compile the training step with XLA. auto: on a GPU without --deterministic."""
    deterministic: bool = False
    """On a GPU, give the same bits each time, at a lower speed and without XLA. A CPU always does."""

    def check(self) -> None:
        """Raise `WrongUseError` for settings that do not go together."""
        if self.deterministic and self.jit_compile == "on":
            raise WrongUseError("--deterministic turns XLA off: remove --jit-compile on")

    @abc.abstractmethod
    def build(self, class_names: Sequence[str]) -> "keras.Model":
        """Return the compiled model for data with these classes; `steps_per_epoch` must be known."""

    @property
    def steps(self) -> int:
        """The steps of an epoch, once they are known."""
        if self.steps_per_epoch is None:
            raise ValueError("The data say how many steps an epoch has.")
        return self.steps_per_epoch

    @property
    def jit(self) -> bool | str:
        """What `compile` takes as `jit_compile`."""
        return self.jit_compile if self.jit_compile == "auto" else self.jit_compile == "on"

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any]) -> Self:
        """Make a recipe of what config.json holds; what is not a setting is passed over, what lacks is the default."""
        known = {field.name for field in fields(cls)}
        given: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value
            for name, value in settings.items()
            if name in known
        }
        for name, value in given.items():
            default = getattr(cls, name, "")
            kind = float if isinstance(default, float) else type(default)
            fits = isinstance(value, int | float) if kind is float else isinstance(value, kind)
            if default is not None and not (fits and isinstance(value, bool) == (kind is bool)):
                raise WrongUseError(f"{name} is {value!r}, which is not a setting of this kind: put back {default!r}")
        return cls(**given)

    def settings(self) -> dict[str, Any]:
        """Return all settings by their names, the model's among them."""
        return {"model": self.model, **asdict(self)}


def as_typed(name: str, value: Any) -> str:
    """Return a setting as it is typed on the command line, such as "--filters 4 8"."""
    option = f"--{name.replace('_', '-')}"
    if value is None or value is False:
        return f"no {option}"
    if value is True:
        return option
    return f"{option} {' '.join(map(str, value)) if isinstance(value, tuple) else value}"


def read_settings(path: Path) -> dict[str, Any]:
    """Read a config.json's settings, those of earlier versions by their present names.

    Raises:
        WrongUseError: for a file that is not a run's config.
    """
    if path.is_dir():
        raise WrongUseError(f"{path}: is a folder: name the config.json in it")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise WrongUseError(f"{path}: cannot be read ({error.strerror}): name a run's config.json") from error
    except (ValueError, RecursionError) as error:
        raise WrongUseError(f"{path}: is damaged ({error}): name a run's config.json") from error
    if not isinstance(content, dict):
        raise WrongUseError(f"{path}: is not a run's config: name a run's config.json")
    if lacking := {"model", "data"} - content.keys():
        raise WrongUseError(f"{path}: is not a run's config, it lacks {min(lacking)}: name a run's config.json")
    return by_present_names(content)


# What settings of 0.1.0 are called now.
_RENAMED = {"weights": "backbone_weights", "alpha": "backbone_width", "warm_up": "beta_warm_up"}


def by_present_names(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings as this version has them, whichever version wrote them."""
    present = {_RENAMED.get(name, name): value for name, value in settings.items()}
    if isinstance(present.get("jit_compile"), bool):
        present["jit_compile"] = "on" if present["jit_compile"] else "off"
    widths = present.get("filters")
    if present["model"] in ("dcgan", "cgan", "vae") and isinstance(widths, list) and len(widths) == 1:
        present["filters"] = widths[0]
    if present["model"] == "unet" and present.get("backbone") and "decoder_filters" not in present:
        present["decoder_filters"] = present.pop("filters", None)
    # What stood there for the default.
    for name in ("loss", "filters"):
        if present.get(name, ()) is None:
            del present[name]
    return present
