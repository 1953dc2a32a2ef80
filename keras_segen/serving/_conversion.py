"""What a network is to another engine, and the check that it gives the same numbers there."""

import importlib
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf

from keras_segen.errors import InputError
from keras_segen.files import replacing, require_place
from keras_segen.models import two_classes, value_range
from keras_segen.serving._generator import label_count
from keras_segen.types import Tensor

# How far an engine's numbers may be from Keras's, as a share of the greatest, and how many labels must be the same.
TOLERANCE, LABELS = 1e-4, 0.999
LABELS_QUANTIZED = 0.9
# Heights and widths of the images of the check, where a network takes any: one odd, one that needs no padding.
_SIZES = ((97, 131), (64, 96))


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


def network_of(model: keras.Model) -> keras.Model:
    """Return the network of a GAN or VAE that generates, or the network itself, of one logit as of two classes."""
    if not isinstance(model, keras.Model):
        raise ValueError(f"A file for another engine takes a model. Received: {model!r}")
    network = model.sampler() if hasattr(model, "sampler") else model
    if not getattr(network, "inputs", None):
        raise ValueError(
            "A file for another engine takes a Functional model, or a Sequential one that begins with its Input, for "
            f"their shapes are known. Received: {network.name}, a {type(network).__name__} without them"
        )
    return _in_float32(two_classes(network))


def _in_float32(network: keras.Model) -> keras.Model:
    """Return the network without layers that compute in 16 bits, which engines do not know alike."""
    config = json.dumps(keras.saving.serialize_keras_object(network))
    plain = config.replace('"mixed_bfloat16"', '"float32"').replace('"mixed_float16"', '"float32"')
    if plain == config:
        return network
    copy = keras.saving.deserialize_keras_object(json.loads(plain))
    copy.set_weights(network.get_weights())
    return copy


def is_segmenter(network: keras.Model) -> bool:
    """Say whether a network gives logits for the pixels of an image."""
    return _input_names(network) == ["image"] and output_names(network) == ["logits"] and len(network.output_shape) == 4


def _input_names(network: keras.Model) -> list[str]:
    if len(network.inputs) > 2:
        return [tensor.name for tensor in network.inputs]
    first = "image" if len(network.inputs[0].shape) == 4 else "latent"
    return [first, "label"][: len(network.inputs)]


def output_names(network: keras.Model) -> list[str]:
    """Return what the file calls the outputs."""
    # Not `network.outputs`: a deeply supervised segmenter has more of them, which count in training alone.
    if isinstance(network.output_shape, list):
        return list(network.output_names)
    if len(network.inputs[0].shape) == 4:
        return ["logits"]
    return ["image"]


def function_of(network: keras.Model) -> Any:
    """Return the network's prediction as a `tf.function` whose inputs and outputs have the file's names."""
    names = _input_names(network)
    signature = [
        tf.TensorSpec(tensor.shape, tensor.dtype, name) for tensor, name in zip(network.inputs, names, strict=True)
    ]

    @tf.function(input_signature=signature)
    def call(*inputs: Tensor) -> dict[str, Any]:
        outputs = network(inputs[0] if len(inputs) == 1 else list(inputs), training=False)
        outputs = outputs if isinstance(outputs, list | tuple) else [outputs]
        return dict(zip(output_names(network), outputs, strict=True))

    return call


def examples_of(network: keras.Model) -> Iterator[dict[str, np.ndarray]]:
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
                low, high = value_range(network) or (0, 255)
                values = low + rng.integers(0, 256, shape) * (high - low) / 255
            elif name == "label":
                values = rng.integers(0, classes, shape) if "int" in tensor.dtype else rng.integers(0, 2, shape)
            else:
                values = rng.normal(size=shape)
            inputs[name] = values.astype(tensor.dtype)
        yield inputs


def compared(
    network: keras.Model,
    run: Callable[..., list[np.ndarray]],
    examples: Iterator[dict[str, np.ndarray]],
    *,
    quantized: bool = False,
) -> tuple[float, float | None]:
    """Return the largest difference of an engine's numbers, and the share of labels that are the same.

    Raises:
        InputError: If the numbers are not finite, differ by too much, though they are not quantised, or too many labels
            do.
    """
    difference, same, pixels = 0.0, 0, 0
    for inputs in examples:
        given = list(inputs.values())
        outputs = network(given if len(given) > 1 else given[0], training=False)
        expected = [np.asarray(output) for output in (outputs if isinstance(outputs, list | tuple) else [outputs])]
        for ours, theirs in zip(expected, run(**inputs), strict=True):
            if ours.shape != theirs.shape:
                raise InputError(f"{network.name}: gives {theirs.shape} instead of {ours.shape} after its conversion")
            for values, whose in ((ours, ""), (theirs, " after the conversion")):
                if not np.isfinite(values).all():
                    raise InputError(f"{network.name}: gives numbers that are not finite{whose}")
            difference = max(difference, float(np.abs(ours - theirs).max() / max(np.abs(ours).max(), 1e-12)))
            same += int((ours.argmax(-1) == theirs.argmax(-1)).sum())
            pixels += ours[..., 0].size
    if not quantized and not difference <= TOLERANCE:
        raise InputError(f"{network.name}: its numbers are {difference:.1e} of the greatest off after the conversion")
    if not is_segmenter(network):
        return difference, None
    if same < (LABELS_QUANTIZED if quantized else LABELS) * pixels:
        raise InputError(
            f"{network.name}: gives {100 - 100 * same / pixels:.1f} % of the pixels other labels after the conversion: "
            "export it without quantisation"
        )
    return difference, same / pixels


def require_target(to: Path, suffix: str, *, extra: str, needed: Sequence[str]) -> None:
    """Raise `InputError` for a file that cannot be written, or for a module of an extra that is not installed."""
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
    for name in needed:
        try:
            importlib.import_module(name)
        except ImportError as error:
            raise InputError(
                f"{to}: needs {name}, which cannot be imported ({error}): pip install 'keras-segen[{extra}]'"
            ) from error


@contextmanager
def writing(to: Path) -> Iterator[Path]:
    """Yield a temporary path beside a new file, as `replacing`; folders made for one that fails go again."""
    new = [place for place in to.parents if not place.exists()]
    to.parent.mkdir(parents=True, exist_ok=True)
    try:
        with replacing(to) as temporary:
            yield temporary
    finally:
        if not to.exists():
            with suppress(OSError):
                for place in new:
                    place.rmdir()
