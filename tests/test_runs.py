import json
import shutil
import subprocess
import sys
import types
from pathlib import Path

import pytest

from keras_segen.errors import InputError
from keras_segen.files import replacing, require_space
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


def test_the_history_of_no_folder_is_refused(tmp_path):
    with pytest.raises(InputError, match="nowhere: does not exist"):
        Run(tmp_path / "nowhere").history()


def test_a_best_epoch_is_by_the_most_or_the_least(tmp_path):
    with pytest.raises(ValueError, match="mode='auto'"):
        Run(tmp_path).best_epoch("loss", "auto")


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


def test_epochs_are_added_whatever_the_columns(tmp_path):
    run = Run(tmp_path)
    run.add_epoch(0, {"loss": 0.5, "accuracy": 0.1 + 0.2})
    assert run.history_csv.read_bytes() == b"epoch,accuracy,loss\r\n0,0.30000000000000004,0.5\r\n"
    # As Keras's CSVLogger writes them, the last row torn.
    run.history_csv.write_bytes(b"epoch,loss,val_loss\r\n0,0.5,0.25\r\n1,0.5,0.1")
    run.add_epoch(1, {"loss": 0.125, "score": float("nan")})
    assert run.history_csv.read_bytes() == b"epoch,loss,val_loss,score\r\n0,0.5,0.25,NA\r\n1,0.125,NA,nan\r\n"
    assert run.history()[0] == {"epoch": 0, "loss": 0.5, "val_loss": 0.25}
    assert run.history()[1].keys() == {"epoch", "loss", "score"}


@pytest.mark.slow
def test_a_folder_is_held_by_one_process_until_it_ends_however_it_ends(tmp_path):
    hold = (
        "import sys, time; from keras_segen.runs import Run\n"
        "with Run(sys.argv[1]).held():\n"
        "    print('held', flush=True)\n"
        "    time.sleep(600)\n"
    )
    root = Path(__file__).parents[1]
    with subprocess.Popen(
        [sys.executable, "-c", hold, str(tmp_path / "run")], stdout=subprocess.PIPE, text=True, cwd=root
    ) as other:
        assert other.stdout.readline() == "held\n"
        with pytest.raises(InputError, match="run: another process is training there"), Run(tmp_path / "run").held():
            pass
        other.kill()
    with Run(tmp_path / "run").held():
        pass
    with Run(tmp_path / "run").held():
        pass
    Run(tmp_path / "run").require_free()


def test_a_folder_made_for_a_training_that_did_not_begin_goes_again(tmp_path):
    (tmp_path / "empty").mkdir()
    for name, begun, stays in (("new", False, False), ("empty", False, True), ("run", True, True)):
        run = Run(tmp_path / name)
        with run.held():
            assert run.path.is_dir()
            if begun:
                run.create({})
        assert run.path.exists() == stays


def test_a_lack_of_space_is_said(tmp_path, monkeypatch):
    require_space(tmp_path / "run", 1)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: types.SimpleNamespace(free=2**29))
    require_space(tmp_path / "run", 2**29)
    with pytest.raises(InputError, match=r"run: takes about 1\.0 GB, and 0\.5 GB are free there"):
        require_space(tmp_path / "run", 2**30)
