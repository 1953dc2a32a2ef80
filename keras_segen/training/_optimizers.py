"""Optimizers of several players as one, because Keras saves, restores and distributes the state of one."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import keras


@keras.saving.register_keras_serializable("keras_segen")
class PlayerOptimizers(keras.optimizers.Optimizer):
    """A composite of one optimizer for each player.

    Its variables are the union of theirs; its own `iterations` count the training steps. Under `mixed_float16` each
    optimizer is wrapped to scale its loss. To lower all rates by one factor, set `learning_rate`, as Keras's
    `LearningRateScheduler` and `ReduceLROnPlateau` do.

    Args:
        optimizers: The `keras.optimizers.Optimizer` of each player, by its name.
    """

    def __init__(self, optimizers: Mapping[str, keras.optimizers.Optimizer], name: str = "players") -> None:
        super().__init__(learning_rate=0.0, name=name)
        # Not a dict: Keras, which saves all variables by this object, would find the optimizers and save each again.
        self.by_player = MappingProxyType(dict(optimizers))
        self._proportions = [1.0] * len(optimizers)

    @property
    def learning_rate(self) -> Any:
        """The first player's rate, in a GAN the discriminator's. Setting it scales the other players' rates alike.

        Raises:
            TypeError: If it is set while a player's rate follows a schedule.
        """
        return next(iter(self.by_player.values())).learning_rate

    @learning_rate.setter
    def learning_rate(self, rate: float) -> None:
        optimizers = list(self.by_player.values())
        rates = [float(keras.ops.convert_to_numpy(optimizer.learning_rate)) for optimizer in optimizers]
        if rates[0]:  # from 0 they rise in the proportion that they had before
            self._proportions = [own / rates[0] for own in rates]
        for optimizer in sorted(optimizers, key=_is_scheduled, reverse=True):  # which Keras refuses, before any is set
            optimizer.learning_rate = float(rate) * self._proportions[optimizers.index(optimizer)]

    def build_players(self, variables: Mapping[str, Sequence[keras.Variable]]) -> None:
        """Build every optimizer for its player's variables."""
        self.built = True
        for player, optimizer in self.by_player.items():
            optimizer.build(variables[player])

    def build(self, variables: Sequence[keras.Variable]) -> None:
        """Do nothing: `build_players` has built it."""

    @property
    def variables(self) -> list[keras.Variable]:
        """The count of steps and every optimizer's variables."""
        return [self.iterations, *(v for optimizer in self.by_player.values() for v in optimizer.variables)]

    def scale(self, player: str, loss: Any) -> Any:
        """Scale a player's loss as its optimizer requires."""
        return self.by_player[player].scale_loss(loss)

    def apply_to(self, player: str, gradients: Sequence[Any], variables: Sequence[keras.Variable]) -> None:
        """Update a player's variables."""
        optimizer = self.by_player[player]
        if keras.backend.backend() == "tensorflow":
            optimizer.apply(gradients, variables)
            return
        # Elsewhere loss scaling assigns inside a branch, which only the stateless form gets out again.
        state = optimizer.variables
        values = optimizer.stateless_apply([v.value for v in state], gradients, [v.value for v in variables])
        for variable, value in zip([*variables, *state], [*values[0], *values[1]], strict=True):
            variable.assign(value)

    def count_step(self) -> None:
        """Count a step, after all players have been updated."""
        self.iterations.assign_add(1)

    def get_config(self) -> dict[str, Any]:
        """Return what `from_config` needs."""
        return {"optimizers": {p: keras.saving.serialize_keras_object(o) for p, o in self.by_player.items()}}

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> "PlayerOptimizers":
        """Rebuild it from its config."""
        return cls({p: keras.saving.deserialize_keras_object(o) for p, o in config["optimizers"].items()})


def _is_scheduled(optimizer: Any) -> bool:
    own = getattr(optimizer, "inner_optimizer", optimizer)
    return isinstance(own._learning_rate, keras.optimizers.schedules.LearningRateSchedule)
