"""A folder for segmentation that is another one with further training images, composed of its objects."""

import math
import shutil
from collections.abc import Sequence
from pathlib import Path

from keras_segen.data import _pairs
from keras_segen.data._composed_scenes import IMAGES, INSTANCES, MASKS, Scenes
from keras_segen.data._composition import SOFTNESS
from keras_segen.data._folder import files_by_stem, find_pairs, find_splits, read_folder
from keras_segen.data._image_files import is_hidden
from keras_segen.data._in_threads import in_threads
from keras_segen.data._split import TRAIN, VAL, existing_folder, normalized
from keras_segen.errors import InputError
from keras_segen.files import building, require_place
from keras_segen.types import PathLike

CLASSES = "classes.txt"
# In a scene; instance maps of 16 bits must have numbers left for them.
MOST_OBJECTS = 1000


def compose(
    data_dir: PathLike,
    out: PathLike,
    *,
    count: int,
    seed: int = 0,
    objects: tuple[int, int] = (1, 8),
    scale: tuple[float, float] = (0.5, 2.0),
    softness: float = SOFTNESS,
    verbose: bool = False,
) -> int:
    """Write a folder for segmentation again, with scenes composed of its objects among its training images.

    Each scene is a training image into which objects of one other training image are pasted (Simple Copy-Paste, Ghiasi
    et al., 2021, arXiv:2012.07177). Each object is mirrored left and right or not, scaled by a factor that is uniform
    in its logarithm (the image bilinearly, the mask by nearest neighbour), and placed at random with its middle inside
    the picture. The mask gets its class where the object is, to the pixel; the image is blended with the object's mask
    smoothed by a Gaussian. Objects that are covered lose these pixels. Objects that their image's border cuts off are
    taken only where no others are left: inside a picture they would end in a straight line.

    The folder is one that `folder` reads. Beside `masks` there may be `instances`, with files of the same names: PNGs
    of 16 or 8 bits, 0 where no object is and else the number of the object. Without it an object is what hangs together
    in the mask and is of one class. Class 0 is the background, and 255 is void; neither is an object.

    Classes, images, masks and instance maps are copied as they are. A folder without splits of its own becomes one with
    `train` and `val`, divided as `folder` divides it, so that validation images stay the same and hold nothing
    composed. Scenes are named `composed_000000` and so on. They are PNGs where all images are pictures of 8 bits, else
    TIFFs or arrays (`.npy`) of the images' type and channels. An interrupted call leaves no folder `out`.

    Args:
        data_dir: The folder.
        out: The folder that is made. It must not exist, nor lie inside `data_dir`.
        count: The number of scenes, at least 1.
        seed: The seed: every scene follows from it and its own number.
        objects: The least and the greatest number of objects that are pasted into a scene. An image that has fewer
            gives them more than once. At most 1000.
        scale: The least and the greatest factor of an object's size, both over 0.
        softness: The standard deviation of the Gaussian, in pixels; 0 for hard edges.
        verbose: Whether to show progress bars.

    Returns:
        The number of objects that were pasted into all scenes together.

    Raises:
        InputError: For a folder, a file or an `out` that cannot be used, or training images without any object.
        ValueError: For another argument out of range.

    Example:
        >>> for name in ("train/images/1.png", "train/images/2.png", "train/masks/1.png", "train/masks/2.png"):
        ...     ks.plotting.save_image(np.eye(32, dtype="uint8"), f"my_folder/{name}")
        >>> ks.data.compose("my_folder", "my_scenes", count=3, objects=(2, 2))
        6
        >>> len(ks.data.read_folder("train", "my_scenes"))
        5
    """
    _check(count, objects, scale, softness)
    root, out = existing_folder(data_dir), Path(out).absolute()
    _require_new(out, root)
    own = find_splits(root)
    pairs = read_folder(TRAIN, root, verbose=verbose)
    instances = _instance_paths(root / TRAIN if own else root, pairs)
    scenes = Scenes(pairs, instances, seed, objects, scale, softness)
    givers = scenes.givers(verbose=verbose)
    files = _files_of_splits(root, own) if own else _divided(root)

    with building(out) as folder:
        for file, place in files:
            (folder / place).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(file, folder / place)
        pasted = in_threads(
            lambda number: scenes.write(number, givers, folder / TRAIN), range(count), verbose=verbose, unit="scene"
        )
    return sum(pasted)


def _check(count: int, objects: tuple[int, int], scale: tuple[float, float], softness: float) -> None:
    if count < 1:
        raise ValueError(f"`count` must be a whole number of at least 1. Received: count={count!r}")
    if len(objects) != 2 or not 1 <= objects[0] <= objects[1] <= MOST_OBJECTS:
        raise ValueError(
            f"`objects` must be two numbers from 1 to {MOST_OBJECTS}, in order. Received: objects={objects!r}"
        )
    if len(scale) != 2 or not 0 < scale[0] <= scale[1] < math.inf:
        raise ValueError(f"`scale` must be two positive factors in order. Received: scale={scale!r}")
    if not 0 <= softness < math.inf:
        raise ValueError(f"`softness` must be a number of at least 0. Received: softness={softness!r}")


def _require_new(out: Path, root: Path) -> None:
    if root.resolve() in (out.resolve(), *out.resolve().parents):
        raise InputError(f"{out}: is {root} itself, or lies inside it: name a folder beside it")
    if out.exists():
        raise InputError(f"{out}: exists already: name another folder")
    require_place(out)


def _instance_paths(base: Path, pairs: _pairs.Pairs) -> list[Path] | None:
    """Return the instance map of each pair; None if there are none at all."""
    folder = base / INSTANCES
    if not folder.is_dir():
        return None
    found = files_by_stem(folder)
    stems = [normalized(pair.mask.stem) for pair in pairs.pairs]
    for stem, pair in zip(stems, pairs.pairs, strict=True):
        if stem not in found:
            raise InputError(f"{pair.mask}: has no instance map: add {folder / stem}.png, or move all of {folder} away")
    return [found[stem] for stem in stems]


def _files_of_splits(root: Path, own: Sequence[str]) -> list[tuple[Path, Path]]:
    """Return each file of a folder with splits, and its place in a copy."""
    folders = [root / split / part for split in own for part in (IMAGES, MASKS, INSTANCES)]
    files = [file for folder in folders if folder.is_dir() for file in sorted(folder.iterdir())]
    files = [file for file in [root / CLASSES, *files] if file.is_file() and not is_hidden(file)]
    return [(file, file.relative_to(root)) for file in files]


def _divided(root: Path) -> list[tuple[Path, Path]]:
    """Return each file of a folder without splits, and its place in a copy with those that `folder` makes."""
    files = [(root / CLASSES, Path(CLASSES))] if (root / CLASSES).is_file() else []
    instances = files_by_stem(root / INSTANCES) if (root / INSTANCES).is_dir() else {}
    for split in (TRAIN, VAL):
        for image, mask in find_pairs(root, split):
            files += [(image, Path(split, IMAGES, image.name)), (mask, Path(split, MASKS, mask.name))]
            if instance := instances.get(normalized(mask.stem)):
                files.append((instance, Path(split, INSTANCES, instance.name)))
    return files
