"""Prediction in tiles: the memory that a large image takes, and what cutting and blending cost beside the network.

    python benchmarks/tiled_prediction.py [--side 8000]      six minutes on two cores

First an image of 8,000×8,000 pixels with 21 classes goes through a small U-Net in a process of its own, which says how
far its memory rose over what one tile took. Then a smaller image goes through in turns: in tiles; in tiles that are
summed up on a canvas of the image's size, as is common; and whole. The limit is the network on the same tiles and
nothing else.
"""

import argparse
import resource
import subprocess
import sys
import time
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from harness import Contender, compare, use_all_cores

from keras_segen import inference, models

CLASSES, TILE, OVERLAP = 21, 512, 0.25
TURNS = 2048  # side of the image that goes through in turns


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure prediction in tiles.")
    parser.add_argument("--side", type=int, default=8000, help="of the image whose memory is measured")
    parser.add_argument("--rounds", type=int, default=3, help="turns that count, after one that does not")
    parser.add_argument("--memory", action="store_true", help="measure the memory in this process, and nothing else")
    options = parser.parse_args()

    use_all_cores()
    if options.memory:
        measure_memory(options.side)
        return
    subprocess.run([sys.executable, __file__, "--memory", "--side", str(options.side)], check=True)
    model, image = network(), noise(TURNS)
    compiled = tf.function(lambda images: model(tf.cast(images, tf.float32), training=False))
    tiles = [image[top : top + TILE, left : left + TILE] for top in starts(TURNS) for left in starts(TURNS)]
    work = TURNS**2 / 1e6
    compare(
        f"An image of {TURNS}×{TURNS} pixels, {CLASSES} classes, tiles of {TILE}×{TILE} overlapping by {OVERLAP:.0%}",
        [
            Contender("keras_segen, in tiles", lambda: predict(model, image, TILE), work),
            Contender("tiles on a canvas, NumPy", lambda: on_a_canvas(compiled, image), work),
            Contender("whole", lambda: predict(model, image, TURNS), work),
        ],
        limits=[Contender("the network on the tiles", lambda: [compiled(tile[None]) for tile in tiles], work)],
        unit="Mpixel",
        rounds=options.rounds,
        warm_up=1,
    )


def network() -> keras.Model:
    """The command line's default U-Net."""
    return models.unet(CLASSES, filters=(16, 32, 64, 128))


def noise(side: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (side, side, 3), np.uint8)


def predict(model: keras.Model, image: np.ndarray, tile: int) -> np.ndarray:
    return next(inference.predict(model, [image], tile=tile, overlap=OVERLAP))


def starts(side: int) -> list[int]:
    step = int(TILE * (1 - OVERLAP))
    return [*range(0, side - TILE, step), side - TILE]


def on_a_canvas(compiled: Any, image: np.ndarray) -> np.ndarray:
    """All logits of the image at once in memory, and their weights."""
    distance = np.arange(TILE) - (TILE - 1) / 2
    bump = np.exp(-0.5 * (distance / (TILE / 8)) ** 2)
    weight = np.outer(bump, bump).astype(np.float32)[..., None]
    total, weights = np.zeros((*image.shape[:2], CLASSES), np.float32), np.zeros((*image.shape[:2], 1), np.float32)
    for top in starts(len(image)):
        for left in starts(len(image)):
            place = np.s_[top : top + TILE, left : left + TILE]
            total[place] += weight * compiled(image[place][None])[0].numpy()
            weights[place] += weight
    total /= weights
    return total.argmax(-1).astype(np.uint8)


def measure_memory(side: int) -> None:
    """Print how the process's peak rises from one tile to the whole image, and how the time is spent."""
    model, image = network(), noise(side)
    predict(model, image[:TILE, :TILE], TILE)
    before, start = peak(), time.perf_counter()
    predict(model, image, TILE)
    spent, after = time.perf_counter() - start, peak()
    label_map, logits = side**2 / 1e6, side**2 * CLASSES * 4 / 1e6
    print(
        f"{side}×{side} pixels in {spent:.0f} s: {after:.0f} MB at most, {after - before:.0f} MB more than after one "
        f"tile, of which the label map is {label_map:.0f} MB; all logits at once would be {logits:.0f} MB\n",
        flush=True,
    )


def peak() -> float:
    """The most memory that the process has held, in MB."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6


if __name__ == "__main__":
    main()
