"""Files for other engines: ONNX and LiteRT, each checked against the network in Keras."""

import importlib
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import keras
import numpy as np
import tensorflow as tf

from keras_segen.errors import InputError
from keras_segen.files import replacing, require_place
from keras_segen.serving._generator import label_count
from keras_segen.types import PathLike, Tensor

OPSET = 18  # of ONNX, from the end of 2022
# How far an engine's numbers may be from Keras's, as a share of the greatest, and how many labels must be the same.
TOLERANCE, LABELS = 1e-4, 0.999
LABELS_QUANTIZED = 0.9
# Heights and widths of the images of the check, where a network takes any: one odd, one that needs no padding.
_SIZES = ((97, 131), (64, 96))
# Per engine, the modules that it needs.
_NEEDED = {"onnx": ("tf2onnx", "onnx", "onnxruntime"), "litert": ("ai_edge_litert",)}


class Converted(NamedTuple):
    """A network as a file for another engine.

    Attributes:
        path: The file.
        difference: The largest difference from Keras's numbers, as a share of the greatest of them.
        labels: The share of pixels with the same likeliest class as in Keras; None for a network without classes.

    Example:
        >>> converted = ks.serving.export_litert(ks.models.unet(2, filters=(4, 8)), "unet_float.tflite")
        >>> converted.difference < 1e-4
        True
    """

    path: Path
    difference: float
    labels: float | None


def export_onnx(model: keras.Model, to: PathLike, *, class_names: Sequence[str] | None = None) -> Converted:
    """Write a network as an ONNX file, and check that ONNX Runtime gives the same numbers.

    The file takes and returns what the network does, channels last. A segmenter takes `image`, float32 (batch, height,
    width, channels) in [0, 255], of any size, and returns `logits`; a generator takes `latent`, and `label` if it is
    conditional, and returns `image` in [-1, 1]. Other networks' outputs are called as in Keras. OpenVINO and others
    read the same file.

    Args:
        model: A Functional network; or a `training.GAN` or `training.VAE`, whose generator or decoder is written.
        to: The file, NAME.onnx. There must be none.
        class_names: The name of each class, which the file's metadata hold as `class_names`, one a line.

    Returns:
        The file, and how far its numbers are from Keras's.

    Raises:
        InputError: If the extra `onnx` is not installed, the file exists or cannot be written, or the numbers differ by
            more than 1e-4 of the greatest.
        ValueError: If the model is no such network.

    Example:
        >>> model = ks.models.unet(2, filters=(4, 8))
        >>> ks.serving.export_onnx(model, "unet.onnx").path.name
        'unet.onnx'
    """
    network, to = _network(model), Path(to)
    _require(to, "onnx", ".onnx")
    import onnx
    import tf2onnx

    function = _function(network)
    proto, _ = tf2onnx.convert.from_function(
        function, function.input_signature, opset=OPSET, custom_op_handlers={"Erfc": (_complementary_error, [])}
    )
    if class_names is not None:
        onnx.helper.set_model_props(proto, {"class_names": "\n".join(class_names)})

    def run(path: Path) -> Callable[..., list[np.ndarray]]:
        import onnxruntime

        session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        return lambda **inputs: session.run(_output_names(network), inputs)

    with replacing(to) as temporary:
        temporary.write_bytes(proto.SerializeToString())
        difference, labels = _compared(network, run(temporary), _examples(network), tolerance=TOLERANCE, least=LABELS)
    return Converted(to, difference, labels)


