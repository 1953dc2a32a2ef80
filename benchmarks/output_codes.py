"""Error-correcting output codes against softmax, on clean labels and on wrong ones: what they buy, not their speed.

    python benchmarks/output_codes.py [--data FOLDER] [--noise 0 0.2 0.4] [--steps 800]   quarter of an hour, two cores

Of the training masks a share of all blocks of 8×8 pixels gets another class, drawn once and written into a copy of the
folder; validation masks stay as they are. On each copy the same small U-Net is trained from the same seed with softmax
and with a Hadamard code, both by cross-entropy, and scored on the validation images at their own sizes. Two classes
have one code, of one bit. Without --data, 1,024 drawn scenes are the folder.
"""

import argparse
import shutil
import sys
import tempfile
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from harness import machine
from PIL import Image

import keras_segen as ks
from keras_segen.data._augmentation import Augmentation
from keras_segen.data._shapes import CLASS_NAMES, scene

BLOCK, VOID = 8, 255
SIDE = 64  # of the scenes and of the training crops, pixels
SCENES = {"train": 1024, "val": 128}


def main() -> None:
    parser = argparse.ArgumentParser(description="Score output codes against softmax under label noise.")
    parser.add_argument("--data", type=Path, help="a folder with {train,val}/{images,masks}; without it, drawn scenes")
    parser.add_argument("--noise", type=float, nargs="+", default=[0.0, 0.2, 0.4], help="shares of wrong blocks")
    parser.add_argument("--steps", type=int, default=800, help="of each training, 16 crops each")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        source = options.data or draw_scenes(Path(scratch) / "scenes")
        num_classes = 1 + max(int(ids[ids != VOID].max(initial=0)) for ids in map(read, masks(source, "train")))
        code = ks.layers.hadamard_codebook(num_classes)
        heads = {"softmax": None, f"{code.shape[1]} bits, {ks.layers.minimum_distance(code)} apart": code}
        rows = {head: f"{head:30}" for head in heads}
        for noise in options.noise:
            folder = corrupt(source, Path(scratch) / f"noise-{noise}", noise, num_classes)
            for head, codebook in heads.items():
                mean_iou, accuracy = scores(folder, num_classes, codebook, options.steps)
                rows[head] += f"{100 * mean_iou:10.2f}{100 * accuracy:8.2f}"
                print(f"{noise:.0%} wrong, {head}: {mean_iou:.4f}", file=sys.stderr, flush=True)
        print(machine())
        print(
            f"{'mean IoU, pixel accuracy (%)':30}" + "".join(f"{f'{noise:.0%} wrong':>18}" for noise in options.noise)
        )
        print("\n".join(rows.values()))


def scores(folder: Path, num_classes: int, codebook: np.ndarray | None, steps: int) -> tuple[float, float]:
    """Train on a folder; return mean IoU and pixel accuracy on its validation images."""
    keras.utils.set_random_seed(0)
    model = ks.models.unet(num_classes if codebook is None else codebook.shape[1], filters=(16, 32, 64, 128))
    loss: keras.losses.Loss = ks.losses.CrossEntropy()
    if codebook is not None:
        model = keras.Model(model.input, ks.layers.OutputCodes(codebook)(model.output))
        loss = ks.losses.OutputCodeCrossEntropy(codebook.shape[1])
    model.compile(keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(0.003, steps)), loss)
    train = ks.data.folder(
        "train",
        data_dir=folder,
        image_size=SIDE,
        batch_size=16,
        training=True,
        augmentation=Augmentation(scale=(1.0, 1.0)),
        start=0,  # and without end
    )
    model.fit(train, steps_per_epoch=steps, shuffle=False, verbose=0)
    predict = tf.function(lambda image: model(image, training=False), reduce_retracing=True)
    measures = [ks.metrics.MeanIoU(num_classes), ks.metrics.PixelAccuracy(num_classes)]
    for image, mask in ks.data.folder("val", data_dir=folder):
        logits = predict(image)
        for measure in measures:
            measure.update_state(mask, logits)
    mean_iou, accuracy = (float(measure.result()) for measure in measures)
    return mean_iou, accuracy


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
