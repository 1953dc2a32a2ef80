import csv
import shutil
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

import keras_segen_cli
from examples.commands import answer, as_typed, assert_equal_models, draw_colours, read_json, run

SMALL = ["--epochs", "2", "--steps-per-epoch", "3", "--batch-size", "4", "--image-size", "16", "--filters", "4"]
SMALL += ["--latent-dim", "5"]

pytestmark = pytest.mark.filterwarnings("ignore:.* are few for 192 features")


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """A folder of two classes, of twenty images each."""
    return draw_colours(tmp_path_factory.mktemp("data") / "colours", count=20, size=(20, 24))


@pytest.fixture(scope="module")
def prototype(data, tmp_path_factory):
    """A run on them."""
    path = tmp_path_factory.mktemp("prototype") / "run"
    answer(path.parent, "train", "vae", "--data", data, "--out", path, *SMALL)
    return path


@pytest.fixture(scope="module")
def scores(prototype):
    return read_json(prototype / "metrics.json")


def test_the_config_names_no_classes(prototype):
    assert read_json(prototype / "config.json")["class_names"] == []


def test_the_config_holds_the_likelihood(prototype):
    assert read_json(prototype / "config.json")["likelihood"] == "discretized_logistic"


def test_the_history_has_the_parts_of_the_loss_in_training_and_validation(prototype):
    header = (prototype / "history.csv").read_text().splitlines()[0].split(",")
    assert {"vae_loss", "reconstruction", "kl", "bits_per_dim", "val_vae_loss", "val_bits_per_dim"} < set(header)


def test_the_images_kept_aside_are_scored(scores):
    assert (scores["images"], scores["log_likelihood_images"]) == (8, 8)


def test_scores_hold_the_size_of_a_latent(scores):
    assert scores["latent_dim"] == 5


def test_the_elbo_is_reconstruction_less_kl(scores):
    assert scores["elbo"] == pytest.approx(-scores["reconstruction"] - scores["kl"])


def test_bits_are_of_the_elbo_by_pixel_and_channel(scores):
    assert scores["bits_per_dim"] == pytest.approx(-scores["elbo"] / (16 * 16 * 3 * np.log(2)))


def test_more_importance_samples_bound_the_likelihood_more_tightly(scores):
    assert scores["log_likelihood_64_samples"] > scores["elbo"]


def test_more_importance_samples_need_fewer_bits(scores):
    assert scores["bits_per_dim_64_samples"] < scores["bits_per_dim"]


def test_psnr_is_over_zero(scores):
    assert scores["psnr"] > 0


def test_units_similarity_and_the_last_model_are_scored_too(scores):
    assert {"active_units", "ssim", "final_elbo"} < scores.keys()


@pytest.mark.parametrize("kind", ["", "mixture_"])
def test_samples_of_the_prior_and_of_the_mixture_have_a_distance(scores, kind):
    assert [name for name in scores if name.startswith(f"{kind}frechet_distance_cifar10_features_")]


@pytest.mark.parametrize(
    "name", ["samples", "mixture_samples", "reconstructions", "interpolation", "traversal", "anomalies", "curves"]
)
def test_a_run_has_figures(prototype, name):
    assert (prototype / f"figures/{name}.png").stat().st_size > 500


def test_a_run_has_an_animation(prototype):
    assert (prototype / "figures/samples.gif").is_file()


@pytest.fixture(scope="module")
def evaluated(new_folder):
    """A folder with a run that is scored again, what is printed, and the scores."""
    path = new_folder()
    printed = answer(path, "evaluate", "run").out
    return path, printed, read_json(path / "run/metrics.json")


@pytest.fixture(scope="module")
def evaluated_on_others(evaluated):
    """The same folder, with scores on other data beside the run's own."""
    path, *_ = evaluated
    answer(path, "evaluate", "run", "--data", "shapes", "--samples", 16)
    return path / "run"


@pytest.fixture(scope="module")
def evaluated_on_few(new_folder):
    """A run that is scored with fewer samples than there are images."""
    path = new_folder()
    answer(path, "evaluate", "run", "--samples", 6)
    return path / "run"


def test_evaluate_gives_the_same_elbo_again(scores, evaluated):
    *_, again = evaluated
    assert again["elbo"] == pytest.approx(scores["elbo"], rel=1e-5)


def test_evaluate_prints_the_bits(evaluated):
    _, printed, _ = evaluated
    assert "bits_per_dim_64_samples" in printed


