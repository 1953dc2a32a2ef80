"""Two classes told apart by one logit, and the scores of their probabilities, by command."""

import numpy as np
import pytest
from PIL import Image
from sklearn import metrics as reference

from examples.commands import answer, read_json
from keras_segen import inference
from keras_segen.data import read_folder
from keras_segen.runs import Run

SMALL = ["--epochs", 2, "--steps-per-epoch", 3, "--batch-size", 4, "--image-size", 32, "--filters", 4, 8]


@pytest.fixture(scope="module")
def folder(tmp_path_factory, draw_discs):
    """A folder with a run on discs."""
    path = tmp_path_factory.mktemp("one_logit")
    draw_discs(path / "discs")
    answer(path, "train", "unet", "--data", "discs", "--one-logit", "--out", "run", *SMALL)
    return path


@pytest.fixture(scope="module")
def scores(folder):
    return read_json(folder / "run/metrics.json")


def test_the_network_has_one_logit(folder):
    assert Run(folder / "run").load_best().output_shape[-1] == 1


def test_scores_are_those_of_scikit_learn(folder, scores):
    model, pairs = Run(folder / "run").load_best(), read_folder("val", folder / "discs")
    examples = ((image[0], mask[0]) for image, mask in pairs.dataset(batch_size=1).as_numpy_iterator())
    found = [(mask.ravel(), p[..., 1].ravel()) for _, mask, _, p in inference.probabilities(model, examples)]
    truth, probabilities = (np.concatenate(parts) for parts in zip(*found, strict=True))
    truth, probabilities = truth[truth != 255], probabilities[truth != 255]
    assert scores["roc_auc"] == pytest.approx(reference.roc_auc_score(truth, probabilities), abs=1e-6)
    assert scores["average_precision"] == pytest.approx(reference.average_precision_score(truth, probabilities))
    assert scores["f1"] == pytest.approx(reference.f1_score(truth, probabilities >= scores["threshold"]))
    assert scores["mean_iou"] == pytest.approx(reference.jaccard_score(truth, probabilities > 0.5, average="macro"))


def test_evaluate_prints_them(folder, scores):
    printed = answer(folder, "evaluate", "run").out
    assert f"ROC AUC                 {100 * scores['roc_auc']:8.2f}"[:20] in printed
    assert f"best F1: where the probability is {scores['threshold']:.3f} or more" in printed


def test_predict_writes_label_maps_of_two_classes(folder):
    answer(folder, "predict", "run", "discs/val/images", "--out", "labelled", "--explain", 1)
    with Image.open(folder / "labelled/0.png") as picture:
        assert set(np.unique(np.asarray(picture))) <= {0, 1}


def test_a_run_goes_on_and_another_starts_from_it(folder):
    answer(folder, "train", "unet", "--data", "discs", "--one-logit", "--out", "run", "--resume", *SMALL, "--epochs", 3)
    new = ["train", "unet", "--data", "discs", "--start-from", "run", "--out", "new", *SMALL]
    answer(folder, *new, "--one-logit")
    printed = answer(folder, *new, status=2).err
    assert "was trained with --one-logit, not no --one-logit" in printed


def test_more_classes_are_refused(folder):
    printed = answer(folder, "train", "unet", "--data", "shapes", "--one-logit", *SMALL, status=2).err
    assert "--one-logit tells two classes apart, and the data have 6" in printed


def test_output_codes_are_refused(folder):
    printed = answer(
        folder, "train", "unet", "--data", "discs", "--one-logit", "--output-codes", "hadamard", status=2
    ).err
    assert "--output-codes has a code word a class: remove --one-logit" in printed
