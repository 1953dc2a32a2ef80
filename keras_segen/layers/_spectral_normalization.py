"""Spectral normalisation: a convolution whose kernel is divided by its largest singular value."""

from typing import Any

import keras
from keras import ops

from keras_segen.types import Tensor


@keras.saving.register_keras_serializable("keras_segen")
class SpectralConv2D(keras.layers.Conv2D):
    """`keras.layers.Conv2D` whose kernel is divided by its largest singular value.

    The kernel counts as a matrix (height·width·inputs, filters), and its singular value is tracked by one step of power
    iteration in each training call. The kernel itself stays as it is, and its gradient goes through the division; the
    singular vectors count as constants.

    Shapes and arguments are those of `Conv2D`. Source: Miyato et al., 2018 (arXiv:1802.05957), algorithm 1.

    Example:
        >>> layer = ks.layers.SpectralConv2D(8, 4, strides=2, padding="same")
        >>> layer(np.zeros((1, 32, 32, 3)), training=True).shape
        TensorShape([1, 16, 16, 8])
    """

    def build(self, input_shape: Any) -> None:
        """Make the kernel and the left singular vector."""
        super().build(input_shape)
        self.u = self.add_weight(
            shape=(self.filters,),
            initializer=keras.initializers.RandomNormal(seed=0),
            trainable=False,
            aggregation="only_first_replica",
            autocast=False,
            name="u",
        )

    def call(self, inputs: Tensor, training: bool = False) -> Tensor:
        """Convolve by the normalised kernel; in training, first take a step of power iteration."""
        matrix = ops.cast(ops.reshape(self.kernel, (-1, self.filters)), "float32")
        constant = ops.stop_gradient(matrix)
        u = _unit(self.u.value)
        if training:
            u = _unit(ops.matmul(_unit(ops.matmul(constant, u)), constant))
            self.u.assign(u)
        v = _unit(ops.matmul(constant, u))
        sigma = ops.sum(ops.stop_gradient(v) * ops.matmul(matrix, ops.stop_gradient(u)))
        sigma = ops.maximum(sigma, 1e-12)  # a kernel of zeros stays one
        outputs = self.convolution_op(inputs, ops.cast(self.kernel / ops.cast(sigma, self.kernel.dtype), inputs.dtype))
        if self.use_bias:
            outputs = ops.add(outputs, self.bias)
        return outputs if self.activation is None else self.activation(outputs)

    def save_own_variables(self, store: Any) -> None:
        """Save the singular vector as well, which is not a weight of `Conv2D`."""
        super().save_own_variables(store)
        store["u"] = self.u

    def load_own_variables(self, store: Any) -> None:
        """Load what `save_own_variables` saved."""
        super().load_own_variables(store)
        self.u.assign(store["u"])


def _unit(vector: Tensor) -> Tensor:
    return vector / (ops.norm(vector) + 1e-12)