def _complementary_error(context: Any, node: Any, name: str, args: Any) -> None:
    """Write what an exact GELU is made of as 1 - erf(x); ONNX has no erfc."""
    (x,) = node.input
    one = context.make_const(f"{name}_one", np.ones((), "float32"))
    erf = context.make_node("Erf", [x], name=f"{name}_erf")
    shapes, kinds = node.output_shapes, node.output_dtypes
    context.remove_node(node.name)
    context.make_node(
        "Sub", [one.output[0], erf.output[0]], outputs=node.output, name=node.name, shapes=shapes, dtypes=kinds
    )


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
    logits.

    Args:
        model: A Functional network; or a `training.GAN` or `training.VAE`, whose generator or decoder is written.
        to: The file, NAME.tflite. There must be none.
        quantization: How weights and numbers are kept, for segmenters alone; None for float32.
        examples: Images (height, width, channels) in [0, 255], such as a hundred of the training images, from which
            "int8" learns the ranges of all numbers, and on which a quantised network is checked.

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
    network, to = _network(model), Path(to)
    if quantization not in (None, "dynamic_range", "int8"):
        raise ValueError(
            f'`quantization` must be "dynamic_range", "int8" or None. Received: quantization={quantization!r}'
        )
    if quantization is not None and not _is_segmenter(network):
        raise ValueError(
            f"Only segmenters are quantised; images that are generated show each rounding. Received: {network.name}"
        )
    if quantization is not None and not examples:
        raise ValueError(f"Quantisation needs `examples`. Received: quantization={quantization!r}, examples={examples}")
    _require(to, "litert", ".tflite")
    images = [{"image": np.asarray(image, "float32")[None]} for image in examples or []]

    module = tf.Module()
    module.variables_to_save = [variable.value for variable in network.variables]
    module.function = _function(network)
    converter = tf.lite.TFLiteConverter.from_concrete_functions([module.function.get_concrete_function()], module)
    if quantization is not None:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if quantization == "int8":
        converter.representative_dataset = lambda: iter(images)
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.inference_input_type, converter.inference_output_type = tf.uint8, tf.int8
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "(?s).*tf.lite.Interpreter is deprecated")  # the converter's own use of it
        content = converter.convert()

    tolerance, least = (TOLERANCE, LABELS) if quantization is None else (None, LABELS_QUANTIZED)
    with replacing(to) as temporary:
        temporary.write_bytes(content)
        inputs = _examples(network) if quantization is None else iter(images)
        difference, labels = _compared(network, _litert(temporary, network), inputs, tolerance=tolerance, least=least)
    return Converted(to, difference, labels)


def _litert(path: Path, network: keras.Model) -> Callable[..., list[np.ndarray]]:
    from ai_edge_litert.interpreter import Interpreter

    def run(**inputs: np.ndarray) -> list[np.ndarray]:
        interpreter = Interpreter(str(path))
        for detail in interpreter.get_input_details():
            name = detail["name"].removeprefix("serving_default_").split(":")[0]
            interpreter.resize_tensor_input(detail["index"], inputs[name].shape)
        runner = interpreter.get_signature_runner()
        kinds, results = runner.get_input_details(), runner.get_output_details()
        answer = runner(**{name: value.astype(kinds[name]["dtype"]) for name, value in inputs.items()})
        return [_as_float(answer[name], results[name]) for name in _output_names(network)]

    return run


def _as_float(values: np.ndarray, detail: dict[str, Any]) -> np.ndarray:
    """Return the numbers that a quantised tensor stands for."""
    scale, zero = detail["quantization"]
    return (values.astype("float32") - zero) * scale if scale else values


def _network(model: keras.Model) -> keras.Model:
    """Return the network of a GAN or VAE that generates, or the network itself."""
    network = model.sampler() if hasattr(model, "sampler") else model
    if not getattr(network, "inputs", None):
        raise ValueError(
            "A file for another engine takes a Functional model, or a Sequential one that begins with its Input, for "
            f"their shapes are known. Received: {network.name}, a {type(network).__name__} without them"
        )
    return network


def _is_segmenter(network: keras.Model) -> bool:
    return (
        _input_names(network) == ["image"] and _output_names(network) == ["logits"] and len(network.output_shape) == 4
    )


def _input_names(network: keras.Model) -> list[str]:
    if len(network.inputs) > 2:
        return [tensor.name for tensor in network.inputs]
    first = "image" if len(network.inputs[0].shape) == 4 else "latent"
    return [first, "label"][: len(network.inputs)]


def _output_names(network: keras.Model) -> list[str]:
    # Not `network.outputs`: a deeply supervised segmenter has more of them, which count in training alone.
    if isinstance(network.output_shape, list):
        return list(network.output_names)
    if len(network.inputs[0].shape) == 4:
        return ["logits"]
    return ["image"]


