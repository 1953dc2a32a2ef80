import hashlib
import shutil
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from examples.commands import answer, as_typed, assert_equal_models, draw_colours, read_json, run
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


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """A folder of two classes, of ten images each."""
    return draw_colours(tmp_path_factory.mktemp("data") / "colours", count=10, size=(20, 20))


@pytest.fixture(scope="module")
def prototype(data, tmp_path_factory):
    """A run on them."""
    path = tmp_path_factory.mktemp("prototype") / "run"
    answer(path.parent, "train", "cgan", "--data", data, "--out", path, *SMALL)
    return path


def distances(scores):
    return [name for name in scores if name.startswith("frechet_distance_cifar10_features_")]


@pytest.fixture(scope="module")
def distance(prototype):
    """The name of the Fréchet distance that is scored."""
    (name,) = distances(read_json(prototype / "metrics.json"))
    return name


def test_the_config_names_the_classes(prototype):
    assert read_json(prototype / "config.json")["class_names"] == ["blue", "red"]


def test_the_config_holds_the_loss(prototype):
    assert read_json(prototype / "config.json")["loss"] == "hinge"


def test_the_history_has_losses_and_signs_of_collapse(prototype):
    header = (prototype / "history.csv").read_text().splitlines()[0].split(",")
    assert {"discriminator_loss", "generator_loss", "sample_spread", "sample_rank", "separation"} < set(header)


def test_scores_hold_one_distance_of_the_classifiers_features(prototype):
    assert len(distances(read_json(prototype / "metrics.json"))) == 1


def test_as_many_images_are_scored_as_are_trained_on(prototype):
    scores = read_json(prototype / "metrics.json")
    assert scores["images"] == scores["reference_images"] == 16  # a fifth of 20 is kept for validation


def test_the_distance_is_over_zero(prototype, distance):
    assert read_json(prototype / "metrics.json")[distance] > 0


def test_the_last_model_is_scored_too(prototype, distance):
    assert f"final_{distance}" in read_json(prototype / "metrics.json")


@pytest.mark.parametrize("name", ["curves.png", "samples.png", "interpolation.png", "samples.gif"])
def test_a_run_has_figures(prototype, name):
    assert (prototype / "figures" / name).stat().st_size > 500


def test_each_epoch_has_its_samples(prototype):
    names = sorted(path.name for path in (prototype / "figures/samples").iterdir())
    assert names == ["epoch_0001.png", "epoch_0002.png"]


def test_the_animation_has_a_frame_for_each_epoch(prototype):
    with Image.open(prototype / "figures/samples.gif") as animation:
        assert animation.n_frames == 2


def test_tensorboard_has_the_samples(prototype):
    assert any((prototype / "logs/samples").rglob("events.*"))


def evaluated(path, *options):
    """What `evaluate` prints, and the scores that it writes."""
    return answer(path.parent, "evaluate", path, *options).out, read_json(path / "metrics.json")


@pytest.fixture(scope="module")
def evaluated_again(new_folder):
    return evaluated(new_folder() / "run")


@pytest.fixture(scope="module")
def evaluated_on_few(new_folder):
    return evaluated(new_folder() / "run", "--samples", 8)


@pytest.fixture(scope="module")
def evaluated_on_many(new_folder):
    return evaluated(new_folder() / "run", "--samples", 50)


def test_evaluate_gives_the_same_distance_again(prototype, evaluated_again, distance):
    _, scores = evaluated_again
    assert scores[distance] == pytest.approx(read_json(prototype / "metrics.json")[distance], rel=1e-5)


def test_evaluate_prints_the_distance(evaluated_again, distance):
    printed, _ = evaluated_again
    assert distance in printed


def test_evaluate_adds_scores_by_the_same_features(evaluated_again, distance):
    _, scores = evaluated_again
    extractor = distance.removeprefix("frechet_distance_")
    words = ("kernel_distance", "inception_score", "precision", "recall", "density", "coverage")
    assert {f"{word}_{extractor}" for word in words} < scores.keys()


def test_scores_name_their_reference(evaluated_again):
    _, scores = evaluated_again
    assert scores["reference"].startswith("colours-train-16-middle_square-16-")


def test_scores_name_their_data(evaluated_on_many):
    _, scores = evaluated_on_many
    assert scores["protocol"]["data"] == "colours"


