"""Signatures of segmenters: from pixels or files to label maps."""

from typing import Any

import keras
import tensorflow as tf

from keras_segen._masks import VOID
from keras_segen.models import value_range
from keras_segen.serving._image_bytes import decode, decode_deep
from keras_segen.types import Tensor


def segmenter(model: keras.Model) -> dict[str, Any]:
    """Return the signatures of a network from images to logits; see `export`."""
    channels = model.input_shape[-1]
    deep = value_range(model) is not None
    dtype = tf.float32 if deep else tf.uint8
    from_bytes = (1, 2, 3, 4) if deep else (1, 3)

    @tf.function(input_signature=[tf.TensorSpec([None, None, None, channels], dtype, "image")])
    def serve_image(image: Tensor) -> dict[str, Any]:
        # A network of one size alone refuses others here; others may have any.
        images = tf.ensure_shape(tf.cast(image, tf.float32), model.input_shape)
        logits = tf.cast(model(images, training=False), tf.float32)
        label_map = tf.cast(tf.argmax(logits, -1, tf.int32), tf.uint8)
        return {"label_map": label_map, "score": tf.reduce_max(tf.nn.softmax(logits), -1)}

    def serve_one(contents: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        outputs = serve_image((decode_deep if deep else decode)(contents, channels)[None])
        label_map = outputs["label_map"][0]
        return label_map, outputs["score"][0], tf.io.encode_png(label_map[..., None])

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, "image_bytes")])
    def serve_bytes(image_bytes: Tensor) -> dict[str, Any]:
        def ragged(contents: Tensor) -> tuple[Tensor, Tensor, Tensor]:
            label_map, score, png = serve_one(contents)
            return tf.RaggedTensor.from_tensor(label_map), tf.RaggedTensor.from_tensor(score), png

        kinds = tuple(tf.RaggedTensorSpec([None, None], dtype, ragged_rank=1) for dtype in (tf.uint8, tf.float32))
        label_map, score, png = _one_by_one(ragged, image_bytes, (*kinds, tf.TensorSpec([], tf.string)))
        return {"label_map": label_map.to_tensor(VOID), "score": score.to_tensor(0.0), "label_map_bytes": png}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, "image_bytes")])
    def serve_png(image_bytes: Tensor) -> dict[str, Any]:
        return {"label_map_bytes": _one_by_one(lambda contents: serve_one(contents)[2], image_bytes, tf.string)}

    signatures = {"serving_default": serve_image}
    return signatures | ({"serve_bytes": serve_bytes, "serve_png": serve_png} if channels in from_bytes else {})


def _one_by_one(serve: Any, image_bytes: Tensor, kind: Any) -> Tensor:
    """Serve files of any sizes; in memory, one at a time."""
    return tf.map_fn(serve, image_bytes, fn_output_signature=kind, parallel_iterations=1)
