import csv
import functools
import shutil
import types

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

import keras_segen_cli
from examples.commands import answer, as_typed, assert_equal_models, read_json, run, variables
from keras_segen import data as ks_data
from keras_segen import inference
from keras_segen.callbacks import read_epoch
from keras_segen.data._images import read_image
from keras_segen.metrics import MeanIoU
from keras_segen.runs import Run, write_json
from keras_segen_cli.recipes import UNet
from keras_segen_cli.tasks import baseline, open_run, training
from keras_segen_cli.tasks.segmentation import Segmentation

SMALL = ["--epochs", "2", "--steps-per-epoch", "3", "--batch-size", "4", "--image-size", "32", "--filters", "4", "8"]


@pytest.fixture(scope="module")
def data(tmp_path_factory, draw_discs):
    """A folder of discs."""
    return draw_discs(tmp_path_factory.mktemp("data") / "discs")


@pytest.fixture(scope="module")
def prototype(data, tmp_path_factory):
    """A run on it."""
    path = tmp_path_factory.mktemp("prototype") / "run"
    answer(path.parent, "train", "unet", "--data", data, "--out", path, *SMALL)
    return path


def assert_equal_runs(one, other):
    assert (one / "history.csv").read_bytes() == (other / "history.csv").read_bytes()
    for name in ("model.keras", "final.keras"):
        assert_equal_models(one / name, other / name)
    assert (one / "metrics.json").read_text() == (other / "metrics.json").read_text()


@pytest.mark.parametrize(("setting", "value"), [("class_names", ["class_0", "class_1"]), ("epochs", 2)])
def test_the_config_holds_classes_and_epochs(prototype, setting, value):
    assert read_json(prototype / "config.json")[setting] == value


def test_the_config_holds_versions(prototype):
    assert set(read_json(prototype / "config.json")["versions"]) >= {"keras_segen", "keras", "tensorflow"}


@pytest.fixture(scope="module")
def history(prototype):
    with (prototype / "history.csv").open() as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def scores(prototype):
    return read_json(prototype / "metrics.json")


def test_the_history_has_a_row_for_each_epoch(history):
    assert [row["epoch"] for row in history] == ["0", "1"]


def test_the_validation_images_are_scored(scores):
    assert scores["images"] == 3


def test_each_class_has_a_score(scores):
    assert set(scores["per_class_iou"]) == {"class_0", "class_1"}


def test_the_best_epochs_model_is_scored(history, scores):
    best = max(float(row["val_mean_iou"]) for row in history)
    assert scores["mean_iou"] == pytest.approx(best, rel=1e-6)


def test_every_pixel_is_counted_once(scores):
    assert np.sum(scores["confusion_matrix"]) == 3 * 40 * 48


@pytest.mark.parametrize(
    "measure",
    [
        "pixel_accuracy",
        "mean_class_accuracy",
        "frequency_weighted_iou",
        "mean_dice",
        "boundary_iou",
        "boundary_f1",
    ],
)
def test_a_measure_lies_between_0_and_1(scores, measure):
    assert 0 <= scores[measure] <= 1


@pytest.mark.parametrize(
    "name", ["figures/curves.png", "figures/predictions.png", "figures/confusions.png", "final.keras"]
)
def test_a_run_has_figures_and_its_last_model(prototype, name):
    assert (prototype / name).stat().st_size > 1000


def test_tensorboard_has_the_run(prototype):
    assert any((prototype / "logs").rglob("events.*"))


@pytest.fixture(scope="module")
def predicted(new_folder, draw_discs):
    """A folder with a run, and what it predicts of the images in `more`."""
    path = new_folder()
    draw_discs(path / "more", train=1)
    answer(path, "predict", "run", *sorted((path / "more/val/images").iterdir()), "--out", "out")
    return path


def images_and_results(folder, ending):
    """The pairs of images, and of what `predict` wrote of each."""
    for path in sorted((folder / "more/val/images").iterdir()):
        with Image.open(path) as image, Image.open(folder / "out" / f"{path.stem}{ending}") as result:
            yield image, result


def test_label_maps_have_a_palette(predicted):
    assert [label_map.mode for _, label_map in images_and_results(predicted, ".png")] == ["P"] * 3


def test_label_maps_are_the_models(predicted):
    model = keras.saving.load_model(predicted / "run/model.keras")
    for image, label_map in images_and_results(predicted, ".png"):
        expected = model.predict(np.asarray(image, "float32")[None], verbose=0)[0].argmax(-1)
        np.testing.assert_array_equal(np.asarray(label_map), expected)


def test_overlays_have_the_images_size(predicted):
    assert [overlay.size for _, overlay in images_and_results(predicted, "_overlay.png")] == [(48, 40)] * 3


