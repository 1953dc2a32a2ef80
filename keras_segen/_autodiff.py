"""Derivatives, which each backend computes in its own way: the seam below code in `keras.ops`."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from typing import Any

import keras

from keras_segen.types import Tensor


def losses_and_gradients(
    compute: Callable[[], tuple[dict[str, Any], Any]],
    variables: Mapping[str, Sequence[keras.Variable]],
    state: Sequence[keras.Variable],
) -> tuple[dict[str, Any], Any, dict[str, list[Any]]]:
    """Differentiate several losses that come from one forward pass, each for its own player's variables.

    Args:
        compute: A function () -> (losses, extras): one scalar for each player, and any other results for the caller.
        variables: The variables of each player, which its loss trains.
        state: Every other variable that `compute` may read or assign: running statistics, seeds.

    Returns:
        Losses and extras as computed, and for each player the gradients in the order of its variables.

    Raises:
        NotImplementedError: On a backend other than TensorFlow and JAX.
    """
    return _by_tapes(compute, variables) if _on_tensorflow() else _by_vjp(compute, variables, state)


def _on_tensorflow() -> bool:
    backend = keras.backend.backend()
    if backend not in ("tensorflow", "jax"):
        raise NotImplementedError(f"Training these models needs TensorFlow or JAX. Received: KERAS_BACKEND={backend}")
    return backend == "tensorflow"


def _by_tapes(compute: Any, variables: Any) -> Any:
    import tensorflow as tf

    with ExitStack() as stack:
        tapes = {}
        for player, own in variables.items():
            tapes[player] = stack.enter_context(tf.GradientTape(watch_accessed_variables=False))
            for variable in own:
                tapes[player].watch(variable.value)
        losses, extras = compute()
    gradients = {
        player: tapes[player].gradient(losses[player], [variable.value for variable in own])
        for player, own in variables.items()
    }
    return losses, extras, gradients


def _by_vjp(compute: Any, variables: Any, state: Any) -> Any:
    import jax

    players = list(variables)
    trained = [variable for own in variables.values() for variable in own]
    trained_ids = {id(variable) for variable in trained}
    state = [variable for variable in state if id(variable) not in trained_ids]
    state_values = [variable.value for variable in state]

    def pure(values: Any) -> Any:
        mapping = [*zip(trained, values, strict=True), *zip(state, state_values, strict=True)]
        with keras.StatelessScope(state_mapping=mapping) as scope:
            losses, extras = compute()
            after = [scope.get_current_value(variable) for variable in state]
        return [losses[player] for player in players], (extras, after)

    losses, pull_back, (extras, after) = jax.vjp(pure, [variable.value for variable in trained], has_aux=True)
    for variable, value in zip(state, after, strict=True):
        variable.assign(value)
    gradients, first = {}, 0
    for i, player in enumerate(players):
        one_hot = [jax.numpy.full_like(loss, i == j) for j, loss in enumerate(losses)]
        last = first + len(variables[player])
        gradients[player] = pull_back(one_hot)[0][first:last]  # what no one asks for, the compiler leaves out
        first = last
    return dict(zip(players, losses, strict=True)), extras, gradients


def call_without_updates(model: keras.Model, inputs: Tensor) -> Tensor:
    """Return a model's outputs in training mode, without its assignments to variables (running statistics)."""
    trainable, non_trainable = (
        [variable.value for variable in variables]
        for variables in (model.trainable_variables, model.non_trainable_variables)
    )
    return model.stateless_call(trainable, non_trainable, inputs, training=True)[0]


def input_gradient(model: keras.Model, x: Tensor, *conditions: Any) -> tuple[Tensor, Tensor]:
    """Differentiate a model's outputs with respect to its input.

    The model runs as in `call_without_updates`.

    Args:
        model: The model, called with `x`, or with `[x, *conditions]`.
        x: The input, float (batch, ...).
        conditions: The model's further inputs.

    Returns:
        The gradient of the sum of the outputs, shaped as `x`, and the outputs.

    Raises:
        NotImplementedError: On a backend other than TensorFlow and JAX.
    """

    def outputs(x: Tensor) -> Tensor:
        return call_without_updates(model, [x, *conditions] if conditions else x)

    if _on_tensorflow():
        import tensorflow as tf

        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(x)
            y = outputs(x)
        return tape.gradient(y, x), y

    import jax

    y, pull_back = jax.vjp(outputs, x)
    return pull_back(jax.numpy.ones_like(y))[0], y
