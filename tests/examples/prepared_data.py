"""Small data sets that TensorFlow Datasets prepares by its own builders, from files drawn instead of downloaded."""

import json
import struct
import zipfile

import numpy as np
import tensorflow_datasets as tfds
from PIL import Image

# Squares of JPEG's own size, so that their colours come back.
SQUARE = 8


def squares(rng, height, width, values):
    """Return uint8 (height, width) of squares with one of the values each."""
    coarse = rng.choice(np.array(values), (-(-height // SQUARE), -(-width // SQUARE)))
    return coarse.repeat(SQUARE, 0).repeat(SQUARE, 1)[:height, :width]


def save_jpeg(red, path):
    """Save an image of which the red channel is given and the others follow."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = np.stack([red, 255 - red, np.full_like(red, 100)], -1).astype("uint8")
    Image.fromarray(image).save(path, format="JPEG", quality=100, subsampling=0)


def instead_of_downloads(monkeypatch, paths):
    """Let builders find these paths, by the keys that they ask for, where they would have unpacked downloads."""
    monkeypatch.setattr(
        tfds.download.DownloadManager, "download_and_extract", lambda self, urls: {key: str(paths[key]) for key in urls}
    )

    def extract(self, archive):
        into = archive.removesuffix(".zip")
        with zipfile.ZipFile(archive) as file:
            file.extractall(into)
        return into

    monkeypatch.setattr(tfds.download.DownloadManager, "extract", extract)


def draw_pets(folder, monkeypatch, *, train=5, test=3):
    """Draw Oxford-IIIT Pet's files; returns the trimaps by their images' names. Red is 80 times the trimap's value."""
    rng = np.random.default_rng(0)
    trimaps = {}
    for listing, first, count in (("trainval", 0, train), ("test", train, test)):
        lines = []
        for i in range(first, first + count):
            name = f"pug_{i}"
            trimap = squares(rng, 40 + 3 * i, 60 - 2 * i, [1, 2, 3]).astype("uint8")
            save_jpeg(80 * trimap, folder / "images" / f"{name}.jpg")
            (folder / "annotations/trimaps").mkdir(parents=True, exist_ok=True)
            Image.fromarray(trimap).save(folder / "annotations/trimaps" / f"{name}.png")
            trimaps[f"{name}.jpg"] = trimap
            lines.append(f"{name} 26 2 8\n")
        (folder / f"annotations/{listing}.txt").write_text("".join(lines))
    instead_of_downloads(monkeypatch, {"images": folder, "annotations": folder})
    return trimaps


def draw_coco(folder, monkeypatch, names, *, train=5, val=3):
    """Draw COCO's panoptic files; returns masks by their images' names. Red is a class's index plus 50, 0 without one.

    Classes are numbered with gaps, as COCO's are, and an image has two segments of one class.
    """
    rng = np.random.default_rng(0)
    categories = [{"id": i + i // 7 + 1, "name": name, "isthing": int(i < 80)} for i, name in enumerate(names)]
    masks = {}
    for split, first, count in (("train2017", 0, train), ("val2017", train, val)):
        images, annotations, pngs = [], [], {}
        for i in range(first, first + count):
            name, height, width = f"{i:012}.jpg", 48 + 3 * i, 64 - 2 * i
            some = rng.choice(len(names), 4, replace=False)
            classes = [255, *some, some[0]]
            segments = [0, *rng.choice(2**24 - 1, 5, replace=False) + 1]
            part = squares(rng, height, width, range(6))
            part[:SQUARE, :SQUARE], part[:SQUARE, SQUARE : 2 * SQUARE] = 1, 5
            masks[name] = np.array(classes, "uint8")[part]
            save_jpeg(np.where(masks[name] == 255, 0, masks[name] + 50), folder / "images" / split / name)
            ids = np.array(segments)[part]
            pngs[name.replace("jpg", "png")] = np.stack([ids % 256, ids // 256 % 256, ids // 256**2], -1).astype(
                "uint8"
            )
            images.append({"id": i, "file_name": name, "height": height, "width": width})
            shown = [k for k in range(1, 6) if (part == k).any()]
            annotations.append(
                {
                    "image_id": i,
                    "file_name": name.replace("jpg", "png"),
                    "segments_info": [
                        {
                            "id": int(segments[k]),
                            "category_id": categories[classes[k]]["id"],
                            "area": int((part == k).sum()),
                            "bbox": [0, 0, width, height],
                            "iscrowd": int(k == 2),
                        }
                        for k in shown
                    ],
                }
            )
        (folder / "annotations").mkdir(parents=True, exist_ok=True)
        (folder / f"annotations/panoptic_{split}.json").write_text(
            json.dumps({"images": images, "annotations": annotations, "categories": categories})
        )
        with zipfile.ZipFile(folder / f"annotations/panoptic_{split}.zip", "w") as file:
            for name, png in pngs.items():
                Image.fromarray(png).save(folder / name)
                file.write(folder / name, f"panoptic_{split}/{name}")
    splits = ("train", "validation")
    instead_of_downloads(
        monkeypatch,
        {f"{split}_images": folder / "images" for split in splits}
        | {f"{split}_annotations": folder for split in splits},
    )
    return masks


def mnist_files(images, labels):
    """Return the contents of MNIST's two files, unpacked, for these images and labels."""
    return (
        struct.pack(">IIII", 2051, len(images), 28, 28) + images.tobytes(),
        struct.pack(">II", 2049, len(labels)) + labels.astype("uint8").tobytes(),
    )


def prepare_fashion_mnist(folder, monkeypatch, contents):
    """Let TensorFlow Datasets prepare Fashion-MNIST from the `mnist_files` of both splits."""
    from tensorflow_datasets.image_classification import mnist as builders

    paths = {}
    for split, files in contents.items():
        for kind, file in zip(("data", "labels"), files, strict=True):
            paths[f"{split}_{kind}"] = folder / f"{split}_{kind}"
            paths[f"{split}_{kind}"].write_bytes(file)
    for split, constant in (("train", "_TRAIN_EXAMPLES"), ("test", "_TEST_EXAMPLES")):
        monkeypatch.setattr(builders, constant, len(contents[split][1]) - 8)
    instead_of_downloads(monkeypatch, paths)
