"""LiteRT (TensorFlow Lite) files, each checked against the network in Keras."""

import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

import keras
import numpy as np
import tensorflow as tf

from keras_segen.models import value_range
from keras_segen.serving._conversion import (
    Converted,
    compared,
    examples_of,
    function_of,
    is_segmenter,
    network_of,
    output_names,
    require_target,
    writing,
)
from keras_segen.types import PathLike


def export_litert(
    model: keras.Model,
    to: PathLike,
    *,
    quantization: Literal["dynamic_range", "int8"] | None = None,
    examples: Sequence[np.ndarray] | None = None,
) -> Converted:
    """Write a network as a LiteRT (TensorFlow Lite) file, and check that LiteRT gives the same numbers.

    Inputs and outputs are those of `export_onnx`. A quantised segmenter is smaller. With
    "dynamic_range" it holds its weights in 8 bits, and still takes and returns float32. With "int8" it computes in 8
    bits throughout, as accelerators want it: it takes uint8 images, and returns int8 logits, whose order is that of the
    logits. If the network has a `value_range`, 0 and 255 stand for its ends.

    Args:
        model: A Functional network; or a `training.GAN` or `training.VAE`, whose generator or decoder is written.
        to: The file, NAME.tflite. There must be none.
        quantization: How weights and numbers are kept, for segmenters alone; None for float32.
        examples: Images (height, width, channels) in [0, 255] or the `value_range`, such as a hundred of the training
            images, from which "int8" learns the ranges of all numbers, and on which a quantised network is checked.

    Returns:
        The file, and how far its numbers are from Keras's.

    Raises:
        InputError: If the extra `litert` is not installed, the file exists or cannot be written, the numbers differ by
            more than 1e-4 of the greatest, or a quantised network gives more than a tenth of the examples' pixels
            another label.
        ValueError: If the model is no such network, or is to be quantised and is no segmenter, or without examples.

    Example:
        >>> model = ks.models.unet(2, filters=(4, 8))
        >>> ks.serving.export_litert(model, "unet.tflite").path.name
        'unet.tflite'
    """
    network, to = network_of(model), Path(to)
    if quantization not in (None, "dynamic_range", "int8"):
        raise ValueError(
            f'`quantization` must be "dynamic_range", "int8" or None. Received: quantization={quantization!r}'
        )
    if quantization is not None and not is_segmenter(network):
        raise ValueError(
            f"Only segmenters are quantised; images that are generated show each rounding. Received: {network.name}"
        )
    examples = [] if examples is None else [np.asarray(image, "float32") for image in examples]
    if quantization is not None and not examples:
        raise ValueError(f"Quantisation needs `examples`. Received: quantization={quantization!r}, and no examples")
    channels = network.input_shape[-1] if examples else None
    for image in examples:
        if image.ndim != 3 or image.shape[-1] != channels or not image.size or not np.isfinite(image).all():
            raise ValueError(
                f"`examples` are images (height, width, {channels}) of finite numbers. Received: shape {image.shape}"
            )
    require_target(to, ".tflite", extra="litert", needed=("ai_edge_litert",))
    low, high = value_range(network) or (0.0, 255.0)
    images = [{"image": image[None].clip(low, high)} for image in examples]

    module = tf.Module()
    module.variables_to_save = [variable.value for variable in network.variables]
    module.function = function_of(network)
    converter = tf.lite.TFLiteConverter.from_concrete_functions([module.function.get_concrete_function()], module)
    if quantization is not None:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if quantization == "int8":
        # With both ends among the examples, the levels of the input are those of 8 bits.
        ends = images[0]["image"].copy()
        ends.flat[0], ends.flat[-1] = low, high
        converter.representative_dataset = lambda: iter([{"image": ends}, *images])
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.inference_input_type, converter.inference_output_type = tf.uint8, tf.int8
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "(?s).*tf.lite.Interpreter is deprecated")  # the converter's own use of it
        content = converter.convert()

    with writing(to) as temporary:
        temporary.write_bytes(content)
        inputs = examples_of(network) if quantization is None else iter(images)
        run, quantized = _interpreted(temporary, network), quantization is not None
        difference, labels = compared(network, run, inputs, quantized=quantized)
    return Converted(to, difference, labels)


def _interpreted(path: Path, network: keras.Model) -> Callable[..., list[np.ndarray]]:
    from ai_edge_litert.interpreter import Interpreter

    def run(**inputs: np.ndarray) -> list[np.ndarray]:
        interpreter = Interpreter(str(path))
        for detail in interpreter.get_input_details():
            name = detail["name"].removeprefix("serving_default_").split(":")[0]
            interpreter.resize_tensor_input(detail["index"], inputs[name].shape)
        runner = interpreter.get_signature_runner()
        kinds, results = runner.get_input_details(), runner.get_output_details()
        answer = runner(**{name: _as_input(value, kinds[name]) for name, value in inputs.items()})
        return [_as_float(answer[name], results[name]) for name in output_names(network)]

    return run


def _as_input(values: np.ndarray, detail: dict[str, Any]) -> np.ndarray:
    """Return numbers as a tensor takes them, which may be quantised."""
    scale, zero = detail["quantization"]
    return (np.round(values / scale + zero) if scale else values).astype(detail["dtype"])


def _as_float(values: np.ndarray, detail: dict[str, Any]) -> np.ndarray:
    """Return the numbers that a quantised tensor stands for."""
    scale, zero = detail["quantization"]
    return (values.astype("float32") - zero) * scale if scale else values
