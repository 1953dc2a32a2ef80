"""What copy-paste and balance of the classes buy: one segmenter, trained with and without, on several seeds.

    python benchmarks/data_variants.py nuclei --data FOLDER --runs RUNS
    python benchmarks/data_variants.py voc-animals --data FOLDER --runs RUNS

FOLDER is the folder of nuclei, with {train,val}/{images,masks,instances}, or the one that holds VOCdevkit. Each row is
trained from every seed for the same number of steps, with all the training images and with every tenth of them, by
`keras-segen train`, and scored on all validation images. RUNS keeps the runs: the script goes on where it was stopped,
and prints the table of those that have ended.
"""

import argparse
import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
from harness import machine

SEVEN = ("background", "cat", "cow", "dog", "horse", "person", "sheep")  # of VOC's classes, those with many images
# By name, the options of every training.
NETWORKS = {
    "nuclei": "unet --epochs 5 --steps-per-epoch 150",
    "voc-animals": "fcn --data voc --backbone-width 0.25 --loss cross_entropy --image-size 256 --epochs 12 "
    "--steps-per-epoch 55 --learning-rate 0.003 --frozen-epochs 2 --released-learning-rate 0.001",
}
# By name, the rows: part of the training images, and what is added to the options.
ROWS = {
    "nuclei": [
        ("all", ""),
        ("all", "--copy-paste 0.5"),
        ("a tenth", ""),
        ("a tenth", "--copy-paste 0.5"),
    ],
    "voc-animals": [
        ("all", ""),
        ("all", "--copy-paste 0.5"),
        ("a tenth", ""),
        ("a tenth", "--copy-paste 0.5"),
        ("all", "--class-weights balanced"),
        ("all", "--oversampling 0.1"),
        ("all", "--class-weights balanced --oversampling 0.1"),
    ],
}


def main() -> None:
    parser = argparse.ArgumentParser(description="Score segmenters with and without copy-paste and balance.")
    parser.add_argument("experiment", choices=sorted(ROWS))
    parser.add_argument("--data", type=Path, required=True, metavar="FOLDER")
    parser.add_argument("--runs", type=Path, required=True, metavar="RUNS")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--backbone-weights", type=Path, metavar="FILE", help="of MobileNet 0.25, instead of Keras's")
    options = parser.parse_args()
    places = {"all": options.data.resolve(), "a tenth": tenth(options.experiment, options.data, options.runs)}
    for seed in options.seeds:
        for row in ROWS[options.experiment]:
            run = options.runs / f"{name(options.experiment, *row)} {seed}"
            if not (run / "metrics.json").is_file():
                words = [*NETWORKS[options.experiment].split(), *row[1].split(), "--seed", seed, "--out", run]
                words += ["--data" if options.experiment == "nuclei" else "--data-dir", places[row[0]]]
                if options.backbone_weights and options.experiment == "voc-animals":
                    words += ["--backbone-weights", options.backbone_weights.resolve()]
                train(words, resumed=run.exists())
    print(machine())
    print(table(options.experiment, options.runs, options.seeds))


def name(experiment: str, part: str, added: str) -> str:
    return f"{experiment}, {part}{', ' * bool(added)}{added.replace('--', '')}"


def train(words: list[object], *, resumed: bool) -> None:
    command = [sys.executable, "-m", "keras_segen_cli", "train", *map(str, words), *["--resume"] * resumed]
    print(f"\n{' '.join(command[3:])}", file=sys.stderr, flush=True)
    subprocess.run(command, check=True)


def tenth(experiment: str, data: Path, runs: Path) -> Path:
    """Make the data set with every tenth training image, in the order of the names, where it is not there yet."""
    place = runs.resolve() / f"{experiment}, a tenth of the images"
    if place.exists():
        return place
    unfinished = place.with_name(f"{place.name}, unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    if experiment == "nuclei":
        kept = sorted(path.stem for path in (data / "train/images").iterdir())[::10]
        for split in ("train", "val"):
            for kind in ("images", "masks", "instances"):
                (unfinished / split / kind).mkdir(parents=True)
                for path in (data / split / kind).iterdir():
                    if split == "val" or path.stem in kept:
                        (unfinished / split / kind / path.name).symlink_to(path.resolve())
    else:
        devkit = data / "VOCdevkit/VOC2012"
        copy = unfinished / "VOCdevkit/VOC2012"
        lists = copy / "ImageSets/Segmentation"
        lists.mkdir(parents=True)
        for kind in ("JPEGImages", "SegmentationClass"):
            (copy / kind).symlink_to((devkit / kind).resolve())
        train = (devkit / "ImageSets/Segmentation/train.txt").read_text().split()
        (lists / "train.txt").write_text("\n".join(sorted(train)[::10]))
        shutil.copy(devkit / "ImageSets/Segmentation/val.txt", lists)
    unfinished.rename(place)
    return place


def table(experiment: str, runs: Path, seeds: list[int]) -> str:
    """Return a row a variant: the mean over the seeds, and the least and the greatest."""
    lines = ["| training images | added | mean IoU | " + "of seven classes | " * (experiment != "nuclei") + "runs |"]
    for row in ROWS[experiment]:
        found = [runs / f"{name(experiment, *row)} {seed}" / "metrics.json" for seed in seeds]
        scores = [json.loads(path.read_text()) for path in found if path.is_file()]
        if not scores:
            continue
        cells = [*row, spread([score["mean_iou"] for score in scores])]
        if experiment != "nuclei":
            cells.append(spread([np.mean([score["per_class_iou"][each] for each in SEVEN]) for score in scores]))
        lines.append(f"| {' | '.join(cells)} | {len(scores)} |")
    return "\n".join(lines)


def spread(values: list[float]) -> str:
    return f"{np.mean(values):.3f} ({min(values):.3f} to {max(values):.3f})"


if __name__ == "__main__":
    main()
