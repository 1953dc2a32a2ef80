"""Test-time augmentation: a segmenter that averages over flips and scales of each image."""

import math
from collections.abc import Sequence

import keras
from keras import ops

from keras_segen._masks import one_a_class
from keras_segen.inference._network import require_classes
from keras_segen.layers import ResizeLike


def augmented(model: keras.Model, *, flip: bool = True, scales: Sequence[float] = (1.0,)) -> keras.Model:
    """Return a segmenter with test-time augmentation: each image is also flipped left and right, enlarged and shrunk.

    The probabilities of all augmented images, at the image's own size, are averaged. The result is a segmenter like any
    other, which `predict`, metrics and `serving.export` take. It shares its weights with the model.

    Args:
        model: A segmenter, as for `predict`.
        flip: Whether to add the mirrored image at each scale.
        scales: The factors of height and width. Images are resized bilinearly without antialiasing, as in training.

    Returns:
        A Functional model: images (batch, height, width, channels) in [0, 255] -> logits (batch, height, width,
        num_classes), the logarithms of the mean probabilities.

    Raises:
        ValueError: For no scales, a scale that is not over 0 or given twice, or a model that `predict` refuses too.

    Example:
        >>> model = ks.models.unet(2, filters=(4, 8))
        >>> averaged = ks.inference.augmented(model, scales=(0.75, 1.0, 1.25))
        >>> averaged.output_shape
        (None, None, None, 2)
    """
    require_classes(model)
    if not scales or len(set(scales)) < len(scales) or not all(0 < scale < math.inf for scale in scales):
        raise ValueError(f"`scales` must be factors over 0, each once. Received: scales={scales}")
    image = keras.Input(model.input_shape[1:], name="image")
    probabilities = []
    for scale in scales:
        scaled = image if scale == 1 else ResizeLike(scale, dtype="float32")([image, image])
        at_scale = [ops.softmax(one_a_class(model(scaled, training=False)))]
        if flip:
            at_scale.append(ops.flip(ops.softmax(one_a_class(model(ops.flip(scaled, 2), training=False))), 2))
        probabilities += at_scale if scale == 1 else [ResizeLike(dtype="float32")([p, image]) for p in at_scale]
    mean = sum(probabilities[1:], probabilities[0]) / len(probabilities)
    return keras.Model(image, ops.log(ops.maximum(mean, 1e-30)), name=f"{model.name}_augmented")  # 0 has no logarithm
