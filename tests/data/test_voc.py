import json
import shutil

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

import keras_segen_cli
from examples.archive_host import Host, tar_of
from examples.voc_devkit import SIZES, draw_devkit, save_mat, scene
from keras_segen import plotting
from keras_segen.data import Augmentation, voc
from keras_segen.data import _pairs as pairs
from keras_segen.data import _sbd as sbd
from keras_segen.data._voc import ARCHIVES, CLASS_NAMES, find_voc, read_voc
from keras_segen.errors import InputError

VOID = 255


@pytest.fixture
def devkit(tmp_path):
    first, second, third, _ = SIZES
    splits = {"train": [first, second], "val": [third], "trainval": [first, second, third]}
    return draw_devkit(tmp_path / "VOCdevkit" / "VOC2012", splits)


@pytest.fixture(autouse=True)
def host(monkeypatch):
    """The one host of all archives, which has none."""
    with Host() as host:
        nothing = host.archive(b"", "/gone")
        for splits in ARCHIVES.values():
            for split in splits:
                monkeypatch.setitem(splits, split, nothing)
        monkeypatch.setattr(sbd, "ARCHIVE", nothing)
        yield host


def packed(folder):
    """The files below a folder, as an archive of them."""
    return tar_of({str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()})


@pytest.mark.parametrize("up", [0, 1, 2])
def test_the_devkit_is_read_as_it_lies(devkit, up):
    data_dir = [devkit, *devkit.parents][up]
    batches = [(image.numpy(), mask.numpy()) for image, mask in voc("trainval", data_dir=data_dir)]
    assert len(batches) == 3
    for seed, ((image, mask), size) in enumerate(zip(batches, list(SIZES.values())[:3], strict=True)):
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


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:crops of .* are larger than most training images")
@settings(max_examples=12, deadline=None)
@given(
    seed=st.integers(0, 99),
    scale=st.tuples(st.floats(0.1, 1), st.floats(1, 8)),
    size=st.sampled_from([9, 32]),
    flip=st.booleans(),
)
def test_ids_stay_those_of_voc_through_every_augmentation(tmp_path_factory, seed, scale, size, flip):
    path = tmp_path_factory.mktemp("pair")
    rng = np.random.default_rng(seed)
    mask = rng.choice([*range(len(CLASS_NAMES)), VOID], rng.integers(2, 60, 2)).astype("uint8")
    Image.fromarray(mask).save(path / "mask.png")
    Image.fromarray(np.stack([mask] * 3, -1)).save(path / "image.png")
    pair = pairs.read_pair(path / "image.png", path / "mask.png")
    varied = Augmentation(scale=scale, flip=flip)
    drawn = pairs.Pairs([pair]).dataset(
        image_size=size, batch_size=4, training=True, seed=seed, augmentation=varied, start=0
    )
    images, masks = next(drawn.as_numpy_iterator())
    assert masks.shape == (4, size, size)
    assert {*np.unique(masks)} <= {*np.unique(mask), VOID} <= {*range(21), VOID}
    assert np.isfinite(images).all()
    assert images.min() >= 0
    assert images.max() <= 255


@pytest.fixture
def archives(tmp_path, monkeypatch, host):
    """Archives of VOC 2007, one of them for two splits."""
    first, second, third, _ = SIZES
    draw_devkit(tmp_path / "a/VOCdevkit/VOC2007", {"train": [first], "val": [second]})
    draw_devkit(tmp_path / "b/VOCdevkit/VOC2007", {"test": [third]})
    trainval = host.archive(packed(tmp_path / "a"), "/trainval", name="trainval.tar")
    for split in ("train", "val"):
        monkeypatch.setitem(ARCHIVES[2007], split, trainval)
    monkeypatch.setitem(ARCHIVES[2007], "test", host.archive(packed(tmp_path / "b"), "/test", name="test.tar"))


@pytest.mark.usefixtures("archives")
def test_what_is_not_there_is_downloaded(tmp_path, host):
    (data_dir := tmp_path / "data").mkdir()
    for split, seed in (("val", 1), ("test", 2), ("train", 0), ("val", 1)):
        ((image, mask),) = voc(split, data_dir=data_dir, year=2007).as_numpy_iterator()
        expected_image, expected_mask = scene(SIZES[list(SIZES)[seed]], seed)
        np.testing.assert_array_equal(mask[0], expected_mask)
        assert np.abs(image[0] - expected_image).mean() < 6
    assert [path for path, _ in host.asked] == ["/trainval", "/test"]
    assert [path.name for path in data_dir.iterdir()] == ["VOCdevkit"]


@pytest.mark.usefixtures("archives")
def test_where_the_devkit_itself_is_named_archives_go_into_it(tmp_path):
    _, second, *_ = SIZES
    (devkit := tmp_path / "other/VOCdevkit").mkdir(parents=True)
    assert find_voc("val", devkit, year=2007) == [
        (devkit / f"VOC2007/JPEGImages/{second}.jpg", devkit / f"VOC2007/SegmentationClass/{second}.png")
    ]


