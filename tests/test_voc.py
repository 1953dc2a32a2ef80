import json

import numpy as np
import pytest
from PIL import Image

import keras_segen_cli
from keras_segen import plotting
from keras_segen.data import voc
from keras_segen.data.pairs import fingerprint
from keras_segen.data.voc import CLASS_NAMES, read_voc
from keras_segen.errors import InputError

VOID = 255
SIZES = {"2007_000001": (30, 40), "2007_000002": (41, 33), "2008_000003": (35, 35)}


def scene(size, seed):
    """A picture and its mask, which follows from its red: 40 for a pixel of class 1, and so on, black void."""
    rng = np.random.default_rng(seed)
    ids = rng.choice([0, 3, 15, VOID], (size[0] // 5 + 1, size[1] // 5 + 1)).astype("uint8")
    mask = ids.repeat(5, 0).repeat(5, 1)[: size[0], : size[1]]
    red = np.where(mask == VOID, 0, 60 + 10 * mask.astype(int))
    return np.stack([red, 0 * red + 128, 0 * red + 128], -1).astype("uint8"), mask


@pytest.fixture
def devkit(tmp_path):
    root = tmp_path / "VOCdevkit" / "VOC2012"
    for folder in ("JPEGImages", "SegmentationClass", "ImageSets/Segmentation"):
        (root / folder).mkdir(parents=True)
    for seed, (name, size) in enumerate(SIZES.items()):
        image, mask = scene(size, seed)
        Image.fromarray(image).save(root / "JPEGImages" / f"{name}.jpg", quality=100, subsampling=0)
        picture = Image.fromarray(mask, mode="P")
        picture.putpalette(plotting.voc_palette().tobytes())
        picture.save(root / "SegmentationClass" / f"{name}.png")
    names = list(SIZES)
    for split, chosen in (("train", names[:2]), ("val", names[2:]), ("trainval", names)):
        (root / "ImageSets/Segmentation" / f"{split}.txt").write_text("\n".join(chosen) + "\n")
    return root


@pytest.mark.parametrize("up", [0, 1, 2])
def test_the_devkit_is_read_as_it_lies(devkit, up):
    data_dir = [devkit, *devkit.parents][up]
    batches = [(image.numpy(), mask.numpy()) for image, mask in voc("trainval", data_dir=data_dir)]
    assert len(batches) == 3
    for seed, ((image, mask), size) in enumerate(zip(batches, SIZES.values(), strict=True)):
        expected_image, expected_mask = scene(size, seed)
        np.testing.assert_array_equal(mask[0], expected_mask)
        assert np.abs(image[0] - expected_image).mean() < 6
    assert [len(read_voc(split, data_dir)) for split in ("train", "val")] == [2, 1]


def test_augmented_masks_stay_aligned_and_hold_no_other_ids(devkit):
    drawn = voc("train", data_dir=devkit, image_size=32, batch_size=2, training=True, seed=3)
    for image, mask in drawn.take(20):
        ids = set(np.unique(mask).tolist())
        assert ids <= {0, 3, 15, VOID}
        # Bright red where class 15 is, dark where it is background, whatever crop, scale, flip and colours.
        red = image.numpy()[..., 0] - image.numpy()[..., 1]
        for one in range(2):
            if (mask[one] == 15).numpy().sum() > 60 and (mask[one] == 0).numpy().sum() > 60:
                assert red[one][mask[one] == 15].mean() > red[one][mask[one] == 0].mean() + 30


def test_a_unet_is_trained_on_it_from_the_command_line(devkit, tmp_path):
    train = ["train", "unet", "--data", "voc", "--epochs", "1", "--steps-per-epoch", "2", "--batch-size", "2"]
    train += ["--image-size", "32", "--filters", "4", "8"]
    assert keras_segen_cli.main([*train, "--data-dir", str(devkit.parents[1]), "--out", str(tmp_path / "run")]) == 0
    scores = json.loads((tmp_path / "run/metrics.json").read_text())
    assert scores["images"] == 1
    assert list(scores["per_class_iou"]) == list(CLASS_NAMES)
    assert keras_segen_cli.main([*train, "--data-dir", str(tmp_path / "run")]) == 2


def test_real_devkit(real_data):
    root = real_data("VOCdevkit")
    train, val = (read_voc(split, root) for split in ("train", "val"))
    assert (len(train), len(val)) == (440, 145)
    ids = frozenset().union(*(pair.ids for pair in (*train, *val)))
    assert ids <= {*range(21), VOID}
    names = {CLASS_NAMES[i] for i in ids - {VOID}}
    assert {"background", "cat", "cow", "dog", "horse", "person", "sheep"} <= names
    assert fingerprint(train) != fingerprint(val)


def test_palette_round_trip():
    ids = np.arange(256, dtype="uint8").reshape(16, 16)
    np.testing.assert_array_equal(plotting.class_ids(plotting.voc_palette()[ids]), ids)
    with pytest.raises(ValueError, match=r"no colour \(1, 2, 3\)"):
        plotting.class_ids(np.array([[[0, 0, 0], [1, 2, 3]]], "uint8"))


def test_what_is_wrong_is_named(devkit):
    with pytest.raises(InputError, match=r"holds no VOCdevkit/VOC2007 .* fetch http.*VOCtest_06-Nov-2007.tar"):
        voc("test", data_dir=devkit.parent, year=2007)
    with pytest.raises(ValueError, match="split='test', year=2012"):
        voc("test", data_dir=devkit)
    mask = np.asarray(Image.open(devkit / "SegmentationClass/2007_000002.png")).copy()
    mask[0, 0] = 30
    Image.fromarray(mask).save(devkit / "SegmentationClass/2007_000002.png")
    with pytest.raises(InputError, match=r"2007_000002.png: holds class id 30, but there are 21 classes"):
        voc("train", data_dir=devkit)
    (devkit / "JPEGImages/2007_000001.jpg").unlink()
    with pytest.raises(InputError, match=r"2007_000001.jpg: cannot be read"):
        voc("train", data_dir=devkit)
    listing = devkit / "ImageSets/Segmentation/train.txt"
    for content, message in (("", "must name images"), ("a a", "must name images"), ("é", "no list of image names")):
        listing.write_text(content)
        with pytest.raises(InputError, match=message):
            voc("train", data_dir=devkit)
    listing.unlink()
    with pytest.raises(InputError, match=r"train.txt: is not there"):
        voc("train", data_dir=devkit)
