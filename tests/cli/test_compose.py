from pathlib import Path

import pytest

import keras_segen_cli
from keras_segen_cli.tasks.segmentation_data import segmentation_data


@pytest.fixture
def discs(make_folder, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    return make_folder(train=3, val=2)


@pytest.mark.usefixtures("discs")
def test_a_composed_folder_is_trained_and_validated_on(capsys):
    command = ["compose", "discs", "--out", "scenes", "--count", "4", "--objects", "2", "2", "--scale", "1", "1"]
    assert keras_segen_cli.main([*command, "--softness", "0.5", "--seed", "3"]) == 0
    assert capsys.readouterr().out == "4 scenes with 8 objects, beside copies of discs, in scenes\n"
    before, after = (segmentation_data(name, image_size=16, seed=0, verbose=False) for name in ("discs", "scenes"))
    assert (before.count, after.count) == (3, 7)
    assert (before.val_count, after.val_count) == (2, 2)
    assert after.fingerprint.split("-")[1] == before.fingerprint.split("-")[1]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--count", "0"], "Must be from 1 to 1,000,000"),
        (["--count", "1", "--objects", "3", "2"], "Takes two numbers, the lower one first"),
        (["--count", "1", "--scale", "2", "1"], "Takes two numbers, the lower one first"),
        (["--count", "1", "--scale", "0", "1"], "Must be over 0.0"),
        (["--count", "1", "--softness", "-1"], "Must be from 0.0"),
        (["--count", "1", "--out", "discs"], "or lies inside it: name a folder beside it"),
    ],
)
@pytest.mark.usefixtures("discs")
def test_wrong_use_is_said_in_one_line(capsys, words, message):
    assert keras_segen_cli.main(["compose", "discs", "--out", "scenes", *words]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert not Path("scenes").exists()


def test_what_is_no_folder_is_said_at_once(monkeypatch, tmp_path, capsys):
    monkeypatch.chdir(tmp_path)
    assert keras_segen_cli.main(["compose", "nowhere", "--out", "scenes", "--count", "1"]) == 2
    assert "nowhere: is not a folder: name one that holds {train,val}/{images,masks}" in capsys.readouterr().err
