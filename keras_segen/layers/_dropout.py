"""Dropout that a resumed training goes on with."""

from typing import Any

import keras


@keras.saving.register_keras_serializable("keras_segen")
class Dropout(keras.layers.Dropout):
    """`keras.layers.Dropout` whose random state is saved with it.

    Keras's is loaded with a new one: a training that goes on from a file would drop other cells than it would have.
    """

    def save_own_variables(self, store: Any) -> None:
        """Save where the random numbers have got to."""
        store["seed"] = self.seed_generator.state

    def load_own_variables(self, store: Any) -> None:
        """Go on there."""
        self.seed_generator.state.assign(store["seed"])
