"""Sums of losses of any kind."""

import functools
import math
import operator
from collections.abc import Mapping, Sequence
from typing import Any

import keras

from keras_segen.types import Tensor


@keras.saving.register_keras_serializable("keras_segen")
class Sum(keras.losses.Loss):
    """A weighted sum of losses, all of which get the same sample weights.

    Args:
        losses: The terms, instances of `keras.losses.Loss`.
        weights: One factor for each term, or None for 1 each.

    Example:
        >>> loss = ks.losses.Sum([ks.losses.CrossEntropy(), ks.losses.Dice()], weights=[1.0, 0.5])
        >>> model = ks.models.unet(2, filters=(4, 8))
        >>> model.compile("adam", loss, metrics=[ks.metrics.MeanIoU(2)])
    """

    def __init__(
        self,
        losses: Sequence[keras.losses.Loss],
        *,
        weights: Sequence[float] | None = None,
        name: str = "sum",
        dtype: Any = None,
    ) -> None:
        super().__init__(name=name, reduction=None, dtype=dtype)
        if not isinstance(losses, Sequence) or not all(isinstance(loss, keras.losses.Loss) for loss in losses):
            raise ValueError(
                "`losses` is a list of `keras.losses.Loss` instances, such as [CrossEntropy(), Dice()]. "
                f"Received: losses={losses}"
            )
        self.losses = list(losses)
        factors = [1.0] * len(self.losses) if weights is None else weights
        fit = not isinstance(factors, Mapping) and len(factors) == len(self.losses)
        if not self.losses or not fit or not all(math.isfinite(w) for w in factors):
            raise ValueError(
                "`weights` must hold one finite factor for each loss, in their order, and there must be a loss. "
                f"Received: {len(self.losses)} losses, weights={weights}"
            )
        self.weights = [float(w) for w in factors]

    def __call__(self, y_true: Tensor, y_pred: Tensor, sample_weight: Tensor = None) -> Tensor:
        """Return the sum of the reduced terms, a scalar."""
        terms = [w * loss(y_true, y_pred, sample_weight) for w, loss in zip(self.weights, self.losses, strict=True)]
        return functools.reduce(operator.add, terms)

    def get_config(self) -> dict[str, Any]:
        """Return what `from_config` needs."""
        losses = [keras.saving.serialize_keras_object(loss) for loss in self.losses]
        return {"losses": losses, "weights": self.weights, "name": self.name}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "Sum":
        """Rebuild the sum and its terms."""
        losses = [keras.saving.deserialize_keras_object(loss) for loss in config["losses"]]
        return cls(**{**config, "losses": losses})
