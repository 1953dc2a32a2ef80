import hashlib
import json
import shutil
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

import keras_segen_cli
from keras_segen.callbacks import read_epoch
from keras_segen.data import folder
from keras_segen.data._image_files import image_files
from keras_segen.data._images import read_image
from keras_segen.latents import standard_normal
from keras_segen.metrics import Moments, Reference, cifar10_features, frechet_distance
from keras_segen.metrics._features import feature_batches, named_extractor
from keras_segen.metrics._inception import NAME
from keras_segen.runs import Run
from keras_segen_cli.tasks import features, open_run
from keras_segen_cli.tasks.generation import Generation

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
        for i in range(10):
            pixels = np.clip(rng.normal(colour, 30, (20, 20, 3)), 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(root / "colours" / name / f"{i}.png")
    assert run("train", "cgan", "--data", root / "colours", "--out", root / "run", *SMALL) == 0
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


def test_a_run_folder_is_complete(prototype, trained, capsys):
    config = json.loads((trained / "config.json").read_text())
    assert config["class_names"] == ["blue", "red"]
    assert config["loss"] == "hinge"
    header = (trained / "history.csv").read_text().splitlines()[0].split(",")
    assert {"discriminator_loss", "generator_loss", "sample_spread", "sample_rank", "separation"} < set(header)
    scores = json.loads((trained / "metrics.json").read_text())
    (distance,) = (name for name in scores if name.startswith("frechet_distance_cifar10_features_"))
    assert scores["images"] == scores["reference_images"] == 16  # a fifth of 20 is kept for validation
    assert scores[distance] > 0
    assert f"final_{distance}" in scores
    for name in ("figures/curves.png", "figures/samples.png", "figures/interpolation.png", "figures/samples.gif"):
        assert (trained / name).stat().st_size > 500
    assert sorted(p.name for p in (trained / "figures/samples").iterdir()) == ["epoch_0001.png", "epoch_0002.png"]
    with Image.open(trained / "figures/samples.gif") as animation:
        assert animation.n_frames == 2
    assert any((trained / "logs/samples").rglob("events.*"))
    capsys.readouterr()
    assert run("evaluate", trained) == 0
    again = json.loads((trained / "metrics.json").read_text())
    assert again[distance] == pytest.approx(scores[distance], rel=1e-5)
    assert distance in capsys.readouterr().out
    extractor = distance.removeprefix("frechet_distance_")
    words = ("kernel_distance", "inception_score", "precision", "recall", "density", "coverage")
    assert {f"{word}_{extractor}" for word in words} < again.keys()
    assert again["reference"].startswith("colours-train-16-middle_square-16-")
    assert run("evaluate", trained, "--samples", 8) == 0
    few = json.loads((trained / "metrics.json").read_text())
    assert (few["images"], few["reference_images"]) == (8, 8)
    assert run("evaluate", trained, "--samples", 50) == 0
    many = json.loads((trained / "metrics.json").read_text())
    assert (many["images"], many["reference_images"]) == (50, 16)
    assert many["protocol"]["data"] == "colours"
    # What is scored are 50 images, with the real ones' labels again and again.
    model = keras.saving.load_model(trained / "model.keras")
    loaded = open_run(trained).load_data(str(prototype / "colours"))
    latents = standard_normal(50, 5, seed=1)
    samples = model.generate(latents, np.tile(loaded.labels, 4)[:50])
    seen = Moments().update(np.concatenate([x for x, _ in feature_batches(samples, cifar10_features())]))
    reference = Reference.of(loaded.images, cifar10_features())
    expected = frechet_distance(seen.mean, seen.covariance, reference.mean, reference.covariance)
    assert many[distance] == pytest.approx(expected, rel=1e-3)


def test_published_statistics(trained, classes, capsys, monkeypatch):
    small = cifar10_features()
    published = named_extractor(keras.Model(small.input, small.output), NAME, 3)
    monkeypatch.setattr(features, "inception_features", lambda weights: published)
    real = Reference.of(np.random.default_rng(0).integers(0, 256, (400, 16, 16, 3), dtype=np.uint8), published)
    np.savez("stats.npz", mu=real.mean, sigma=real.covariance)
    before = (trained / "metrics.json").read_bytes()
    options = ["--extractor", "inception", "--reference", "stats.npz"]
    assert run("evaluate", trained, *options, "--samples", 20) == 0
    assert "kernel distance, precision, recall, density and coverage need images" in capsys.readouterr().out
    (file,) = trained.glob("metrics-*.json")
    digest = hashlib.sha256(Path("stats.npz").read_bytes()).hexdigest()
    assert file.name == f"metrics-stats-{digest[:8]}.json"
    scores = json.loads(file.read_text())
    assert (trained / "metrics.json").read_bytes() == before
    assert {name for name in scores if isinstance(scores[name], float)} == {"fid", "final_fid", "inception_score"}
    assert (scores["images"], scores["reference_images"]) == (20, None)
    assert (scores["protocol"]["statistics"], scores["protocol"]["extractor"]) == ("stats.npz", NAME)
    assert run("compare", "--fake", classes, *options, "--out", "scores.json") == 0
    scores = json.loads(Path("scores.json").read_text())
    seen = Moments().update(
        np.concatenate(
            [x for x, _ in feature_batches(np.stack([read_image(p) for p in image_files(classes)]), published)]
        )
    )
    expected = frechet_distance(seen.mean, seen.covariance, real.mean, real.covariance)
    assert scores["fid"] == pytest.approx(expected, rel=1e-4)
    assert (scores["images"], scores["protocol"]["statistics"]) == (20, "stats.npz")
    for arguments, message in (
        ([trained, "--reference", "stats.npz"], "--reference goes with --extractor inception: give both"),
        # Before the network is fetched.
        ([trained, *options[:3], "nowhere.npz", "--inception-weights", "nowhere"], "nowhere.npz: does not exist"),
    ):
        assert run("evaluate", *arguments) == 2
        assert message in capsys.readouterr().err.splitlines()[-1]
    assert run("compare", "--real", classes, "--fake", classes, *options) == 2
    assert "needs either --real DIR or --reference FILE.npz" in capsys.readouterr().err


def test_folders_are_compared(trained, classes, capsys):
    assert run("sample", trained, "--count", 9, "--out", "made") == 0
    folders = ["--real", classes, "--fake", "made"]
    assert run("compare", *folders, "--out", "scores/one.json") == 0
    scores = json.loads(Path("scores/one.json").read_text())
    assert (scores["images"], scores["reference_images"]) == (9, 20)
    assert scores["protocol"]["data"] == "colours"
    (distance,) = (name for name in scores if name.startswith("frechet_distance_cifar10_features_"))
    captured = capsys.readouterr()
    assert distance in captured.out
    assert "warning: the real images are 20×20 pixels, the others 16×16" in captured.err
    # By itself, a set has no distance.
    assert run("compare", "--real", classes, "--fake", classes, "--samples", 12, "--out", "self.json") == 0
    assert json.loads(Path("self.json").read_text())[distance] == pytest.approx(0, abs=1e-3)
    for arguments, message in (
        (["evaluate"], "RUN is missing"),
        (["compare", "--real", classes], "--fake is missing"),
        (["compare", "--fake", classes], "needs either --real DIR or --reference FILE.npz"),
        (["evaluate", trained, *folders], "Unknown option: --real"),
        (["evaluate", trained, "--out", "x.json"], "Unknown option: --out"),
        (["compare", *folders, "--data", "shapes"], "Unknown option: --data"),
    ):
        assert run(*arguments) == 2
        assert message in capsys.readouterr().err
    Path("two").mkdir()
    for i in range(2):
        Image.new("RGB", (16, 16)).save(f"two/{i}.png")
    for arguments, message in (
        ([*folders[:3], "two"], "two: 2 images are too few to compare: 6 at least"),
        ([*folders[:3], "nowhere"], "nowhere: does not exist"),
        ([*folders, "--out", "/dev/null"], "/dev/null: exists already"),
        ([*folders, "--out", "made"], "made: exists already: name another file"),
        ([*folders, "--inception-weights", "x.pth"], "--extractor inception: give both"),
        ([*folders, "--extractor", "inception", "--inception-weights", "x.pth"], "x.pth: does not exist: fetch https"),
    ):
        assert run("compare", *arguments) == 2
        assert message in capsys.readouterr().err.splitlines()[-1]
    for arguments, message in (
        (["--extractor", "inception", "--inception-weights", "x.pth"], "x.pth: does not exist: fetch https"),
        (["--flip"], "is not of a segmenter: remove --flip and --scales"),
    ):
        assert run("evaluate", trained, *arguments) == 2
        assert message in capsys.readouterr().err.splitlines()[-1]


def test_samples_by_class(trained, capsys):
    assert run("sample", trained, "--count", 5, "--out", "tree", "--seed", 3) == 0
    assert {p.parent.name for p in (trained.parent / "tree").rglob("*.png")} == {"blue", "red"}
    images, labels = next(
        iter(folder("train", data_dir="tree", image_size=16, target="label", val_fraction=0.1, batch_size=9))
    )
    assert images.shape[1:] == (16, 16, 3)
    assert set(labels.numpy()) == {0, 1}
    assert run("sample", trained, "--count", 5, "--out", "tree") == 2
    assert "not empty" in capsys.readouterr().err
    # The same seed and label give the same image, alone or among others.
    assert run("sample", trained, "--count", 2, "--label", "red", "--seed", 3, "--out", "reds") == 0
    first, second = (np.asarray(Image.open(f"{name}/red/000001.png")) for name in ("tree", "reds"))
    assert np.abs(first.astype(int) - second).max() <= 1
    assert run("sample", trained, "--count", 5, "--out", "all.png") == 0
    with Image.open("all.png") as picture:
        assert picture.size == (3 * 18 - 2, 2 * 18 - 2)
    assert run("sample", trained, "--count", 5, "--out", "all.jpg") == 2
    assert "name it .png" in capsys.readouterr().err
    for label in ("green", "2", "-1"):
        assert run("sample", trained, "--count", 1, "--label", label, "--out", "x.png") == 2
        assert "the classes are blue, red" in capsys.readouterr().err


def test_the_servable_gives_what_sample_gives(trained, capsys):
    assert run("export", trained, "--out", "servables/colours") == 0
    assert capsys.readouterr().out.startswith("servables/colours/1\n")
    serve = tf.saved_model.load("servables/colours/1").signatures["serving_default"]
    latents = np.random.default_rng(0).normal(size=(3, 5)).astype("float32")
    image = serve(latent=tf.constant(latents), label=tf.constant([0, 1, 1]))["image"]
    model = keras.saving.load_model(trained / "model.keras")
    expected = np.round((model.generate(latents, np.array([0, 1, 1])) + 1) * 127.5)
    assert image.dtype == tf.uint8
    assert np.abs(image.numpy() - expected).max() <= 1
    for bad, message in (
        ({"latent": np.zeros((1, 4), "float32"), "label": [0]}, "a latent has 5 numbers"),
        ({"latent": latents[:1] * np.nan, "label": [0]}, "numbers are finite"),
        ({"latent": latents[:1], "label": [2]}, "class id from 0 to 1"),
        ({"latent": latents[:1], "label": [-1]}, "class id from 0 to 1"),
        ({"latent": latents[:1], "label": [0, 1]}, "each latent wants one label"),
    ):
        with pytest.raises(tf.errors.InvalidArgumentError, match=message):
            serve(**{name: tf.constant(value) for name, value in bad.items()})


@pytest.mark.slow
def test_killed_and_resumed_equals_undisturbed(classes, train_with_kills):
    command = ["train", "cgan", "--data", str(classes), *SMALL, "--epochs", "8"]
    assert run(*command, "--out", "whole") == 0
    whole, killed = classes.parent / "whole", classes.parent / "killed"
    train_with_kills(command, killed, kills=3)
    assert (whole / "history.csv").read_bytes() == (killed / "history.csv").read_bytes()
    for name in ("model.keras", "final.keras"):  # the best so far too
        for ours, theirs in zip(variables(whole / name), variables(killed / name), strict=True):
            np.testing.assert_array_equal(ours, theirs)
    assert (whole / "metrics.json").read_text() == (killed / "metrics.json").read_text()
    assert (whole / "figures/samples.gif").read_bytes() == (killed / "figures/samples.gif").read_bytes()


@pytest.mark.slow
def test_a_training_that_was_stopped_goes_on_from_the_best_and_not_from_where_it_stopped(
    prototype, classes, tmp_path, monkeypatch
):
    command = ["train", "dcgan", "--data", classes, "--out", "run", *SMALL, "--epochs", 4]

    class Collapse(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            logs["distance"] = [2.0, 1.0, 3.0, 4.0][epoch]
            self.model.stop_training = epoch == 2

    monkeypatch.setattr(Generation, "monitor", "distance")
    monkeypatch.setattr(Generation, "callbacks", lambda *_: [Collapse()])
    assert run(*command) == 0
    epoch, logs = read_epoch("run/backup/model.keras")
    assert (epoch, logs["distance"]) == (2, 3.0)
    best, backup = variables("run/model.keras"), variables("run/backup/model.keras")
    for ours, theirs in zip(best, backup, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert int(keras.saving.load_model("run/backup/model.keras").optimizer.iterations) == 2 * 3
    assert run(*command, "--resume") == 0
    assert [row["distance"] for row in Run("run").history()] == [2.0, 1.0, 3.0, 4.0]
    assert int(keras.saving.load_model("run/final.keras").optimizer.iterations) == 3 * 3


@pytest.mark.slow
def test_a_conditional_gan_starts_from_another_with_other_classes(trained, classes, capsys):
    for i in range(10):
        Image.new("RGB", (20, 20), (0, 200 + i, 0)).save(classes / "red" / f"green{i}.png")
    (classes / "green").mkdir()
    for path in (classes / "red").glob("green*.png"):
        path.rename(classes / "green" / path.name)
    command = ["train", "cgan", "--data", classes, "--start-from", "run", *SMALL, "--epochs", 1]
    capsys.readouterr()
    assert run(*command, "--learning-rate", "1e-30", "--discriminator-learning-rate", "1e-30", "--out", "three") == 0
    assert "layers are new, or new in what belongs to the classes: cgan_generator" in capsys.readouterr().out
    before, after = (keras.saving.load_model(f"{name}/model.keras") for name in ("run", "three"))
    assert (before.num_classes, after.num_classes) == (2, 3)
    for old, new in ((before.generator, after.generator), (before.discriminator, after.discriminator)):
        kinds = (keras.layers.Conv2DTranspose, keras.layers.Conv2D)
        kept = [
            (a, b)
            for a, b in zip(old.layers, new.layers, strict=True)
            if isinstance(a, kinds) and "embedding" not in a.name and a.kernel.shape == b.kernel.shape
        ]
        assert len(kept) >= 2
        for a, b in kept:
            np.testing.assert_allclose(b.kernel, a.kernel, atol=1e-20)
    # Of the layer that takes latents and classes together, what belongs to the latents.
    old, new = (next(layer for layer in model.generator.layers if layer.weights) for model in (before, after))
    np.testing.assert_allclose(new.weights[0][..., :5], old.weights[0][..., :5], atol=1e-20)
    assert run(*command, "--conditioning", "concat", "--out", "no") == 2
    assert "was trained with conditioning projection, not concat" in capsys.readouterr().err


@pytest.mark.slow
def test_dcgan_without_labels(classes, capsys):
    assert (
        run("train", "dcgan", "--data", classes, "--out", "plain", *SMALL, "--diff-augment", "--loss", "minimax") == 0
    )
    assert json.loads((classes.parent / "plain/config.json").read_text())["class_names"] == []
    assert run("sample", "plain", "--count", 4, "--out", "four.png") == 0
    with Image.open("four.png") as picture:
        assert picture.size == (34, 34)
    assert run("sample", "plain", "--count", 2, "--out", "two") == 0
    assert len(list((classes.parent / "two/generated").iterdir())) == 2
    capsys.readouterr()
    assert run("sample", "plain", "--count", 2, "--label", "red", "--out", "x.png") == 2
    assert "trained without labels" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--image-size", "48"], "power of two"),
        (["--filters", "4", "8"], "There is no place for '8'"),
        (["--batch-size", "64"], "do not fill one batch of 64"),
        (["--attributes", "Smiling"], "CelebA's"),
        (["--out", "colours"], "no run folder"),
        (["--data", "nowhere"], "one sub-folder of images a class"),
    ],
)
def test_wrong_use_is_one_line(classes, capsys, arguments, message):
    assert run("train", "cgan", "--data", classes, *SMALL, *arguments) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def test_every_file_is_checked_those_kept_aside_too(classes, capsys):
    for path in sorted((classes / "red").iterdir()):
        whole = path.read_bytes()
        path.write_bytes(whole[: len(whole) // 2])
        assert run("train", "dcgan", "--data", classes, "--out", "x", *SMALL) == 2
        assert f"{path.name}: is damaged" in capsys.readouterr().err
        path.write_bytes(whole)
    for path in sorted((classes / "blue").iterdir())[1:]:
        path.unlink()
    assert run("train", "dcgan", "--data", classes, "--out", "x", *SMALL) == 2
    assert "blue: holds one image" in capsys.readouterr().err


def test_options_of_other_models_are_refused(classes, capsys):
    assert run("train", "unet", "--data", classes, "--latent-dim", 3) == 2
    assert "Unknown option: --latent-dim" in capsys.readouterr().err
    assert run("train", "dcgan", "--data", classes, "--conditioning", "concat") == 2
    assert "Unknown option: --conditioning" in capsys.readouterr().err
    assert run("train", "cgan", "--data", "celeb_a") == 2
    assert "--attributes" in capsys.readouterr().err
    assert run("train", "dcgan", "--data", "cifar10", "--image-size", 64) == 2
    assert "--image-size 32" in capsys.readouterr().err


def test_worth(classes, capsys):
    options = ["--steps", "10", "--image-size", "16"]
    assert run("worth", "--real", classes, "--generated", classes, *options) == 0
    printed = capsys.readouterr().out
    assert [line.split()[:2] for line in printed.splitlines()[-3:]] == [
        ["generated", "20"],
        ["real", "16"],
        ["both", "36"],
    ]
    (classes / "red").rename(classes / "green")
    (classes.parent / "other").mkdir()
    (classes / "blue").rename(classes.parent / "other/blue")
    assert run("worth", "--real", classes, "--generated", "other", *options) == 2
    assert "they must be the same" in capsys.readouterr().err