@pytest.mark.slow
def test_other_data_are_scored_in_a_file_of_their_own(evaluated_on_others):
    assert read_json(evaluated_on_others / "metrics-shapes.json")["images"] == 1024


@pytest.mark.slow
def test_other_data_leave_the_runs_own_scores_as_they_are(evaluated, evaluated_on_others):
    *_, own = evaluated
    assert read_json(evaluated_on_others / "metrics.json") == own


def test_fewer_samples_are_compared_with_as_few_images(evaluated_on_few):
    few = read_json(evaluated_on_few / "metrics.json")
    assert (few["images"], few["generated_images"], few["reference_images"]) == (8, 6, 6)


# What is usual is told from the run's own data, not from others.
@pytest.mark.parametrize("folder", [pytest.param("evaluated_on_others", marks=pytest.mark.slow), "evaluated_on_few"])
def test_evaluate_leaves_the_posterior_as_it_is(prototype, request, folder):
    path = request.getfixturevalue(folder)
    assert (path / "posterior.npz").read_bytes() == (prototype / "posterior.npz").read_bytes()


@pytest.fixture(scope="module")
def with_samples(new_folder):
    """A folder with data, a run, samples of its prior and of its mixture, and an image that is unlike the data."""
    path = new_folder()
    answer(path, "sample", "run", "--count", 4, "--out", "prior")
    answer(path, "sample", "run", "--count", 4, "--mixture", "--out", "mixture")
    Image.new("RGB", (30, 40), "white").save(path / "white.png")
    return path


def test_samples_have_the_images_shape(with_samples):
    assert np.asarray(Image.open(with_samples / "prior/generated/000001.png")).shape == (16, 16, 3)


def test_the_mixture_gives_other_samples_than_the_prior(with_samples):
    one, other = (np.asarray(Image.open(with_samples / name / "generated/000001.png")) for name in ("prior", "mixture"))
    assert not np.array_equal(one, other)


@pytest.fixture(scope="module")
def predicted(with_samples):
    """What `predict` prints, and the rows of its table."""
    printed = answer(with_samples, "predict", "run", "colours/red/1.png", "white.png", "--out", "seen").out
    with (with_samples / "seen/anomalies.csv").open(newline="") as file:
        return printed, list(csv.DictReader(file))


def test_predict_prints_what_it_wrote(predicted):
    printed, _ = predicted
    assert "2 reconstructions and anomalies.csv in seen" in printed


def test_the_stranger_comes_first(predicted):
    _, rows = predicted
    assert [Path(row["image"]).name for row in rows] == ["white.png", "1.png"]


def test_the_stranger_has_the_higher_score(predicted):
    _, rows = predicted
    assert float(rows[0]["anomaly_score"]) > float(rows[1]["anomaly_score"]) >= 0


def test_the_log_likelihood_is_the_models(with_samples, predicted):
    model = keras.saving.load_model(with_samples / "run/model.keras")
    white = model.log_likelihood(np.ones((1, 16, 16, 3), "float32"))
    _, rows = predicted
    assert float(rows[0]["log_likelihood"]) == pytest.approx(white[0], rel=0.02)  # other draws


@pytest.mark.usefixtures("predicted")
def test_a_reconstruction_stands_beside_its_image(with_samples):
    with Image.open(with_samples / "seen/white.png") as picture:
        assert picture.size == (34, 16)


@pytest.mark.usefixtures("predicted")
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["predict", "run", "white.png", "--out", "seen"], "anomalies.csv: exists already"),
        (["predict", "run", "nowhere.png", "--out", "new"], "nowhere.png: cannot be read"),
        (["predict", "run", "white.png", "--out", "new", "--tile", 64], "is a VAE, which has no --tile"),
        (["predict", "run", "white.png", "--out", "new", "--overlap", 0], "is a VAE, which has no --tile"),
        (["predict", "run", "white.png", "--out", "new", "--flip"], "is a VAE, which has no --tile"),
        (["evaluate", "run", "--scales", 1, 2], "is not of a segmenter: remove --flip and --scales"),
        (["sample", "run", "--count", 1, "--label", "red", "--out", "x.png"], "trained without labels"),
    ],
    ids=as_typed,
)
def test_what_a_vae_cannot_do_is_refused(with_samples, monkeypatch, capsys, arguments, message):
    monkeypatch.chdir(with_samples)
    assert run(*arguments) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [["sample", "run", "--count", 4, "--mixture", "--out", "x.png"], ["predict", "run", "white.png", "--out", "newer"]],
    ids=as_typed,
)
def test_a_missing_posterior_is_named(trained, capsys, arguments):
    Image.new("RGB", (30, 40), "white").save("white.png")
    (trained / "posterior.npz").unlink()
    assert run(*arguments) == 2
    assert "posterior.npz: does not exist" in capsys.readouterr().err


