import shutil

import numpy as np
import pytest
from PIL import Image

from keras_segen.data import folder
from keras_segen.data.folder import read_folder
from keras_segen.data.pairs import fingerprint
from keras_segen.errors import InputError


def write_mask(path, ids):
    Image.fromarray(np.asarray(ids, np.uint8)).save(path)


def test_training_batches(make_folder):
    batches = list(folder("train", data_dir=make_folder(), image_size=32, batch_size=4, training=True))
    assert len(batches) == 1
    image, mask = batches[0]
    assert image.shape == (4, 32, 32, 3)
    assert image.dtype == "float32"
    assert mask.shape == (4, 32, 32)
    assert mask.dtype == "uint8"
    assert set(np.unique(mask)) <= {0, 1, 255}
    # The disc is red, the ground green: image and mask still fit together.
    redness = image[..., 0] - image[..., 1]
    assert np.mean(redness[mask == 1]) > np.mean(redness[mask == 0]) + 80


def test_validation_gives_the_files_as_they_are(make_folder):
    root = make_folder()
    masks = [mask.numpy()[0] for _, mask in folder("val", data_dir=root, batch_size=1)]
    expected = [np.asarray(Image.open(path)) for path in sorted((root / "val/masks").iterdir())]
    np.testing.assert_array_equal(masks, expected)
    assert next(iter(folder("val", data_dir=root)))[0].shape == (3, 40, 48, 3)


def test_images_of_different_sizes_come_one_by_one(make_folder):
    root = make_folder()
    Image.new("RGB", (9, 7)).save(root / "val/images/z.png")
    write_mask(root / "val/masks/z.png", np.zeros((7, 9)))
    shapes = [image.shape[1:3].as_list() for image, _ in folder("val", data_dir=root, batch_size=8)]
    assert shapes == [[40, 48]] * 3 + [[7, 9]]


def test_a_fixed_size_fits_the_image_in_and_leaves_void(make_folder):
    image, mask = next(iter(folder("val", data_dir=make_folder(), image_size=24)))
    assert image.shape == (3, 24, 24, 3)
    # 40 of 48 rows: 20 of 24.
    assert (np.asarray(mask) != 255).all(axis=(0, 2)).sum() == 20


def test_the_same_seed_gives_the_same_batches(make_folder):
    root = make_folder(train=10)

    def first(seed, start):
        batches = folder("train", data_dir=root, image_size=16, batch_size=4, training=True, seed=seed, start=start)
        return [np.concatenate([i.numpy().ravel(), m.numpy().ravel()]) for i, m in batches.take(6)]

    whole = first(0, 0)
    np.testing.assert_array_equal(whole, first(0, 0))
    np.testing.assert_array_equal(whole[2:], first(0, 8)[:4])
    assert not np.array_equal(whole, first(1, 0))


def test_a_folder_without_a_split_is_split_by_name(make_folder):
    root = make_folder(train=10)
    for part in ("images", "masks"):
        shutil.move(root / "train" / part, root / part)
    shutil.rmtree(root / "train")
    shutil.rmtree(root / "val")
    train, val = (read_folder(split, root, val_fraction=0.3) for split in ("train", "val"))
    names = [{pair.image.stem for pair in part.pairs} for part in (train, val)]
    assert names[0] | names[1] == {str(i) for i in range(10)}
    assert not names[0] & names[1]
    assert len(names[1]) == 3


def test_black_and_white_masks_are_classes_0_and_1(make_folder):
    root = make_folder()
    for path in root.glob("*/masks/*.png"):
        write_mask(path, np.asarray(Image.open(path)) * 255)
    _, mask = next(iter(folder("val", data_dir=root)))
    assert set(np.unique(mask)) == {0, 1}


def test_black_and_white_is_judged_over_both_splits(make_folder):
    root = make_folder()
    for path in (root / "train/masks").iterdir():
        write_mask(path, np.asarray(Image.open(path)) * 255)
    for path in (root / "val/masks").iterdir():
        write_mask(path, np.zeros((40, 48), np.uint8))
    masks = {split: read_folder(split, root) for split in ("train", "val")}
    assert masks["train"].greatest_id == 1
    assert masks["val"].greatest_id == 0


