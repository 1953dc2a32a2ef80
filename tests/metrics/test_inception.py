from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from examples.inception_expected import FILE, SIZES, images, tensor
from examples.torch_files import write_torch_file
from keras_segen.data._cifar10 import read_cifar10
from keras_segen.errors import InputError
from keras_segen.metrics import _inception_weights as inception_weights
from keras_segen.metrics import inception_features, inception_score
from keras_segen.metrics._features import feature_batches
from keras_segen.metrics._image_sets import score_name
from keras_segen.metrics._inception import inception_network, load


def shapes() -> dict[str, tuple[int, ...]]:
    """The tensors that the published file holds."""
    found = {"fc.weight": (1008, 2048), "fc.bias": (1008,)}
    network = inception_network()
    for name in inception_weights.graph_names():
        *size, inputs, outputs = network.get_layer(name).kernel.shape
        found[f"{name}.conv.weight"] = (outputs, inputs, *size)
        found |= {f"{name}.bn.{part}": (outputs,) for part in ("weight", "bias", "running_mean", "running_var")}
    return found


@pytest.fixture(scope="module")
def tensors():
    return {name: tensor(name, shape) for name, shape in shapes().items()}


@pytest.fixture(scope="module")
def torch_path(tensors, tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / "drawn.pth"
    write_torch_file(path, tensors)
    return path


def write_graph(path, tensors):
    """Write constants as the published graph names them."""
    graph = tf.compat.v1.GraphDef()
    parts = {"weight": "gamma", "bias": "beta", "running_mean": "moving_mean", "running_var": "moving_variance"}
    constants = {"softmax/weights": tensors["fc.weight"].T, "softmax/biases": tensors["fc.bias"]}
    for name, there in inception_weights.graph_names().items():
        constants[f"{there}/conv2d_params"] = tensors[f"{name}.conv.weight"].transpose(2, 3, 1, 0)
        constants |= {f"{there}/batchnorm/{its}": tensors[f"{name}.bn.{part}"] for part, its in parts.items()}
    for name, value in constants.items():
        node = graph.node.add(name=name, op="Const")
        node.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(value))
    path.write_bytes(graph.SerializeToString())


@pytest.mark.slow
def test_equals_torch_fidelity(torch_path):
    expected = np.load(FILE)
    extractor = inception_features(torch_path)
    for size in SIZES:
        features, logits = extractor.predict(images(size) / np.float32(127.5) - 1, verbose=0)
        assert features.shape == (16, 2048)
        assert logits.shape == (16, 1008)
        np.testing.assert_allclose(features[:, ::8], expected[f"2048_{size}"], atol=1e-4)
        np.testing.assert_allclose(logits[:, ::8], expected[f"logits_unbiased_{size}"], atol=1e-4)


def test_logits_with_their_bias(tensors):
    network = inception_network()
    load(network, tensors)
    answers = network(np.random.default_rng(0).uniform(-1, 1, (2, 299, 299, 3)).astype("float32"))
    np.testing.assert_allclose(answers["logits"] - answers["logits_unbiased"], [tensors["fc.bias"]] * 2, atol=1e-5)


def test_the_graph_holds_the_same(tensors, torch_path, tmp_path):
    write_graph(tmp_path / "graph.pb", tensors)
    ours, digest = inception_weights.read_weights(tmp_path / "graph.pb")
    theirs, other = inception_weights.read_weights(torch_path)
    assert digest != other
    assert ours.keys() == theirs.keys()
    for name, array in ours.items():
        np.testing.assert_array_equal(array, theirs[name])
    assert len(inception_weights.graph_names()) == 94
    names = inception_weights.graph_names()
    assert names["Mixed_6a.branch3x3dbl_3"] == "mixed_3/tower/conv_2"
    assert names["Mixed_7c.branch3x3dbl_3b"] == "mixed_10/tower_1/mixed/conv_1"
    assert names["Mixed_5b.branch_pool"] == "mixed/tower_2/conv"


def test_other_weights_give_no_fid(torch_path, monkeypatch):
    digest = inception_weights.read_weights(torch_path)[1]
    name = inception_features(torch_path).name
    assert name == f"inception_{digest[:8]}"
    assert score_name("frechet_distance", name) == f"frechet_distance_{name}"
    monkeypatch.setattr("keras_segen.metrics._inception.PUBLISHED_SHA256", digest)
    name = inception_features(torch_path).name
    scores = ("frechet_distance", "kernel_distance", "inception_score", "recall")
    assert [score_name(score, name) for score in scores] == ["fid", "kid", "inception_score", f"recall_{name}"]


