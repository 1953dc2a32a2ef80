"""Segmenters with one logit, as those of two classes that they are."""

import keras

from keras_segen._masks import one_a_class


def two_classes(model: keras.Model) -> keras.Model:
    """Return a segmenter with one logit as one with a logit a class; any other model as it is.

    A single logit z is that of class 1 by sigmoid; a softmax over (-z / 2, z / 2) gives the same probabilities.
    `predict`, metrics and exports see such a model so by themselves.

    Args:
        model: Images (batch, height, width, channels) -> logits (batch, height, width, 1).

    Returns:
        A Functional model with the same layers and weights, images -> logits (batch, height, width, 2).

    Example:
        >>> model = ks.models.unet(1, filters=(4, 8))
        >>> ks.models.two_classes(model).output_shape
        (None, None, None, 2)
    """
    if not getattr(model, "inputs", None) or [len(tensor.shape) for tensor in model.inputs] != [4]:
        return model
    logits = model.outputs[0]  # of a deeply supervised network, the final ones
    if len(logits.shape) != 4 or logits.shape[-1] != 1:
        return model
    return keras.Model(model.inputs[0], one_a_class(keras.ops.cast(logits, "float32")), name=model.name)
