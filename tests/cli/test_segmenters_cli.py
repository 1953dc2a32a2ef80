"""FCN, backbones, fine-tuning and output codes by command."""

import gc
import shutil
from pathlib import Path

import keras
import numpy as np
import pytest

import keras_segen_cli
from examples.commands import answer, as_typed, assert_equal_models, read_json, run
from keras_segen.callbacks import Checkpoint
from keras_segen.data import read_folder

SMALL = ["--epochs", "3", "--steps-per-epoch", "2", "--batch-size", "2", "--image-size", "32"]
FCN = ["--backbone", "mobilenet", "--backbone-width", "0.25", *SMALL]
MOBILENET = [*FCN, "--backbone-weights", "none"]


@pytest.fixture(scope="module")
def discs(tmp_path_factory, draw_discs):
    """A folder of discs."""
    return draw_discs(tmp_path_factory.mktemp("data") / "discs")


@pytest.fixture
def root(discs, tmp_path, monkeypatch):
    """The same, beside an empty folder in which the test runs."""
    monkeypatch.chdir(tmp_path)
    return discs


FINE_TUNING = ["train", "fcn", *MOBILENET, "--frozen-epochs", "1"]


@pytest.fixture(scope="module")
def fine_tuned(discs, tmp_path_factory):
    """A folder with a run of three epochs, the first with a frozen backbone."""
    path = tmp_path_factory.mktemp("fine_tuned")
    answer(path, *FINE_TUNING, "--data", discs, "--out", "whole")
    return path


@pytest.fixture(scope="module")
def fine_tuned_in_parts(discs, fine_tuned):
    """The same folder with another run, whose process dies after the first epoch, and again after the second."""
    end = Checkpoint.on_epoch_end
    command = [*FINE_TUNING, "--data", discs, "--out", "broken", "--resume"]

    def die(self, epoch, logs=None):
        end(self, epoch, logs)
        if epoch < 2:
            raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Checkpoint, "on_epoch_end", die)
        for _ in range(2):
            answer(fine_tuned, *command, status=keras_segen_cli.INTERRUPTED)
    gc.collect()  # where training ends by an exception, Keras leaves history.csv to it
    answer(fine_tuned, *command)
    return fine_tuned


# The open history.csv.
in_parts = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


@pytest.mark.slow
@in_parts
def test_fine_tuning_that_was_stopped_has_the_same_history(fine_tuned_in_parts):
    whole, broken = ((fine_tuned_in_parts / name / "history.csv").read_text() for name in ("whole", "broken"))
    assert whole == broken


@pytest.mark.slow
@in_parts
def test_fine_tuning_goes_on_where_it_was_stopped(fine_tuned_in_parts):
    assert_equal_models(fine_tuned_in_parts / "whole/final.keras", fine_tuned_in_parts / "broken/final.keras")


@pytest.mark.slow
def test_the_released_backbone_has_an_optimizer_of_its_own(fine_tuned):
    optimizer = keras.saving.load_model(fine_tuned / "whole/final.keras").optimizer
    assert int(optimizer.iterations) == 4  # of the second phase
    assert isinstance(optimizer._learning_rate, keras.optimizers.schedules.CosineDecay)
    assert optimizer._learning_rate.initial_learning_rate == pytest.approx(1e-4)


STAGE = ["train", "fcn", "--data", "discs", *FCN, "--optimizer", "sgd", "--schedule", "constant"]
STILL = ["--stride", 16, "--learning-rate", "1e-30"]


@pytest.fixture(scope="module")
def coarse(draw_discs, tmp_path_factory):
    """A folder of discs, and a run of stride 32 on it."""
    path = tmp_path_factory.mktemp("stages")
    draw_discs(path / "discs")
    at_first = ["--stride", 32, "--weight-decay", 0.0005, "--backbone-weights", "none"]
    answer(path, *STAGE, *at_first, "--out", "coarse")
    return path


