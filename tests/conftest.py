"""What the tests share: quiet TensorFlow, real data where it is, small folders drawn on the spot."""

import atexit
import ctypes
import gc
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import settings
from PIL import Image

# As the command line has it; TensorFlow takes it only before its first operation.
tf.config.threading.set_inter_op_parallelism_threads(1)

# A busy machine must not fail a property.
settings.register_profile("no_deadline", deadline=None)
settings.load_profile("no_deadline")

os.environ["KERAS_HOME"] = tempfile.mkdtemp(prefix="keras-")  # of the tests' own, gone at their end
atexit.register(shutil.rmtree, os.environ["KERAS_HOME"], ignore_errors=True)

REAL_DATA = Path(os.environ.get("KERAS_SEGEN_DATA", Path(__file__).parents[1] / ".." / "shared" / "data")).resolve()


# A test that lets the process grow by so many bytes is followed by freeing, which takes half a second.
GROWTH = 150 * 2**20


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add what runs every test."""
    parser.addoption("--all", action="store_true", help="run the slow tests too")
    parser.addoption("--exhaustive", action="store_true", help="run all tests, those on every network too")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave the slow and the exhaustive tests out unless they are asked for."""
    if config.getoption("--exhaustive"):
        return
    marks = ["exhaustive"] if config.getoption("--all") else ["exhaustive", "slow"]
    left_out = [item for item in items if any(item.get_closest_marker(mark) for mark in marks)]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if item not in set(left_out)]


@pytest.fixture(scope="session")
def real_data() -> Callable[[str], Path]:
    """Give the path of a real data set, or skip the test."""

    def find(name: str) -> Path:
        path = REAL_DATA / name
        if not path.exists():
            pytest.skip(f"{path} is not there: set KERAS_SEGEN_DATA to the folder of real data")
        return path

    return find


@pytest.fixture(autouse=True)
def float32_policy() -> Iterator[None]:
    """Put the global precision back to what it was."""
    yield
    keras.config.set_dtype_policy("float32")


def _resident() -> int:
    """Return the memory of this process in bytes."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.fixture(scope="session")
def after_freeing() -> list[int]:
    """Hold what the process kept when its memory was last given back."""
    return [0]


@pytest.fixture(autouse=True)
def memory_is_given_back(after_freeing: list[int]) -> Iterator[None]:
    """Give memory back after a test that let the process grow, for a process runs hundreds of tests.

    Networks lie in cycles until the collector comes by, and glibc keeps what TensorFlow and XLA have freed: a third to
    two thirds of what a compilation takes.
    """
    yield
    if sys.platform == "linux" and _resident() > after_freeing[0] + GROWTH:
        gc.collect()
        ctypes.CDLL(None).malloc_trim(0)
        after_freeing[0] = _resident()


@pytest.fixture(scope="session")
def draw_discs() -> Callable[..., Path]:
    """Draw a folder of images with a bright disc each, and masks with the disc as class 1."""

    def draw(root: Path, *, train: int = 6, val: int = 3, size: tuple[int, int] = (40, 48)) -> Path:
        rng = np.random.default_rng(0)
        height, width = size
        rows, columns = np.mgrid[:height, :width]
        for split, count in (("train", train), ("val", val)):
            for folder in ("images", "masks"):
                (root / split / folder).mkdir(parents=True)
            for i in range(count):
                disc = (rows - rng.uniform(0, height)) ** 2 + (columns - rng.uniform(0, width)) ** 2 < 12**2
                image = rng.normal(np.where(disc[..., None], (220, 60, 60), (60, 90, 60)), 10)
                Image.fromarray(np.clip(image, 0, 255).astype(np.uint8)).save(
                    root / split / "images" / f"{i}.jpg", quality=95
                )
                Image.fromarray(disc.astype(np.uint8)).save(root / split / "masks" / f"{i}.png")
        return root

    return draw


@pytest.fixture
def make_folder(tmp_path: Path, draw_discs: Callable[..., Path]) -> Callable[..., Path]:
    """Draw such a folder in the test's own place, by a name."""

    def make(name: str = "discs", **options: Any) -> Path:
        return draw_discs(tmp_path / name, **options)

    return make


@pytest.fixture
def train_with_kills() -> Callable[..., None]:
    """Run a training in processes of its own, killed but the last; each goes on where the one before died.

    The first is killed where its first epoch is saved and not scored yet, the others at random.
    """

    def train(command: list[str], folder: Path, *, kills: int) -> None:
        main = "import sys, keras_segen_cli; sys.exit(keras_segen_cli.main())"
        rng = np.random.default_rng()
        history, backup = folder / "history.csv", folder / "backup" / "model.keras"

        def rows() -> int:
            return history.read_bytes().count(b"\n") if history.exists() else 0

        for attempt in range(kills + 1):
            process = subprocess.Popen(
                [sys.executable, "-c", main, *command, "--out", str(folder), "--resume"],
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
            )
            if attempt < kills:
                # Wherever it is: before the first step, in one, in scoring, in the writing of a file.
                before, limit = rows(), time.monotonic() + rng.uniform(3, 60)
                while process.poll() is None and time.monotonic() < limit:
                    if attempt == 0 and backup.exists():
                        break
                    if rows() > max(before, 1):
                        time.sleep(rng.uniform(0, 0.5))
                        break
                    time.sleep(0.01)
                process.kill()
            error = process.communicate()[1].decode()
            expected = -signal.SIGKILL if attempt < kills else 0
            assert process.returncode == expected, f"attempt {attempt}: {process.returncode}; {error}"

    return train