def test_predictions_are_not_overwritten(predicted, monkeypatch, capsys):
    monkeypatch.chdir(predicted)
    assert run("predict", "run", "more/val/images/0.jpg", "--out", "out") == 2
    assert "exists already" in capsys.readouterr().err


@pytest.fixture(scope="module")
def exported(new_folder):
    """What `export` prints."""
    return answer(new_folder(), "export", "run", "--out", "servables/discs").out


def test_export_prints_where_the_servable_is(exported):
    assert exported.startswith("servables/discs/1\n")


def test_export_prints_how_to_serve(exported):
    assert "tensorflow/serving" in exported


@pytest.mark.slow
def test_predict_in_tiles_and_with_augmentation(trained, make_folder):
    paths = sorted((make_folder("more", train=1) / "val/images").iterdir())
    model = keras.saving.load_model(trained / "model.keras")
    augmented = inference.augmented(model, flip=True, scales=(0.75, 1.25))
    images = [read_image(path) for path in paths]
    for out, options, expected in [
        ("tiles", ["--tile", 16, "--overlap", 0.5], inference.predict(model, images, tile=16, overlap=0.5)),
        ("augmented", ["--flip", "--scales", 0.75, 1.25], inference.predict(augmented, images)),
        ("both", ["--tile", 16, "--scales", 0.75, 1.25, "--flip"], inference.predict(augmented, images, tile=16)),
    ]:
        assert run("predict", trained, *paths, "--out", out, *options) == 0
        for path, label_map in zip(paths, expected, strict=True):
            with Image.open(f"{out}/{path.stem}.png") as written:
                np.testing.assert_array_equal(written, label_map)


@pytest.fixture(scope="module")
def by_augmentation(new_folder):
    """A run that is scored with test-time augmentation, and what is printed."""
    path = new_folder()
    return path / "run", answer(path, "evaluate", "run", "--flip", "--scales", 0.75, 1).out


@pytest.fixture(scope="module")
def evaluated(by_augmentation, tmp_path_factory):
    """The same run, scored once more without it, and what is printed."""
    path = shutil.copytree(by_augmentation[0], tmp_path_factory.mktemp("evaluated") / "run")
    answer(path.parent, "evaluate", "run", "--flip")
    return path, answer(path.parent, "evaluate", "run").out


def test_evaluate_prints_the_mean_iou(evaluated):
    _, printed = evaluated
    assert "mean IoU" in printed


def test_evaluate_gives_the_same_scores_again(evaluated, scores):
    path, _ = evaluated
    assert read_json(path / "metrics.json") == scores


def test_scores_are_written_where_one_says(trained, tmp_path, scores, monkeypatch):
    before = (trained / "metrics.json").stat().st_mtime_ns
    assert run("evaluate", trained, "--out", tmp_path / "elsewhere/scores.json") == 0
    assert read_json(tmp_path / "elsewhere/scores.json") == scores
    assert (trained / "metrics.json").stat().st_mtime_ns == before


def test_augmentation_is_printed(by_augmentation):
    _, printed = by_augmentation
    assert "averaged over scales 0.75 1, and over mirror images" in printed


def test_augmentation_leaves_the_scores_without_it_as_they_are(by_augmentation, scores):
    path, _ = by_augmentation
    assert read_json(path / "metrics.json") == scores


def test_scores_with_augmentation_say_so(by_augmentation):
    path, _ = by_augmentation
    assert read_json(path / "metrics-flip-0.75-1.json")["augmented"] == {"flip": True, "scales": [0.75, 1.0]}


def test_scores_by_flipping_alone_say_so(evaluated):
    path, _ = evaluated
    assert read_json(path / "metrics-flip.json")["augmented"] == {"flip": True, "scales": [1.0]}


def test_scores_with_augmentation_are_the_augmented_models(by_augmentation, data):
    path, _ = by_augmentation
    augmented = inference.augmented(keras.saving.load_model(path / "model.keras"), flip=True, scales=(0.75, 1))
    metric = MeanIoU(2)
    for image, mask in ks_data.folder("val", data_dir=data):
        metric.update_state(mask, augmented(image))
    assert read_json(path / "metrics-flip-0.75-1.json")["mean_iou"] == pytest.approx(float(metric.result()), abs=1e-6)


def test_augmentation_changes_the_confusion_matrix(by_augmentation, scores):
    path, _ = by_augmentation
    assert read_json(path / "metrics-flip-0.75-1.json")["confusion_matrix"] != scores["confusion_matrix"]


@pytest.fixture(scope="module")
def on_others(new_folder, draw_discs):
    """A folder with a run that is scored on `others` too."""
    path = new_folder()
    draw_discs(path / "others", train=1, val=2)
    answer(path, "evaluate", "run", "--data", "others")
    return path


