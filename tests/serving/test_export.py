import io
import itertools
import shlex
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from examples import drawn_files
from keras_segen.data._folder import find_pairs
from keras_segen.data._images import read_image, read_mask
from keras_segen.errors import InputError
from keras_segen.losses import Bernoulli, DiscretizedLogistic
from keras_segen.metrics import MeanIoU
from keras_segen.models import cgan_generator, dcgan_discriminator, dcgan_generator, unet, vae_decoder, vae_encoder
from keras_segen.runs import Run
from keras_segen.serving import export
from keras_segen.training import GAN, VAE
from keras_segen_cli.commands.export import export as export_run

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


def small_unet():
    keras.utils.set_random_seed(0)
    return unet(5, filters=(4, 8, 16))


@pytest.fixture
def model():
    return small_unet()


@pytest.fixture(scope="module")
def servable(tmp_path_factory):
    """One servable, for all tests that only ask it."""
    return tf.saved_model.load(str(export(small_unet(), tmp_path_factory.mktemp("servable") / "unet")))


@pytest.fixture
def signatures(servable):
    return servable.signatures


@pytest.mark.slow
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


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["jpeg", "RGB", "RGBA", "L", "P", "LA"])
def test_bytes_are_read_as_in_training(signatures, tmp_path, kind):
    rgba = np.random.default_rng(0).integers(0, 256, (6, 5, 4), dtype=np.uint8).repeat(6, 0).repeat(6, 1)
    image = Image.fromarray(rgba[..., :3]) if kind == "jpeg" else Image.fromarray(rgba).convert(kind)
    contents = encoded(image, "jpeg" if kind == "jpeg" else "png")
    path = tmp_path / f"a.{'jpg' if kind == 'jpeg' else 'png'}"
    path.write_bytes(contents)
    answer = signatures["serve_bytes"](image_bytes=tf.constant([contents, contents]))
    expected = signatures["serving_default"](image=tf.constant(read_image(path)[None]))
    np.testing.assert_array_equal(answer["score"][0], expected["score"][0])
    np.testing.assert_array_equal(answer["label_map"][0], expected["label_map"][0])
    with Image.open(io.BytesIO(answer["label_map_bytes"][1].numpy())) as label_map:
        np.testing.assert_array_equal(np.asarray(label_map), answer["label_map"][1])


def test_16_bits_are_rounded_to_8_as_in_training(signatures, tmp_path):
    grey = np.random.default_rng(0).integers(0, 2**16, (16, 16), dtype=np.uint16)
    contents = encoded(Image.fromarray(grey), "png")
    (tmp_path / "a.png").write_bytes(contents)
    answer = signatures["serve_bytes"](image_bytes=tf.constant([contents]))
    expected = signatures["serving_default"](image=tf.constant(read_image(tmp_path / "a.png")[None]))
    np.testing.assert_array_equal(answer["score"], expected["score"])


@pytest.mark.slow
def test_pngs_of_few_bits_are_read_as_in_training(signatures, tmp_path):
    rng = np.random.default_rng(0)
    for depth, colour in itertools.product((1, 2, 4), (0, 3)):
        palette = rng.integers(0, 256, (2**depth, 3), dtype=np.uint8) if colour == 3 else None
        contents = drawn_files.png(rng.integers(0, 2**depth, (16, 17, 1)), depth, colour, palette=palette)
        (tmp_path / "a.png").write_bytes(contents)
        answer = signatures["serve_bytes"](image_bytes=tf.constant([contents]))
        expected = signatures["serving_default"](image=tf.constant(read_image(tmp_path / "a.png")[None]))
        np.testing.assert_array_equal(answer["score"], expected["score"])


@pytest.mark.slow
def test_what_would_be_decoded_otherwise_is_refused(signatures):
    picture = Image.new("RGB", (8, 8), "red")
    turned = b'http://ns.adobe.com/xap/1.0/\0<x tiff:Orientation="6"/>'
    jpeg, png = encoded(picture, "jpeg"), encoded(picture, "png")
    signature = signatures["serve_bytes"]
    for contents, message in [
        (b"", "is not a JPEG or PNG"),
        (encoded(picture, "bmp"), "is not a JPEG or PNG"),
        (png[:-1], "is damaged or truncated"),
        (jpeg[:-1], "is damaged or truncated"),
        (encoded(picture.convert("CMYK"), "jpeg"), "is a JPEG in CMYK or of an unusual kind"),
        (jpeg[:2] + b"\xff\xe1\0" + bytes([len(turned) + 2]) + turned + jpeg[2:], "a rotation that is not in EXIF"),
    ]:
        with pytest.raises(tf.errors.InvalidArgumentError, match=f"image_bytes: .*{message}"):
            signature(image_bytes=tf.constant([contents]))


