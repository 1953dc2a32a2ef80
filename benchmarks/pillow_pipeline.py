"""Crops of JPEGs and masks by Pillow and NumPy in worker processes, see `folder_pipeline`."""

import multiprocessing
from collections.abc import Callable
from pathlib import Path

import numpy as np
from harness import CORES
from PIL import Image

# The paths of image and mask, the crop's side, the bounds of the scale, the seed.
Task = tuple[list[tuple[Path, Path]], int, tuple[float, float], int]


def taking(
    paths: list[tuple[Path, Path]], size: int, scale: tuple[float, float], batch: int, batches: int
) -> Callable[[], None]:
    """Take batches from worker processes, each of which is a task."""
    pool = multiprocessing.get_context("spawn").Pool(CORES)

    def run() -> None:
        rng = np.random.default_rng(0)
        tasks = [([paths[i] for i in rng.integers(0, len(paths), batch)], size, scale, i) for i in range(batches)]
        for _ in pool.imap(crops, tasks):
            pass

    return run


def crops(task: Task) -> tuple[np.ndarray, np.ndarray]:
    """One batch: Pillow decodes and resizes the window, NumPy flips and varies the colours."""
    paths, size, (least, most), seed = task
    rng = np.random.default_rng(seed)
    images, masks = [], []
    for image_path, mask_path in paths:
        with Image.open(image_path) as image, Image.open(mask_path) as mask:
            side = min(size / (least * (most / least) ** rng.random()), *image.size)
            left, top = rng.random(2) * (np.array(image.size) - side)
            box = (left, top, left + side, top + side)
            crop = np.asarray(image.convert("RGB").resize((size, size), Image.Resampling.BILINEAR, box), np.float32)
            ids = np.asarray(mask.resize((size, size), Image.Resampling.NEAREST, box))
        if rng.random() < 0.5:
            crop, ids = crop[:, ::-1], ids[:, ::-1]
        grey = crop @ np.array([0.299, 0.587, 0.114], np.float32)
        contrast, saturation, brightness = rng.uniform(0.8, 1.2), rng.uniform(0.8, 1.2), rng.uniform(-51, 51)
        crop = grey[..., None] + saturation * (crop - grey[..., None])
        images.append(np.clip((crop - 127.5) * contrast + 127.5 + brightness, 0, 255).astype(np.float32))
        masks.append(ids)
    return np.stack(images), np.stack(masks)
