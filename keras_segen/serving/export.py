"""Writing a model as a SavedModel that needs neither Keras nor this package where it is served."""

import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from keras_segen.files import INCOMPLETE, require_place
from keras_segen.layers import OneHot


def export(model: keras.Model, to: Path | str, *, encoder: keras.Model | None = None) -> Path:
    """Write a segmenter, a generator or a VAE as the next version of a servable.

    Signatures of a segmenter:
        serving_default: `image` uint8 (batch, height, width, channels) of any size ->
            `label_map` uint8 (batch, height, width), the likeliest class of each pixel, and
            `score` float32 (batch, height, width), its probability.
        serve_bytes (models of 1 or 3 channels): `image_bytes` string (batch,), JPEG or PNG, of one size within a
            request -> the same two, and `label_map_bytes` string (batch,), the label map as grey PNG. Bytes are read as
            `data.read_image` reads files, but for a camera's rotation (EXIF), which TensorFlow does not apply, and
            rounding in JPEG and transparency.

    Signature of a generator (a GAN's or VAE's `sampler()`):
        serving_default: `latent` float32 (batch, latent_dim), drawn by the client, and for a conditional one `label`,
            int32 (batch,), or float32 (batch, num_classes) of attributes -> `image` uint8 (batch, height, width,
            channels). Latents of another size and labels that there are not are refused.

    Signature of an encoder, beside the generator's:
        encode: `image` uint8 (batch, height, width, channels) of the encoder's size, and `label` for a conditional one
            -> `mean` and `log_variance` float32 (batch, latent_dim).

    Args:
        model: images (batch, height, width, channels) in [0, 255] -> logits (batch, height, width, num_classes); or
            latents, or [latents, labels], by these inputs' names -> images in [-1, 1].
        encoder: of a VAE: images in [-1, 1], or [images, labels], -> mean and log-variance. None: of no VAE.
        to: the servable's folder, `saved_models/NAME`.

    Returns:
        The version folder written, `to/1` at first. Servers never see it half-written: it is renamed into place.

    Raises:
        InputError: if `to` is a file, or in a place that cannot be written to.
        OSError: if it cannot be written; no half-written version stays behind.
        ValueError: if the model is neither, or has fewer than 2 classes or more than 255.
    """
    to = Path(to)
    require_place(to)
    build = _served(model, encoder)
    to.mkdir(parents=True, exist_ok=True)
    versions = [int(path.name) for path in to.iterdir() if path.name.isdecimal()]
    folder = to / str(max(versions, default=0) + 1)
    incomplete = to / (INCOMPLETE + folder.name)
    shutil.rmtree(incomplete, ignore_errors=True)
    try:
        module, signatures = build()
        tf.saved_model.save(module, str(incomplete), signatures)
        incomplete.rename(folder)
    except tf.errors.OpError as error:  # what TensorFlow makes of a full disk
        said = re.sub(r"\s*\[Op:.*", "", error.message.splitlines()[0])
        reason = re.split("[:;] ", said)[-1]  # before it: the temporary file's path
        raise OSError(f"{folder}: cannot be written: {reason}: mend that, or name another folder") from error
    finally:
        shutil.rmtree(incomplete, ignore_errors=True)
    return folder


def _served(model: keras.Model, encoder: keras.Model | None) -> Callable[[], tuple[tf.Module, dict[str, Any]]]:
    """Return what makes the signatures of a model of this kind."""
    inputs = [tensor.name for tensor in model.inputs]
    shape = model.output_shape
    if inputs in (["latent"], ["latent", "label"]) and len(shape) == 4:
        return lambda: _generator(model, encoder)
    if len(inputs) != 1 or len(shape) != 4 or shape[-1] is None or not 2 <= shape[-1] <= 255:
        raise ValueError(
            "export takes a segmenter, one image in, logits (batch, height, width, 2 to 255 classes) out; or a "
            f"generator, inputs `latent` and `label`, images out. Received: {model.name} with inputs {inputs}, "
            f"output shape {shape}"
        )
    return lambda: _segmenter(model)


def _generator(model: keras.Model, encoder: keras.Model | None) -> tuple[tf.Module, dict[str, Any]]:
    latent_dim = model.inputs[0].shape[-1]
    # The sizes stay open here, for what is not open is not checked where it is served.
    signature = [tf.TensorSpec([None, None], tf.float32, "latent"), *_label_spec(model)]

    @tf.function(input_signature=signature)
    def serve(latent: Any, label: Any = None) -> dict[str, Any]:
        checks = [
            tf.debugging.assert_equal(tf.shape(latent)[1], latent_dim, f"a latent has {latent_dim} numbers"),
            tf.debugging.assert_all_finite(latent, "a latent's numbers are finite"),
        ]
        with tf.control_dependencies([*checks, *_label_checks(model, latent, label)]):
            images = model(_inputs(model, latent, label), training=False)
        return {"image": tf.cast(tf.round((tf.clip_by_value(images, -1, 1) + 1) * 127.5), tf.uint8)}

    module = tf.Module()
    module.variables_to_save = [variable.value for variable in model.variables]
    if encoder is None:
        return module, {"serving_default": serve}
    module.variables_of_encoder = [variable.value for variable in encoder.variables]
    return module, {"serving_default": serve, "encode": _encode(encoder)}