@pytest.mark.slow
def test_grey_images(torch_path):
    grey = images(32)[:2, ..., :1] / np.float32(127.5) - 1
    one, three = (inception_features(torch_path, channels=n).predict(x, verbose=0)[0]
                  for n, x in ((1, grey), (3, np.repeat(grey, 3, -1))))  # fmt: skip
    np.testing.assert_allclose(one, three, atol=1e-4)


def test_files_that_are_not_it_are_refused(tmp_path):
    with pytest.raises(InputError, match=r"none.pth: does not exist: fetch https"):
        inception_features(tmp_path / "none.pth")
    write_torch_file(tmp_path / "other.pth", {"fc.weight": np.zeros((2, 3))})
    with pytest.raises(InputError, match=r"other.pth: holds no Conv2d_1a_3x3.conv.weight"):
        inception_features(tmp_path / "other.pth")
    (tmp_path / "folder.pth").mkdir()
    with pytest.raises(InputError, match=r"folder.pth: is not a file"):
        inception_features(tmp_path / "folder.pth")
    graph = tf.compat.v1.GraphDef()
    graph.node.add(name="softmax/weights", op="Const")
    (tmp_path / "valueless.PB").write_bytes(graph.SerializeToString())
    with pytest.raises(InputError, match=r"valueless.PB: is damaged, or not classify_image"):
        inception_features(tmp_path / "valueless.PB")
    (tmp_path / "bad.pb").write_bytes(b"\x0f\xff nothing")
    with pytest.raises(InputError, match=r"bad.pb: is damaged, or not classify_image"):
        inception_features(tmp_path / "bad.pb")
    (tmp_path / "empty.pb").write_bytes(b"")
    with pytest.raises(InputError, match=r"empty.pb: .* \(it holds no softmax/weights\)"):
        inception_features(tmp_path / "empty.pb")


def test_a_shape_that_is_another_is_refused(tensors, tmp_path):
    write_torch_file(tmp_path / "wrong.pth", {**tensors, "fc.bias": np.zeros(1000)})
    with pytest.raises(InputError, match=r"wrong.pth: fc.bias has shape \(1000,\)"):
        inception_features(tmp_path / "wrong.pth")
    below = {**tensors, "Conv2d_1a_3x3.bn.running_var": -tensors["Conv2d_1a_3x3.bn.running_var"]}
    write_torch_file(tmp_path / "below.pth", below)
    with pytest.raises(InputError, match=r"below.pth: Conv2d_1a_3x3.bn.running_var holds what cannot be"):
        inception_features(tmp_path / "below.pth")


def test_without_network_one_line_says_what_to_fetch(monkeypatch, tmp_path):
    def no_network(*args, **kwargs):
        raise OSError("no route to host")

    monkeypatch.setattr("urllib.request.urlopen", no_network)
    with pytest.raises(
        InputError,
        match=r"no route to host\): fetch https://github.com/toshas/.* put it into .*/keras_segen as weights-",
    ):
        inception_features()
    # What lies there stays, and is not taken for the published file.
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    path = tmp_path / "keras_segen" / inception_weights.FILE
    path.parent.mkdir()
    path.write_bytes(b"something else")
    with pytest.raises(InputError, match="is not the published file, by its SHA-256"):
        inception_features()
    assert path.read_bytes() == b"something else"


def test_published_figures(real_data):
    """With the true weights, CIFAR-10's training images have the inception score that torch-fidelity publishes."""
    weights = real_data(f"weights/{inception_weights.FILE}")
    if not Path("~/tensorflow_datasets/cifar10").expanduser().is_dir():
        pytest.skip("CIFAR-10 as it was published is not in ~/tensorflow_datasets")
    pictures, _ = read_cifar10("train", None)
    logits = np.concatenate([logits for _, logits in feature_batches(pictures, inception_features(weights))])
    probabilities = np.exp(logits.astype(np.float64) - logits.max(1, keepdims=True))
    mean, _ = inception_score(probabilities / probabilities.sum(1, keepdims=True))
    assert mean == pytest.approx(11.237, abs=0.002)