def test_few_samples_are_compared_with_as_few_images(evaluated_on_few):
    _, scores = evaluated_on_few
    assert (scores["images"], scores["reference_images"]) == (8, 8)


def test_many_samples_are_compared_with_all_images(evaluated_on_many):
    _, scores = evaluated_on_many
    assert (scores["images"], scores["reference_images"]) == (50, 16)


def test_many_samples_have_the_real_images_labels_again_and_again(prototype, data, evaluated_on_many, distance):
    model = keras.saving.load_model(prototype / "model.keras")
    loaded = open_run(prototype).load_data(str(data))
    latents = standard_normal(50, 5, seed=1)
    samples = model.generate(latents, np.tile(loaded.labels, 4)[:50])
    seen = Moments().update(np.concatenate([x for x, _ in feature_batches(samples, cifar10_features())]))
    reference = Reference.of(loaded.images, cifar10_features())
    expected = frechet_distance(seen.mean, seen.covariance, reference.mean, reference.covariance)
    _, scores = evaluated_on_many
    assert scores[distance] == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--extractor", "inception", "--inception-weights", "x.pth"], "x.pth: does not exist: fetch https"),
        (["--flip"], "is not of a segmenter: remove --flip and --scales"),
        (["--reference", "stats.npz"], "--reference goes with --extractor inception: give both"),
        # Before the network is fetched.
        (
            ["--extractor", "inception", "--reference", "nowhere.npz", "--inception-weights", "nowhere"],
            "nowhere.npz: does not exist",
        ),
    ],
    ids=as_typed,
)
def test_evaluate_refuses_options_that_do_not_fit(trained, capsys, options, message):
    assert run("evaluate", trained, *options) == 2
    assert message in capsys.readouterr().err.splitlines()[-1]


BY_STATISTICS = ["--extractor", "inception", "--reference", "stats.npz"]


@pytest.fixture(scope="module")
def published():
    """The small classifier's features under the name of Inception's."""
    small = cifar10_features()
    return named_extractor(keras.Model(small.input, small.output), NAME, 3)


@pytest.fixture(scope="module")
def with_statistics(new_folder, published):
    """A folder with data, a run, and the statistics of other images."""
    path = new_folder()
    real = Reference.of(np.random.default_rng(0).integers(0, 256, (400, 16, 16, 3), dtype=np.uint8), published)
    np.savez(path / "stats.npz", mu=real.mean, sigma=real.covariance)
    return path


@pytest.fixture(scope="module")
def evaluated_by_statistics(with_statistics, published):
    """What is printed, and the file of scores."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(features, "inception_features", lambda weights, channels: published)
        printed = answer(with_statistics, "evaluate", "run", *BY_STATISTICS, "--samples", 20).out
    (file,) = (with_statistics / "run").glob("metrics-*.json")
    return printed, file


@pytest.fixture(scope="module")
def compared_by_statistics(with_statistics, published):
    """The scores of the folder of images."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(features, "inception_features", lambda weights, channels: published)
        answer(with_statistics, "compare", "--fake", "colours", *BY_STATISTICS, "--out", "scores.json")
    return read_json(with_statistics / "scores.json")


def test_what_statistics_cannot_give_is_printed(evaluated_by_statistics):
    printed, _ = evaluated_by_statistics
    assert "kernel distance, precision, recall, density and coverage need images" in printed


def test_scores_by_statistics_have_a_file_named_by_their_digest(with_statistics, evaluated_by_statistics):
    digest = hashlib.sha256((with_statistics / "stats.npz").read_bytes()).hexdigest()
    _, file = evaluated_by_statistics
    assert file.name == f"metrics-stats-{digest[:8]}.json"


@pytest.mark.usefixtures("evaluated_by_statistics")
def test_scores_by_statistics_leave_the_runs_own_as_they_are(with_statistics, prototype):
    assert (with_statistics / "run/metrics.json").read_bytes() == (prototype / "metrics.json").read_bytes()


def test_statistics_give_the_distance_and_the_inception_score_alone(evaluated_by_statistics):
    scores = read_json(evaluated_by_statistics[1])
    assert {name for name in scores if isinstance(scores[name], float)} == {"fid", "final_fid", "inception_score"}


