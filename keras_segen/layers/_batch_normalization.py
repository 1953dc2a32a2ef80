"""Batch normalisation by TensorFlow's fused kernel."""

import keras


@keras.saving.register_keras_serializable("keras_segen")
class FusedBatchNormalization(keras.layers.BatchNormalization):
    """`keras.layers.BatchNormalization` over the last axis, by one fused kernel.

    Keras spells out mean, variance and scaling as a dozen passes over the activations. The fused kernel reads them
    twice and takes the ReLU that follows with it; in inference it becomes part of the convolution before it. The result
    is the same but for rounding. Keras's own code is used on other backends, and in float64, which the kernel lacks.

    The default momentum is 0.9, not Keras's 0.99: a segmenter trained on a few hundred images takes so few steps that
    with 0.99 the running statistics, and with them every validation score, lag behind for the first epochs.

    Shapes: any with channels last -> the same. Source: Ioffe and Szegedy, 2015 (arXiv:1502.03167).

    Example:
        >>> features = keras.layers.Conv2D(8, 3, use_bias=False)(keras.Input((32, 32, 3)))
        >>> normalized = ks.layers.FusedBatchNormalization()(features)
        >>> normalized.shape
        (None, 30, 30, 8)
    """

    def __init__(self, momentum: float = 0.9, epsilon: float = 1e-3, **kwargs: object) -> None:
        super().__init__(momentum=momentum, epsilon=epsilon, **kwargs)

    def call(self, inputs, training=None, mask=None):  # type: ignore[no-untyped-def]
        """Normalise by the batch's statistics in training (and update the running ones), else by the running ones."""
        fused = keras.backend.backend() == "tensorflow" and self.compute_dtype != "float64"
        if not fused or len(inputs.shape) != 4 or mask is not None:
            return super().call(inputs, training=training, mask=mask)

        import tensorflow as tf

        by_batch = bool(training and self.trainable)
        outputs, mean, variance, *_ = tf.raw_ops.FusedBatchNormV3(
            x=inputs,
            scale=tf.ones_like(self.moving_variance) if self.gamma is None else tf.convert_to_tensor(self.gamma),
            offset=tf.zeros_like(self.moving_mean) if self.beta is None else tf.convert_to_tensor(self.beta),
            mean=[] if by_batch else tf.convert_to_tensor(self.moving_mean),
            variance=[] if by_batch else tf.convert_to_tensor(self.moving_variance),
            epsilon=self.epsilon,
            is_training=by_batch,
        )
        if not by_batch:
            return outputs
        # The kernel returns the unbiased variance; Keras keeps the biased one.
        count = tf.cast(tf.size(inputs) // tf.shape(inputs)[-1], variance.dtype)
        variance *= (count - 1) / count
        self.moving_mean.assign(self.moving_mean * self.momentum + mean * (1 - self.momentum))
        self.moving_variance.assign(self.moving_variance * self.momentum + variance * (1 - self.momentum))
        return outputs
