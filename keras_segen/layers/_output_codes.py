"""Error-correcting output codes as a layer: a network predicts bits, and the nearest code word is the class."""

from typing import Any

import keras
import numpy as np
from keras import ops

from keras_segen._codebooks import check_codebook
from keras_segen.types import Tensor


@keras.saving.register_keras_serializable("keras_segen")
class OutputCodes(keras.layers.Layer):
    """Turn the logits of a code's bits into the log-likelihood of each class's word.

    The log-likelihood is the sum over bits of log sigmoid(±logit), as one matrix product. Where the network is equally
    unsure of all bits, the likeliest class is that of the nearest word. `losses.OutputCodeCrossEntropy` trains it.

    Shapes: (…, bits) -> (…, num_classes).

    Args:
        codebook: The words of 0 and 1, (num_classes, bits); see `check_codebook`.

    Example:
        >>> codebook = ks.layers.hadamard_codebook(21)
        >>> bits = ks.models.unet(codebook.shape[1], filters=(4, 8))
        >>> model = keras.Model(bits.input, ks.layers.OutputCodes(codebook)(bits.output))
        >>> model.output_shape
        (None, None, None, 21)
    """

    def __init__(self, codebook: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.codebook = check_codebook(codebook)
        # Whatever the precision: the sum over many bits is one of small differences.
        self._signs = np.concatenate([self.codebook, 1 - self.codebook], axis=1).T.astype("float32")

    def call(self, logits: Tensor) -> Tensor:
        """Score the classes."""
        if logits.shape[-1] != self.codebook.shape[1]:
            raise ValueError(f"The code has {self.codebook.shape[1]} bits. Received: logits {tuple(logits.shape)}")
        logits = ops.cast(logits, "float32")
        log_probabilities = ops.concatenate([-ops.softplus(-logits), -ops.softplus(logits)], -1)
        return ops.matmul(log_probabilities, self._signs)

    def compute_output_spec(self, logits: Tensor) -> Any:
        """Return shape and type of the scores."""
        return keras.KerasTensor((*logits.shape[:-1], len(self.codebook)), "float32")

    def get_config(self) -> dict[str, Any]:
        """Return what `from_config` needs."""
        return {**super().get_config(), "codebook": self.codebook.tolist()}
