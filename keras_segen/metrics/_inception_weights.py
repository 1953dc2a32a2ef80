"""Weights of FID's Inception network: where they are published, and how they are read."""

from pathlib import Path

import numpy as np

from keras_segen._downloads import Download, fetch, sha256
from keras_segen.errors import InputError
from keras_segen.files import cache_folder
from keras_segen.torch_file import read_state_dict

# The weights of classify_image_graph_def.pb, as a file of 95,628,359 bytes that both projects distribute.
FILE = "weights-inception-2015-12-05-6726825d.pth"
PUBLISHED_SHA256 = "6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2"
URLS = (
    "https://github.com/toshas/torch-fidelity/releases/download/v0.2.0/weights-inception-2015-12-05-6726825d.pth",
    "https://github.com/mseitzer/pytorch-fid/releases/download/fid_weights/pt_inception-2015-12-05-6726825d.pth",
)
# The graph itself lies in http://download.tensorflow.org/models/image/imagenet/inception-2015-12-05.tgz. Its layers'
# names there: of the five convolutions at the beginning, and of the branches of each kind of block.
_STEM = ("Conv2d_1a_3x3", "Conv2d_2a_3x3", "Conv2d_2b_3x3", "Conv2d_3b_1x1", "Conv2d_4a_3x3")
_POOL = {"branch_pool": "tower_2/conv"}
_BLOCK_35 = {
    "branch1x1": "conv",
    "branch5x5_1": "tower/conv",
    "branch5x5_2": "tower/conv_1",
    "branch3x3dbl_1": "tower_1/conv",
    "branch3x3dbl_2": "tower_1/conv_1",
    "branch3x3dbl_3": "tower_1/conv_2",
    **_POOL,
}
_TO_17 = {
    "branch3x3": "conv",
    "branch3x3dbl_1": "tower/conv",
    "branch3x3dbl_2": "tower/conv_1",
    "branch3x3dbl_3": "tower/conv_2",
}
_BLOCK_17 = {
    "branch1x1": "conv",
    "branch7x7_1": "tower/conv",
    "branch7x7_2": "tower/conv_1",
    "branch7x7_3": "tower/conv_2",
    "branch7x7dbl_1": "tower_1/conv",
    "branch7x7dbl_2": "tower_1/conv_1",
    "branch7x7dbl_3": "tower_1/conv_2",
    "branch7x7dbl_4": "tower_1/conv_3",
    "branch7x7dbl_5": "tower_1/conv_4",
    **_POOL,
}
_TO_8 = {
    "branch3x3_1": "tower/conv",
    "branch3x3_2": "tower/conv_1",
    "branch7x7x3_1": "tower_1/conv",
    "branch7x7x3_2": "tower_1/conv_1",
    "branch7x7x3_3": "tower_1/conv_2",
    "branch7x7x3_4": "tower_1/conv_3",
}
_BLOCK_8 = {
    "branch1x1": "conv",
    "branch3x3_1": "tower/conv",
    "branch3x3_2a": "tower/mixed/conv",
    "branch3x3_2b": "tower/mixed/conv_1",
    "branch3x3dbl_1": "tower_1/conv",
    "branch3x3dbl_2": "tower_1/conv_1",
    "branch3x3dbl_3a": "tower_1/mixed/conv",
    "branch3x3dbl_3b": "tower_1/mixed/conv_1",
    **_POOL,
}
_BLOCKS = {
    **{f"Mixed_5{letter}": _BLOCK_35 for letter in "bcd"},
    "Mixed_6a": _TO_17,
    **{f"Mixed_6{letter}": _BLOCK_17 for letter in "bcde"},
    "Mixed_7a": _TO_8,
    **{f"Mixed_7{letter}": _BLOCK_8 for letter in "bc"},
}


def graph_names() -> dict[str, str]:
    """Return the graph's name of each convolution, by the name it has in `FILE`."""
    names = {name: f"conv_{i}" if i else "conv" for i, name in enumerate(_STEM)}
    for i, (block, branches) in enumerate(_BLOCKS.items()):
        mixed = f"mixed_{i}" if i else "mixed"
        names |= {f"{block}.{branch}": f"{mixed}/{tower}" for branch, tower in branches.items()}
    return names


def published_weights() -> Path:
    """Return the path of the published file in Keras's cache, downloaded and checked by its hash if it is not there.

    Raises:
        InputError: If the file cannot be downloaded, as for `fetch`.
    """
    return fetch(Download(FILE, PUBLISHED_SHA256, URLS), cache_folder())


def read_weights(path: Path) -> tuple[dict[str, np.ndarray], str]:
    """Read weights, and return them by the names in `FILE`, and the file's SHA-256.

    Args:
        path: The path of `FILE`, of another file of PyTorch's in its format (.pth), or of the graph itself (.pb).

    Raises:
        InputError: For a file that does not exist or is damaged.
    """
    if not path.is_file():
        raise InputError(f"{path}: {'is not a file' if path.exists() else 'does not exist'}: fetch {URLS[0]}")
    if path.suffix.lower() != ".pb":
        return read_state_dict(path), sha256(path)
    try:
        return _read_graph(path), sha256(path)
    except (ValueError, TypeError) as error:  # of a constant that is none, or of another shape
        reason = str(error).splitlines()[0]
        raise InputError(
            f"{path}: is damaged, or not classify_image_graph_def.pb ({reason}): fetch it again"
        ) from error


def _read_graph(path: Path) -> dict[str, np.ndarray]:
    import tensorflow as tf

    graph = tf.compat.v1.GraphDef()
    try:
        graph.ParseFromString(path.read_bytes())
    except Exception as error:  # protobuf's DecodeError
        raise ValueError("no TensorFlow graph") from error
    constants = {node.name: node.attr["value"].tensor for node in graph.node if node.op == "Const"}

    def constant(name: str) -> np.ndarray:
        if name not in constants:
            raise ValueError(f"it holds no {name}")
        return tf.make_ndarray(constants[name])

    tensors = {"fc.weight": constant("softmax/weights").T, "fc.bias": constant("softmax/biases")}
    parts = {"weight": "gamma", "bias": "beta", "running_mean": "moving_mean", "running_var": "moving_variance"}
    for name, node in graph_names().items():
        tensors[f"{name}.conv.weight"] = constant(f"{node}/conv2d_params").transpose(3, 2, 0, 1)
        tensors |= {f"{name}.bn.{part}": constant(f"{node}/batchnorm/{its}") for part, its in parts.items()}
    return tensors