def test_scores_on_other_data_have_a_file_of_their_own(on_others):
    assert read_json(on_others / "run/metrics-others.json")["images"] == 2


def test_scores_on_other_data_leave_the_runs_own_as_they_are(on_others, prototype):
    assert (on_others / "run/metrics.json").read_text() == (prototype / "metrics.json").read_text()


def test_a_run_without_names_of_classes_is_scored_on_data_with_names(trained, make_folder):
    other = make_folder("others", train=1, val=2)
    (other / "classes.txt").write_text("ground\ndisc\n")
    assert run("evaluate", trained, "--data", other) == 0


@pytest.fixture
def untrained(make_folder, tmp_path, monkeypatch):
    """A run whose model has not learnt anything, which is scored in no time."""
    monkeypatch.chdir(tmp_path)
    config = {"model": "unet", "data": str(make_folder()), "seed": 0, "image_size": 32, "data_fingerprint": "none"}
    (tmp_path / "run").mkdir()
    write_json(tmp_path / "run/config.json", {**config, "class_names": ["class_0", "class_1"]})
    image = keras.Input((None, None, 3))
    keras.Model(image, keras.layers.Conv2D(2, 1)(image)).save("run/model.keras")
    return tmp_path / "run"


@pytest.fixture
def counted(monkeypatch):
    """Count images instead of scoring them."""

    def score(task, model, data, *, scoring, verbose):
        augmented = {"augmented": {"flip": True, "scales": [1.0]}} if scoring.flip else {}
        return {"images": sum(len(image) for image, _ in data.val), **augmented}

    monkeypatch.setattr(Segmentation, "score", score)
    monkeypatch.setattr(Segmentation, "table", lambda task, scores: str(scores))


def test_a_held_out_set_is_scored_whole(untrained, make_folder, capsys):
    flat = make_folder("testset", train=10, val=1) / "train"
    assert run("evaluate", untrained, "--data", flat) == 0
    printed = capsys.readouterr().out
    assert "over 10 images" in printed
    assert f"{flat}: scored on all images" in printed
    scores = read_json(untrained / "metrics-train.json")
    assert (scores["images"], scores["split"], scores["data"]) == (10, "all", str(flat))
    truth = sum(int(np.asarray(Image.open(path)).sum()) for path in (flat / "masks").iterdir())
    assert np.sum(scores["confusion_matrix"], 1).tolist() == [10 * 40 * 48 - truth, truth]


@pytest.fixture(scope="module")
def testset(tmp_path_factory, draw_discs):
    """A folder of discs in two splits."""
    return draw_discs(tmp_path_factory.mktemp("other") / "testset", train=10, val=1)


@pytest.mark.usefixtures("counted")
@pytest.mark.parametrize(("split", "count"), [("train", 10), ("val", 1), ("all", 11)])
def test_a_split_of_other_data_is_scored(untrained, testset, split, count):
    assert run("evaluate", untrained, "--data", testset, "--split", split) == 0
    assert read_json(untrained / f"metrics-testset-{split}.json")["images"] == count


@pytest.mark.usefixtures("counted")
@pytest.mark.parametrize(
    ("options", "file", "count"), [(["--split", "train"], "metrics-train.json", 6), ([], "metrics.json", 3)]
)
def test_a_split_of_the_runs_own_data_is_scored(untrained, options, file, count):
    assert run("evaluate", untrained, *options) == 0
    assert read_json(untrained / file)["images"] == count


def test_a_split_that_does_not_exist_is_refused(untrained, testset, capsys):
    assert run("evaluate", untrained, "--data", testset, "--split", "test") == 2
    assert "testset/test: does not exist" in capsys.readouterr().err


@pytest.mark.usefixtures("counted")
def test_scores_on_data_of_one_name_are_kept_apart(untrained, make_folder, tmp_path):
    for site, count in (("siteA", 2), ("siteB", 1)):
        for _ in range(2):  # the same again overwrites its own
            root = tmp_path / site / "slides"
            if not root.exists():
                make_folder(f"{site}/slides", train=1, val=count)
            assert run("evaluate", untrained, "--data", root) == 0
    written = {path.name: read_json(path)["images"] for path in untrained.glob("metrics-*.json")}
    assert written == {"metrics-slides.json": 2, "metrics-siteB-slides.json": 1}
    assert run("evaluate", untrained, "--data", make_folder("flip", train=1, val=1)) == 0
    assert run("evaluate", untrained, "--flip") == 0
    assert read_json(untrained / "metrics-flip.json")["data"] == str(tmp_path / "flip")
    assert read_json(untrained / "metrics-discs-flip.json")["augmented"]["flip"]