def test_statistics_have_no_count_of_images(evaluated_by_statistics):
    scores = read_json(evaluated_by_statistics[1])
    assert (scores["images"], scores["reference_images"]) == (20, None)


def test_the_protocol_names_statistics_and_extractor(evaluated_by_statistics):
    protocol = read_json(evaluated_by_statistics[1])["protocol"]
    assert (protocol["statistics"], protocol["extractor"]) == ("stats.npz", NAME)


def test_a_folders_distance_from_statistics(with_statistics, compared_by_statistics, published):
    images = np.stack([read_image(path) for path in image_files(with_statistics / "colours")])
    seen = Moments().update(np.concatenate([x for x, _ in feature_batches(images, published)]))
    with np.load(with_statistics / "stats.npz") as real:
        expected = frechet_distance(seen.mean, seen.covariance, real["mu"], real["sigma"])
    assert compared_by_statistics["fid"] == pytest.approx(expected, rel=1e-4)


def test_a_folder_is_compared_with_statistics_whole(compared_by_statistics):
    assert compared_by_statistics["images"] == 20


def test_a_folders_protocol_names_the_statistics(compared_by_statistics):
    assert compared_by_statistics["protocol"]["statistics"] == "stats.npz"


@pytest.fixture(scope="module")
def sampled(new_folder):
    """A folder with data, a run, and nine of its samples."""
    path = new_folder()
    answer(path, "sample", "run", "--count", 9, "--out", "made", "--seed", 3)
    return path


@pytest.fixture(scope="module")
def compared(sampled):
    """What `compare` prints, and the scores that it writes."""
    printed = answer(sampled, "compare", "--real", "colours", "--fake", "made", "--out", "scores/one.json")
    return printed, read_json(sampled / "scores/one.json")


def test_all_images_of_two_folders_are_compared(compared):
    _, scores = compared
    assert (scores["images"], scores["reference_images"]) == (9, 20)


def test_the_real_folder_is_named_in_the_protocol(compared):
    _, scores = compared
    assert scores["protocol"]["data"] == "colours"


def test_folders_have_one_distance(compared):
    _, scores = compared
    assert len(distances(scores)) == 1


def test_compare_prints_the_distance(compared):
    printed, scores = compared
    assert distances(scores)[0] in printed.out


def test_compare_warns_of_other_sizes(compared):
    printed, _ = compared
    assert "warning: the real images are 20×20 pixels, the others 16×16" in printed.err


def test_a_set_has_no_distance_from_itself(copied_data, distance):
    assert run("compare", "--real", copied_data, "--fake", copied_data, "--samples", 12, "--out", "self.json") == 0
    assert read_json("self.json")[distance] == pytest.approx(0, abs=1e-3)


FOLDERS = ["--real", "colours", "--fake", "made"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["evaluate"], "RUN is missing"),
        (["compare", "--real", "colours"], "--fake is missing"),
        (["compare", "--fake", "colours"], "needs either --real DIR or --reference FILE.npz"),
        (["compare", *FOLDERS, *BY_STATISTICS], "needs either --real DIR or --reference FILE.npz"),
        (["evaluate", "run", *FOLDERS], "Unknown option: --real"),
        (["compare", *FOLDERS, "--data", "shapes"], "Unknown option: --data"),
    ],
    ids=as_typed,
)
def test_evaluate_and_compare_have_options_of_their_own(sampled, monkeypatch, capsys, arguments, message):
    monkeypatch.chdir(sampled)
    assert run(*arguments) == 2
    assert message in capsys.readouterr().err


@pytest.fixture(scope="module")
def two_images(sampled):
    """A folder beside the samples, too small to be scored."""
    (sampled / "two").mkdir()
    for i in range(2):
        Image.new("RGB", (16, 16)).save(sampled / f"two/{i}.png")


@pytest.mark.usefixtures("two_images")
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([*FOLDERS[:3], "two"], "two: holds too few images to compare (2): add some, 6 at least"),
        ([*FOLDERS[:3], "nowhere"], "nowhere: does not exist"),
        ([*FOLDERS, "--out", "/dev/null"], "/dev/null: exists already"),
        ([*FOLDERS, "--out", "made"], "made: exists already: name another file"),
        ([*FOLDERS, "--inception-weights", "x.pth"], "--extractor inception: give both"),
        ([*FOLDERS, "--extractor", "inception", "--inception-weights", "x.pth"], "x.pth: does not exist: fetch https"),
    ],
    ids=as_typed,
)
def test_folders_that_cannot_be_compared_are_refused(sampled, monkeypatch, capsys, arguments, message):
    monkeypatch.chdir(sampled)
    assert run("compare", *arguments) == 2
    assert message in capsys.readouterr().err.splitlines()[-1]


