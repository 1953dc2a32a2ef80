"""Signatures of generators and encoders: from latents to images, and from images to latents."""

from typing import Any

import keras
import tensorflow as tf

from keras_segen.layers import OneHot
from keras_segen.types import Tensor


def generator(model: keras.Model) -> dict[str, Any]:
    """Return the signature of a network from latents, or [latents, labels], to images in [-1, 1]; see `export`."""
    latent_dim = model.inputs[0].shape[-1]
    # The sizes stay open here, for what is not open is not checked where it is served.
    signature = [tf.TensorSpec([None, None], tf.float32, "latent"), *_label_spec(model)]

    @tf.function(input_signature=signature)
    def serve(latent: Tensor, label: Tensor = None) -> dict[str, Any]:
        checks = [
            tf.debugging.assert_equal(tf.shape(latent)[1], latent_dim, f"a latent has {latent_dim} numbers"),
            tf.debugging.assert_all_finite(latent, "a latent's numbers are finite"),
        ]
        with tf.control_dependencies([*checks, *_label_checks(model, "latent", latent, label)]):
            images = model(_inputs(model, latent, label), training=False)
        return {"image": tf.cast(tf.round((tf.clip_by_value(images, -1, 1) + 1) * 127.5), tf.uint8)}

    return {"serving_default": serve}


def encode(encoder: keras.Model) -> dict[str, Any]:
    """Return the signature of a network from images, or [images, labels], to mean and log-variance; see `export`."""
    sides = list(encoder.inputs[0].shape[1:])
    signature = [tf.TensorSpec([None, None, None, None], tf.uint8, "image"), *_label_spec(encoder)]

    @tf.function(input_signature=signature)
    def serve(image: Tensor, label: Tensor = None) -> dict[str, Any]:
        right = tf.debugging.assert_equal(tf.shape(image)[1:], sides, f"an image has the shape {sides}")
        with tf.control_dependencies([right, *_label_checks(encoder, "image", image, label)]):
            images = tf.cast(image, tf.float32) / 127.5 - 1
            mean, log_variance = encoder(_inputs(encoder, images, label), training=False)
        return {"mean": mean, "log_variance": log_variance}

    return {"encode": serve}


def _label_spec(model: keras.Model) -> list[tf.TensorSpec]:
    if len(model.inputs) == 1:
        return []
    ids = len(model.inputs[1].shape) == 1
    return [tf.TensorSpec([None], tf.int32, "label") if ids else tf.TensorSpec([None, None], name="label")]


def _label_checks(model: keras.Model, name: str, batch: Tensor, label: Tensor) -> list[Any]:
    if label is None:
        return []
    message = f"each {name} wants one label"
    checks = [tf.debugging.assert_equal(tf.shape(label)[0], tf.shape(batch)[0], message)]
    classes = label_count(model)
    if len(model.inputs[1].shape) == 2:
        width = tf.debugging.assert_equal(tf.shape(label)[1], classes, f"a label has {classes} attributes")
        # NaN is not near 0.5 either.
        return [*checks, width, tf.debugging.assert_less_equal(abs(label - 0.5), 0.5, "attributes lie in [0, 1]")]
    if classes is not None:
        message = f"a label is a class id from 0 to {classes - 1}"
        checks += [tf.debugging.assert_non_negative(label, message), tf.debugging.assert_less(label, classes, message)]
    return checks


def label_count(model: keras.Model) -> int | None:
    """Return the number of classes or attributes of a network: 0 without labels, None if it is not known."""
    if len(model.inputs) == 1:
        return 0
    if len(model.inputs[1].shape) == 2:
        return int(model.inputs[1].shape[-1])
    return next((layer.num_classes for layer in model.layers if isinstance(layer, OneHot)), None)


def _inputs(model: keras.Model, first: Tensor, label: Tensor) -> Tensor:
    """Give what the client sent the shape that the model has it in."""
    inputs = [tf.reshape(first, [-1, *model.inputs[0].shape[1:]])]
    if label is not None:
        inputs.append(tf.reshape(label, [-1, *model.inputs[1].shape[1:]]))
    return inputs if len(inputs) == 2 else inputs[0]