@pytest.mark.usefixtures("counted")
def test_the_runs_own_data_are_scored_as_in_training(untrained, make_folder, tmp_path):
    config = read_json(untrained / "config.json")
    assert run("evaluate", untrained, "--data", config["data"]) == 0
    assert [path.name for path in untrained.glob("metrics*.json")] == ["metrics.json"]
    # Also if they were moved: some of them were trained on.
    flat = make_folder("flat", train=10) / "train"
    fingerprint = open_run(untrained).load_data(str(flat)).fingerprint
    write_json(untrained / "config.json", {**config, "data": str(flat), "data_fingerprint": fingerprint})
    flat.rename(tmp_path / "moved")
    assert run("evaluate", untrained, "--data", "moved") == 0
    scores = read_json(untrained / "metrics-moved.json")
    assert scores == {"images": 2, "data": str(tmp_path / "moved"), "epoch": None}


def test_a_score_with_one_class_alone_says_so(untrained, make_folder, capsys):
    root = make_folder("empty", train=1, val=1)
    for path in root.glob("*/masks/*"):
        Image.new("L", (48, 40)).save(path)
    assert run("evaluate", untrained, "--data", root) == 0
    assert "the masks hold no class but class_0 (and void)" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["shapes", "voc", "coco"])
@pytest.mark.parametrize("command", [("train", "unet", "--data"), ("evaluate", "run", "--data"), ("worth", "--real")])
def test_a_folder_called_like_a_data_set_is_ambiguous(tmp_path, monkeypatch, capsys, name, command):
    monkeypatch.chdir(tmp_path)
    (tmp_path / name).mkdir()
    further = ["--generated", "x"] if command[0] == "worth" else []
    assert run(*command, name, *further) == 2
    error = capsys.readouterr().err
    assert f"write ./{name} for the folder; for the data set, run the command in another folder" in error
    assert error.count("\n") == 1


@pytest.mark.usefixtures("counted")
def test_the_other_spelling_is_the_folder(untrained, tmp_path, make_folder):
    make_folder("shapes", val=2)
    assert run("evaluate", untrained, "--data", "./shapes") == 0
    scores = read_json(untrained / "metrics-shapes.json")
    assert scores == {"images": 2, "data": str(tmp_path / "shapes"), "epoch": None, "split": "val"}
    assert baseline.load_data("shapes", verbose=False).name == str(tmp_path / "shapes")


