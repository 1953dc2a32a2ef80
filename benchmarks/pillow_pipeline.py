"""Crops of JPEGs and masks by Pillow and NumPy in worker processes, see `folder_pipeline`."""

import math
import multiprocessing
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from harness import CORES
from PIL import Image, ImageFilter
from scipy import ndimage


@dataclass(frozen=True)
class Reach:
    """How far crops are varied, as `keras_segen.data.Augmentation` says it, which would import TensorFlow here."""

    scale: tuple[float, float]
    quarter_turns: bool
    rotation: float
    elastic: float
    gamma: float
    blur: float
    noise: float


# The paths of image and mask, the crop's side, the seed.
Task = tuple[list[tuple[Path, Path]], int, Reach, int]


def taking(paths: list[tuple[Path, Path]], size: int, reach: Reach, batch: int, batches: int) -> Callable[[], None]:
    """Take batches from worker processes, each of which is a task."""
    pool = multiprocessing.get_context("spawn").Pool(CORES)

    def run() -> None:
        rng = np.random.default_rng(0)
        tasks = [([paths[i] for i in rng.integers(0, len(paths), batch)], size, reach, i) for i in range(batches)]
        for _ in pool.imap(crops, tasks):
            pass

    return run


def crops(task: Task) -> tuple[np.ndarray, np.ndarray]:
    """One batch: Pillow decodes and resizes the window, NumPy and SciPy do the rest."""
    paths, size, reach, seed = task
    rng = np.random.default_rng(seed)
    (least, most), images, masks = reach.scale, [], []
    for image_path, mask_path in paths:
        with Image.open(image_path) as image, Image.open(mask_path) as mask:
            side = min(size / (least * (most / least) ** rng.random()), *image.size)
            left, top = rng.random(2) * (np.array(image.size) - side)
            box = (left, top, left + side, top + side)
            resized = image.convert("RGB").resize((size, size), Image.Resampling.BILINEAR, box)
            if reach.blur and rng.random() < 0.5:
                resized = resized.filter(ImageFilter.GaussianBlur(reach.blur * rng.random()))
            crop = np.asarray(resized, np.float32)
            ids = np.asarray(mask.resize((size, size), Image.Resampling.NEAREST, box))
        if reach.rotation or reach.elastic:
            crop, ids = moved(crop, ids, reach, rng)
        if rng.random() < 0.5:
            crop, ids = crop[:, ::-1], ids[:, ::-1]
        if reach.quarter_turns:
            turns = int(rng.integers(4))
            crop, ids = np.rot90(crop, turns), np.rot90(ids, turns)
        grey = crop @ np.array([0.299, 0.587, 0.114], np.float32)
        contrast, saturation, brightness = rng.uniform(0.8, 1.2), rng.uniform(0.8, 1.2), rng.uniform(-51, 51)
        crop = grey[..., None] + saturation * (crop - grey[..., None])
        crop = np.clip((crop - 127.5) * contrast + 127.5 + brightness, 0, 255)
        if reach.gamma:
            crop = 255 * (crop / 255) ** (1 + reach.gamma) ** rng.uniform(-1, 1)
        if reach.noise and rng.random() < 0.5:
            noise = rng.standard_normal(crop.shape, np.float32)
            crop = np.clip(crop + 255 * reach.noise * rng.random() * noise, 0, 255)
        images.append(crop.astype(np.float32))
        masks.append(ids)
    return np.stack(images), np.stack(masks)


def moved(crop: np.ndarray, ids: np.ndarray, reach: Reach, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Turn and deform a crop and its mask, bilinearly and by the nearest pixel."""
    size = len(ids)
    angle = math.radians(rng.uniform(-reach.rotation, reach.rotation))
    places = np.arange(size) - (size - 1) / 2
    rows = math.cos(angle) * places[:, None] - math.sin(angle) * places + (size - 1) / 2
    columns = math.sin(angle) * places[:, None] + math.cos(angle) * places + (size - 1) / 2
    shift = rng.normal(0, reach.elastic * size, (2, 3, 3))
    smooth = [ndimage.zoom(part, size / 3, order=3, grid_mode=True, mode="nearest") for part in shift]
    cells = np.array([rows + smooth[0], columns + smooth[1]])
    channels = [
        ndimage.map_coordinates(crop[..., i], cells, order=1, mode="constant", cval=127) for i in range(crop.shape[2])
    ]
    return np.stack(channels, -1), ndimage.map_coordinates(ids, cells, order=0, mode="constant", cval=255)
