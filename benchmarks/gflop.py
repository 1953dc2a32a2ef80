"""The arithmetic of a network's convolutions."""

import math

import keras
import tensorflow as tf


def training_gflop(model: keras.Model, image: tf.Tensor) -> float:
    """What one training step on a batch of images costs in convolutions, forward and backward, in GFLOP.

    A convolution costs as much again for the gradient of its weights, and for the gradient of its input, which the
    first convolution has no use for. Everything else (normalisation, loss, optimiser) counts as overhead.
    """
    costs = convolutions_gflop(model, image)
    return 3 * sum(costs) - costs[0]


def convolutions_gflop(model: keras.Model, image: tf.Tensor) -> list[float]:
    """What each convolution of a model costs forward on a batch of images, in GFLOP; not those of models within it.

    It is two operations for each weight at each place where the kernel is laid.
    """
    kinds = keras.layers.Conv2D | keras.layers.Conv2DTranspose | keras.layers.DepthwiseConv2D
    convolutions = [layer for layer in model.layers if isinstance(layer, kinds)]
    # A kernel is laid at each pixel of what a convolution gives, or of what a transposed one takes.
    grids = [x.input if isinstance(x, keras.layers.Conv2DTranspose) else x.output for x in convolutions]
    grids = keras.Model(model.input, grids)(image)
    return [
        2 * math.prod(layer.kernel.shape) * math.prod(grid.shape[:3]) / 1e9
        for layer, grid in zip(convolutions, grids, strict=True)
    ]