def _function(network: keras.Model) -> Any:
    names = _input_names(network)
    signature = [
        tf.TensorSpec(tensor.shape, tensor.dtype, name) for tensor, name in zip(network.inputs, names, strict=True)
    ]

    @tf.function(input_signature=signature)
    def call(*inputs: Tensor) -> dict[str, Any]:
        outputs = network(inputs[0] if len(inputs) == 1 else list(inputs), training=False)
        outputs = outputs if isinstance(outputs, list | tuple) else [outputs]
        return dict(zip(_output_names(network), outputs, strict=True))

    return call


def _examples(network: keras.Model) -> Iterator[dict[str, np.ndarray]]:
    """Yield what the network can be shown: one batch, or one a size where it takes images of any."""
    rng = np.random.default_rng(0)
    classes = label_count(network) or 1
    any_size = None in network.inputs[0].shape[1:3]
    for size in _SIZES if any_size else _SIZES[:1]:
        inputs: dict[str, np.ndarray] = {}
        for tensor, name in zip(network.inputs, _input_names(network), strict=True):
            sides = iter(size)
            shape = [2, *(next(sides) if side is None else side for side in tensor.shape[1:])]
            values: np.ndarray
            if name == "image":
                values = rng.integers(0, 256, shape)
            elif name == "label":
                values = rng.integers(0, classes, shape) if "int" in tensor.dtype else rng.integers(0, 2, shape)
            else:
                values = rng.normal(size=shape)
            inputs[name] = values.astype(tensor.dtype)
        yield inputs


def _compared(
    network: keras.Model,
    run: Callable[..., list[np.ndarray]],
    examples: Iterator[dict[str, np.ndarray]],
    *,
    tolerance: float | None,
    least: float,
) -> tuple[float, float | None]:
    """Return the largest difference of an engine's numbers, and the share of labels that are the same.

    Raises:
        InputError: If the differences are above `tolerance`, or fewer than `least` of the labels are the same.
    """
    difference, same, pixels = 0.0, 0, 0
    for inputs in examples:
        given = list(inputs.values())
        outputs = network(given if len(given) > 1 else given[0], training=False)
        expected = [np.asarray(output) for output in (outputs if isinstance(outputs, list | tuple) else [outputs])]
        for ours, theirs in zip(expected, run(**inputs), strict=True):
            if ours.shape != theirs.shape:
                raise InputError(f"{network.name}: gives {theirs.shape} instead of {ours.shape} after its conversion")
            difference = max(difference, float(np.abs(ours - theirs).max() / max(np.abs(ours).max(), 1e-12)))
            same += int((ours.argmax(-1) == theirs.argmax(-1)).sum())
            pixels += ours[..., 0].size
    if tolerance is not None and not difference <= tolerance:
        raise InputError(f"{network.name}: its numbers are {difference:.1e} of the greatest off after the conversion")
    if not _is_segmenter(network):
        return difference, None
    if same < least * pixels:
        raise InputError(
            f"{network.name}: gives {100 - 100 * same / pixels:.1f} % of the pixels other labels after the conversion: "
            "export it without quantisation"
        )
    return difference, same / pixels


def _require(to: Path, engine: str, suffix: str) -> None:
    """Raise `InputError` for a file that cannot be written, or for a package that is not installed."""
    if keras.backend.backend() != "tensorflow":
        raise InputError(
            f"export works on TensorFlow alone, and Keras runs on {keras.backend.backend()}: save the model, and "
            "export it in a process with KERAS_BACKEND=tensorflow"
        )
    if to.suffix != suffix:
        raise InputError(f"{to}: must end in {suffix}")
    if to.exists():
        raise InputError(f"{to}: exists: name another file, or remove it first")
    require_place(to.parent)
    to.parent.mkdir(parents=True, exist_ok=True)
    for name in _NEEDED[engine]:
        try:
            importlib.import_module(name)
        except ImportError as error:
            raise InputError(
                f"{to}: needs {name}, which cannot be imported ({error}): pip install 'keras-segen[{engine}]'"
            ) from error
