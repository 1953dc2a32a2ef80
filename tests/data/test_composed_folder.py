import shutil
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
import tifffile
from PIL import Image

from keras_segen.data import VOID, compose, folder_splits, read_channels, read_folder
from keras_segen.data._composed_scenes import _scaled
from keras_segen.errors import InputError

SIZE = (40, 48)


def draw(base, name, class_ids, *, seed=0, instances=True, void=True):
    """A picture of noise with one square a class, each of its class's grey, and a void corner."""
    rng = np.random.default_rng(seed)
    image, mask = rng.integers(0, 20, (*SIZE, 3), "uint8"), np.zeros(SIZE, "uint8")
    numbers = np.zeros(SIZE, "uint16")
    for i, class_id in enumerate(class_ids):
        box = slice(6, 14), slice(4 + 14 * i, 12 + 14 * i)
        mask[box], image[box], numbers[box] = class_id, 60 * class_id, 300 + i
    if void:
        mask[-4:, -4:] = VOID
    for part, pixels in (("images", image), ("masks", mask), ("instances", numbers)):
        if part != "instances" or instances:
            (base / part).mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(base / part / f"{name}.png")


@pytest.fixture
def root(tmp_path):
    """Three training images, one of which has no object, and a validation image."""
    draw(tmp_path / "own/train", "a", [1, 2, 1])
    draw(tmp_path / "own/train", "b", [3], seed=1)
    draw(tmp_path / "own/train", "c", [], seed=2)
    draw(tmp_path / "own/val", "d", [1, 2, 3], seed=3)
    (tmp_path / "own/classes.txt").write_text("ground\none\ntwo\nthree\n")
    return tmp_path / "own"


