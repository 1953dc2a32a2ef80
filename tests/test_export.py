import io
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from keras_segen.data.images import read_image
from keras_segen.errors import InputError
from keras_segen.models import unet
from keras_segen.serving import export

SIZES = [(1, 1), (37, 53), (256, 256), (1040, 1388)]

# A process without Keras and this package, as a server is.
SERVER = """
import sys
sys.modules["keras"] = sys.modules["keras_segen"] = None
import numpy as np
import tensorflow as tf
servable = tf.saved_model.load(sys.argv[1])
inputs = np.load(sys.argv[2])
outputs = {}
for name in inputs:
    answer = servable.signatures["serving_default"](image=tf.constant(inputs[name]))
    outputs[name], outputs[name + "_score"] = answer["label_map"].numpy(), answer["score"].numpy()
np.savez(sys.argv[3], **outputs)
"""


@pytest.fixture
def model():
    keras.utils.set_random_seed(0)
    return unet(5, filters=(4, 8, 16))


def test_serves_the_same_label_maps_without_keras(model, tmp_path):
    folder = export(model, tmp_path / "unet")
    rng = np.random.default_rng(0)
    images = {str(i): rng.integers(0, 256, (2, *size, 3), dtype=np.uint8) for i, size in enumerate(SIZES)}
    np.savez(tmp_path / "in.npz", **images)
    arguments = [folder, tmp_path / "in.npz", tmp_path / "out.npz"]
    subprocess.run([sys.executable, "-c", SERVER, *map(str, arguments)], check=True, capture_output=True)
    answers = np.load(tmp_path / "out.npz")
    for name, image in images.items():
        logits = model.predict(image.astype("float32"), verbose=0)
        assert answers[name].dtype == np.uint8
        np.testing.assert_array_equal(answers[name], logits.argmax(-1))
        scores = np.asarray(tf.nn.softmax(logits)).max(-1)
        np.testing.assert_allclose(answers[f"{name}_score"], scores, atol=1e-5)


def encoded(image: Image.Image, suffix: str) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, suffix)
    return buffer.getvalue()


@pytest.mark.parametrize("kind", ["jpeg", "RGB", "RGBA", "L", "P", "LA"])
def test_bytes_are_read_as_in_training(model, tmp_path, kind):
    rgba = np.random.default_rng(0).integers(0, 256, (6, 5, 4), dtype=np.uint8).repeat(6, 0).repeat(6, 1)
    image = Image.fromarray(rgba[..., :3]) if kind == "jpeg" else Image.fromarray(rgba).convert(kind)
    contents = encoded(image, "jpeg" if kind == "jpeg" else "png")
    path = tmp_path / f"a.{'jpg' if kind == 'jpeg' else 'png'}"
    path.write_bytes(contents)
    servable = tf.saved_model.load(str(export(model, tmp_path / "unet")))
    answer = servable.signatures["serve_bytes"](image_bytes=tf.constant([contents, contents]))
    expected = servable.signatures["serving_default"](image=tf.constant(read_image(path)[None]))
    agreement = np.mean(answer["label_map"][0] == expected["label_map"][0])
    assert agreement == 1 if kind in ("RGB", "L", "P") else agreement > 0.97  # rounding of alpha and JPEG
    with Image.open(io.BytesIO(answer["label_map_bytes"][1].numpy())) as label_map:
        np.testing.assert_array_equal(np.asarray(label_map), answer["label_map"][1])


def test_16_bits_are_rounded_to_8_as_in_training(model, tmp_path):
    grey = np.random.default_rng(0).integers(0, 2**16, (16, 16), dtype=np.uint16)
    contents = encoded(Image.fromarray(grey), "png")
    (tmp_path / "a.png").write_bytes(contents)
    servable = tf.saved_model.load(str(export(model, tmp_path / "unet")))
    answer = servable.signatures["serve_bytes"](image_bytes=tf.constant([contents]))
    expected = servable.signatures["serving_default"](image=tf.constant(read_image(tmp_path / "a.png")[None]))
    np.testing.assert_array_equal(answer["score"], expected["score"])


@pytest.mark.parametrize("channels", [1, 2])
def test_other_channels(tmp_path, channels):
    folder = export(unet(2, filters=(4, 8), input_channels=channels), tmp_path / "unet")
    signatures = tf.saved_model.load(str(folder)).signatures
    assert signatures["serving_default"](image=tf.zeros([1, 5, 5, channels], tf.uint8))["label_map"].shape == (1, 5, 5)
    assert ("serve_bytes" in signatures) == (channels == 1)


def test_versions_count_on_and_nothing_half_written_stays(model, tmp_path, monkeypatch):
    assert export(model, tmp_path / "unet").name == "1"
    (tmp_path / "unet" / "7").mkdir()
    assert export(model, tmp_path / "unet").name == "8"

    def full(module, path, signatures):
        (tmp_path / "unet" / ".incomplete-9").mkdir()
        raise tf.errors.ResourceExhaustedError(None, None, "No space left on device")

    monkeypatch.setattr(tf.saved_model, "save", full)
    with pytest.raises(OSError, match="unet/9: cannot be written: No space"):
        export(model, tmp_path / "unet")
    assert sorted(path.name for path in (tmp_path / "unet").iterdir()) == ["1", "7", "8"]


def test_what_cannot_be_exported_is_named(model, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="is a file"):
        export(model, tmp_path / "file")
    with pytest.raises(ValueError, match="takes a segmenter"):
        export(keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)]), tmp_path / "dense")
    with pytest.raises(ValueError, match="255"):
        export(unet(256, filters=(4, 8)), tmp_path / "many")
    with pytest.raises(ValueError, match="2 to 255"):
        export(unet(1, filters=(4, 8)), tmp_path / "one")