def test_samples_have_a_folder_for_each_class(sampled):
    assert {path.parent.name for path in (sampled / "made").rglob("*.png")} == {"blue", "red"}


@pytest.fixture(scope="module")
def samples_read(sampled):
    """A batch of the samples, as `folder` reads them with their labels."""
    options = {"image_size": 16, "target": "label", "val_fraction": 0.1, "batch_size": 9}
    return next(iter(folder("train", data_dir=str(sampled / "made"), **options)))


def test_samples_are_read_in_their_size(samples_read):
    images, _ = samples_read
    assert images.shape[1:] == (16, 16, 3)


def test_samples_are_read_with_both_labels(samples_read):
    _, labels = samples_read
    assert set(labels.numpy()) == {0, 1}


def test_the_same_seed_and_label_give_the_same_image_alone_or_among_others(sampled):
    answer(sampled, "sample", "run", "--count", 2, "--label", "red", "--seed", 3, "--out", "reds")
    one, other = (np.asarray(Image.open(sampled / name / "red/000001.png")) for name in ("made", "reds"))
    assert np.abs(one.astype(int) - other).max() <= 1


def test_samples_in_one_picture(sampled):
    answer(sampled, "sample", "run", "--count", 5, "--out", "all.png")
    with Image.open(sampled / "all.png") as picture:
        assert picture.size == (3 * 18 - 2, 2 * 18 - 2)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--count", 5, "--out", "made"], "not empty"),
        (["--count", 5, "--out", "all.jpg"], "name it .png"),
        *(
            (["--count", 1, "--label", label, "--out", "x.png"], "the classes are blue, red")
            for label in ("green", "2", "-1")
        ),
    ],
    ids=as_typed,
)
def test_samples_that_cannot_be_made_are_refused(sampled, monkeypatch, capsys, arguments, message):
    monkeypatch.chdir(sampled)
    assert run("sample", "run", *arguments) == 2
    assert message in capsys.readouterr().err


@pytest.fixture(scope="module")
def exported(new_folder):
    """A folder with a servable of the run, and what `export` prints."""
    path = new_folder()
    return path, answer(path, "export", "run", "--out", "servables/colours").out


@pytest.fixture(scope="module")
def serve(exported):
    path, _ = exported
    return tf.saved_model.load(str(path / "servables/colours/1")).signatures["serving_default"]


LATENTS = np.random.default_rng(0).normal(size=(3, 5)).astype("float32")


def test_export_prints_where_the_servable_is(exported):
    _, printed = exported
    assert printed.startswith("servables/colours/1\n")


def test_the_servable_gives_what_sample_gives(serve, prototype):
    image = serve(latent=tf.constant(LATENTS), label=tf.constant([0, 1, 1]))["image"]
    model = keras.saving.load_model(prototype / "model.keras")
    expected = np.round((model.generate(LATENTS, np.array([0, 1, 1])) + 1) * 127.5)
    assert image.dtype == tf.uint8
    assert np.abs(image.numpy() - expected).max() <= 1


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"latent": np.zeros((1, 4), "float32"), "label": [0]}, "a latent has 5 numbers"),
        ({"latent": LATENTS[:1] * np.nan, "label": [0]}, "numbers are finite"),
        ({"latent": LATENTS[:1], "label": [2]}, "class id from 0 to 1"),
        ({"latent": LATENTS[:1], "label": [-1]}, "class id from 0 to 1"),
        ({"latent": LATENTS[:1], "label": [0, 1]}, "each latent wants one label"),
    ],
    ids=["short latent", "latent of NaN", "label 2", "label -1", "two labels"],
)
def test_the_servable_refuses_wrong_latents_and_labels(serve, wrong, message):
    with pytest.raises(tf.errors.InvalidArgumentError, match=message):
        serve(**{name: tf.constant(value) for name, value in wrong.items()})