@pytest.fixture(scope="module")
def fine(coarse):
    """The same folder with a run of stride 16 that starts from that and learns nothing, and what it prints."""
    return coarse, answer(coarse, *STAGE, *STILL, "--start-from", "coarse", "--out", "fine").out


@pytest.fixture(scope="module")
def further(fine):
    """The same folder with a run that starts from this with one class more, and what it prints."""
    path, _ = fine
    (shutil.copytree(path / "discs", path / "more") / "classes.txt").write_text("ground\ndisc\nunicorn\n")
    return path, answer(path, *STAGE, *STILL, "--data", "more", "--start-from", "fine", "--out", "further").out


@pytest.mark.slow
def test_optimizer_options_reach_the_run(coarse):
    optimizer = keras.saving.load_model(coarse / "coarse/final.keras").optimizer
    assert (optimizer.momentum, optimizer.weight_decay) == (0.9, 0.0005)
    assert float(optimizer.learning_rate) == pytest.approx(1e-3)


@pytest.mark.slow
def test_a_finer_network_has_one_new_layer(fine):
    _, printed = fine
    assert "layers are taken; 1 layers are new, or new in what belongs to the classes: score16" in printed


@pytest.mark.slow
def test_staged_training_starts_from_a_coarser_run(fine):
    path, _ = fine
    best, finer = (keras.saving.load_model(path / name / "model.keras") for name in ("coarse", "fine"))
    np.testing.assert_allclose(finer.get_layer("score32").kernel, best.get_layer("score32").kernel, atol=1e-20)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([*STAGE, "--stride", 32, "--start-from", "fine"], "is an FCN-16s, which is finer than --stride 32"),
        ([*STAGE, "--start-from", "nowhere"], "nowhere: is not a run folder"),
        (
            ["train", "fcn", "--data", "discs", *SMALL, "--start-from", "fine"],
            "was trained with --backbone-width 0.25, not --backbone-width 1.0",
        ),
        ([*STAGE, "--backbone-weights", "none", "--start-from", "fine"], "remove --backbone-weights"),
    ],
    ids=["finer", "nowhere", "width", "weights"],
)
def test_a_stage_that_does_not_fit_leaves_no_run_behind(fine, monkeypatch, capsys, arguments, message):
    path, _ = fine
    monkeypatch.chdir(path)
    assert run(*arguments, "--out", "no") == 2
    assert message in capsys.readouterr().err
    assert not Path("no").exists()


@pytest.mark.slow
def test_layers_of_the_classes_are_new_for_other_classes(further):
    _, printed = further
    assert "2 layers are new, or new in what belongs to the classes: score" in printed


@pytest.mark.slow
def test_other_classes_have_the_other_runs_backbone(further):
    path, _ = further
    ours, theirs = (keras.saving.load_model(path / name / "model.keras") for name in ("further", "fine"))
    assert ours.output_shape[-1] == 3
    for name in ("conv1", "conv_pw_13"):
        kernels = [model.get_layer("backbone").get_layer(name).kernel for model in (ours, theirs)]
        np.testing.assert_allclose(*kernels, atol=1e-20)


def test_weights_that_do_not_fit_leave_no_run_behind(root, capsys):
    Path("text.h5").write_text("hello")
    assert run("train", "fcn", "--data", root, *FCN, "--backbone-weights", "text.h5", "--out", "run") == 2
    assert "text.h5" in capsys.readouterr().err
    assert not Path("run").exists()


CODED = ["train", "fcn", *FCN, "--output-codes", "1"]


@pytest.fixture(scope="module")
def coded(discs, tmp_path_factory):
    """A folder with a run of output codes and a refinement stage, and what it prints."""
    path = tmp_path_factory.mktemp("coded")
    options = ["--refinement", "--backbone-weights", "none", "--stride", "32", "--epochs", "1"]
    return path, answer(path, *CODED, "--data", discs, *options, "--out", "coded").out


@pytest.mark.slow
def test_the_distance_of_output_codes_is_printed(coded):
    _, printed = coded
    assert "output codes of 1 bits, any two at least 1 apart" in printed