@pytest.fixture(scope="module")
def exported(new_folder):
    """A folder with a servable of the run, and what `export` prints."""
    path = new_folder()
    return path, answer(path, "export", "run", "--out", "servables/colours").out


@pytest.fixture(scope="module")
def served(exported):
    path, _ = exported
    return tf.saved_model.load(str(path / "servables/colours/1")).signatures


@pytest.fixture(scope="module")
def model(prototype):
    return keras.saving.load_model(prototype / "model.keras")


IMAGES = np.random.default_rng(0).integers(0, 256, (3, 16, 16, 3)).astype(np.uint8)


def test_export_prints_where_the_servable_is(exported):
    _, printed = exported
    assert printed.startswith("servables/colours/1\n")


def test_the_servable_encodes(served, model):
    encoded = served["encode"](image=tf.constant(IMAGES))
    mean, log_variance = model.encode(IMAGES / np.float32(127.5) - 1)
    np.testing.assert_allclose(encoded["mean"], mean, atol=1e-5)
    np.testing.assert_allclose(encoded["log_variance"], log_variance, atol=1e-5)


def test_the_servable_decodes_what_it_encodes(served, model):
    encoded = served["encode"](image=tf.constant(IMAGES))
    decoded = served["serving_default"](latent=encoded["mean"])["image"]
    expected = np.round((model.reconstruct(IMAGES / np.float32(127.5) - 1) + 1) * 127.5)
    assert decoded.dtype == tf.uint8
    assert np.abs(decoded.numpy() - expected).max() <= 1


def test_the_servable_refuses_images_of_another_shape(served):
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"an image has the shape \[16, 16, 3\]"):
        served["encode"](image=tf.constant(IMAGES[:, :8]))


@pytest.fixture(scope="module")
def conditional(data, tmp_path_factory):
    """A folder with data and a run that asks for labels."""
    path = tmp_path_factory.mktemp("conditional")
    shutil.copytree(data, path / "colours")
    options = ["--conditional", "--likelihood", "gaussian", "--scale", "0.2", "--beta", "2", "--beta-warm-up", "4"]
    options += ["--free-bits", "0.1"]
    answer(path, "train", "vae", "--data", "colours", "--out", "cvae", *SMALL, *options)
    return path


@pytest.fixture(scope="module")
def encode(conditional):
    """The signature that encodes by labels."""
    answer(conditional, "export", "cvae", "--out", "served")
    signatures = tf.saved_model.load(str(conditional / "served/1")).signatures
    image = tf.zeros((1, 16, 16, 3), tf.uint8)
    return lambda label: signatures["encode"](image=image, label=tf.constant(label))


@pytest.mark.slow
def test_a_density_has_no_bits(conditional):
    assert "bits_per_dim" not in read_json(conditional / "cvae/metrics.json")


@pytest.mark.slow
def test_a_density_has_an_elbo_and_a_likelihood(conditional):
    assert {"elbo", "log_likelihood_64_samples"} < read_json(conditional / "cvae/metrics.json").keys()


@pytest.mark.slow
def test_a_conditional_vaes_config_names_the_classes(conditional):
    assert read_json(conditional / "cvae/config.json")["class_names"] == ["blue", "red"]


@pytest.mark.slow
def test_samples_of_a_class_lie_in_its_folder(conditional):
    answer(conditional, "sample", "cvae", "--count", 3, "--label", "red", "--out", "reds")
    assert len(list((conditional / "reds/red").iterdir())) == 3


@pytest.mark.slow
def test_a_conditional_servable_encodes(encode):
    assert encode([1])["mean"].shape == (1, 5)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("label", "message"), [([2], "class id from 0 to 1"), ([0, 1], "each image wants one label")], ids=as_typed
)
def test_a_conditional_servable_refuses_wrong_labels(encode, label, message):
    with pytest.raises(tf.errors.InvalidArgumentError, match=message):
        encode(label)


@pytest.mark.slow
def test_a_conditional_vae_does_not_predict(conditional, monkeypatch, capsys):
    monkeypatch.chdir(conditional)
    assert run("predict", "cvae", "colours/red/1.png", "--out", "seen") == 2
    assert "needs labels" in capsys.readouterr().err