@pytest.mark.slow
def test_one_seed_one_run_another_seed_another(data, prototype, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert run("train", "unet", "--data", data, "--out", "again", *SMALL) == 0
    assert_equal_runs(prototype, tmp_path / "again")
    assert run("train", "unet", "--data", data, "--out", "other", *SMALL, "--seed", "1") == 0
    assert (prototype / "history.csv").read_text() != (tmp_path / "other/history.csv").read_text()


def test_resuming_a_finished_run_changes_nothing(trained):
    before = variables(trained / "final.keras")
    history = (trained / "history.csv").read_text()
    assert run("train", "unet", "--data", "discs", "--out", "run", *SMALL, "--resume") == 0
    for ours, theirs in zip(before, variables(trained / "final.keras"), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert (trained / "history.csv").read_text() == history


@pytest.mark.slow
def test_killed_and_resumed_equals_undisturbed(make_folder, train_with_kills, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    root = make_folder()
    command = ["train", "unet", "--data", str(root), *SMALL, "--epochs", "12", "--steps-per-epoch", "4"]
    assert run(*command, "--out", "whole") == 0
    train_with_kills(command, tmp_path / "killed", kills=3)
    assert_equal_runs(tmp_path / "whole", tmp_path / "killed")


@pytest.fixture(scope="module")
def died(data, tmp_path_factory):
    """A folder with a run that dies in the validation of its first epoch, and its command."""
    path = tmp_path_factory.mktemp("died")
    command = ["train", "unet", "--data", data, "--out", "died", *SMALL, "--resume"]

    def die(*_, **__):
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Segmentation, "validate", die)
        answer(path, *command, status=keras_segen_cli.INTERRUPTED)
    return path, command


@pytest.fixture(scope="module")
def went_on(died, tmp_path_factory):
    """A copy of the run that is resumed, and what is printed."""
    path, command = died
    other = shutil.copytree(path, tmp_path_factory.mktemp("went_on"), dirs_exist_ok=True)
    return other / "died", answer(other, *command).out


@pytest.mark.slow
def test_what_dies_in_the_validation_of_the_first_epoch_leaves_a_backup_of_it(died):
    path, _ = died
    assert read_epoch(path / "died/backup/model.keras")[0] == 0


@pytest.mark.slow
def test_an_epoch_without_scores_is_not_in_the_history(died):
    path, _ = died
    assert Run(path / "died").history() == []


@pytest.mark.slow
def test_resuming_says_that_an_epoch_was_not_scored(went_on):
    _, printed = went_on
    assert "epoch 1 was trained, but not scored" in printed


@pytest.mark.slow
def test_resuming_trains_the_second_epoch_alone(went_on):
    _, printed = went_on
    assert "Epoch 2/2" in printed
    assert "Epoch 1/2" not in printed


@pytest.mark.slow
def test_what_dies_in_validation_becomes_the_run_that_did_not(went_on, prototype):
    path, _ = went_on
    assert_equal_runs(prototype, path)


LONGER = ["train", "unet", "--data", "discs", "--out", "run", *SMALL, "--resume"]


@pytest.fixture(scope="module")
def longer(new_folder):
    """A folder with a run of two epochs that is resumed for four."""
    path = new_folder()
    answer(path, *LONGER, "--epochs", 4)
    return path


@pytest.mark.slow
def test_more_epochs_keep_the_history(longer, prototype):
    assert Run(longer / "run").history()[:2] == Run(prototype).history()


@pytest.mark.slow
def test_more_epochs_are_counted_on(longer):
    assert [row["epoch"] for row in Run(longer / "run").history()] == [0, 1, 2, 3]


@pytest.mark.slow
def test_the_config_of_more_epochs_holds_all(longer):
    assert read_json(longer / "run/config.json")["epochs"] == 4


@pytest.mark.slow
def test_the_best_of_all_epochs_is_scored(longer):
    best = int(np.argmax([row["val_mean_iou"] for row in Run(longer / "run").history()]))
    assert read_json(longer / "run/metrics.json")["epoch"] == best + 1


@pytest.mark.slow
def test_the_learning_rate_takes_the_course_of_all_epochs(longer):
    optimizer = keras.saving.load_model(longer / "run/final.keras").optimizer
    assert int(optimizer.iterations) == 12
    assert optimizer._learning_rate.decay_steps == 12


@pytest.mark.slow
def test_fewer_epochs_than_begun_with_are_refused(longer, monkeypatch, capsys):
    monkeypatch.chdir(longer)
    assert run(*LONGER) == 2
    assert "was begun with 4 epochs and cannot go on with 2: give --epochs 4 or more" in capsys.readouterr().err


STILL = ["train", "unet", *SMALL, "--epochs", 1, "--learning-rate", "1e-30"]


@pytest.fixture(scope="module")
def started(data, prototype, draw_discs, tmp_path_factory):
    """Start runs that learn nothing from the prototype, on data whose classes have names, or have none: ask for one.

    Each is trained once; what comes back is the run, and what it printed.
    """

    @functools.cache
    def start(*names):
        path = tmp_path_factory.mktemp("started")
        of_names = data
        if names:
            of_names = draw_discs(path / "other")
            (of_names / "classes.txt").write_text("\n".join(names) + "\n")
        return path / "new", answer(path, *STILL, "--start-from", prototype, "--data", of_names, "--out", "new")

    return start


@pytest.fixture(scope="module")
def best(prototype):
    """The model that others start from."""
    return keras.saving.load_model(prototype / "model.keras")


@pytest.mark.slow
def test_all_layers_are_taken_for_the_same_classes(started):
    _, printed = started()
    assert "weights of 14 layers are taken\n" in printed.out


@pytest.mark.slow
def test_a_run_starts_from_anothers_weights(started, best):
    path, _ = started()
    same = keras.saving.load_model(path / "model.keras")
    assert [w.path for w in best.trainable_variables] == [w.path for w in same.trainable_variables]
    for ours, theirs in zip(same.trainable_variables, best.trainable_variables, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-20)


@pytest.mark.slow
def test_the_config_holds_where_a_run_started(started, prototype):
    path, _ = started()
    assert read_json(path / "config.json")["start_from"] == str(prototype)


# Other names are other classes, however many.
other_classes = pytest.mark.parametrize("names", [("ground", "disc"), ("ground", "disc", "unicorn")], ids=len)


@pytest.mark.slow
@other_classes
def test_the_last_layer_is_new_for_other_classes(started, names):
    _, printed = started(*names)
    assert "weights of 13 layers are taken; 1 layers are new" in printed.out


@pytest.mark.slow
@other_classes
def test_other_classes_have_their_own_logits(started, best, names):
    path, _ = started(*names)
    new = keras.saving.load_model(path / "model.keras")
    assert new.output_shape[-1] == len(names)
    assert np.abs(new.get_layer("logits").kernel[..., :2] - best.get_layer("logits").kernel).max() > 1e-3


@pytest.mark.slow
@other_classes
def test_other_classes_have_the_other_runs_features(started, best, names):
    path, _ = started(*names)
    new = keras.saving.load_model(path / "model.keras")
    np.testing.assert_allclose(new.get_layer("down0_conv1").kernel, best.get_layer("down0_conv1").kernel, atol=1e-20)


@pytest.mark.slow
def test_classes_that_no_mask_holds_are_named(started):
    _, printed = started("ground", "disc", "unicorn")
    assert "no training mask holds unicorn" in printed.err


@pytest.mark.slow
def test_data_whose_classes_have_other_names_are_not_scored(started, make_folder, capsys):
    path, _ = started("ground", "disc")
    other = make_folder("others", train=1, val=2)
    (other / "classes.txt").write_text("disc\nground\n")
    assert run("evaluate", path, "--data", other) == 2
    assert "class 0 is disc, but the model knows it as ground" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--filters", 16], "was trained with --filters 4 8, not --filters 4 8 16"),
        (["--padding", "valid"], "was trained with --padding same, not --padding valid"),
        (["--start-from", "nowhere"], "nowhere: is not a run folder"),
        (["--start-from", "empty"], "holds no model.keras yet"),
    ],
    ids=as_typed,
)
def test_what_cannot_be_started_from_is_refused(trained, tmp_path, capsys, options, message):
    (tmp_path / "empty").mkdir()
    shutil.copy(trained / "config.json", tmp_path / "empty")
    (tmp_path / "discs/classes.txt").write_text("ground\ndisc\nunicorn\n")
    assert run(*STILL, "--start-from", trained, "--data", "discs", *options, "--out", "no") == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "no").exists()


