import csv
import json
import shutil
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

import keras_segen_cli

SMALL = ["--epochs", "2", "--steps-per-epoch", "3", "--batch-size", "4", "--image-size", "16", "--filters", "4"]
SMALL += ["--latent-dim", "5"]

pytestmark = pytest.mark.filterwarnings("ignore:.* are few for 192 features")


def run(*arguments) -> int:
    return keras_segen_cli.main([str(a) for a in arguments])


@pytest.fixture(scope="module")
def prototype(tmp_path_factory):
    """A folder of bluish and of reddish noise, and a run on it."""
    root = tmp_path_factory.mktemp("prototype")
    rng = np.random.default_rng(0)
    for name, colour in (("blue", (40, 40, 200)), ("red", (200, 40, 40))):
        (root / "colours" / name).mkdir(parents=True)
        for i in range(20):
            pixels = np.clip(rng.normal(colour, 30, (20, 24, 3)), 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(root / "colours" / name / f"{i}.png")
    assert run("train", "vae", "--data", root / "colours", "--out", root / "run", *SMALL) == 0
    return root


@pytest.fixture
def classes(prototype, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return shutil.copytree(prototype / "colours", tmp_path / "colours")


@pytest.fixture
def trained(prototype, classes, tmp_path):
    return shutil.copytree(prototype / "run", tmp_path / "run")


def variables(path):
    model = keras.saving.load_model(path)
    return [np.asarray(v) for v in (*model.variables, *model.optimizer.variables)]


def test_a_run_folder_is_complete(trained, capsys):
    config = json.loads((trained / "config.json").read_text())
    assert config["class_names"] == []
    assert config["likelihood"] == "discretized_logistic"
    header = (trained / "history.csv").read_text().splitlines()[0].split(",")
    assert {"vae_loss", "reconstruction", "kl", "bits_per_dim", "val_vae_loss", "val_bits_per_dim"} < set(header)
    scores = json.loads((trained / "metrics.json").read_text())
    assert (scores["images"], scores["latent_dim"], scores["log_likelihood_images"]) == (8, 5, 8)
    assert scores["elbo"] == pytest.approx(-scores["reconstruction"] - scores["kl"])
    assert scores["bits_per_dim"] == pytest.approx(-scores["elbo"] / (16 * 16 * 3 * np.log(2)))
    assert scores["log_likelihood_64_samples"] > scores["elbo"]
    assert scores["bits_per_dim_64_samples"] < scores["bits_per_dim"]
    assert scores["psnr"] > 0
    assert {"active_units", "ssim", "final_elbo"} < scores.keys()
    assert [name for name in scores if name.startswith("frechet_distance_cifar10_features_")]
    assert [name for name in scores if name.startswith("mixture_frechet_distance_cifar10_features_")]
    pictures = ["samples", "mixture_samples", "reconstructions", "interpolation", "traversal", "anomalies", "curves"]
    for name in pictures:
        assert (trained / f"figures/{name}.png").stat().st_size > 500, name
    assert (trained / "figures/samples.gif").is_file()
    before = (trained / "posterior.npz").read_bytes()
    capsys.readouterr()
    assert run("evaluate", trained) == 0
    again = json.loads((trained / "metrics.json").read_text())
    assert again["elbo"] == pytest.approx(scores["elbo"], rel=1e-5)
    assert "bits_per_dim_64_samples" in capsys.readouterr().out
    # What is usual is told from the run's own data, not from others.
    assert run("evaluate", trained, "--data", "shapes", "--samples", 16) == 0
    assert json.loads((trained / "metrics-shapes.json").read_text())["images"] == 1024
    assert json.loads((trained / "metrics.json").read_text()) == again
    assert run("evaluate", trained, "--samples", 6) == 0
    few = json.loads((trained / "metrics.json").read_text())
    assert (few["images"], few["generated_images"], few["reference_images"]) == (8, 6, 6)
    assert (trained / "posterior.npz").read_bytes() == before


@pytest.mark.slow
def test_samples_and_reconstructions(trained, classes, capsys):
    assert run("sample", trained, "--count", 4, "--out", "prior") == 0
    assert run("sample", trained, "--count", 4, "--mixture", "--out", "mixture") == 0
    one, other = (np.asarray(Image.open(f"{name}/generated/000001.png")) for name in ("prior", "mixture"))
    assert one.shape == (16, 16, 3)
    assert not np.array_equal(one, other)
    Image.new("RGB", (30, 40), "white").save("white.png")
    capsys.readouterr()
    assert run("predict", trained, classes / "red/1.png", "white.png", "--out", "seen") == 0
    assert "2 reconstructions and anomalies.csv in seen" in capsys.readouterr().out
    with Path("seen/anomalies.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [Path(row["image"]).name for row in rows] == ["white.png", "1.png"]  # the stranger first
    assert float(rows[0]["anomaly_score"]) > float(rows[1]["anomaly_score"]) >= 0
    model = keras.saving.load_model(trained / "model.keras")
    white = model.log_likelihood(np.ones((1, 16, 16, 3), "float32"))
    assert float(rows[0]["log_likelihood"]) == pytest.approx(white[0], rel=0.02)  # other draws
    with Image.open("seen/white.png") as picture:
        assert picture.size == (34, 16)
    for arguments, message in (
        (["predict", trained, "white.png", "--out", "seen"], "anomalies.csv: exists already"),
        (["predict", trained, "nowhere.png", "--out", "new"], "nowhere.png: cannot be read"),
        (["predict", trained, "white.png", "--out", "new", "--tile", 64], "is a VAE, which has no --tile"),
        (["predict", trained, "white.png", "--out", "new", "--overlap", 0], "is a VAE, which has no --tile"),
        (["predict", trained, "white.png", "--out", "new", "--flip"], "is a VAE, which has no --tile"),
        (["evaluate", trained, "--scales", 1, 2], "is not of a segmenter: remove --flip and --scales"),
        (["sample", trained, "--count", 1, "--label", "red", "--out", "x.png"], "trained without labels"),
    ):
        assert run(*arguments) == 2
        assert message in capsys.readouterr().err
    (trained / "posterior.npz").unlink()
    assert run("sample", trained, "--count", 4, "--mixture", "--out", "x.png") == 2
    assert "posterior.npz: does not exist" in capsys.readouterr().err
    assert run("predict", trained, "white.png", "--out", "newer") == 2
    assert "posterior.npz: does not exist" in capsys.readouterr().err


def test_the_servable_encodes_and_decodes(trained, capsys):
    assert run("export", trained, "--out", "servables/colours") == 0
    assert capsys.readouterr().out.startswith("servables/colours/1\n")
    served = tf.saved_model.load("servables/colours/1").signatures
    images = np.random.default_rng(0).integers(0, 256, (3, 16, 16, 3)).astype(np.uint8)
    encoded = served["encode"](image=tf.constant(images))
    model = keras.saving.load_model(trained / "model.keras")
    mean, log_variance = model.encode(images / np.float32(127.5) - 1)
    np.testing.assert_allclose(encoded["mean"], mean, atol=1e-5)
    np.testing.assert_allclose(encoded["log_variance"], log_variance, atol=1e-5)
    decoded = served["serving_default"](latent=encoded["mean"])["image"]
    expected = np.round((model.reconstruct(images / np.float32(127.5) - 1) + 1) * 127.5)
    assert decoded.dtype == tf.uint8
    assert np.abs(decoded.numpy() - expected).max() <= 1
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"an image has the shape \[16, 16, 3\]"):
        served["encode"](image=tf.constant(images[:, :8]))


@pytest.mark.slow
def test_conditional(classes, capsys):
    options = ["--conditional", "--likelihood", "gaussian", "--scale", "0.2", "--beta", "2", "--beta-warm-up", "4"]
    assert run("train", "vae", "--data", classes, "--out", "cvae", *SMALL, *options, "--free-bits", "0.1") == 0
    scores = json.loads(Path("cvae/metrics.json").read_text())
    assert "bits_per_dim" not in scores  # a density has none
    assert {"elbo", "log_likelihood_64_samples"} < scores.keys()
    assert json.loads(Path("cvae/config.json").read_text())["class_names"] == ["blue", "red"]
    assert run("sample", "cvae", "--count", 3, "--label", "red", "--out", "reds") == 0
    assert len(list(Path("reds/red").iterdir())) == 3
    assert run("export", "cvae", "--out", "served") == 0
    encode = tf.saved_model.load("served/1").signatures["encode"]
    image = tf.zeros((1, 16, 16, 3), tf.uint8)
    assert encode(image=image, label=tf.constant([1]))["mean"].shape == (1, 5)
    for label, message in (([2], "class id from 0 to 1"), ([0, 1], "each image wants one label")):
        with pytest.raises(tf.errors.InvalidArgumentError, match=message):
            encode(image=image, label=tf.constant(label))
    capsys.readouterr()
    assert run("predict", "cvae", classes / "red/1.png", "--out", "seen") == 2
    assert "needs labels" in capsys.readouterr().err


@pytest.mark.slow
def test_what_dies_in_validation_goes_on_behind_the_epoch(trained, classes, monkeypatch, capsys):
    def die(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(keras.Model, "evaluate", die)
        assert run("train", "vae", "--data", classes, "--out", "died", *SMALL) == keras_segen_cli.INTERRUPTED
    assert run("train", "vae", "--data", classes, "--out", "died", *SMALL, "--resume") == 0
    assert "Epoch 1/2" not in capsys.readouterr().out.split("epoch 1 was trained, but not scored")[1]
    assert Path("died/history.csv").read_bytes() == (trained / "history.csv").read_bytes()
    for ours, theirs in zip(variables("died/final.keras"), variables(trained / "final.keras"), strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.slow
def test_a_vae_starts_from_another(trained, classes, capsys):
    command = ["train", "vae", "--data", classes, "--start-from", "run", *SMALL, "--learning-rate", "1e-30"]
    assert run(*command, "--epochs", 1, "--out", "again") == 0
    assert "layers are taken\n" in capsys.readouterr().out
    before, after = (keras.saving.load_model(f"{name}/model.keras") for name in ("run", "again"))
    for ours, theirs in zip(after.trainable_variables, before.trainable_variables, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-20)
    assert run(*command, "--conditional", "--out", "no") == 2
    assert "was trained with conditional False, not True" in capsys.readouterr().err


@pytest.mark.slow
def test_killed_and_resumed_equals_undisturbed(classes, train_with_kills):
    command = ["train", "vae", "--data", str(classes), *SMALL, "--epochs", "8", "--beta-warm-up", "10"]
    assert run(*command, "--out", "whole") == 0
    whole, killed = classes.parent / "whole", classes.parent / "killed"
    train_with_kills(command, killed, kills=3)
    assert (whole / "history.csv").read_bytes() == (killed / "history.csv").read_bytes()
    for name in ("model.keras", "final.keras"):
        for ours, theirs in zip(variables(whole / name), variables(killed / name), strict=True):
            np.testing.assert_array_equal(ours, theirs)
    assert (whole / "metrics.json").read_text() == (killed / "metrics.json").read_text()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--image-size", "48"], "a side of 16, 32"),
        (["--latent-side", "8", "--latent-dim", "100"], "a multiple of its square: change one"),
        (["--filters", "4", "8"], "There is no place for '8'"),
        (["--scale", "0.1"], "--scale needs --likelihood gaussian"),
        (["--importance-samples", "5", "--beta", "2"], "--importance-samples goes without"),
        (["--attributes", "Smiling"], "--attributes needs --conditional"),
        (["--loss", "hinge"], "Unknown option: --loss"),
        (["--data", "nowhere"], "one sub-folder of images a class"),
    ],
)
def test_wrong_use_is_one_line(classes, capsys, arguments, message):
    assert run("train", "vae", "--data", classes, *SMALL, *arguments) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def test_a_folder_needs_images_kept_aside(classes, capsys):
    (classes / "train").mkdir()
    for name in ("blue", "red"):
        (classes / name).rename(classes / "train" / name)
    assert run("train", "vae", "--data", classes, *SMALL) == 2
    assert "holds no val" in capsys.readouterr().err
    for name in ("blue", "red"):
        (classes / "val" / name).mkdir(parents=True)
        shutil.copy(classes / "train" / name / "1.png", classes / "val" / name)
    assert run("train", "vae", "--data", classes, *SMALL) == 2
    assert "2 images kept aside are too few" in capsys.readouterr().err


@pytest.mark.slow
def test_other_data_are_scored_whole(trained, tmp_path, capsys):
    shutil.copytree(tmp_path / "colours", tmp_path / "others")
    Image.new("RGB", (20, 20), "red").save(tmp_path / "others/red/new.png")
    assert run("evaluate", trained, "--data", "others") == 0
    scores = json.loads((trained / "metrics-others.json").read_text())
    assert (scores["images"], scores["reference_images"], scores["split"]) == (41, 41, "all")
    assert "scored on all images" in capsys.readouterr().out


@pytest.mark.parametrize(("split", "count"), [("val", 8), ("train", 32)])
def test_another_split_leaves_the_posterior_as_it_is(trained, classes, split, count):
    before = (trained / "posterior.npz").read_bytes()
    assert run("evaluate", trained, "--split", split) == 0
    assert json.loads((trained / f"metrics-{split}.json").read_text())["images"] == count
    assert (trained / "posterior.npz").read_bytes() == before


@pytest.mark.slow
def test_a_gan_looks_at_no_images(classes, capsys):
    assert run("train", "dcgan", "--data", classes, "--out", "gan", *SMALL) == 0
    capsys.readouterr()
    assert run("predict", "gan", classes / "red/1.png", "--out", "seen") == 2
    assert "use `sample`" in capsys.readouterr().err
    assert run("sample", "gan", "--count", 1, "--mixture", "--out", "x.png") == 2
    assert "--mixture is for VAEs" in capsys.readouterr().err