@pytest.mark.slow
def test_killed_and_resumed_equals_undisturbed(copied_data, tmp_path, train_with_kills):
    command = ["train", "cgan", "--data", str(copied_data), *SMALL, "--epochs", "6"]
    assert run(*command, "--out", "whole") == 0
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    train_with_kills(command, killed, kills=2)
    assert (whole / "history.csv").read_bytes() == (killed / "history.csv").read_bytes()
    for name in ("model.keras", "final.keras"):  # the best so far too
        assert_equal_models(whole / name, killed / name)
    assert (whole / "metrics.json").read_text() == (killed / "metrics.json").read_text()
    assert (whole / "figures/samples.gif").read_bytes() == (killed / "figures/samples.gif").read_bytes()


@pytest.mark.slow
def test_a_training_that_was_stopped_goes_on_from_the_best_and_not_from_where_it_stopped(copied_data, monkeypatch):
    command = ["train", "dcgan", "--data", copied_data, "--out", "run", *SMALL, "--epochs", 4]

    class Collapse(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            logs["distance"] = [2.0, 1.0, 3.0, 4.0][epoch]
            self.model.stop_training = epoch == 2

    monkeypatch.setattr(Generation, "monitor", "distance")
    monkeypatch.setattr(Generation, "callbacks", lambda *_: [Collapse()])
    assert run(*command) == 0
    epoch, logs = read_epoch("run/backup/model.keras")
    assert (epoch, logs["distance"]) == (2, 3.0)
    assert_equal_models("run/model.keras", "run/backup/model.keras")
    assert int(keras.saving.load_model("run/backup/model.keras").optimizer.iterations) == 2 * 3
    assert run(*command, "--resume") == 0
    assert [row["distance"] for row in Run("run").history()] == [2.0, 1.0, 3.0, 4.0]
    assert int(keras.saving.load_model("run/final.keras").optimizer.iterations) == 3 * 3


START = ["--start-from", "run", *SMALL, "--epochs", 1]


@pytest.fixture(scope="module")
def started(new_folder):
    """A folder with a run that starts from another's weights with one class more and learns nothing; what it prints."""
    path = new_folder()
    (path / "colours/green").mkdir()
    for i in range(10):
        Image.new("RGB", (20, 20), (0, 200 + i, 0)).save(path / f"colours/green/green{i}.png")
    still = ["--learning-rate", "1e-30", "--discriminator-learning-rate", "1e-30"]
    return path, answer(path, "train", "cgan", "--data", "colours", *START, *still, "--out", "three").out


@pytest.fixture(scope="module")
def before_and_after(started):
    """The model of two classes, and that of three."""
    path, _ = started
    return [keras.saving.load_model(path / name / "model.keras") for name in ("run", "three")]


@pytest.mark.slow
def test_layers_that_belong_to_the_classes_are_said_to_be_new(started):
    _, printed = started
    assert "layers are new, or new in what belongs to the classes: cgan_generator" in printed


@pytest.mark.slow
def test_the_started_model_has_its_own_classes(before_and_after):
    assert [model.num_classes for model in before_and_after] == [2, 3]


@pytest.mark.slow
@pytest.mark.parametrize("network", ["generator", "discriminator"])
def test_convolutions_are_taken_from_the_other_run(before_and_after, network):
    old, new = (getattr(model, network) for model in before_and_after)
    kinds = (keras.layers.Conv2DTranspose, keras.layers.Conv2D)
    kept = [
        (a, b)
        for a, b in zip(old.layers, new.layers, strict=True)
        if isinstance(a, kinds) and "embedding" not in a.name and a.kernel.shape == b.kernel.shape
    ]
    assert len(kept) >= 2
    for a, b in kept:
        np.testing.assert_allclose(b.kernel, a.kernel, atol=1e-20)


@pytest.mark.slow
def test_of_the_layer_of_latents_and_classes_what_belongs_to_the_latents_is_taken(before_and_after):
    old, new = (next(layer for layer in model.generator.layers if layer.weights) for model in before_and_after)
    np.testing.assert_allclose(new.weights[0][..., :5], old.weights[0][..., :5], atol=1e-20)


def test_a_run_of_another_conditioning_is_not_started_from(trained, copied_data, capsys):
    command = ["train", "cgan", "--data", copied_data, *START, "--conditioning", "concat", "--out", "no"]
    assert run(*command) == 2
    assert "was trained with --conditioning projection, not --conditioning concat" in capsys.readouterr().err


@pytest.fixture(scope="module")
def plain(data, tmp_path_factory):
    """A folder with the run of a DCGAN, which asks for no labels, and an image."""
    path = tmp_path_factory.mktemp("plain")
    shutil.copy(data / "red/1.png", path / "image.png")
    options = ["--diff-augment", "--loss", "minimax"]
    answer(path, "train", "dcgan", "--data", data, "--out", "plain", *SMALL, *options)
    return path


@pytest.mark.slow
def test_a_dcgans_config_has_no_classes(plain):
    assert read_json(plain / "plain/config.json")["class_names"] == []


@pytest.mark.slow
def test_samples_without_labels_in_one_picture(plain):
    answer(plain, "sample", "plain", "--count", 4, "--out", "four.png")
    with Image.open(plain / "four.png") as picture:
        assert picture.size == (34, 34)


@pytest.mark.slow
def test_samples_without_labels_have_one_folder(plain):
    answer(plain, "sample", "plain", "--count", 2, "--out", "two")
    assert len(list((plain / "two/generated").iterdir())) == 2


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["sample", "plain", "--count", 2, "--label", "red", "--out", "x.png"], "trained without labels"),
        (["sample", "plain", "--count", 1, "--mixture", "--out", "x.png"], "--mixture is for VAEs"),
        (["predict", "plain", "image.png", "--out", "seen"], "use `sample`"),
    ],
    ids=as_typed,
)
def test_a_dcgan_has_neither_labels_nor_an_encoder(plain, monkeypatch, capsys, arguments, message):
    monkeypatch.chdir(plain)
    assert run(*arguments) == 2
    assert message in capsys.readouterr().err


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
    ids=as_typed,
)
def test_wrong_use_is_one_line(copied_data, capsys, arguments, message):
    assert run("train", "cgan", "--data", copied_data, *SMALL, *arguments) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def test_every_file_is_checked_those_kept_aside_too(copied_data, capsys):
    for path in sorted((copied_data / "red").iterdir()):
        whole = path.read_bytes()
        path.write_bytes(whole[: len(whole) // 2])
        assert run("train", "dcgan", "--data", copied_data, "--out", "x", *SMALL) == 2
        assert f"{path.name}: is damaged" in capsys.readouterr().err
        path.write_bytes(whole)


def test_a_class_of_one_image_is_refused(copied_data, capsys):
    for path in sorted((copied_data / "blue").iterdir())[1:]:
        path.unlink()
    assert run("train", "dcgan", "--data", copied_data, "--out", "x", *SMALL) == 2
    assert "blue: holds one image" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["unet", "--data", "colours", "--latent-dim", 3], "Unknown option: --latent-dim"),
        (["dcgan", "--data", "colours", "--conditioning", "concat"], "Unknown option: --conditioning"),
        (["cgan", "--data", "celeb_a"], "--attributes"),
        (["dcgan", "--data", "cifar10", "--image-size", 64], "--image-size 32"),
    ],
    ids=as_typed,
)
@pytest.mark.usefixtures("copied_data")
def test_options_of_other_models_are_refused(capsys, arguments, message):
    assert run("train", *arguments) == 2
    assert message in capsys.readouterr().err


WORTH = ["worth", "--steps", "10", "--image-size", "16"]


def test_worth(copied_data, capsys):
    assert run(*WORTH, "--real", copied_data, "--generated", copied_data, "--out", "scores/worth.json") == 0
    printed = capsys.readouterr().out
    assert [line.split()[:2] for line in printed.splitlines()[-3:]] == [
        ["generated", "20"],
        ["real", "16"],
        ["both", "36"],
    ]
    scores = read_json("scores/worth.json")
    assert [scores[name]["images"] for name in ("generated", "real", "both")] == [20, 16, 36]


def test_worth_compares_the_same_classes_alone(copied_data, capsys):
    (copied_data / "red").rename(copied_data / "green")
    Path("other").mkdir()
    (copied_data / "blue").rename("other/blue")
    assert run(*WORTH, "--real", copied_data, "--generated", "other") == 2
    assert "they must be the same" in capsys.readouterr().err