def test_two_trainings_in_one_folder(trained, tmp_path, capsys):
    command = ["train", "unet", "--data", tmp_path / "discs", *SMALL]
    (tmp_path / "no data").mkdir()
    with Run(trained).held(), Run("new").held():
        # The last of them before its data are read.
        for out, options in (("run", ["--resume"]), ("new", ["--data", "no data"])):
            assert run(*command, "--out", out, *options) == 2
            assert f"{out}: another process is training there" in capsys.readouterr().err
    assert not (tmp_path / "new/config.json").exists()


def test_determinism_is_a_choice_and_xla_the_rule_on_a_gpu(monkeypatch):
    chosen = []
    monkeypatch.setattr(tf.config.experimental, "enable_op_determinism", lambda: chosen.append(True))
    gpu = [types.SimpleNamespace(device_type="GPU")]
    for devices, deterministic, expected in (([], True, []), (gpu, False, []), (gpu, True, [True])):
        monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind=None, devices=devices: devices)
        training._make_repeatable(0, "float32", deterministic=deterministic)
        assert chosen == expected
    recipe = UNet(data="shapes", filters=(4, 8), steps_per_epoch=1)
    assert recipe.build(["a", "b"]).jit_compile is True
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind=None: [])
    assert recipe.build(["a", "b"]).jit_compile is False


@pytest.mark.slow
def test_training_under_xla(make_folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    root = make_folder()
    once = ["--epochs", 1, "--steps-per-epoch", 1, "--loss", "cross_entropy"]
    assert run("train", "unet", "--data", root, "--out", "run", *SMALL, *once, "--jit-compile", "on") == 0
    assert keras.saving.load_model("run/final.keras").jit_compile is True
    assert len(Run("run").history()) == 1


# Where training ends by an exception, Keras leaves its iterator to the garbage collector.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_an_image_that_vanishes_is_named(make_folder, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    root = make_folder()

    def vanish(task, data):
        for path in (root / "train/images").iterdir():
            path.unlink()
        return []

    monkeypatch.setattr(Segmentation, "callbacks", vanish)
    assert run("train", "unet", "--data", root, "--out", "run", *SMALL) == 1
    error = capsys.readouterr().err
    assert error.startswith("keras-segen: failed: ")
    assert "train/images/" in error
    assert error.count("\n") == 1


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (
            tf.errors.InvalidArgumentError(
                None,
                None,
                "Graph execution error:\n\nDetected at node PyFunc defined at (most recent call last):\n"
                "<stack traces unavailable>\nInputError: a.png: is damaged\nTraceback (most recent call last):\n\n"
                '  File "x.py", line 1\nkeras_segen.errors.InputError: a.png: is damaged\n\n\t [[{{node PyFunc}}]]',
            ),
            "a.png: is damaged",
        ),
        (
            tf.errors.NotFoundError(
                None,
                None,
                "{{function_node __wrapped__IteratorGetNext_device_/job:localhost/device:CPU:0}} b.png; No such file "
                "or directory\n\t [[{{node ReadFile}}]] [Op:IteratorGetNext] name: ",
            ),
            "b.png; No such file or directory",
        ),
        (
            tf.errors.InvalidArgumentError(
                None,
                None,
                'Graph execution error:\n\nDetected at node x defined at (most recent call last):\n  File "x.py", '
                "line 399, in fit\n\n2 root error(s) found.\n  (0) INVALID_ARGUMENT: label 7 is no class\n\t "
                "[[{{node x}}]]",
            ),
            "label 7 is no class",
        ),
        (
            tf.errors.ResourceExhaustedError(
                None,
                None,
                "Graph execution error:\n\nOOM when allocating tensor with shape[9,9]\n\t [[x]]\nHint: If you want",
            ),
            "the memory is full (OOM when allocating tensor with shape[9,9]): lower --batch-size or --image-size",
        ),
        (
            MemoryError("Unable to allocate 40 GiB"),
            "the memory is full (Unable to allocate 40 GiB): lower --batch-size or --image-size",
        ),
    ],
)
def test_a_failure_inside_a_graph_names_its_cause(monkeypatch, capsys, error, reason):
    def fail(*args, **kwargs):
        raise error

    monkeypatch.setattr(training, "train", fail)
    assert run("train", "unet", "--data", "shapes") == 1
    assert capsys.readouterr().err == f"keras-segen: failed: {reason}\n"