def test_trainaug_is_all_that_has_a_mask_save_val(devkit, monkeypatch, host):
    first, second, third, fourth = SIZES
    extra = devkit.parents[1] / "sbd" / "benchmark_RELEASE" / "dataset"
    for name, size in SIZES.items():
        save_mat(extra / "cls" / f"{name}.mat", np.full(size, 7, "uint8"))
    (extra / "train.txt").write_text(f"{fourth}\n{first}\n")
    (extra / "val.txt").write_text(f"{third}\n")
    image, _ = scene(SIZES[fourth], 3)
    Image.fromarray(image).save(devkit / "JPEGImages" / f"{fourth}.jpg")
    monkeypatch.setattr(sbd, "ARCHIVE", host.archive(packed(extra.parents[1]), "/sbd", name="benchmark.tgz"))
    shutil.rmtree(extra.parents[1])
    found = read_voc("trainaug", devkit)
    assert [pair.image.stem for pair in found.pairs] == [first, second, fourth]
    masks = [mask[0] for _, mask in voc("trainaug", data_dir=devkit.parents[1]).as_numpy_iterator()]
    for seed, mask in enumerate(masks[:2]):
        np.testing.assert_array_equal(mask, scene(SIZES[list(SIZES)[seed]], seed)[1])
    np.testing.assert_array_equal(masks[2], np.full(SIZES[fourth], 7))
    assert [path for path, _ in host.asked] == ["/sbd"]
    assert (devkit.parents[1] / "benchmark_RELEASE/dataset/cls").is_dir()


@pytest.mark.slow
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
    ids = train.ids | val.ids
    assert ids <= {*range(21), VOID}
    names = {CLASS_NAMES[i] for i in ids - {VOID}}
    assert {"background", "cat", "cow", "dog", "horse", "person", "sheep"} <= names
    assert train.fingerprint != val.fingerprint


def test_palette_round_trip():
    ids = np.arange(256, dtype="uint8").reshape(16, 16)
    np.testing.assert_array_equal(plotting.class_ids(plotting.voc_palette()[ids]), ids)
    with pytest.raises(ValueError, match=r"no colour \(1, 2, 3\)"):
        plotting.class_ids(np.array([[[0, 0, 0], [1, 2, 3]]], "uint8"))


def test_a_devkit_that_is_wrong_is_named(devkit):
    folder = devkit.parents[1]
    with pytest.raises(
        InputError,
        match=rf"{folder}/kit.tar: is not there, and could not be fetched .* put it into {folder} as kit.tar$",
    ):
        voc("test", data_dir=devkit.parent, year=2007)
    with pytest.raises(ValueError, match="split='test', year=2012"):
        voc("test", data_dir=devkit)
    with pytest.raises(InputError, match="nowhere: is not a folder: name the one that holds VOCdevkit"):
        voc("train", data_dir=folder / "nowhere")
    mask = np.asarray(Image.open(devkit / "SegmentationClass/2007_000002.png")).copy()
    mask[0, 0] = 30
    Image.fromarray(mask).save(devkit / "SegmentationClass/2007_000002.png")
    with pytest.raises(InputError, match=r"2007_000002.png: holds class id 30, but there are 21 classes"):
        voc("train", data_dir=devkit)
    (devkit / "JPEGImages/2007_000001.jpg").unlink()
    with pytest.raises(InputError, match=r"2007_000001.jpg: cannot be read"):
        voc("train", data_dir=devkit)
    listing = devkit / "ImageSets/Segmentation/train.txt"
    for content, message in (
        ("", "must name images"),
        ("a a", "must name images"),
        ("é", "is not a list of image names"),
    ):
        listing.write_text(content)
        with pytest.raises(InputError, match=message):
            voc("train", data_dir=devkit)
    renamed = devkit.parent.rename(folder / "renamed")
    (renamed / "VOC2012/ImageSets/Segmentation/train.txt").unlink()
    with pytest.raises(InputError, match=r"train.txt: is not there: take the whole devkit"):
        voc("train", data_dir=renamed)


def test_a_damaged_pair_is_named(devkit):
    mask = devkit / "SegmentationClass/2007_000002.png"
    whole = mask.read_bytes()
    mask.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match=r"2007_000002.png: is damaged or truncated"):
        voc("train", data_dir=devkit)
    Image.fromarray(np.zeros((5, 5), "uint8")).save(mask)
    with pytest.raises(InputError, match=r"2007_000002.png: the mask is 5×5 pixels, but its image .* is 33×41"):
        voc("train", data_dir=devkit)
    mask.unlink()
    with pytest.raises(InputError, match=r"2007_000002.png: cannot be read: No such file"):
        voc("train", data_dir=devkit)