@pytest.mark.slow
def test_sixteen_colours_score_as_their_pixels(real_data, tmp_path):
    """The repository's own network on some validation images of nuclei, saved with 16 colours."""
    network = keras.saving.load_model(Path(__file__).parents[2] / "saved_models/unet_nuclei/model.keras")
    servable = tf.saved_model.load(str(export(network, tmp_path / "unet")))
    by_bytes, by_pixels = MeanIoU(2), MeanIoU(2)
    for image_path, mask_path in find_pairs(real_data("nuclei"), "val", 0.2)[:4]:
        colours = Image.fromarray(read_image(image_path)).quantize(16)
        colours.save(tmp_path / "a.png", bits=4)
        assert (tmp_path / "a.png").read_bytes()[24] == 4
        mask = read_mask(mask_path)[None]
        answer = servable.signatures["serve_bytes"](image_bytes=tf.constant([(tmp_path / "a.png").read_bytes()]))
        expected = servable.signatures["serving_default"](image=tf.constant(np.asarray(colours.convert("RGB"))[None]))
        for mean_iou, outputs in ((by_bytes, answer), (by_pixels, expected)):
            mean_iou.update_state(mask, tf.one_hot(outputs["label_map"], 2))
    assert float(by_bytes.result()) == float(by_pixels.result()) > 0.7


@pytest.mark.parametrize("channels", [1, 2])
def test_other_channels(tmp_path, channels):
    folder = export(unet(2, filters=(4, 8), input_channels=channels), tmp_path / "unet")
    signatures = tf.saved_model.load(str(folder)).signatures
    assert signatures["serving_default"](image=tf.zeros([1, 5, 5, channels], tf.uint8))["label_map"].shape == (1, 5, 5)
    assert ("serve_bytes" in signatures) == (channels == 1)


@pytest.mark.slow
def test_files_of_different_sizes_in_one_request(model, signatures):
    rng = np.random.default_rng(0)
    images = [rng.integers(0, 256, (*size, 3), dtype=np.uint8) for size in ((20, 31), (33, 17), (20, 31))]
    contents = tf.constant([encoded(Image.fromarray(image), "png") for image in images])
    label_maps = [model.predict(image[None].astype("float32"), verbose=0)[0].argmax(-1) for image in images]
    small, whole = signatures["serve_png"](image_bytes=contents), signatures["serve_bytes"](image_bytes=contents)
    assert list(small) == ["label_map_bytes"]
    assert whole["label_map"].shape == whole["score"].shape == (3, 33, 31)
    for i, expected in enumerate(label_maps):
        for answer in (small, whole):
            with Image.open(io.BytesIO(answer["label_map_bytes"][i].numpy())) as label_map:
                np.testing.assert_array_equal(np.asarray(label_map), expected)
        inside = np.zeros((33, 31), bool)
        inside[: expected.shape[0], : expected.shape[1]] = True
        np.testing.assert_array_equal(whole["label_map"].numpy()[i][inside], expected.ravel())
        assert (whole["label_map"].numpy()[i][~inside] == 255).all()
        assert (whole["score"].numpy()[i] > 0).tolist() == inside.tolist()