def damaged(root, damage):
    images, masks = root / "train/images", root / "train/masks"
    if damage == "size":
        Image.new("L", (47, 40)).save(masks / "1.png")
    elif damage == "pair":
        (masks / "1.png").unlink()
    elif damage == "ids":
        (root / "classes.txt").write_text("a\nb\n")
        Image.new("L", (48, 40), 9).save(masks / "1.png")
    elif damage == "jpeg":
        (images / "1.jpg").write_bytes((images / "1.jpg").read_bytes()[:700])
    elif damage == "zero":
        (images / "1.jpg").write_bytes(b"")
    elif damage == "text":
        (images / "1.jpg").rename(images / "1.png")
        (images / "1.png").write_text("hello")
    elif damage == "rgb":
        Image.new("RGB", (48, 40), "red").save(masks / "1.png")
    elif damage == "negative":
        Image.fromarray(np.full((40, 48), -3, np.int32)).save(masks / "1.tif")
        (masks / "1.tif").rename(masks / "1.png")
    elif damage == "lonely":
        (images / "1.jpg").unlink()
    elif damage == "link":
        (images / "1.jpg").unlink()
        (images / "1.jpg").symlink_to("nowhere")
    elif damage == "void":
        for path in masks.iterdir():
            Image.new("L", (48, 40), 255).save(path)
    elif damage == "empty":
        for path in (*images.iterdir(), *masks.iterdir()):
            path.unlink()


DAMAGES = ["size", "pair", "ids", "jpeg", "zero", "text", "rgb", "empty", "negative", "lonely", "link", "void"]


@pytest.mark.parametrize("damage", DAMAGES)
def test_bad_data_is_one_line_and_status_2(make_folder, tmp_path, monkeypatch, capsys, damage):
    monkeypatch.chdir(tmp_path)
    root = make_folder()
    damaged(root, damage)
    assert run("train", "unet", "--data", root, "--out", "run", *SMALL) == 2
    error = capsys.readouterr().err
    assert error.startswith("keras-segen: error: ")
    assert error.count("\n") == 1
    assert "train/" in error or damage == "void"
    assert not (tmp_path / "run").exists()


def test_changed_data_are_not_resumed(trained, capsys):
    Image.new("L", (48, 40), 1).save("discs/train/masks/1.png")
    assert run("train", "unet", "--data", "discs", "--out", trained, *SMALL, "--resume") == 2
    assert "not those that it was begun with" in capsys.readouterr().err


