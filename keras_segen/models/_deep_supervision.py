"""Deep supervision of segmenters (Lee et al., 2015, arXiv:1409.5185)."""

from typing import Any

import keras
from keras import ops

from keras_segen.types import Shape, Tensor


@keras.saving.register_keras_serializable("keras_segen")
class DeeplySupervised(keras.Model):
    """A segmenter whose coarser levels have losses of their own in training, and are not used afterwards.

    It is built from a Functional graph with several outputs: the final logits, then those of coarser and coarser
    levels, all of the masks' size. In training the loss is their weighted mean, each level weighing half of the one
    before, as in nnU-Net (Isensee et al., 2021, doi:10.1038/s41592-020-01008-z); metrics see the final logits.
    Otherwise the model has a single output. Compile it as any other.
    """

    def call(self, inputs: Tensor, training: bool | None = None, mask: Tensor = None) -> Tensor:
        """Return all logits in training, as a list, and the final ones otherwise."""
        outputs = super().call(inputs, training=training, mask=mask)
        return outputs if training else outputs[0]

    def compute_output_spec(self, inputs: Tensor, training: bool | None = None, mask: Tensor = None) -> Any:
        """Return the shapes of what `call` returns."""
        outputs = super().compute_output_spec(inputs, training=training, mask=mask)
        return outputs if training else outputs[0]

    @property
    def output_shape(self) -> Shape:
        """The shape of the final logits."""
        return tuple(self.outputs[0].shape)

    def compute_loss(
        self,
        x: Tensor = None,
        y: Any = None,
        y_pred: Tensor = None,
        sample_weight: Tensor = None,
        training: bool = True,
    ) -> Tensor:
        """Return the weighted mean of all levels' losses, or the only one."""
        levels = y_pred if isinstance(y_pred, list) else [y_pred]
        weights = [0.5**i for i in range(len(levels))]
        losses = [super(DeeplySupervised, self).compute_loss(x, y, level, sample_weight, training) for level in levels]
        return ops.sum(ops.stack([w / sum(weights) * loss for w, loss in zip(weights, losses, strict=True)]))

    def compute_metrics(self, x: Tensor, y: Any, y_pred: Tensor, sample_weight: Tensor = None) -> dict[str, Any]:
        """Score the final logits."""
        return super().compute_metrics(x, y, y_pred[0] if isinstance(y_pred, list) else y_pred, sample_weight)