@pytest.mark.slow
def test_class_names_are_in_the_servable(model, tmp_path):
    names = ["ground", "cat", "dog", "größer", "cow"]
    folder = export(model, tmp_path / "unet", class_names=names)
    assert (folder / "assets.extra/classes.txt").read_text(encoding="utf-8").splitlines() == names
    answer = tf.saved_model.load(str(folder)).signatures["class_names"](label=tf.constant([3, 0, 255, -1, 5]))
    assert [name.decode() for name in answer["class_name"].numpy()] == ["größer", "ground", "", "", ""]
    assert "class_names" not in tf.saved_model.load(str(export(model, tmp_path / "unet"))).signatures
    assert not (tmp_path / "unet/2/assets.extra").exists()
    gan = cgan_generator((16, 16, 3), latent_dim=4, num_classes=2, filters=4)
    answer = tf.saved_model.load(str(export(gan, tmp_path / "gan", class_names=["a", "b"]))).signatures["class_names"](
        label=tf.constant([1])
    )
    assert answer["class_name"].numpy() == [b"b"]
    for bad, message in (
        (names[:4], "has 5 classes. Received: 4 names"),
        ("abcde", "a list of strings"),
        ([*names[:4], 5], "a list of strings"),
        ([*names[:4], "two\nlines"], "of one line each"),
    ):
        with pytest.raises(ValueError, match=message):
            export(model, tmp_path / "bad", class_names=bad)
    with pytest.raises(ValueError, match="has 0 classes"):
        export(dcgan_generator((16, 16, 3), latent_dim=4, filters=4), tmp_path / "bad", class_names=["a"])
    assert not (tmp_path / "bad").exists()


@pytest.mark.slow
def test_a_network_of_one_size_refuses_others(tmp_path):
    image = keras.Input((8, 8, 3))
    one_size = keras.Model(image, keras.layers.Conv2D(2, 1)(image))
    serve = tf.saved_model.load(str(export(one_size, tmp_path / "one"))).signatures["serving_default"]
    assert serve(image=tf.zeros([3, 8, 8, 3], tf.uint8))["label_map"].shape == (3, 8, 8)
    with pytest.raises(tf.errors.InvalidArgumentError, match="not compatible"):
        serve(image=tf.zeros([1, 8, 9, 3], tf.uint8))


def test_gans_and_vaes_are_exported_as_a_whole(tmp_path):
    latents = np.random.default_rng(0).normal(size=(3, 4)).astype("float32")
    gan = GAN(
        dcgan_generator((16, 16, 3), latent_dim=4, filters=4), dcgan_discriminator((16, 16, 3), filters=4), half_life=10
    )
    vae = VAE(
        vae_encoder((8, 8, 1), latent_dim=4, filters=4),
        vae_decoder((8, 8, 1), latent_dim=4, filters=4, parameters=1),
        Bernoulli(),
    )
    for model, names in ((gan, {"serving_default"}), (vae, {"serving_default", "encode"})):
        signatures = tf.saved_model.load(str(export(model, tmp_path / model.name))).signatures
        assert set(signatures) == names
        expected = (model.generate(latents) + 1) * 127.5
        served = signatures["serving_default"](latent=tf.constant(latents))["image"]
        np.testing.assert_allclose(served.numpy(), expected, atol=0.51)
    image = np.random.default_rng(0).integers(0, 256, (2, 8, 8, 1), dtype=np.uint8)
    answer = signatures["encode"](image=tf.constant(image))
    mean, log_variance = vae.encode(image / np.float32(127.5) - 1)
    np.testing.assert_allclose(answer["mean"], mean, atol=1e-5)
    np.testing.assert_allclose(answer["log_variance"], log_variance, atol=1e-5)


def test_a_generators_inputs_may_have_any_name(tmp_path):
    z = keras.Input((4,), name="z")
    x = keras.layers.Reshape((2, 2, 3))(keras.layers.Dense(12, "tanh")(z))
    generator = keras.Model(z, x)
    latents = np.random.default_rng(0).normal(size=(3, 4)).astype("float32")
    serve = tf.saved_model.load(str(export(generator, tmp_path / "z"))).signatures["serving_default"]
    expected = (generator.predict(latents, verbose=0) + 1) * 127.5
    np.testing.assert_allclose(serve(latent=tf.constant(latents))["image"].numpy(), expected, atol=0.51)


