"""What a command line names is looked for before TensorFlow is imported."""

import json
import subprocess
import sys
from pathlib import Path

import pytest


def refused(folder: Path, *arguments: str) -> str:
    """Return the one line with which a command refuses its arguments; fail if it has imported TensorFlow."""
    code = "import sys, keras_segen_cli; status = keras_segen_cli.main(sys.argv[1:]); "
    code += "sys.exit(99 if 'tensorflow' in sys.modules else status)"
    answer = subprocess.run([sys.executable, "-c", code, *arguments], check=False, capture_output=True, cwd=folder)
    assert answer.returncode == 2, answer.stderr.decode()
    error = answer.stderr.decode()
    assert error.count("\n") == 1
    return error


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run/config.json").write_text(json.dumps({"model": "unet", "data": "shapes"}))
    (tmp_path / "mine/train/images").mkdir(parents=True)
    (tmp_path / "mine/train/masks").mkdir()
    (tmp_path / "other").mkdir()
    (tmp_path / "other/config.json").write_text(json.dumps({"model": "pix3pix", "data": "shapes"}))
    return tmp_path


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["train", "unet", "--data", "nowhere"], "nowhere: is not there: name one of shapes, voc"),
        (["train", "unet", "--data", "run/config.json"], "run/config.json: is a file: name one of shapes, voc"),
        (["train", "unet", "--data", "cifar10"], "cifar10: is a data set for other models: name one of shapes, voc"),
        (["train", "dcgan", "--data", "voc"], "voc: is a data set for other models: name one of shapes, cifar10"),
        (["train", "unet", "--data", "shapes", "--start-from", "nowhere"], "nowhere: is not a run folder"),
        (["evaluate", "nowhere"], "nowhere: is not a run folder"),
        (["evaluate", "other"], "names a model that this version does not know: pix3pix"),
        (["evaluate", "run", "--data", "nowhere"], "nowhere: is not there"),
        (["evaluate", "run", "--out", "x.txt"], "x.txt: scores are written as JSON: name a file that ends in .json"),
        (["evaluate", "run", "--data", "celeb_a"], "celeb_a: is a data set for other models"),
        (["predict", "run", "nowhere.png", "--out", "x"], "nowhere.png: cannot be read (it does not exist)"),
        (["sample", "nowhere", "--count", "1", "--out", "x.png"], "nowhere: is not a run folder"),
        (["export", "nowhere", "--out", "x"], "nowhere: is not a run folder"),
        (["baseline", "otsu", "--data", "nowhere"], "nowhere: is not a folder: a baseline tells two classes apart"),
        (["compare", "--real", "run", "--fake", "run/config.json"], "run/config.json: is a file: name a folder"),
        (
            ["compare", "--real", "mine", "--fake", "run"],
            "mine: holds masks too, which are not photographs: name mine/t",
        ),
        (["predict", "run", "mine/train", "--out", "x"], "mine/train: holds masks too, which are not photographs"),
        (["compare", "--real", "run", "--fake", "run", "--out", "x.txt"], "x.txt: scores are written as JSON"),
        (["baseline", "otsu", "--data", "run", "--out", "run/config.json"], "run/config.json: exists already"),
        (["worth", "--real", "shapes", "--generated", "nowhere"], "nowhere: does not exist"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_is_not_there_is_refused_at_once(folder, arguments, message):
    assert message in refused(folder, *arguments)
