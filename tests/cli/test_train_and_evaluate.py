import csv
import json
import shutil
import types

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

import keras_segen_cli
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


def run(*arguments) -> int:
    return keras_segen_cli.main([str(a) for a in arguments])


@pytest.fixture(scope="module")
def prototype(tmp_path_factory, draw_discs):
    """A folder of discs, and a run on it."""
    root = tmp_path_factory.mktemp("prototype")
    assert run("train", "unet", "--data", draw_discs(root / "discs"), "--out", root / "run", *SMALL) == 0
    return root


@pytest.fixture
def trained(prototype, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(prototype / "discs", tmp_path / "discs")
    return shutil.copytree(prototype / "run", tmp_path / "run")


def weights(path):
    model = keras.saving.load_model(path)
    return [np.asarray(v) for v in (*model.variables, *model.optimizer.variables)]


def assert_equal_runs(one, other):
    assert (one / "history.csv").read_bytes() == (other / "history.csv").read_bytes()
    for name in ("model.keras", "final.keras"):
        for ours, theirs in zip(weights(one / name), weights(other / name), strict=True):
            np.testing.assert_array_equal(ours, theirs)
    assert (one / "metrics.json").read_text() == (other / "metrics.json").read_text()


def test_a_run_folder_is_complete(trained, capsys):
    config = json.loads((trained / "config.json").read_text())
    assert config["class_names"] == ["class_0", "class_1"]
    assert config["epochs"] == 2
    assert set(config["versions"]) >= {"keras_segen", "keras", "tensorflow"}
    with (trained / "history.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["epoch"] for row in rows] == ["0", "1"]
    scores = json.loads((trained / "metrics.json").read_text())
    assert scores["images"] == 3
    assert set(scores["per_class_iou"]) == {"class_0", "class_1"}
    best = max(float(row["val_mean_iou"]) for row in rows)
    assert scores["mean_iou"] == pytest.approx(best, rel=1e-6)
    assert np.sum(scores["confusion_matrix"]) == 3 * 40 * 48
    measures = ("pixel_accuracy", "mean_class_accuracy", "frequency_weighted_iou", "mean_dice", "boundary_iou")
    assert all(0 <= scores[name] <= 1 for name in (*measures, "boundary_f1"))
    for name in ("figures/curves.png", "figures/predictions.png", "figures/confusions.png", "final.keras"):
        assert (trained / name).stat().st_size > 1000
    assert any((trained / "logs").rglob("events.*"))
    assert run("evaluate", trained) == 0
    again = json.loads((trained / "metrics.json").read_text())
    assert again["mean_iou"] == scores["mean_iou"]
    assert "mean IoU" in capsys.readouterr().out


def test_predict_and_export(trained, make_folder, capsys):
    root = make_folder("more", train=1)
    images = sorted((root / "val/images").iterdir())
    assert run("predict", trained, *images, "--out", "out") == 0
    model = keras.saving.load_model(trained / "model.keras")
    for path in images:
        with Image.open(f"out/{path.stem}.png") as label_map, Image.open(path) as image:
            assert label_map.mode == "P"
            expected = model.predict(np.asarray(image, "float32")[None], verbose=0)[0].argmax(-1)
            np.testing.assert_array_equal(np.asarray(label_map), expected)
        with Image.open(f"out/{path.stem}_overlay.png") as overlay:
            assert overlay.size == (48, 40)
    capsys.readouterr()
    assert run("predict", trained, images[0], "--out", "out") == 2
    assert "exists already" in capsys.readouterr().err
    assert run("export", trained, "--out", "servables/discs") == 0
    printed = capsys.readouterr().out
    assert printed.startswith("servables/discs/1\n")
    assert "tensorflow/serving" in printed


@pytest.mark.slow
def test_predict_in_tiles_and_by_several_looks(trained, make_folder):
    paths = sorted((make_folder("more", train=1) / "val/images").iterdir())
    model = keras.saving.load_model(trained / "model.keras")
    looks = inference.augmented(model, flip=True, scales=(0.75, 1.25))
    images = [read_image(path) for path in paths]
    for out, options, expected in [
        ("tiles", ["--tile", 16, "--overlap", 0.5], inference.predict(model, images, tile=16, overlap=0.5)),
        ("looks", ["--flip", "--scales", 0.75, 1.25], inference.predict(looks, images)),
        ("both", ["--tile", 16, "--scales", 0.75, 1.25, "--flip"], inference.predict(looks, images, tile=16)),
    ]:
        assert run("predict", trained, *paths, "--out", out, *options) == 0
        for path, label_map in zip(paths, expected, strict=True):
            with Image.open(f"{out}/{path.stem}.png") as written:
                np.testing.assert_array_equal(written, label_map)


def test_scores_by_several_looks_say_so(trained, capsys):
    before = json.loads((trained / "metrics.json").read_text())
    capsys.readouterr()
    assert run("evaluate", trained, "--flip", "--scales", 0.75, 1) == 0
    assert "each looked at in scales 0.75 1, and flipped" in capsys.readouterr().out
    assert json.loads((trained / "metrics.json").read_text()) == before
    scores = json.loads((trained / "metrics-flip-0.75-1.json").read_text())
    assert scores.pop("looks") == {"flip": True, "scales": [0.75, 1.0]}
    data = ks_data.folder("val", data_dir=json.loads((trained / "config.json").read_text())["data"])
    looks = inference.augmented(keras.saving.load_model(trained / "model.keras"), flip=True, scales=(0.75, 1))
    metric = MeanIoU(2)
    for image, mask in data:
        metric.update_state(mask, looks(image))
    assert scores["mean_iou"] == pytest.approx(float(metric.result()), abs=1e-6)
    assert scores["confusion_matrix"] != before["confusion_matrix"]
    assert run("evaluate", trained, "--flip") == 0
    assert json.loads((trained / "metrics-flip.json").read_text())["looks"] == {"flip": True, "scales": [1.0]}
    assert run("evaluate", trained) == 0
    assert json.loads((trained / "metrics.json").read_text()) == before


@pytest.mark.slow
def test_scores_on_other_data_stand_beside_the_runs_own(trained, make_folder, capsys):
    before = (trained / "metrics.json").read_text()
    other = make_folder("others", train=1, val=2)
    assert run("evaluate", trained, "--data", other) == 0
    assert json.loads((trained / "metrics-others.json").read_text())["images"] == 2
    (other / "classes.txt").write_text("ground\ndisc\n")
    assert run("evaluate", trained, "--data", other) == 0  # the run's own have no names
    assert run("train", "unet", "--data", other, "--out", "named", *SMALL) == 0
    (other / "classes.txt").write_text("disc\nground\n")
    capsys.readouterr()
    assert run("evaluate", "named", "--data", other) == 2
    assert "class 0 is disc, but the model knows it as ground" in capsys.readouterr().err
    assert (trained / "metrics.json").read_text() == before


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
        looks = {"looks": {"flip": True, "scales": [1.0]}} if scoring.flip else {}
        return {"images": sum(len(image) for image, _ in data.val), **looks}

    monkeypatch.setattr(Segmentation, "score", score)
    monkeypatch.setattr(Segmentation, "table", lambda task, scores: str(scores))


def test_a_held_out_set_is_scored_whole(untrained, make_folder, capsys):
    flat = make_folder("testset", train=10, val=1) / "train"
    assert run("evaluate", untrained, "--data", flat) == 0
    printed = capsys.readouterr().out
    assert "over 10 images" in printed
    assert f"{flat}: scored on all images" in printed
    scores = json.loads((untrained / "metrics-train.json").read_text())
    assert (scores["images"], scores["split"], scores["data"]) == (10, "all", str(flat))
    truth = sum(int(np.asarray(Image.open(path)).sum()) for path in (flat / "masks").iterdir())
    assert np.sum(scores["confusion_matrix"], 1).tolist() == [10 * 40 * 48 - truth, truth]


@pytest.mark.usefixtures("counted")
def test_a_split_is_scored(untrained, make_folder, capsys):
    root = make_folder("testset", train=10, val=1)
    for split, count in (("train", 10), ("val", 1), ("all", 11)):
        assert run("evaluate", untrained, "--data", root, "--split", split) == 0
        assert json.loads((untrained / f"metrics-testset-{split}.json").read_text())["images"] == count
    assert run("evaluate", untrained, "--split", "train") == 0
    assert json.loads((untrained / "metrics-train.json").read_text())["images"] == 6
    assert run("evaluate", untrained) == 0
    assert json.loads((untrained / "metrics.json").read_text())["images"] == 3
    capsys.readouterr()
    assert run("evaluate", untrained, "--data", root, "--split", "test") == 2
    assert "testset/test: does not exist" in capsys.readouterr().err


@pytest.mark.usefixtures("counted")
def test_scores_on_data_of_one_name_are_kept_apart(untrained, make_folder, tmp_path):
    for site, count in (("siteA", 2), ("siteB", 1)):
        for _ in range(2):  # the same again overwrites its own
            root = tmp_path / site / "slides"
            if not root.exists():
                make_folder(f"{site}/slides", train=1, val=count)
            assert run("evaluate", untrained, "--data", root) == 0
    written = {path.name: json.loads(path.read_text())["images"] for path in untrained.glob("metrics-*.json")}
    assert written == {"metrics-slides.json": 2, "metrics-siteB-slides.json": 1}
    assert run("evaluate", untrained, "--data", make_folder("flip", train=1, val=1)) == 0
    assert run("evaluate", untrained, "--flip") == 0
    assert json.loads((untrained / "metrics-flip.json").read_text())["data"] == str(tmp_path / "flip")
    assert json.loads((untrained / "metrics-discs-flip.json").read_text())["looks"]["flip"]


@pytest.mark.usefixtures("counted")
def test_the_runs_own_data_are_scored_as_in_training(untrained, make_folder, tmp_path):
    config = json.loads((untrained / "config.json").read_text())
    assert run("evaluate", untrained, "--data", config["data"]) == 0
    assert [path.name for path in untrained.glob("metrics*.json")] == ["metrics.json"]
    # Also if they were moved: some of them were trained on.
    flat = make_folder("flat", train=10) / "train"
    fingerprint = open_run(untrained).load_data(str(flat)).fingerprint
    write_json(untrained / "config.json", {**config, "data": str(flat), "data_fingerprint": fingerprint})
    flat.rename(tmp_path / "moved")
    assert run("evaluate", untrained, "--data", "moved") == 0
    scores = json.loads((untrained / "metrics-moved.json").read_text())
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
    scores = json.loads((untrained / "metrics-shapes.json").read_text())
    assert scores == {"images": 2, "data": str(tmp_path / "shapes"), "epoch": None, "split": "val"}
    assert baseline.load_data("shapes", verbose=False).name == str(tmp_path / "shapes")


@pytest.mark.slow
def test_one_seed_one_run_another_seed_another(prototype, trained, tmp_path):
    root = prototype / "discs"
    assert run("train", "unet", "--data", root, "--out", "again", *SMALL) == 0
    assert_equal_runs(trained, tmp_path / "again")
    assert run("train", "unet", "--data", root, "--out", "other", *SMALL, "--seed", "1") == 0
    assert (trained / "history.csv").read_text() != (tmp_path / "other/history.csv").read_text()


def test_resuming_a_finished_run_changes_nothing(trained, tmp_path):
    before = weights(trained / "final.keras")
    history = (trained / "history.csv").read_text()
    assert run("train", "unet", "--data", tmp_path / "discs", "--out", "run", *SMALL, "--resume") == 0
    for ours, theirs in zip(before, weights(trained / "final.keras"), strict=True):
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


@pytest.mark.slow
def test_what_dies_in_the_validation_of_the_first_epoch_goes_on_behind_it(
    prototype, trained, tmp_path, monkeypatch, capsys
):
    command = ["train", "unet", "--data", prototype / "discs", "--out", "died", *SMALL, "--resume"]

    def die(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Segmentation, "validate", die)
        assert run(*command) == keras_segen_cli.INTERRUPTED
    assert (tmp_path / "died/backup/model.keras").is_file()
    assert read_epoch(tmp_path / "died/backup/model.keras")[0] == 0
    assert Run(tmp_path / "died").history() == []
    capsys.readouterr()
    assert run(*command) == 0
    printed = capsys.readouterr().out
    assert "epoch 1 was trained, but not scored" in printed
    assert "Epoch 2/2" in printed
    assert "Epoch 1/2" not in printed
    assert_equal_runs(trained, tmp_path / "died")


@pytest.mark.slow
def test_more_epochs_after_the_end(trained, tmp_path, capsys):
    command = ["train", "unet", "--data", tmp_path / "discs", "--out", "run", *SMALL, "--resume"]
    before = Run(trained).history()
    assert run(*command, "--epochs", 4) == 0
    history = Run(trained).history()
    assert history[:2] == before
    assert [row["epoch"] for row in history] == [0, 1, 2, 3]
    assert json.loads((trained / "config.json").read_text())["epochs"] == 4
    best = int(np.argmax([row["val_mean_iou"] for row in history]))
    assert json.loads((trained / "metrics.json").read_text())["epoch"] == best + 1
    optimizer = keras.saving.load_model(trained / "final.keras").optimizer
    assert int(optimizer.iterations) == 12
    assert optimizer._learning_rate.decay_steps == 12  # the course of a run of four epochs
    capsys.readouterr()
    assert run(*command) == 2
    assert "was begun with 4 epochs and cannot go on with 2: give --epochs 4 or more" in capsys.readouterr().err


@pytest.mark.slow
def test_a_run_starts_from_anothers_weights(trained, make_folder, tmp_path, capsys):
    still = ["train", "unet", *SMALL, "--epochs", 1, "--learning-rate", "1e-30", "--start-from", trained]
    assert run(*still, "--data", tmp_path / "discs", "--out", "same") == 0
    assert "weights of 14 layers are taken\n" in capsys.readouterr().out
    best, same = (keras.saving.load_model(path / "model.keras") for path in (trained, tmp_path / "same"))
    assert [w.path for w in best.trainable_variables] == [w.path for w in same.trainable_variables]
    for ours, theirs in zip(same.trainable_variables, best.trainable_variables, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-20)
    assert json.loads((tmp_path / "same/config.json").read_text())["start_from"] == str(trained)
    # Other names are other classes, however many.
    other = make_folder("other")
    for names in ("ground\ndisc\n", "ground\ndisc\nunicorn\n"):
        (other / "classes.txt").write_text(names)
        out = f"other{len(names)}"
        assert run(*still, "--data", other, "--out", out) == 0
        assert "weights of 13 layers are taken; 1 layers are new" in capsys.readouterr().out
        new = keras.saving.load_model(tmp_path / out / "model.keras")
        assert new.output_shape[-1] == names.count("\n")
        np.testing.assert_allclose(
            new.get_layer("down0_conv1").kernel, best.get_layer("down0_conv1").kernel, atol=1e-20
        )
        assert np.abs(new.get_layer("logits").kernel[..., :2] - best.get_layer("logits").kernel).max() > 1e-3
    for options, message in (
        (["--filters", 16], "was trained with filters (4, 8), not (4, 8, 16)"),
        (["--padding", "valid"], "was trained with padding same, not valid"),
        (["--start-from", "nowhere"], "nowhere: is not a run folder"),
        (["--start-from", trained.parent / "empty"], "holds no model.keras yet"),
    ):
        (trained.parent / "empty").mkdir(exist_ok=True)
        (trained.parent / "empty/config.json").write_text((trained / "config.json").read_text())
        assert run(*still, "--data", other, *options, "--out", "no") == 2
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


@pytest.mark.slow
def test_changed_data_are_not_resumed_and_absent_classes_are_named(trained, make_folder, tmp_path, capsys):
    root = tmp_path / "discs"
    Image.new("L", (48, 40), 1).save(root / "train/masks/1.png")
    assert run("train", "unet", "--data", root, "--out", trained, *SMALL, "--resume") == 2
    assert "not those that it was begun with" in capsys.readouterr().err
    (root / "classes.txt").write_text("a\nb\nunicorn\n")
    assert run("train", "unet", "--data", root, "--out", "other", *SMALL) == 0
    assert "no training mask holds unicorn" in capsys.readouterr().err


def test_wrong_use_is_one_line_and_status_2(trained, tmp_path, capsys):
    root = tmp_path / "discs"
    full = tmp_path / "full"
    full.mkdir()
    (full / "a").write_text("mine")
    overlay = tmp_path / "1_overlay.png"
    Image.new("RGB", (4, 4)).save(overlay)
    for arguments, named in [
        (("train", "unet", "--data", tmp_path / "nowhere"), "nowhere"),
        (("train", "unet", "--data", root, "--out", full), "not empty"),
        (("train", "unet", "--data", root, "--resume"), "--out"),
        (("train", "unet", "--data", root, "--out", full, "--resume"), "no run folder"),
        (("train", "unet", "--data", root, "--out", trained, *SMALL, "--resume", "--seed", "5"), "seed 0"),
        (("evaluate", full), "not a run folder"),
        (("predict", full, "a.png", "--out", "x"), "not a run folder"),
        (("predict", trained, "nowhere.png", "--out", "x"), "nowhere.png"),
        (("export", tmp_path / "nowhere", "--out", "x"), "not a run folder"),
        (("export", trained, "--out", full / "a" / "b"), "not a folder to write to"),
        (("predict", trained, root / "val/images/1.jpg", overlay, "--out", "x"), "both it and"),
    ]:
        capsys.readouterr()
        assert run(*arguments) == 2, arguments
        error = capsys.readouterr().err
        assert named in error
        assert error.count("\n") == 1
    assert (full / "a").read_text() == "mine"


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["bogus"], "Unknown command"),
        (["train"], "train needs a model (fcn, unet, dcgan, cgan, vae), a named recipe"),
        (["train", "gan", "--data", "x"], "gan: is not a model"),
        (["train", "unet"], "--data is missing"),
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
        (["train", "unet", "--data", "x", "--loss", "dice", "focal", "dice"], "--loss. Takes each value once"),
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
