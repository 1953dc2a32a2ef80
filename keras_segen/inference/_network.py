"""Network calls of inference, and checks of models and images."""

import functools
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import ops
from PIL import Image

from keras_segen._masks import one_a_class
from keras_segen.types import Tensor

Network = Callable[[np.ndarray], Any]  # images (batch, height, width, channels) -> logits, a float32 TensorFlow tensor

# By model, so that a second call traces nothing anew. They must not hold the model, or it would never go.
_COMPILED: weakref.WeakKeyDictionary[keras.Model, Network] = weakref.WeakKeyDictionary()


def logits_function(model: keras.Model) -> Network:
    """Return a function that turns a batch of images into logits, two where the network has one.

    With TensorFlow it is one graph for images of all sizes, without XLA, which would compile anew for each size
    whatever the model's `jit_compile` is. With other backends Keras predicts, and compiles once for each size.
    """
    if keras.backend.backend() == "tensorflow":
        return functools.partial(_in_graph, model)
    return lambda images: tf.constant(one_a_class(model.predict_on_batch(images.astype("float32"))), tf.float32)


def _in_graph(model: keras.Model, images: np.ndarray) -> Any:
    if model not in _COMPILED:
        reference: Any = weakref.ref(model)

        @tf.function(input_signature=[tf.TensorSpec([None, *model.input_shape[1:]], tf.float32)])
        def call(images: Tensor) -> Tensor:
            return one_a_class(tf.cast(reference()(images, training=False), tf.float32))

        _COMPILED[model] = call
    return _COMPILED[model](tf.cast(images, tf.float32))


def check(model: keras.Model, tile: int, overlap: float, batch_size: int | None) -> None:
    """Raise `ValueError` for a model with too few or too many classes for label maps, and for numbers out of range."""
    require_classes(model)
    if tile < 1 or (batch_size is not None and batch_size < 1):
        raise ValueError(f"`tile` and `batch_size` must be at least 1. Received: tile={tile}, batch_size={batch_size}")
    if not 0 <= overlap < 1:
        raise ValueError(f"`overlap` must be in [0, 1). Received: overlap={overlap}")


def require_classes(model: keras.Model) -> int:
    """Return a model's number of classes, 2 for a single logit; `ValueError` if label maps have no room for them."""
    logits = model.output_shape[-1]
    if not logits or logits > 255:
        raise ValueError(f"Label maps have room for 2 to 255 classes. Received: a model of {logits}")
    return max(int(logits), 2)


def pixels_of(model: keras.Model, image: Tensor, number: int = 0) -> np.ndarray:
    """Return an image as an array (height, width, channels); `ValueError` if the model does not take it."""
    if isinstance(image, str | Path | Image.Image):
        raise ValueError(
            "Images are arrays or tensors: read files with `keras_segen.data.read_image(path)`. "
            f"Received: image {number}, {image!r}"
        )
    channels = model.input_shape[-1]
    pixels = image if isinstance(image, np.ndarray) else ops.convert_to_numpy(image)
    if pixels.ndim != 3 or pixels.shape[-1] != channels or not pixels.size:
        raise ValueError(
            f"Each image must have the shape (height, width, {channels}), and a pixel at least. "
            f"Received: image {number}, shape {pixels.shape}"
        )
    return pixels
