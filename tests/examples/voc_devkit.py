"""A small devkit of Pascal VOC, drawn on the spot, and masks as SBD's files hold them."""

import numpy as np
from PIL import Image
from scipy.io import savemat
from scipy.sparse import csc_array

from keras_segen import plotting

VOID = 255
SIZES = {"2007_000001": (30, 40), "2007_000002": (41, 33), "2008_000003": (35, 35), "2008_000004": (36, 44)}


def scene(size, seed):
    """A picture and its mask, which follows from its red: 40 for a pixel of class 1, and so on, black void."""
    rng = np.random.default_rng(seed)
    ids = rng.choice([0, 3, 15, VOID], (size[0] // 5 + 1, size[1] // 5 + 1)).astype("uint8")
    mask = ids.repeat(5, 0).repeat(5, 1)[: size[0], : size[1]]
    red = np.where(mask == VOID, 0, 60 + 10 * mask.astype(int))
    return np.stack([red, 0 * red + 128, 0 * red + 128], -1).astype("uint8"), mask


def draw_devkit(root, splits):
    """Draw a devkit's folder of a year: names by split."""
    for folder in ("JPEGImages", "SegmentationClass", "ImageSets/Segmentation"):
        (root / folder).mkdir(parents=True)
    for seed, (name, size) in enumerate(SIZES.items()):
        if any(name in names for names in splits.values()):
            image, mask = scene(size, seed)
            Image.fromarray(image).save(root / "JPEGImages" / f"{name}.jpg", quality=100, subsampling=0)
            picture = Image.fromarray(mask, mode="P")
            picture.putpalette(plotting.voc_palette().tobytes())
            picture.save(root / "SegmentationClass" / f"{name}.png")
    for split, names in splits.items():
        (root / "ImageSets/Segmentation" / f"{split}.txt").write_text("\n".join(names) + "\n")
    return root


def save_mat(path, mask):
    """Write a mask as SBD's files hold it: a struct that holds the classes' boundaries, sparse, too."""
    path.parent.mkdir(parents=True, exist_ok=True)
    boundaries = np.empty((20, 1), object)
    for i in range(20):
        boundaries[i, 0] = csc_array(mask == i + 1)
    present = np.unique(mask[mask > 0])[:, None]
    savemat(path, {"GTcls": {"Boundaries": boundaries, "Segmentation": mask, "CategoriesPresent": present}})
