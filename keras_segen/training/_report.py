"""Reported scalars of a training, in the form that Keras's callbacks look for."""

from collections.abc import Mapping
from typing import Any

import keras
from keras.src.trainers.compile_utils import CompileMetrics

from keras_segen.types import Tensor

WITHOUT_BEST = ("real_logit", "fake_logit")  # of which neither less nor more is better


class Report(CompileMetrics):
    """A mean of each scalar over an epoch's images.

    With `mode="auto"` Keras's callbacks look for the better direction only at metrics inside a `CompileMetrics`. Its
    place in a model, which `compile` makes anew, is never saved.

    Args:
        names: The names of the scalars, in order.
    """

    def __init__(self, names: list[str]) -> None:
        super().__init__(None, None)
        self.means = [keras.metrics.Mean(name=name) for name in names]
        for mean in self.means:
            if mean.name not in WITHOUT_BEST:
                mean._direction = "down"
        self.built = True

    @property
    def metrics(self) -> list[keras.metrics.Metric]:
        """The means."""
        return list(self.means)

    def update_state(self, scalars: Mapping[str, Any], images: Tensor) -> None:
        """Add the scalars of a number of images."""
        for mean in self.means:
            mean.update_state(scalars[mean.name], sample_weight=images)

    def reset_state(self) -> None:
        """Reset the means, at the beginning of an epoch."""
        for mean in self.means:
            mean.reset_state()

    def result(self) -> dict[str, Any]:
        """Return the means by name."""
        return {mean.name: mean.result() for mean in self.means}
