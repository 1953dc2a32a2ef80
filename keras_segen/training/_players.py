"""Training step of all generative models: players, each with a loss and an optimizer of its own."""

from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import keras
from keras import ops

from keras_segen._autodiff import losses_and_gradients
from keras_segen.training._optimizers import PlayerOptimizers
from keras_segen.training._replicas import as_log, replica_count, rows, share_of, sharing, stand_in
from keras_segen.training._report import Report
from keras_segen.types import Tensor


class Players(keras.Model):
    """A model whose parts ("players") are trained at once, each by its own loss; a VAE has one, a GAN two.

    A subclass defines `_players`, the network of each player, and `compute_losses`. The rest is written here once, in
    `keras.ops`: gradients, optimizers, scaling of losses, replicas, metrics, the running average. It runs on TensorFlow
    (eagerly, as a graph, under XLA, under `MirroredStrategy`) and on JAX.

    Args:
        seed: The seed of the noise; None for another one each time.
        averaged: The network that `average`, an exponential moving average of its weights, follows; or None.
        half_life: The half-life of the average, in images; None for no average.
        ramp_up: The half-life at first, as a share of the images seen, so that early weights are forgotten.
    """

    def __init__(
        self,
        *,
        seed: int | None = None,
        averaged: keras.Model | None = None,
        half_life: float | None = None,
        ramp_up: float = 0.05,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if half_life is not None and not half_life > 0:
            raise ValueError(f"`half_life` must be over 0 images. Received: half_life={half_life}")
        self.seed = seed
        self.half_life = half_life
        self.ramp_up = ramp_up
        self._noise = keras.random.SeedGenerator(seed)
        self.averaged = averaged
        self.average = None
        if half_life is not None and averaged is not None:
            self.average = keras.models.clone_model(averaged)
            self.average.set_weights(averaged.get_weights())
            self.average.trainable = False

    # What a subclass gives.

    def _players(self) -> Mapping[str, keras.Model]:
        """Return each player's network, whose trainable variables its loss trains, in the order of their updates.

        A method, because Keras saves what it finds in properties a second time.
        """
        raise NotImplementedError

    def compute_losses(self, data: Any, *, training: Collection[str]) -> tuple[dict[str, Any], dict[str, Any]]:
        """Run the networks once on a batch.

        Args:
            data: The batch.
            training: The players in training; none in an evaluation.

        Returns:
            One loss for each player, a mean over the batch; and further scalars by name, for the report.
        """
        raise NotImplementedError

    def _rounds(self, data: Any) -> list[tuple[Any, Collection[str]]]:
        """Split a step's batch into rounds: the data of each, and the players who are updated in it. By default one.

        No round may be without images.
        """
        return [(data, list(self._players()))]

    # What all share.

    def _compile_players(
        self,
        optimizers: Mapping[str, Any],
        names: list[str],
        *,
        jit_compile: Any = "auto",
        run_eagerly: bool = False,
        steps_per_execution: int = 1,
    ) -> None:
        """Compile with an optimizer for each player.

        Args:
            optimizers: The optimizer of each player.
            names: The names of the scalars that `compute_losses` reports beside the losses.
            jit_compile: Whether XLA compiles the step, as for any Keras model.
            run_eagerly: Whether the step runs eagerly, as for any Keras model.
            steps_per_execution: The number of steps in one call, as for any Keras model.
        """
        prepared = {player: keras.optimizers.get(optimizers[player]) for player in self._players()}
        if keras.config.dtype_policy().compute_dtype == "float16":
            scaled = keras.optimizers.LossScaleOptimizer
            prepared = {p: o if isinstance(o, scaled) else scaled(o) for p, o in prepared.items()}
        combined = PlayerOptimizers(prepared)
        combined.build_players({p: network.trainable_variables for p, network in self._players().items()})
        super().compile(
            optimizer=combined,
            loss=None,
            auto_scale_loss=False,
            jit_compile=jit_compile,
            run_eagerly=run_eagerly,
            steps_per_execution=steps_per_execution,
        )
        self._jit_choice = jit_compile  # as given: "auto" is another thing on another machine
        # `loss`, the players' sum, is what Keras's callbacks look at unless they are told otherwise.
        self._compile_metrics = Report([*(f"{player}_loss" for player in self._players()), *names, "loss"])

    @property
    def metrics(self) -> list[keras.metrics.Metric]:
        """The epoch's means of the losses and of the other reported scalars."""
        return [self._compile_metrics] if self.compiled else []

    @contextmanager
    def same_noise(self) -> Iterator[None]:
        """Reset the noise after the block, so that an evaluation there does not change the training's noise."""
        state = keras.ops.convert_to_numpy(self._noise.state)
        try:
            yield
        finally:
            self._noise.state.assign(state)

    def _draw(self, random: Callable[..., Any], batch: Tensor, shape: tuple[int, ...]) -> Tensor:
        """Draw random numbers (batch, *shape) by a function of `keras.random`, others on each replica."""
        return rows(lambda count: random((count, *shape), seed=self._noise), batch)

    def train_step(self, *arguments: Any) -> Any:
        """Update every player once on one batch: `(data)`, and on JAX `(state, data)`."""
        return _stateful(self, self._update, arguments, with_optimizer=True)

    def test_step(self, *arguments: Any) -> Any:
        """Report the losses on one batch, in inference mode."""
        return _stateful(self, self._report, arguments, with_optimizer=False)

    def save_own_variables(self, store: Any) -> None:
        """Save the states of all random generators, which Keras's layers leave out."""
        for i, state in enumerate(self._seed_states()):
            store[f"seed_{i}"] = state.numpy()

    def load_own_variables(self, store: Any) -> None:
        """Load what `save_own_variables` saved."""
        for i, state in enumerate(self._seed_states()):
            state.assign(store[f"seed_{i}"][...])

    def _seed_states(self) -> list[keras.Variable]:
        return [variable for variable in self.variables if variable.name == "seed_generator_state"]

    def _update(self, data: Any) -> dict[str, Any]:
        share = share_of(_count(data))
        for part, players in self._rounds(stand_in(data)):
            losses, extras = self._update_players(part, players, present=share.own > 0)
        self.optimizer.count_step()
        self._follow(share.total)
        return self._logs(losses, extras, share.own)

    def _update_players(
        self, data: Any, players: Collection[str], *, present: Any = True
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        distributed = replica_count() > 1
        share = share_of(ops.where(present, _count(data), 0) if distributed else _count(data))

        def compute() -> Any:
            with sharing(share):
                losses, extras = self.compute_losses(data, training=players)
            # Each replica takes the mean of its images, and Keras adds up the replicas' gradients.
            weight = ops.cast(share.own, "float32") / ops.cast(share.total, "float32") if distributed else 1.0
            scaled = {player: self.optimizer.scale(player, losses[player] * weight) for player in players}
            return scaled, (losses, extras)

        networks = self._players()
        trained = {player: networks[player].trainable_variables for player in players}
        state = [*self.variables, *self.optimizer.variables]
        _, (losses, extras), gradients = losses_and_gradients(compute, trained, state)
        for player, variables in trained.items():
            self.optimizer.apply_to(player, gradients[player], variables)
        return losses, extras

    def _report(self, data: Any) -> dict[str, Any]:
        share = share_of(_count(data))
        with sharing(share):
            losses, extras = self.compute_losses(stand_in(data), training=())
        return self._logs(losses, extras, share.own)

    def _logs(self, losses: Any, extras: Any, images: Tensor) -> dict[str, Any]:
        scalars = {f"{player}_loss": loss for player, loss in losses.items()} | extras | {"loss": sum(losses.values())}
        self._compile_metrics.update_state(scalars, images)
        return {name: as_log(mean) for name, mean in self._compile_metrics.result().items()}

    def _follow(self, images: Tensor) -> None:
        """Move the average towards its network: weights by decay, statistics as they are, seeds not at all."""
        if self.average is None or self.averaged is None or self.half_life is None:
            return
        images = ops.cast(images, "float32")
        images_seen = ops.cast(self.optimizer.iterations, "float32") * images
        half_life = ops.minimum(self.half_life, ops.maximum(self.ramp_up * images_seen, 1e-3))
        share = 1 - 0.5 ** (images / half_life)
        for ours, theirs in zip(self.average.weights, self.averaged.weights, strict=True):
            if theirs.trainable:
                ours.assign_add(ops.cast(share, ours.dtype) * (theirs.value - ours.value))
            else:
                ours.assign(theirs.value)


def _count(data: Any) -> Tensor:
    """Return how many images a batch has."""
    return ops.shape(keras.tree.flatten(data)[0])[0]


def _stateful(model: Players, step: Callable[[Any], Any], arguments: Any, *, with_optimizer: bool) -> Any:
    """Run a step that reads and assigns variables as the backend's trainer wants it: on JAX, from state to state."""
    if keras.backend.backend() != "jax":
        return step(*arguments)
    state, data = arguments
    optimizer = [model.optimizer.variables] if with_optimizer else []
    groups = [model.trainable_variables, model.non_trainable_variables, *optimizer, model.metrics_variables]
    mapping = [pair for group, values in zip(groups, state, strict=True) for pair in zip(group, values, strict=True)]
    with keras.StatelessScope(state_mapping=mapping) as scope:
        logs = step(data)
        after = tuple([scope.get_current_value(variable) for variable in group] for group in groups)
    return logs, after