@pytest.fixture
def full(trained, tmp_path):
    """A folder that is not a run's, beside a run."""
    (tmp_path / "full").mkdir()
    (tmp_path / "full/a").write_text("mine")
    return tmp_path / "full"


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["train", "unet", "--data", "nowhere"], "nowhere"),
        (["train", "unet", "--data", "discs", "--out", "full"], "not empty"),
        (["train", "unet", "--data", "discs", "--resume"], "--out"),
        (["train", "unet", "--data", "discs", "--out", "full", "--resume"], "no run folder"),
        (
            ["train", "unet", "--data", "discs", "--out", "run", *SMALL, "--resume", "--seed", "5"],
            "with --seed 0 and cannot go on with --seed 5",
        ),
        (["evaluate", "full"], "not a run folder"),
        (["predict", "full", "a.png", "--out", "x"], "not a run folder"),
        (["predict", "run", "nowhere.png", "--out", "x"], "nowhere.png"),
        (["export", "nowhere", "--out", "x"], "not a run folder"),
        (["export", "run", "--out", "full/a/b"], "not a folder to write to"),
        (["predict", "run", "discs/val/images/1.jpg", "1_overlay.png", "--out", "x"], "both it and"),
    ],
    ids=as_typed,
)
def test_wrong_use_is_one_line_and_status_2(full, capsys, arguments, named):
    Image.new("RGB", (4, 4)).save("1_overlay.png")
    assert run(*arguments) == 2
    error = capsys.readouterr().err
    assert named in error
    assert error.count("\n") == 1
    assert (full / "a").read_text() == "mine"


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["bogus"], "Unknown command"),
        (["train"], "train needs a model (fcn, unet, deeplab_v3_plus, fpn, dcgan, cgan, vae), a named recipe"),
        (["train", "gan", "--data", "x"], "gan: is not a model"),
        (["train", "unet"], "--data is missing"),
        (["train", "unet", "--data"], "--data needs a value"),
        (["train", "unet", "--config", "x"], "write `train --config FILE` alone, without a model or a recipe"),
        (["train", "--config", "x", "unet"], "--config x names its model itself: remove unet"),
        (["train", "unet", "--data", "x", "--epochs", "none"], "must be a whole number, not 'none'"),
        (["train", "vae", "--data", "x", "--latent-side", "5"], "halved at least once: give 16, 8, 4, 2, 1"),
        (["train", "vae", "--data", "x", "--latent-side", "8", "--latent-dim", "100"], "give 64 or a multiple"),
        (["train", "unet", "--data", "x", "--latent-dim", "3"], "Unknown option: --latent-dim"),
        (["train", "unet", "--data", "x", "--epochs", "0"], "from 1 to 1,000,000"),
        (["train", "unet", "--data", "x", "--epochs", "1.5"], "must be a whole number, not '1.5'"),
        (["train", "unet", "--data", "x", "--filters", "4", "4.6"], 'unable to convert "4.6" into int'),
        (["worth", "--real", "x", "--generated", "y", "--steps", "10.5"], "must be a whole number, not '10.5'"),
        (["compare", "--real", "x", "--fake", "y", "--samples", "7.5"], "must be a whole number, not '7.5'"),
        (["train", "unet", "--data", "x", "--seed", "2147483648"], "from 0 to 2,147,483,647"),
        (["train", "unet", "--data", "x", "--dropout", "1"], "from 0.0 to 0.99"),
        (["train", "unet", "--data", "x", "--class-weights", "0", "0"], "are all 0"),
        (["train", "unet", "--data", "x", "--resume"], "--resume needs --out"),
        (["train", "unet", "--data", "x", "--learning-rate", "-1"], "over 0"),
        (["predict", "run", "--out", "x"], "needs an image or a folder of images"),
        (["export", "run", "--out", ""], "Must not be empty"),
        (["train", "unet", "--data", "x", "--batch-size", "2000000000"], "to 65,536"),
        (["predict", "run", "a.png", "--out", "x", "--tile", "8"], "from 16"),
        (["predict", "run", "a.png", "--out", "x", "--overlap", "1"], "from 0.0 to 0.9"),
        (["predict", "run", "a.png", "--out", "x", "--scales", "1", "0"], "over 0"),
        (["predict", "run", "a.png", "--out", "x", "--scales", "nan"], "over 0"),
        (["evaluate", "run", "--scales", "1", "0.5", "1"], "--scales. Takes each value once"),
        (
            ["train", "unet", "--data", "x", "--loss", "dice", "focal", "dice"],
            '"dice focal dice" for --loss. Takes each value once',
        ),
        (["train", "cgan", "--data", "celeb_a", "--attributes", "Male", "Male"], "--attributes. Takes each value once"),
        (["train", "unet", "--data", "x", "--deterministic", "--jit-compile", "on"], "remove --jit-compile on"),
        (["compare", "--real", "a", "--fake", "b", "--flip"], "Unknown option: --flip"),
    ],
)
def test_wrong_options_are_one_line_and_status_2(capsys, arguments, named):
    assert run(*arguments) == 2
    error = capsys.readouterr().err
    assert named in error
    assert error.count("\n") == 1


def test_failures_have_statuses_of_their_own(monkeypatch, capsys):
    for error, status in ((OSError(28, "No space left on device"), 1), (KeyboardInterrupt(), 130)):

        def fail(*args, error=error, **kwargs):
            raise error

        monkeypatch.setattr(training, "train", fail)
        assert run("demo") == status
        assert "keras-segen: " in capsys.readouterr().err


def test_larger_images_are_allowed_by_command(make_folder, monkeypatch, capsys):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)  # and put back
    command = ["baseline", "otsu", "--data", make_folder()]
    assert run(*command) == 2
    assert "has more than 1,000 pixels" in (error := capsys.readouterr().err)
    assert "--max-pixels N" in error
    assert run(*command, "--max-pixels", 40 * 48) == 0
    assert run(*command, "--max-pixels", 40 * 48 - 1) == 2
