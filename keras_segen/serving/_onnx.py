"""ONNX files, each checked against the network in Keras."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from keras_segen.serving._conversion import (
    Converted,
    compared,
    examples_of,
    function_of,
    network_of,
    output_names,
    require_target,
    writing,
)
from keras_segen.types import PathLike

_OPSET = 18  # of ONNX, from the end of 2022


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
    network, to = network_of(model), Path(to)
    require_target(to, ".onnx", extra="onnx", needed=("tf2onnx", "onnx", "onnxruntime"))
    import onnx
    import tf2onnx

    function = function_of(network)
    proto, _ = tf2onnx.convert.from_function(
        function,
        function.input_signature,
        opset=_OPSET,
        custom_op_handlers={"Erfc": (_complementary_error, [])},
        custom_rewriter=[_spread_kernels],
    )
    if class_names is not None:
        onnx.helper.set_model_props(proto, {"class_names": "\n".join(class_names)})

    def run(path: Path) -> Callable[..., list[np.ndarray]]:
        import onnxruntime

        session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        return lambda **inputs: session.run(output_names(network), inputs)

    with writing(to) as temporary:
        temporary.write_bytes(proto.SerializeToString())
        difference, labels = compared(network, run(temporary), examples_of(network))
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


def _spread_kernels(graph: Any, nodes: list[Any]) -> list[Any]:
    """Make one convolution with a spread kernel of what TensorFlow writes for a depthwise one.

    TensorFlow cuts the map into pieces, convolves these, and puts them together again. An engine is slow at that, and
    OpenVINO loses track of the sizes.
    """
    for joined in [node for node in nodes if node.type == "BatchToSpaceND"]:
        window = joined.inputs[0]
        pieces = window.inputs[0] if window.type == "DepthwiseConv2dNative" else None
        if pieces is None or pieces.type != "SpaceToBatchND" or pieces.inputs[2].type != "Pack":
            continue
        rates = pieces.inputs[1].get_tensor_value()
        # Per axis, the cells before the map; those after it depend on its size, for the pieces are equally large.
        before = [ends.inputs[0] for ends in pieces.inputs[2].inputs]
        sides = graph.get_shape(window.input[1])[:2]
        if not all(cells.is_const() for cells in before):
            continue
        borders = [rate * (side - 1) for rate, side in zip(rates, sides, strict=True)]
        starts = [int(cells.get_tensor_value()) for cells in before]
        if not any(starts):
            borders = [0, 0]
        ends = [border - start for border, start in zip(borders, starts, strict=True)]
        graph.replace_inputs(window, [pieces.input[0], window.input[1]])
        graph.copy_shape(joined.output[0], window.output[0])
        graph.replace_all_inputs(joined.output[0], window.output[0])
        window.set_attr("dilations", [1, *rates, 1])
        window.set_attr("padding", "EXPLICIT")
        window.set_attr("explicit_paddings", [0, 0, starts[0], ends[0], starts[1], ends[1], 0, 0])
    return graph.get_nodes()