def _encode(encoder: keras.Model) -> Any:
    sides = list(encoder.inputs[0].shape[1:])
    signature = [tf.TensorSpec([None, None, None, None], tf.uint8, "image"), *_label_spec(encoder)]

    @tf.function(input_signature=signature)
    def encode(image: Any, label: Any = None) -> dict[str, Any]:
        right = tf.debugging.assert_equal(tf.shape(image)[1:], sides, f"an image has the shape {sides}")
        with tf.control_dependencies([right, *_label_checks(encoder, image, label)]):
            images = tf.cast(image, tf.float32) / 127.5 - 1
            mean, log_variance = encoder(_inputs(encoder, images, label), training=False)
        return {"mean": mean, "log_variance": log_variance}

    return encode


def _label_spec(model: keras.Model) -> list[tf.TensorSpec]:
    if len(model.inputs) == 1:
        return []
    ids = len(model.inputs[1].shape) == 1
    return [tf.TensorSpec([None], tf.int32, "label") if ids else tf.TensorSpec([None, None], name="label")]


def _label_checks(model: keras.Model, beside: Any, label: Any) -> list[Any]:
    if label is None:
        return []
    message = f"each {model.inputs[0].name} wants one label"
    checks = [tf.debugging.assert_equal(tf.shape(label)[0], tf.shape(beside)[0], message)]
    classes = next((layer.num_classes for layer in model.layers if isinstance(layer, OneHot)), None)
    if classes is not None:
        message = f"a label is a class id from 0 to {classes - 1}"
        checks += [tf.debugging.assert_non_negative(label, message), tf.debugging.assert_less(label, classes, message)]
    return checks


def _inputs(model: keras.Model, first: Any, label: Any) -> Any:
    """Give what the client sent the shape that the model has it in."""
    inputs = [tf.reshape(first, [-1, *model.inputs[0].shape[1:]])]
    if label is not None:
        inputs.append(tf.reshape(label, [-1, *model.inputs[1].shape[1:]]))
    return inputs if len(inputs) == 2 else inputs[0]


def _segmenter(model: keras.Model) -> tuple[tf.Module, dict[str, Any]]:
    channels = model.input_shape[-1]

    @tf.function(input_signature=[tf.TensorSpec([None, None, None, channels], tf.uint8, "image")])
    def serve_image(image: Any) -> dict[str, Any]:
        logits = model(tf.cast(image, tf.float32), training=False)
        label_map = tf.cast(tf.argmax(logits, -1, tf.int32), tf.uint8)
        return {"label_map": label_map, "score": tf.reduce_max(tf.nn.softmax(logits), -1)}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, "image_bytes")])
    def serve_bytes(image_bytes: Any) -> dict[str, Any]:
        spec = tf.TensorSpec([None, None, channels], tf.uint8)
        images = tf.map_fn(lambda contents: _decode(contents, channels), image_bytes, fn_output_signature=spec)
        outputs = serve_image(images)
        encoded = tf.map_fn(
            lambda label_map: tf.io.encode_png(label_map[..., None]),
            outputs["label_map"],
            fn_output_signature=tf.string,
        )
        return {**outputs, "label_map_bytes": encoded}

    module = tf.Module()
    module.variables_to_save = [variable.value for variable in model.variables]
    signatures = {"serving_default": serve_image}
    if channels in (1, 3):
        signatures["serve_bytes"] = serve_bytes
    return module, signatures


def _decode(contents: Any, channels: int) -> Any:
    """Decode JPEG or PNG to uint8 (height, width, channels); what is transparent is laid over white, as in training."""

    def png() -> Any:
        pixels = tf.cast(tf.io.decode_png(contents, channels=4, dtype=tf.uint16), tf.int32)
        pixels = (pixels + 128) // 257  # 16 bits are rounded to 8; what has 8 comes back as it was
        colours, alpha = pixels[..., :3], pixels[..., 3:]
        return tf.cast((colours * alpha + 255 * (255 - alpha) + 127) // 255, tf.uint8)

    image = tf.cond(tf.io.is_jpeg(contents), lambda: tf.io.decode_jpeg(contents, channels=3), png)
    return image if channels == 3 else tf.image.rgb_to_grayscale(image)
