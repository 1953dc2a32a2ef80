"""Prediction in tiles: the memory that a large image takes, and what cutting and blending cost beside the network.

    python benchmarks/tiled_prediction.py [--side 8000]      six minutes on two cores

First an image of 8,000×8,000 pixels with 21 classes goes through a small U-Net in a process of its own, which says how
far its memory rose over what one tile took. Then a smaller image goes through in turns: in tiles; in tiles that are
summed up on a canvas of the image's size, as is common; and whole. The limit is the network on the same tiles and
nothing else.
"""

import resource
import sys
import time
from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf
from harness import Contender, command_line, compare, started

from keras_segen import inference, models

CLASSES, TILE, OVERLAP = 21, 512, 0.25
TURNS = 2048  # side of the image that goes through in turns


def main() -> None:
    parser = command_line("Measure prediction in tiles.", rounds=3, warm_up=1)
    parser.add_argument("--side", type=int, default=8000, help="of the image whose memory is measured")
    parser.add_argument("--memory", action="store_true", help="measure the memory and nothing else")
    options = parser.parse_args()

    print_memory(options.side)
    if options.memory:
        return
    image, work = noise(TURNS), TURNS**2 / 1e6
    contenders = [
        Contender("keras_segen, in tiles", "tiled_prediction", "in_tiles", (image, TILE), work),
        Contender("tiles on a canvas, NumPy", "tiled_prediction", "on_a_canvas", (image,), work),
        Contender("whole", "tiled_prediction", "in_tiles", (image, TURNS), work),
    ]
    with started(contenders) as processes:
        compare(
            f"An image of {TURNS}×{TURNS} pixels, {CLASSES} classes, tiles of {TILE}×{TILE} overlapping by "
            f"{OVERLAP:.0%}",
            processes,
            limits=[Contender("the network on the tiles", "tiled_prediction", "network_alone", (image,), work)],
            unit="Mpixel",
            rounds=options.rounds,
            warm_up=1,
            clock=options.clock,
        )


def print_memory(side: int) -> None:
    """Print how a process's peak rises from one tile to the whole image, and how long that takes."""
    with started([Contender("memory", "tiled_prediction", "memory", (side,), 1)]) as [process]:
        before, after, spent = process.result()
    label_map, logits = side**2 / 1e6, side**2 * CLASSES * 4 / 1e6
    print(
        f"{side}×{side} pixels in {spent:.0f} s: {after:.0f} MB at most, {after - before:.0f} MB more than after one "
        f"tile, of which the label map is {label_map:.0f} MB; all logits at once would be {logits:.0f} MB\n",
        flush=True,
    )


def network() -> keras.Model:
    """The command line's default U-Net."""
    keras.utils.set_random_seed(0)
    return models.unet(CLASSES, filters=(16, 32, 64, 128))


def noise(side: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (side, side, 3), np.uint8)


def starts(side: int) -> list[int]:
    step = int(TILE * (1 - OVERLAP))
    return [*range(0, side - TILE, step), side - TILE]


def in_tiles(image: np.ndarray, tile: int) -> Callable[[], np.ndarray]:
    model = network()
    return lambda: predict(model, image, tile)


def predict(model: keras.Model, image: np.ndarray, tile: int) -> np.ndarray:
    return next(inference.predict(model, [image], tile=tile, overlap=OVERLAP))


def on_a_canvas(image: np.ndarray) -> Callable[[], np.ndarray]:
    """All logits of the image at once in memory, and their weights."""
    logits = compiled()
    distance = np.arange(TILE) - (TILE - 1) / 2
    bump = np.exp(-0.5 * (distance / (TILE / 8)) ** 2)
    weight = np.outer(bump, bump).astype(np.float32)[..., None]

    def run() -> np.ndarray:
        total, weights = np.zeros((*image.shape[:2], CLASSES), np.float32), np.zeros((*image.shape[:2], 1), np.float32)
        for top in starts(len(image)):
            for left in starts(len(image)):
                place = np.s_[top : top + TILE, left : left + TILE]
                total[place] += weight * logits(image[place][None])[0].numpy()
                weights[place] += weight
        total /= weights
        return total.argmax(-1).astype(np.uint8)

    return run


def network_alone(image: np.ndarray) -> Callable[[], None]:
    logits = compiled()
    tiles = [image[top : top + TILE, left : left + TILE] for top in starts(len(image)) for left in starts(len(image))]

    def run() -> None:
        for tile in tiles:
            logits(tile[None])

    return run


def compiled() -> Callable[[np.ndarray], tf.Tensor]:
    model = network()
    return tf.function(lambda images: model(tf.cast(images, tf.float32), training=False))


def memory(side: int) -> Callable[[], tuple[float, float, float]]:
    """The process's peak in MB after a tile and after the whole image, and the seconds that the image took."""
    model, image = network(), noise(side)

    def run() -> tuple[float, float, float]:
        predict(model, image[:TILE, :TILE], TILE)
        before, start = peak(), time.perf_counter()
        predict(model, image, TILE)
        return before, peak(), time.perf_counter() - start

    return run


def peak() -> float:
    """The most memory that the process has held, in MB."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6


if __name__ == "__main__":
    main()