def test_void_stays_void_where_any_mask_has_other_ids(make_folder):
    root = make_folder()
    for path in (root / "val/masks").iterdir():
        write_mask(path, np.asarray(Image.open(path)) * 255)
    _, mask = next(iter(folder("val", data_dir=root)))
    assert set(np.unique(mask)) == {0, 255}


def test_class_names(make_folder):
    root = make_folder()
    assert read_folder("val", root).class_names is None
    for contents in (b"ground\ndisc\n", b"\xef\xbb\xbfground\r\n\r\ndisc"):
        (root / "classes.txt").write_bytes(contents)
        assert read_folder("val", root).class_names == ("ground", "disc")


def test_the_fingerprint_follows_the_contents(make_folder):
    root = make_folder()
    before = fingerprint(read_folder("val", root).pairs)
    assert fingerprint(read_folder("val", root).pairs) == before
    write_mask(root / "val/masks/0.png", np.zeros((40, 48)))
    assert fingerprint(read_folder("val", root).pairs) != before


def break_size(root):
    write_mask(root / "train/masks/2.png", np.zeros((40, 47)))


def break_pairing(root):
    (root / "train/masks/2.png").unlink()


def break_ids(root):
    (root / "classes.txt").write_text("ground\ndisc\n")
    write_mask(root / "train/masks/2.png", np.full((40, 48), 7))


def break_jpeg(root):
    path = root / "train/images/2.jpg"
    path.write_bytes(path.read_bytes()[:600])


def break_empty(root):
    for path in (root / "train/images").iterdir():
        path.unlink()


def break_ending(root):
    (root / "train/images/2.tif").write_bytes(b"II*")


def break_double(root):
    shutil.copy(root / "train/images/2.jpg", root / "train/images/2.jpeg")


def break_masks_folder(root):
    shutil.rmtree(root / "train/masks")


def break_names(root):
    (root / "classes.txt").write_text("ground\nground\n")


@pytest.mark.parametrize(
    ("damage", "named"),
    [
        (break_size, r"train/masks/2\.png: the mask is 47×40 pixels, .* 48×40"),
        (break_pairing, r"train/images/2\.jpg: has no mask"),
        (break_ids, r"train/masks/2\.png: holds class id 7, but there are 2 classes"),
        (break_jpeg, r"train/images/2\.jpg: is damaged or truncated"),
        (break_empty, r"train/images: is empty"),
        (break_ending, r"train/images/2\.tif: is not one of"),
        (break_double, r"2\.jpg: has the same name as 2\.jpeg"),
        (break_masks_folder, r"train/masks: does not exist"),
        (break_names, r"classes\.txt: must name"),
    ],
)
def test_bad_folders_are_named(make_folder, damage, named):
    root = make_folder()
    damage(root)
    with pytest.raises(InputError, match=named) as caught:
        folder("train", data_dir=root, image_size=16, batch_size=2, training=True)
    assert "\n" not in str(caught.value)


def test_wrong_arguments_are_named(make_folder, tmp_path):
    root = make_folder()
    with pytest.raises(InputError, match="nowhere: does not exist"):
        folder("train", data_dir=tmp_path / "nowhere")
    with pytest.raises(ValueError, match="split='test'"):
        folder("test", data_dir=root)
    with pytest.raises(ValueError, match="target='boxes'"):
        folder("val", data_dir=root, target="boxes")
    with pytest.raises(ValueError, match="image_size=None"):
        folder("train", data_dir=root, training=True)
    with pytest.raises(InputError, match="6 images do not fill one batch of 16"):
        folder("train", data_dir=root, image_size=16, training=True)
    (root / "train").rename(root / "other")
    with pytest.raises(ValueError, match="val_fraction=1"):
        folder("train", data_dir=root / "other", val_fraction=1)


def test_real_nuclei(real_data):
    found = read_folder("val", real_data("nuclei"))
    assert len(found.pairs) == 100
    assert found.greatest_id == 1


def test_real_membranes_have_one_channel(real_data):
    image, mask = next(iter(folder("val", data_dir=real_data("membranes"))))
    assert image.shape[1:] == (512, 512, 3)
    assert set(np.unique(mask)) == {0, 1}
