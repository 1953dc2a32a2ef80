"""Copies of what a module's commands work on: its own fixtures `data`, a folder, and `prototype`, a run on that."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest


@pytest.fixture(scope="module")
def new_folder(data: Path, prototype: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Path]:
    """Make a folder with copies of both, for a command whose results several tests read."""

    def make() -> Path:
        folder = tmp_path_factory.mktemp("folder")
        shutil.copytree(data, folder / data.name)
        shutil.copytree(prototype, folder / "run")
        return folder

    return make


@pytest.fixture
def copied_data(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Copy the data to where the test runs, which may change them."""
    monkeypatch.chdir(tmp_path)
    return shutil.copytree(data, tmp_path / data.name)


@pytest.fixture
def trained(prototype: Path, copied_data: Path, tmp_path: Path) -> Path:
    """Copy the run there too."""
    return shutil.copytree(prototype, tmp_path / "run")
