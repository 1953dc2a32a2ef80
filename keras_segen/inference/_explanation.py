"""Why a label: Grad-CAM for segmentation (Vinogradova, Dibrov and Myers, 2020, arXiv:2002.11434)."""

from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from keras_segen._masks import one_a_class
from keras_segen.inference._batches import WHOLE
from keras_segen.inference._network import pixels_of, require_classes
from keras_segen.models import encoder_maps
from keras_segen.types import Tensor


def explain(
    model: keras.Model,
    image: Tensor,
    class_id: int,
    *,
    region: np.ndarray | tuple[int, int] | None = None,
    stride: int | None = None,
) -> np.ndarray:
    """Show what in an image speaks for a class, in the eyes of a segmenter.

    Each channel of a feature map of the encoder is weighted by the mean of the gradient that the class's logits, summed
    over a region, have there; the weighted sum of the channels, where it is above 0, is the explanation (section 2 of
    the paper). It says where features lie that raise the logits. These may lie outside of the region: it is the
    context that a network learns from, too.

    The image goes through as a whole, and what the gradients need stays in memory: some GB for 2^21 pixels, which are
    the most.

    Args:
        model: A segmenter of this package, on TensorFlow; see `models.encoder_maps`.
        image: The image, uint8 or floats (height, width, channels), in [0, 255].
        class_id: The class, from 0.
        region: Whose logits count: a mask (height, width), which is not 0 there, or the row and column of one pixel.
            With None, the pixels that the model gives this class, or all of them if it gives none.
        stride: The stride of the feature map, in pixels; None for the coarsest, which sees most of the image.

    Returns:
        The explanation, float32 (height, width), from 0 to 1, which is its largest value; 0 everywhere if nothing
        speaks for the class.

    Raises:
        NotImplementedError: On a backend other than TensorFlow.
        ValueError: For a class or a stride that the model does not have, an image that it does not take or of more
            than 2^21 pixels, or a region that the image does not have.

    Example:
        >>> model = ks.models.unet(2, filters=(4, 8))
        >>> image = np.zeros((48, 64, 3), np.uint8)
        >>> ks.inference.explain(model, image, 1, region=(20, 30)).shape
        (48, 64)
    """
    if keras.backend.backend() != "tensorflow":
        raise NotImplementedError(
            f"Explanations need gradients by TensorFlow. Received: KERAS_BACKEND={keras.backend.backend()}"
        )
    num_classes = require_classes(model)
    if not isinstance(class_id, int | np.integer) or not 0 <= class_id < num_classes:
        raise ValueError(f"The model knows the classes from 0 to {num_classes - 1}. Received: class_id={class_id}")
    pixels = pixels_of(model, image)
    size = pixels.shape[:2]
    if size[0] * size[1] > WHOLE:
        raise ValueError(f"An image of more than 2^21 pixels is not explained: make it smaller. Received: {size}")
    maps = encoder_maps(model)
    stride = max(maps) if stride is None else stride
    if stride not in maps:
        raise ValueError(
            f"The model's encoder has maps of the strides {', '.join(map(str, maps))}. Received: stride={stride}"
        )
    tensor, origin = maps[stride]
    network = keras.Model(model.inputs, [tensor, model.outputs[0]])
    batch = tf.constant(pixels[None], tf.float32)
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(batch)
        features, logits = network(batch, training=False)
        logits = one_a_class(logits)
        if region is None:
            chosen = ops.convert_to_numpy(ops.argmax(logits[0], axis=-1)) == class_id
            chosen |= not chosen.any()
        else:
            chosen = _chosen(region, size)
        score = ops.sum(ops.where(chosen, ops.cast(logits[0, ..., class_id], "float32"), 0.0))
    gradient = tape.gradient(score, features)
    weights = ops.mean(ops.cast(gradient, "float32"), axis=(1, 2), keepdims=True)
    heat = ops.convert_to_numpy(ops.relu(ops.sum(weights * ops.cast(features, "float32"), axis=-1)))[0]
    for axis in (0, 1):
        heat = _on_pixels(heat, size[axis], stride, origin, axis)
    return heat / max(heat.max(), np.finfo("float32").tiny)


def _chosen(region: Any, size: tuple[int, ...]) -> np.ndarray:
    """Return a region as a mask of an image's size."""
    if isinstance(region, tuple):
        whole = len(region) == 2 and all(isinstance(place, int | np.integer) for place in region)
        if not whole or not all(0 <= place < side for place, side in zip(region, size, strict=True)):
            raise ValueError(f"A pixel is a row and a column of the image, {size}. Received: region={region}")
        mask = np.zeros(size, bool)
        mask[region] = True
        return mask
    mask = np.asarray(region)
    if mask.shape != size or not mask.any():
        raise ValueError(
            f"A region is a mask of the image's size, {size}, of one pixel at least. "
            f"Received: region of shape {mask.shape} and {np.count_nonzero(mask)} pixels"
        )
    return mask != 0


def _on_pixels(heat: np.ndarray, size: int, stride: int, origin: float, axis: int) -> np.ndarray:
    """Read a map of cells at each pixel of one side of the image, linearly; beyond the outermost cells it is theirs."""
    place = np.clip((np.arange(size) - origin) / stride, 0, heat.shape[axis] - 1)
    before = np.floor(place).astype(int)
    after = np.minimum(before + 1, heat.shape[axis] - 1)
    share = (place - before).astype("float32").reshape((-1, 1) if axis == 0 else (1, -1))
    return np.take(heat, before, axis) * (1 - share) + np.take(heat, after, axis) * share
