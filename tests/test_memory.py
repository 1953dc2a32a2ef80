"""Peak memory of the commands, each in a process of its own, on images that filled it before."""

import os
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

ONE_STEP = ["--epochs", "1", "--steps-per-epoch", "1", "--batch-size", "1"]


def peak(*arguments) -> float:
    """The peak memory of `keras-segen` with these arguments, GB; TensorFlow alone takes 0.7."""
    # Not `ru_maxrss`, in which a process inherits the peak of the one that started it.
    code = (
        "import sys, keras_segen_cli\n"
        "status = keras_segen_cli.main(sys.argv[1:])\n"
        "print(next(line for line in open('/proc/self/status') if line.startswith('VmHWM')))\n"
        "sys.exit(status)\n"
    )
    command = [sys.executable, "-c", code, *map(str, arguments)]
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    answer = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=environment)
    return int(answer.stdout.split()[-2]) * 1024 / 1e9


def draw_folder(root, *, val, size):
    """One training image of 128×128, and validation images of another size: a bright half and a dark one."""
    for split, count, (height, width) in (("train", 1, (128, 128)), ("val", val, size)):
        mask = np.zeros((height, width), np.uint8)
        mask[:, width // 2 :] = 1
        for kind, pixels, ending in (
            ("images", np.repeat(mask[..., None] * 200, 3, -1), "jpg"),
            ("masks", mask, "png"),
        ):
            (root / split / kind).mkdir(parents=True)
            for i in range(count):
                Image.fromarray(pixels).save(root / split / kind / f"{i}.{ending}")
    return root


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="/proc/self/status is Linux's")
def test_sixteen_validation_images_of_800_pixels(tmp_path):
    root = draw_folder(tmp_path / "data", val=16, size=(800, 800))
    assert peak("train", "unet", "--data", root, "--out", tmp_path / "run", *ONE_STEP) < 1.65


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="/proc/self/status is Linux's")
def test_an_image_of_twelve_megapixels(tmp_path):
    root = draw_folder(tmp_path / "data", val=1, size=(3000, 4000))
    small = ["--backbone-weights", "none", "--backbone-width", "0.25", "--image-size", "64"]
    # It scores its best model at the end, as `evaluate` does.
    assert peak("train", "fcn", "--data", root, "--out", tmp_path / "run", *ONE_STEP, *small) < 3
    assert peak("predict", tmp_path / "run", root / "val/images", "--out", tmp_path / "out") < 3
