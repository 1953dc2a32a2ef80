"""Dropout whose random state survives saving and loading."""

from typing import Any

import keras


@keras.saving.register_keras_serializable("keras_segen")
class Dropout(keras.layers.Dropout):
    """`keras.layers.Dropout` whose random state is saved with it.

    Keras's own layer is loaded with a new random state, so a training resumed from a file would drop other cells than
    an uninterrupted one.

    Args:
        rate: The share of the numbers that is set to 0 in training, from 0 to below 1.

    Example:
        >>> dropout = ks.layers.Dropout(0.5, seed=0)
        >>> dropout(np.ones((1, 4)), training=False).numpy()
        array([[1., 1., 1., 1.]], dtype=float32)
    """

    def __init__(self, rate: float, **kwargs: Any) -> None:
        super().__init__(rate, **kwargs)
        if rate == 1:
            raise ValueError("`rate` must be below 1: nothing would be left. Received: rate=1")

    def save_own_variables(self, store: Any) -> None:
        """Save the random state."""
        store["seed"] = self.seed_generator.state

    def load_own_variables(self, store: Any) -> None:
        """Load the random state."""
        self.seed_generator.state.assign(store["seed"])