@pytest.mark.slow
def test_a_refinement_stage_is_not_lost_in_a_later_stage(coded, discs, monkeypatch, capsys):
    path, _ = coded
    monkeypatch.chdir(path)
    assert run(*CODED, "--data", discs, "--start-from", "coded", "--out", "finer") == 2
    assert "ends in a refinement stage, which would be lost" in capsys.readouterr().err


UNET = ["train", "unet", "--filters", "4", "8", "16", *SMALL]


@pytest.fixture(scope="module")
def unet_with_codes(discs, tmp_path_factory):
    """The run of a U-Net with Hadamard codes and a refinement stage."""
    path = tmp_path_factory.mktemp("unet_with_codes")
    answer(path, *UNET, "--data", discs, "--output-codes", "hadamard", "--refinement", "--out", "codes")
    return path / "codes"


@pytest.fixture(scope="module")
def model_with_codes(unet_with_codes):
    return keras.saving.load_model(unet_with_codes / "model.keras")


@pytest.mark.slow
def test_the_refinement_stage_works_on_bits(model_with_codes):
    assert model_with_codes.get_layer("refine_logits").kernel.shape == (4, 4, 1, 32)


@pytest.mark.slow
def test_a_model_with_codes_gives_classes(model_with_codes):
    assert model_with_codes.output_shape == (None, None, None, 2)


@pytest.mark.slow
def test_the_codebook_has_a_word_for_each_class(model_with_codes):
    assert model_with_codes.get_layer("classes").codebook.shape == (2, 1)


@pytest.mark.slow
def test_a_run_with_codes_is_scored(unet_with_codes):
    assert 0 <= read_json(unet_with_codes / "metrics.json")["mean_iou"] <= 1


@pytest.fixture(scope="module")
def deep(discs, tmp_path_factory):
    """A folder with the run of a U-Net that is judged at each level."""
    path = tmp_path_factory.mktemp("deep")
    answer(path, *UNET, "--data", discs, "--deep-supervision", "--loss", "focal", "lovasz", "--out", "deep")
    return path


@pytest.mark.slow
def test_deep_supervision_by_command(deep):
    assert type(keras.saving.load_model(deep / "deep/model.keras")).__name__ == "DeeplySupervised"


@pytest.mark.slow
def test_a_deeply_supervised_run_is_exported(deep):
    assert answer(deep, "export", "deep", "--out", "saved_models/deep").out.startswith("saved_models/deep/1\n")