@pytest.mark.slow
def test_what_dies_in_validation_goes_on_behind_the_epoch(prototype, copied_data, monkeypatch, capsys):
    def die(*_, **__):
        raise KeyboardInterrupt

    command = ["train", "vae", "--data", copied_data, "--out", "died", *SMALL]
    with monkeypatch.context() as patch:
        patch.setattr(keras.Model, "evaluate", die)
        assert run(*command) == keras_segen_cli.INTERRUPTED
    assert run(*command, "--resume") == 0
    assert "Epoch 1/2" not in capsys.readouterr().out.split("epoch 1 was trained, but not scored")[1]
    assert Path("died/history.csv").read_bytes() == (prototype / "history.csv").read_bytes()
    assert_equal_models("died/final.keras", prototype / "final.keras")


START = ["--start-from", "run", *SMALL, "--learning-rate", "1e-30"]


@pytest.mark.slow
def test_a_vae_starts_from_another(trained, copied_data, capsys):
    command = ["train", "vae", "--data", copied_data, *START]
    assert run(*command, "--epochs", 1, "--out", "again") == 0
    assert "layers are taken\n" in capsys.readouterr().out
    before, after = (keras.saving.load_model(f"{name}/model.keras") for name in ("run", "again"))
    for ours, theirs in zip(after.trainable_variables, before.trainable_variables, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-20)


@pytest.mark.usefixtures("trained")
def test_a_conditional_vae_does_not_start_from_another(copied_data, capsys):
    assert run("train", "vae", "--data", copied_data, *START, "--conditional", "--out", "no") == 2
    assert "was trained with no --conditional, not --conditional" in capsys.readouterr().err


@pytest.mark.slow
def test_killed_and_resumed_equals_undisturbed(copied_data, tmp_path, train_with_kills):
    command = ["train", "vae", "--data", str(copied_data), *SMALL, "--epochs", "6", "--beta-warm-up", "10"]
    assert run(*command, "--out", "whole") == 0
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    train_with_kills(command, killed, kills=2)
    assert (whole / "history.csv").read_bytes() == (killed / "history.csv").read_bytes()
    for name in ("model.keras", "final.keras"):
        assert_equal_models(whole / name, killed / name)
    assert (whole / "metrics.json").read_text() == (killed / "metrics.json").read_text()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--image-size", "48"], "a side of 16, 32"),
        (["--latent-side", "8", "--latent-dim", "100"], "give 64 or a multiple"),
        (["--filters", "4", "8"], "There is no place for '8'"),
        (["--scale", "0.1"], "--scale needs --likelihood gaussian"),
        (["--importance-samples", "5", "--beta", "2"], "--importance-samples goes without"),
        (["--attributes", "Smiling"], "--attributes needs --conditional"),
        (["--loss", "hinge"], "Unknown option: --loss"),
        (["--data", "nowhere"], "one sub-folder of images a class"),
    ],
    ids=as_typed,
)
def test_wrong_use_is_one_line(copied_data, capsys, arguments, message):
    assert run("train", "vae", "--data", copied_data, *SMALL, *arguments) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def test_a_folder_needs_images_kept_aside(copied_data, capsys):
    (copied_data / "train").mkdir()
    for name in ("blue", "red"):
        (copied_data / name).rename(copied_data / "train" / name)
    assert run("train", "vae", "--data", copied_data, *SMALL) == 2
    assert "holds no val" in capsys.readouterr().err
    for name in ("blue", "red"):
        (copied_data / "val" / name).mkdir(parents=True)
        shutil.copy(copied_data / "train" / name / "1.png", copied_data / "val" / name)
    assert run("train", "vae", "--data", copied_data, *SMALL) == 2
    assert "2 images kept aside are too few" in capsys.readouterr().err


@pytest.mark.slow
def test_other_data_are_scored_whole(trained, copied_data, capsys):
    copied_data.rename("others")
    Image.new("RGB", (20, 20), "red").save("others/red/new.png")
    assert run("evaluate", trained, "--data", "others") == 0
    scores = read_json(trained / "metrics-others.json")
    assert (scores["images"], scores["reference_images"], scores["split"]) == (41, 41, "all")
    assert "scored on all images" in capsys.readouterr().out


@pytest.mark.parametrize(("split", "count"), [("val", 8), ("train", 32)])
def test_another_split_leaves_the_posterior_as_it_is(trained, split, count):
    before = (trained / "posterior.npz").read_bytes()
    assert run("evaluate", trained, "--split", split) == 0
    assert read_json(trained / f"metrics-{split}.json")["images"] == count
    assert (trained / "posterior.npz").read_bytes() == before