def test_attributes_of_another_number_or_range_are_refused(tmp_path):
    generator = cgan_generator((16, 16, 3), latent_dim=4, num_classes=2, filters=4, multi_label=True)
    serve = tf.saved_model.load(str(export(generator, tmp_path / "faces"))).signatures["serving_default"]
    latent = tf.zeros([2, 4])
    assert serve(latent=latent, label=tf.constant([[0, 1], [1, 0.5]]))["image"].shape == (2, 16, 16, 3)
    for label, message in (
        ([[0.0, 1.0, 0.0]] * 2, "a label has 2 attributes"),
        ([[0.0, 1.5]] * 2, r"attributes lie in \[0, 1\]"),
        ([[0.0, np.nan]] * 2, r"attributes lie in \[0, 1\]"),
    ):
        with pytest.raises(tf.errors.InvalidArgumentError, match=message):
            serve(latent=latent, label=tf.constant(label))


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


@pytest.mark.slow
def test_places_where_a_server_looks_for_no_versions_are_refused(model, tmp_path, monkeypatch):
    export(model, tmp_path / "unet")
    model.export(tmp_path / "keras", verbose=False)
    (tmp_path / "mine/train").mkdir(parents=True)
    before = sorted(tmp_path.rglob("*"))
    for place, message in (
        ("unet/1", "is a version's folder by its name: name the servable's folder, unet"),
        ("new/7", "is a version's folder by its name: name the servable's folder, new"),
        ("unet/1/variables", "lies in a SavedModel"),
        ("keras", "lies in a SavedModel"),
        ("mine", "holds the folder train, which is not a version"),
        ("/", "has no name"),
    ):
        with pytest.raises(InputError, match=message):
            export(model, tmp_path / place)
    monkeypatch.chdir(tmp_path / "unet/1")
    with pytest.raises(InputError, match="is a version's folder by its name"):
        export(model, ".")
    assert sorted(tmp_path.rglob("*")) == before


def test_what_cannot_be_exported_is_named(model, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="is a file"):
        export(model, tmp_path / "file")
    image = keras.Input((8, 8, 3))
    two_outputs = keras.Model(image, [keras.layers.Conv2D(2, 1)(image) for _ in range(4)])
    likelihood = DiscretizedLogistic()
    decoder = vae_decoder((8, 8, 3), latent_dim=4, filters=4, parameters=likelihood.parameters)
    for wrong, message in (
        (keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)]), "takes a segmenter"),
        (unet(256, filters=(4, 8)), "255"),
        (two_outputs, "takes a segmenter"),
        (decoder, "export the VAE"),
        (vae_decoder((8, 8, 3), latent_dim=4, filters=4, parameters=1), "export the VAE"),
        (vae_encoder((8, 8, 3), latent_dim=4, filters=4), "takes a segmenter"),
        (keras.Sequential([keras.layers.Conv2D(2, 1)]), "begins with its Input"),
        (Subclassed(), "begins with its Input. .* a Subclassed without them"),
    ):
        with pytest.raises(ValueError, match=message):
            export(wrong, tmp_path / "nested" / "wrong")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file"]


class Subclassed(keras.Model):
    def call(self, images):
        return images


def test_nothing_stays_behind_if_saving_fails(model, tmp_path, monkeypatch):
    def full(module, path, signatures):
        raise tf.errors.ResourceExhaustedError(None, None, "No space left on device")

    monkeypatch.setattr(tf.saved_model, "save", full)
    with pytest.raises(OSError, match="No space"):
        export(model, tmp_path / "a" / "b")
    assert list(tmp_path.iterdir()) == []


def test_other_backends_are_told_what_to_do(model, tmp_path, monkeypatch):
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    with pytest.raises(InputError, match="runs on jax: save the model, and export it .* with KERAS_BACKEND=tensorflow"):
        export(model, tmp_path / "unet")
    assert list(tmp_path.iterdir()) == []


def test_the_printed_command_survives_spaces(model, tmp_path, capsys):
    run = Run(tmp_path / "run")
    config = {"model": "unet", "data": "x", "seed": 0, "image_size": 8, "class_names": ["a", "b", "c", "d", "e"]}
    run.create(config)
    model.save(run.model)
    servable = tmp_path / "my models" / "the $net"
    export_run(str(run.path), out=str(servable))
    folder = servable / "1"
    assert (folder / "assets.extra/classes.txt").read_text() == "a\nb\nc\nd\ne\n"
    printed = capsys.readouterr().out.splitlines()
    assert printed[0] == str(servable / "1")
    assert shlex.split(printed[1])[7:-1] == ["-v", f"{servable}:/models/the $net", "-e", "MODEL_NAME=the $net"]
