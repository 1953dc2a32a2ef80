import json

import pytest

from keras_segen.errors import InputError
from keras_segen.files import replacing
from keras_segen.runs import Run, write_json


def test_a_new_run_holds_its_config(tmp_path):
    run = Run(tmp_path / "run")
    run.require_free()
    config = {"model": "unet", "data": "shapes", "class_names": ["a", "b"], "image_size": 64, "seed": 3}
    run.create(config)
    assert run.config() == config
    with pytest.raises(InputError, match="is not empty"):
        run.require_free()


def test_places_where_no_run_can_be_are_named(tmp_path):
    (tmp_path / "file").write_text("mine")
    for place, named in (("file", "is a file"), ("file/run", "is not a folder to write to"), (".", "no run folder")):
        with pytest.raises(InputError, match=named):
            Run(tmp_path / place).require_free()
    (tmp_path / "begun").mkdir()
    (tmp_path / "begun/.incomplete-config.json").write_text("{")
    Run(tmp_path / "begun").require_free()


def test_what_is_no_run_is_named(tmp_path):
    with pytest.raises(InputError, match="is not a run folder"):
        Run(tmp_path).config()
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(InputError, match="damaged"):
        Run(tmp_path).config()
    for contents in ("[1]", "{}", '{"model": "unet"}'):
        (tmp_path / "config.json").write_text(contents)
        with pytest.raises(InputError, match="not a run's config"):
            Run(tmp_path).config()
    config = {"model": "unet", "data": "shapes", "class_names": ["a", "b"], "image_size": 64, "seed": 3}
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(InputError, match=r"no model\.keras"):
        Run(tmp_path).load_best()
    (tmp_path / "model.keras").write_text("hello")
    with pytest.raises(InputError, match=r"model\.keras: is damaged"):
        Run(tmp_path).load_best()


def test_history_drops_torn_rows_and_epochs_to_be_run_again(tmp_path):
    run = Run(tmp_path)
    assert run.history() == []
    run.cut_history(0)
    run.history_csv.write_text("epoch,loss\n0,0.5\n1,0.25\n2,0.125\n3")
    assert [row["loss"] for row in run.history()] == [0.5, 0.25, 0.125]
    run.cut_history(2)
    assert run.history_csv.read_text() == "epoch,loss\n0,0.5\n1,0.25\n"
    run.history_csv.write_bytes(b"epoch,loss\r\n0,0.5\r\n1,0.25\r\n")
    run.cut_history(1)
    assert run.history_csv.read_bytes() == b"epoch,loss\r\n0,0.5\r\n"
    with pytest.raises(InputError, match="all 2 epochs"):
        run.cut_history(2)
    run.history_csv.write_text("epoch,loss\nnone,none\n")
    with pytest.raises(InputError, match=r"history\.csv: is damaged"):
        run.history()


def test_json_is_the_standards(tmp_path):
    write_json(tmp_path / "a.json", {"x": float("nan"), "y": [1.0, float("inf")], "z": {"a": "b"}})
    assert json.loads((tmp_path / "a.json").read_text()) == {"x": None, "y": [1.0, None], "z": {"a": "b"}}


def test_a_failed_write_leaves_what_was_there(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(OSError, match=r"a\.txt: cannot be written: full"), replacing(path) as temporary:
        temporary.write_text("half")
        raise OSError("full")
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]
    with replacing(path) as temporary:
        temporary.write_text("new")
    assert path.read_text() == "new"