def test_codes_longer_than_there_are_are_refused(root, capsys):
    assert run(*UNET, "--data", root, "--output-codes", "5", "--out", "no") == 2
    assert "--output-codes 5: 2 classes have codes of 1 to 1 bits" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["fcn", "--backbone-width", "0.5", "--backbone", "vgg16"], "add --backbone mobilenet"),
        (["unet", "--frozen-epochs", "1"], "needs --backbone"),
        (
            ["unet", "--backbone", "mobilenet2"],
            "Did you mean mobilenet_v2? Takes a file NAME.keras, or one of convnext_base",
        ),
        (["unet", "--backbone-weights", "mine.h5"], "needs --backbone"),
        (["unet", "--backbone", "mine.keras"], "--backbone mine.keras: is not a file"),
        (["fcn", "--released-learning-rate", "0.1"], "needs --frozen-epochs"),
        (["fcn", "--frozen-epochs", "3", "--epochs", "3"], "leaves the whole network none of the 3 epochs"),
        (["fcn", "--backbone-weights", "nowhere.h5"], "nowhere.h5: is not a file"),
        (["unet", "--stride", "8"], "Unknown option: --stride"),
        (["fcn", "--padding", "valid"], "Unknown option: --padding"),
        (["unet", "--backbone", "mobilenet", "--padding", "valid"], "remove --backbone or --padding"),
        (["unet", "--backbone", "mobilenet", "--filters", "8", "8"], "use --decoder-filters"),
        (["unet", "--backbone", "mobilenet", "--decoder-filters", "8", "8"], "needs five widths, not 8 8"),
        (["unet", "--decoder-filters", "8", "8", "8", "8", "8"], "--decoder-filters needs --backbone"),
        (["unet", "--deep-supervision", "--output-codes", "hadamard"], "remove one of them"),
        (["unet", "--deep-supervision", "--refinement"], "does not go with --refinement"),
        (["fcn", "--output-codes", "hadamard", "--loss", "dice"], "remove --loss"),
    ],
    ids=as_typed,
)
def test_wrong_options_are_said_in_one_line(root, capsys, arguments, message):
    assert run("train", arguments[0], "--data", root, "--out", "no", *arguments[1:]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


@pytest.mark.parametrize(
    "arguments",
    [
        ["unet", "--loss", "hinge"],
        ["dcgan", "--loss", "dice"],
        ["dcgan", "--loss", "hinge", "minimax"],
        ["fcn", "--stride", "4"],
        ["unet", "--output-codes", "walsh"],
    ],
    ids=as_typed,
)
def test_wrong_values_are_refused_in_one_line(arguments, capsys):
    assert run("train", arguments[0], "--data", "shapes", *arguments[1:]) == 2
    assert capsys.readouterr().err.count("\n") == 1


ONE_EPOCH = [*FCN, "--epochs", "1", "--backbone-weights", "none"]
PYRAMID = ["train", "fpn", *ONE_EPOCH, "--pyramid-filters", "8", "--segmentation-filters", "8", "--frozen-stages", "2"]


@pytest.fixture(scope="module")
def pyramid(discs, tmp_path_factory):
    """A folder with a run of an FPN."""
    path = tmp_path_factory.mktemp("pyramid")
    answer(path, *PYRAMID, "--data", discs, "--out", "run")
    return path


def test_frozen_stages_stay_frozen(pyramid):
    frozen = [
        layer.trainable for layer in keras.saving.load_model(pyramid / "run/final.keras").get_layer("backbone").layers
    ]
    assert not any(frozen[1:10])  # the first is the image
    assert all(frozen[-10:])


def test_an_onnx_file_is_checked_and_has_its_classes(pyramid):
    import onnx

    said = answer(pyramid, "export", "run", "--format", "onnx", "--out", "fpn.onnx").out
    assert said.startswith("fpn.onnx: ")
    assert said.endswith("100.00 % of the labels the same\n")
    assert onnx.load(pyramid / "fpn.onnx").metadata_props[0].key == "class_names"


@pytest.mark.slow
def test_a_litert_file_in_8_bits_learns_its_ranges_from_the_training_images(pyramid):
    said = answer(pyramid, "export", "run", "--format", "litert", "--quantization", "int8", "--out", "fpn.tflite").out
    assert said.startswith("fpn.tflite: 0.")
    assert said.endswith(" % of the labels the same\n")


@pytest.mark.slow
@pytest.mark.parametrize(
    "options",
    [
        ["deeplab_v3_plus", *ONE_EPOCH, "--filters", "8", "--output-stride", "8", "--atrous-rates", "2", "4"],
        ["unet", *SMALL, "--epochs", "1", "--filters", "4", "8", "--attention-gates"],
    ],
    ids=lambda options: options[0],
)
def test_a_run_of_each_network_predicts(root, options):
    assert run("train", *options, "--data", root, "--out", "run") == 0
    assert run("predict", "run", root / "val/images", "--out", "predictions") == 0
    assert len(list(Path("predictions").glob("*_overlay.png"))) == len(list((root / "val/images").iterdir()))


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["train", "unet", "--data", "discs", "--frozen-stages", "2"], 2, "--frozen-stages needs --backbone"),
        (["export", "run", "--out", "f.tflite", "--format", "onnx"], 2, "must end in .onnx"),
        (["export", "run", "--out", "f.onnx"], 2, "a servable is a folder: add --format onnx, or name a folder"),
        (["export", "run", "--out", "f.onnx", "--quantization", "int8"], 2, "is for LiteRT: add --format litert"),
    ],
    ids=as_typed,
)
def test_wrong_use_of_formats_and_stages_is_said_in_one_line(root, capsys, arguments, status, message):
    assert run(*(root if word == "discs" else word for word in arguments)) == status
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


