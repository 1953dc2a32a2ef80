"""Error-correcting output codes against softmax, on clean labels and on wrong ones: what they buy, not their speed.

    python benchmarks/output_codes.py [--data FOLDER] [--noise 0 0.2 0.4] [--epochs 1]      half an hour on two cores

Of the training masks a share of all blocks of 8×8 pixels gets another class, drawn once and written into a copy of the
folder; validation masks stay as they are. On each copy `keras-segen train unet` trains the same network with softmax
and with a Hadamard code; two classes have one code, of one bit. Without --data, 2,048 drawn scenes are the folder.
"""

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

from keras_segen.data.shapes import CLASS_NAMES, scene
from keras_segen.layers import hadamard_codebook, minimum_distance

BLOCK, VOID = 8, 255
SIDE = 64  # of the scenes and of the training crops, pixels
SCENES = {"train": 2048, "val": 128}


def main() -> None:
    parser = argparse.ArgumentParser(description="Score output codes against softmax under label noise.")
    parser.add_argument("--data", type=Path, help="a folder with {train,val}/{images,masks}; without it, drawn scenes")
    parser.add_argument("--noise", type=float, nargs="+", default=[0.0, 0.2, 0.4], help="shares of wrong blocks")
    parser.add_argument("--epochs", type=int, default=1, help="of each training")
    parser.add_argument("--steps-per-epoch", type=int, default=800, help="likewise")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        source = options.data or draw_scenes(Path(scratch) / "scenes")
        num_classes = 1 + max(int(ids[ids != VOID].max(initial=0)) for ids in map(read, masks(source, "train")))
        code = hadamard_codebook(num_classes)
        heads = {"softmax": [], f"{code.shape[1]} bits {minimum_distance(code)} apart": ["hadamard"]}
        print(
            f"{'mean IoU, pixel accuracy (%)':32}" + "".join(f"{f'{noise:.0%} wrong':>18}" for noise in options.noise)
        )
        rows = {head: f"{head:32}" for head in heads}
        for noise in options.noise:
            folder = corrupt(source, Path(scratch) / f"noise-{noise}", noise, num_classes)
            for head, codes in heads.items():
                scores = train(folder, Path(scratch) / "-".join(["run", str(noise), *codes]), codes, options)
                rows[head] += f"{100 * scores['mean_iou']:10.2f}{100 * scores['pixel_accuracy']:8.2f}"
                print(f"{noise:.0%} wrong, {head}: {100 * scores['mean_iou']:.2f}", file=sys.stderr, flush=True)
        print("\n".join(rows.values()))


def train(folder: Path, run: Path, codes: list[str], options: argparse.Namespace) -> dict[str, float]:
    arguments = ["train", "unet", "--data", folder, "--out", run, "--epochs", options.epochs]
    arguments += ["--steps-per-epoch", options.steps_per_epoch, "--batch-size", 16, "--image-size", SIDE]
    arguments += ["--learning-rate", 0.003]
    # The codes' loss is a cross-entropy, so softmax is trained by that too.
    arguments += ["--output-codes", *codes] if codes else ["--loss", "cross_entropy"]
    command = [sys.executable, "-c", "import sys, keras_segen_cli as c; sys.exit(c.main(sys.argv[1:]))"]
    subprocess.run([*command, *map(str, arguments)], check=True, capture_output=True)
    scores: dict[str, float] = json.loads((run / "metrics.json").read_text(encoding="utf-8"))
    return scores


def masks(folder: Path, split: str) -> list[Path]:
    return sorted((folder / split / "masks").iterdir())


def read(path: Path) -> np.ndarray:
    return np.array(Image.open(path))


def corrupt(source: Path, folder: Path, noise: float, num_classes: int) -> Path:
    """Copy a folder; in its training masks, give a share of all blocks another class."""
    shutil.copytree(source, folder)
    rng = np.random.default_rng(0)
    for path in masks(folder, "train"):
        ids = read(path)
        blocks = [-(-side // BLOCK) for side in ids.shape]
        grid = np.kron(rng.uniform(size=blocks) < noise, np.ones((BLOCK, BLOCK), bool))
        shift = np.kron(rng.integers(1, num_classes, blocks), np.ones((BLOCK, BLOCK), int))
        wrong = grid[: ids.shape[0], : ids.shape[1]] & (ids != VOID)
        ids[wrong] = (ids + shift[: ids.shape[0], : ids.shape[1]])[wrong] % num_classes
        Image.fromarray(ids.astype(np.uint8)).save(path)
    return folder


def draw_scenes(folder: Path) -> Path:
    for split, count in SCENES.items():
        for part in ("images", "masks"):
            (folder / split / part).mkdir(parents=True)
        for i in range(count):
            image, mask, _ = scene(i, split=split, image_size=SIDE)
            Image.fromarray(np.asarray(image).astype(np.uint8)).save(folder / split / "images" / f"{i:04}.png")
            Image.fromarray(np.asarray(mask)).save(folder / split / "masks" / f"{i:04}.png")
    (folder / "classes.txt").write_text("\n".join(CLASS_NAMES), encoding="utf-8")
    return folder


if __name__ == "__main__":
    main()