def contents(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def read(path):
    return np.asarray(Image.open(path))


def test_a_composed_folder_is_the_same_with_scenes_among_its_training_images(root, tmp_path):
    (root / "train/images/.DS_Store").write_text("")
    before = contents(root)
    pasted = compose(root, tmp_path / "out", count=5, objects=(2, 3), seed=7)
    assert contents(root) == before
    after = contents(tmp_path / "out")
    composed = {f"train/{part}/composed_{i:06}.png" for part in ("images", "masks", "instances") for i in range(5)}
    assert after.keys() - composed == before.keys() - {"train/images/.DS_Store"}
    assert all(after[name] == before[name] for name in after.keys() - composed)
    assert len(after.keys() & composed) == 15
    assert 10 <= pasted <= 15
    pairs = read_folder("train", tmp_path / "out")
    assert len(pairs) == 8
    assert pairs.ids == {0, 1, 2, 3, VOID}
    assert read_folder("val", tmp_path / "out").fingerprint == read_folder("val", root).fingerprint


def test_scenes_follow_from_the_seed_and_their_number(root, tmp_path):
    for name, count, seed in (("first", 4, 1), ("again", 4, 1), ("fewer", 2, 1), ("other", 2, 2)):
        compose(root, tmp_path / name, count=count, seed=seed)
    first = contents(tmp_path / "first")
    assert contents(tmp_path / "again") == first
    assert contents(tmp_path / "fewer").items() <= first.items()
    assert contents(tmp_path / "other")["train/images/composed_000000.png"] not in first.values()


def test_masks_instance_maps_and_images_of_scenes_agree(root, tmp_path):
    """Objects are pasted hard and at their size: every pixel is that of the ground, or its object's grey."""
    pasted = compose(root, tmp_path / "out", count=20, objects=(1, 4), scale=(1, 1), softness=0)
    originals = [[read(root / "train" / part / f"{n}.png") for part in ("images", "masks", "instances")] for n in "abc"]
    seen = 0
    for i in range(20):
        image, mask, instances = (
            read(tmp_path / "out/train" / part / f"composed_{i:06}.png") for part in ("images", "masks", "instances")
        )
        assert (image.dtype, mask.dtype, instances.dtype) == ("uint8", "uint8", "uint16")
        # New objects have the first numbers from 1.
        new = (instances > 0) & (instances < 300)
        ids = np.unique(instances[new])
        assert 1 <= len(ids) <= ids.max() <= 4
        seen += len(ids)
        [(_, its_mask, its_instances)] = [one for one in originals if (one[0][~new] == image[~new]).all()]
        np.testing.assert_array_equal(mask[~new], its_mask[~new])
        np.testing.assert_array_equal(instances[~new], its_instances[~new])
        assert set(np.unique(mask[new])) in ({3}, {1}, {2}, {1, 2})
        np.testing.assert_array_equal(image[new], np.repeat(60 * mask[new][:, None], 3, 1))
        for number in ids:
            rows, columns = np.nonzero(instances == number)
            assert len(set(mask[instances == number])) == 1
            assert np.ptp(rows) < 8
            assert np.ptp(columns) < 8
    assert seen <= pasted


def test_an_object_is_scaled_and_its_middle_lies_inside(root, tmp_path):
    for path in (root / "train").glob("*/a.png"):
        path.unlink()
    compose(root, tmp_path / "out", count=30, objects=(1, 1), scale=(2, 2), softness=0)
    whole = 0
    for i in range(30):
        mask, image = (read(tmp_path / f"out/train/{part}/composed_{i:06}.png") for part in ("masks", "images"))
        rows, columns = np.nonzero(mask == 3)
        # Of 16×16 pixels a quarter lies inside at least, but for the pixel that is the middle of an even number.
        assert 7 * 7 <= len(rows) <= 16 * 16
        assert len(rows) == (np.ptp(rows) + 1) * (np.ptp(columns) + 1)
        whole += len(rows) == 16 * 16
        inner = image[rows.min() + 2 : rows.max() - 1, columns.min() + 2 : columns.max() - 1]
        assert (inner == 180).all()
    assert whole


@pytest.mark.parametrize("box", [(slice(5, 11), slice(4, 9)), (slice(0, 3), slice(6, 12))])
@pytest.mark.parametrize("factor", [1, 2, 3])
def test_an_object_is_scaled_as_the_whole_image_would_be(box, factor):
    pixels = np.random.default_rng(0).integers(0, 256, (12, 12, 4), "uint8")
    shape = tuple(factor * (side.stop - side.start) for side in box)
    whole = tf.image.resize(pixels, [12 * factor, 12 * factor]).numpy()
    whole = np.pad(whole, [(3, 3), (3, 3), (0, 0)], mode="edge")
    top, left = (factor * side.start for side in box)
    expected = whole[top : top + shape[0] + 6, left : left + shape[1] + 6]
    np.testing.assert_allclose(_scaled(pixels, box, shape, 3), expected, atol=1e-3)


def test_soft_edges_blend(root, tmp_path):
    compose(root, tmp_path / "hard", count=3, softness=0, seed=5)
    compose(root, tmp_path / "soft", count=3, softness=2, seed=5)
    for i in range(3):
        hard, soft = (
            read(tmp_path / name / f"train/images/composed_{i:06}.png").astype(int) for name in ("hard", "soft")
        )
        assert np.any(hard != soft)
        masks = [read(tmp_path / name / f"train/masks/composed_{i:06}.png") for name in ("hard", "soft")]
        np.testing.assert_array_equal(*masks)


def test_connected_parts_are_objects_where_there_is_no_instance_map(root, tmp_path):
    for path in root.glob("*/instances"):
        shutil.rmtree(path)
    compose(root, tmp_path / "out", count=6, objects=(1, 1), scale=(1, 1))
    assert not list((tmp_path / "out").glob("*/instances"))
    for i in range(6):
        mask = read(tmp_path / f"out/train/masks/composed_{i:06}.png")
        before = [read(path) for path in sorted((root / "train/masks").iterdir())]
        assert min(np.sum(mask != one) for one in before) <= 64


def test_a_folder_without_splits_is_divided_as_it_is_read(tmp_path):
    for i in range(7):
        draw(tmp_path / "flat", f"p{i}", [1 + i % 2], seed=i)
    (tmp_path / "flat/classes.txt").write_text("ground\none\ntwo\n")
    compose(tmp_path / "flat", tmp_path / "out", count=4)
    assert folder_splits(tmp_path / "out") == ["train", "val"]
    assert (tmp_path / "out/classes.txt").read_bytes() == (tmp_path / "flat/classes.txt").read_bytes()
    for split in ("train", "val"):
        for pair in read_folder(split, tmp_path / "flat").pairs:
            for part in ("images", "masks", "instances"):
                copied = tmp_path / "out" / split / part / pair.image.name
                assert copied.read_bytes() == (tmp_path / "flat" / part / pair.image.name).read_bytes()
    assert read_folder("val", tmp_path / "out").fingerprint == read_folder("val", tmp_path / "flat").fingerprint
    assert len(read_folder("train", tmp_path / "out")) == len(read_folder("train", tmp_path / "flat")) + 4
    assert len(list((tmp_path / "out/train/instances").iterdir())) == len(read_folder("train", tmp_path / "out"))


def test_black_and_white_masks_stay_so(tmp_path):
    for i in range(3):
        draw(tmp_path / "bw/train", f"p{i}", [1], seed=i, instances=False, void=False)
    draw(tmp_path / "bw/val", "v", [1], instances=False, void=False)
    for path in (tmp_path / "bw").glob("*/masks/*"):
        Image.fromarray(read(path) * np.uint8(255)).save(path)
    compose(tmp_path / "bw", tmp_path / "out", count=3)
    for path in (tmp_path / "out/train/masks").iterdir():
        assert set(np.unique(read(path))) == {0, 255}
    pairs = read_folder("train", tmp_path / "out")
    assert pairs.black_and_white
    assert pairs.ids == {0, 1}


@pytest.mark.parametrize(
    ("dtype", "channels", "suffix"),
    [("uint16", 1, ".png"), ("uint16", 2, ".tif"), ("uint16", 3, ".tif"), ("float32", 4, ".npy"), ("uint8", 5, ".tif")],
)
def test_images_of_any_channels_and_depth_keep_their_type(tmp_path, dtype, channels, suffix):
    rng = np.random.default_rng(0)
    for i in range(3):
        draw(tmp_path / "deep/train", f"p{i}", [1], seed=i, instances=False)
        (tmp_path / f"deep/train/images/p{i}.png").unlink()
        most = 250 if dtype == "uint8" else 4000
        image = rng.integers(0, most, (*SIZE, channels)).astype(dtype)
        path = tmp_path / f"deep/train/images/p{i}{suffix}"
        if suffix == ".npy":
            np.save(path, image)
        elif suffix == ".tif":
            tifffile.imwrite(path, image, photometric="minisblack", planarconfig="contig")
        else:
            Image.fromarray(image[..., 0]).save(path)
    compose(tmp_path / "deep", tmp_path / "out", count=2, scale=(1, 1))
    written = sorted((tmp_path / "out/train/images").glob("composed_*"))
    assert [path.suffix for path in written] == [{".npy": ".npy"}.get(suffix, ".tif")] * 2
    for path in written:
        image = read_channels(path)
        assert (image.shape, image.dtype) == ((*SIZE, channels), dtype)
        originals = [read_channels(one) for one in (tmp_path / "deep/train/images").iterdir()]
        assert max(np.mean(image == one) for one in originals) > 0.5
    pairs = read_folder("train", tmp_path / "out")
    assert (len(pairs), pairs.channels) == (5, channels)


def test_objects_that_the_border_cuts_off_come_last(root, tmp_path):
    """Of `b`, a whole object of class 3 and two at the border, of class 2."""
    path = root / "train/masks/b.png"
    mask = read(path).copy()
    mask[20:30, :5] = mask[:5, 40:44] = 2
    Image.fromarray(mask).save(path)
    for folder in (root / "train").glob("instances"):
        shutil.rmtree(folder)
    for path in (root / "train").glob("*/a.png"):
        path.unlink()
    compose(root, tmp_path / "one", count=6, objects=(1, 1), scale=(1, 1))
    compose(root, tmp_path / "all", count=6, objects=(3, 3), scale=(1, 1))
    classes = [
        [set(np.unique(read(tmp_path / name / f"train/masks/composed_{i:06}.png"))) - {0, VOID} for i in range(6)]
        for name in ("one", "all")
    ]
    assert all(found == {3} for found in classes[0])
    assert any(found == {2, 3} for found in classes[1])


def test_thin_objects_are_not_lost(tmp_path):
    for name in "ab":
        draw(tmp_path / "thin/train", name, [], instances=False)
        mask = np.eye(*SIZE, dtype="uint8")
        Image.fromarray(np.where(np.arange(SIZE[1]) % 5 == 0, mask, 0).astype("uint8")).save(
            tmp_path / f"thin/train/masks/{name}.png"
        )
    assert compose(tmp_path / "thin", tmp_path / "out", count=5, objects=(3, 3), scale=(0.1, 0.2), softness=0.5) == 15
    for i in range(5):
        assert (read(tmp_path / f"out/train/masks/composed_{i:06}.png") == 1).any()


def refused(root, out, match, **options):
    with pytest.raises(InputError, match=match):
        compose(root, out, **{"count": 2, **options})
    assert not out.exists() or not any(path.name == "train" for path in out.iterdir())
    assert not list(root.parent.glob(".incomplete-*"))


def test_a_folder_inside_the_source_is_refused(root, tmp_path, monkeypatch):
    refused(root, root / "train" / "more", "or lies inside it: name a folder beside it")
    monkeypatch.chdir(root)
    with pytest.raises(InputError, match=r"is own itself|or lies inside it"):
        compose(".", "../own", count=1)


def test_a_folder_that_exists_is_refused(root, tmp_path):
    (tmp_path / "out").mkdir()
    refused(root, tmp_path / "out", "out: exists already: name another folder")


def test_masks_without_objects_are_refused(root, tmp_path):
    for path in (root / "train").glob("*/[ab].png"):
        path.unlink()
    draw(root / "train", "e", [])
    refused(root, tmp_path / "out", r"train/masks: no training mask holds an object, .* draw some")


def test_a_single_image_is_refused(root, tmp_path):
    for path in (root / "train").glob("*/[bc].png"):
        path.unlink()
    refused(root, tmp_path / "out", r"a\.png: is the only training image, and objects come from another one: add some")


def test_scenes_of_scenes_are_refused(root, tmp_path):
    compose(root, tmp_path / "out", count=1)
    refused(tmp_path / "out", tmp_path / "more", "composed_000000.png: is a scene: compose the folder")


def test_instance_maps_that_do_not_fit_are_refused(root, tmp_path):
    path = root / "train/instances/b.png"
    whole = path.read_bytes()
    path.unlink()
    refused(root, tmp_path / "out", r"masks/b\.png: has no instance map: add .*train/instances/b\.png, or move all")
    Image.fromarray(np.zeros((30, 20), "uint16")).save(path)
    refused(
        root, tmp_path / "out", r"b\.png: the instance map is 20×30 pixels, but its mask b\.png is 48×40: give both"
    )
    Image.new("RGB", SIZE[::-1]).save(path)
    refused(root, tmp_path / "out", r"b\.png: an instance map holds the number of an object at each pixel, but this is")
    path.write_bytes(whole[:-30])
    refused(root, tmp_path / "out", r"instances/b\.png: .*(damaged|truncated)")


def test_damaged_and_unequal_images_are_refused(root, tmp_path):
    path = root / "train/images/b.png"
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    refused(root, tmp_path / "out", r"images/b\.png: .*(damaged|truncated)")
    path.unlink()
    np.save(path.with_suffix(".npy"), np.zeros((*SIZE, 4), "uint8"))
    refused(root, tmp_path / "out", r"has 4 channels, and a\.png has 3: give all images the same")
    np.save(path.with_suffix(".npy"), np.arange(3 * SIZE[0] * SIZE[1], dtype="uint16").reshape(*SIZE, 3))
    refused(root, tmp_path / "out", r"holds uint(8|16), and .* uint(16|8): save all images as one type", count=9)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"count": 0}, "`count` must be a whole number of at least 1. Received: count=0"),
        ({"objects": (3, 2)}, r"`objects` must be two numbers from 1 to 1000, in order. Received: objects=\(3, 2\)"),
        ({"objects": (0, 2)}, "`objects` must be"),
        ({"scale": (2.0, 1.0)}, r"`scale` must be two positive factors in order. Received: scale=\(2.0, 1.0\)"),
        ({"scale": (0.0, 1.0)}, "`scale` must be"),
        ({"softness": -1.0}, "`softness` must be a number of at least 0. Received: softness=-1.0"),
    ],
)
def test_arguments_out_of_range_are_refused(root, tmp_path, options, words):
    with pytest.raises(ValueError, match=words):
        compose(root, tmp_path / "out", **{"count": 1, **options})
    assert not (tmp_path / "out").exists()


def test_an_interrupted_call_leaves_nothing(root, tmp_path, monkeypatch):
    def stop(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("keras_segen.data._composed_scenes.paste", stop)
        with pytest.raises(KeyboardInterrupt):
            compose(root, tmp_path / "out", count=2)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["own"]
    (tmp_path / ".incomplete-out/train").mkdir(parents=True)  # of one that was killed
    Path(tmp_path / ".incomplete-out/train/x").write_text("")
    compose(root, tmp_path / "out", count=2)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "own"]
    assert not (tmp_path / "out/train/x").exists()