@pytest.fixture
def own_backbone(root):
    """The file of a network of one's own, beside the test's folder of data."""
    x = image = keras.Input((None, None, 3))
    for channels in (4, 6, 8, 10, 12):
        x = keras.layers.Conv2D(channels, 3, 2, "same", activation="relu")(x)
    keras.Model(image, x).save("own.keras")
    return keras.saving.load_model("own.keras")


@pytest.mark.slow
def test_a_network_of_ones_own_is_a_backbone(root, own_backbone):
    narrow = ["--pyramid-filters", 8, "--segmentation-filters", 8, "--frozen-stages", 5]
    assert (
        run("train", "fpn", "--data", root, *SMALL, *narrow, "--epochs", 1, "--backbone", "own.keras", "--out", "r")
        == 0
    )
    ours = keras.saving.load_model("r/model.keras").get_layer("backbone")
    for weight, theirs in zip(ours.get_weights(), own_backbone.get_weights(), strict=True):
        np.testing.assert_array_equal(weight, theirs)


def test_what_a_network_of_ones_own_must_be_is_said_in_one_line(root, own_backbone, capsys):
    keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)]).save("dense.keras")
    Path("text.keras").write_text("text")
    for options, message in (
        (["--backbone", "dense.keras"], "dense.keras: A backbone takes images"),
        (["--backbone", "text.keras"], "text.keras: cannot be loaded (not a zip file): save a Functional model"),
        (["--backbone", "own.keras", "--backbone-weights", "none"], "own.keras brings its weights"),
        (["--backbone", "own.keras", "--backbone-width", 0.5], "is for MobileNets"),
    ):
        assert run("train", "fcn", "--data", root, *options, "--out", "no") == 2
        error = capsys.readouterr().err
        assert message in error
        assert error.count("\n") == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["fpn", *ONE_EPOCH, "--frozen-stages", "6"], "--frozen-stages 6: The backbone has 5 stages"),
        (
            ["deeplab_v3_plus", *SMALL, "--backbone", "inception_v3", "--backbone-weights", "none"],
            "cannot be made atrous: pooling has no spread windows. Use an output stride of 32",
        ),
    ],
    ids=as_typed,
)
def test_what_a_backbone_cannot_do_is_said_in_one_line(root, capsys, options, message):
    assert run("train", *options, "--data", root, "--out", "no") == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert not Path("no/config.json").exists()


BALANCED = ["train", "unet", "--filters", "4", "8", *SMALL, "--oversampling", "0.9"]


@pytest.mark.parametrize("weights", [["balanced"], ["weights.txt"]], ids=as_typed)
def test_class_weights_and_repeats_are_written_down_and_resumed(root, capsys, weights):
    Path("weights.txt").write_text("1\n2.5\n")
    command = [*BALANCED, "--data", root, "--out", "run", "--class-weights", *weights]
    assert run(*command, "--epochs", "1") == 0
    assert "repeats of images with rare classes" in capsys.readouterr().out
    expected = read_folder("train", root).class_weights(2) if weights == ["balanced"] else [1, 2.5]
    assert read_json("run/config.json")["class_weights"] == pytest.approx(expected)
    assert run(*command, "--epochs", "2", "--resume") == 0
    assert read_json("run/config.json")["epochs"] == 2


@pytest.mark.parametrize("option", [["--class-weights", "balanced"], ["--oversampling", "0.1"]], ids=as_typed)
def test_drawn_shapes_are_not_balanced(root, capsys, option):
    assert run("train", "unet", "--data", "shapes", *SMALL, *option, "--out", "no") == 2
    assert capsys.readouterr().err.count("\n") == 1
