import shutil
import unicodedata

import numpy as np
import pytest
from PIL import Image

from keras_segen.data import Augmentation, folder
from keras_segen.data._folder import read_folder
from keras_segen.data._split import choose
from keras_segen.errors import InputError
from keras_segen.plotting import save_image


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


def test_large_images_share_a_batch_up_to_a_number_of_pixels(make_folder):
    root = make_folder(train=1, val=5, size=(512, 500))
    assert [len(image) for image, _ in folder("val", data_dir=root)] == [2, 2, 1]  # 2^19 pixels at most
    assert [len(image) for image, _ in folder("val", data_dir=root, batch_size=1)] == [1] * 5


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


def test_small_images_are_not_enlarged_to_a_fixed_size(make_folder):
    root = make_folder()
    whole = list(folder("val", data_dir=root, batch_size=1))
    image, mask = next(iter(folder("val", data_dir=root, image_size=64)))
    for i, (its_image, its_mask) in enumerate(whole):
        np.testing.assert_array_equal(mask[i, 12:52, 8:56], its_mask[0])
        np.testing.assert_allclose(image[i, 12:52, 8:56], its_image[0], atol=1e-3)
    assert np.sum(np.asarray(mask) != 255) == 3 * 40 * 48


def test_training_sees_small_images_at_the_scale_they_are_scored_at(make_folder):
    root = make_folder(train=6)
    with pytest.warns(UserWarning, match=r"crops of 128 pixels .* \(longer side: 48 pixels, the median\)"):
        batches = folder(
            "train",
            data_dir=root,
            image_size=128,
            batch_size=6,
            training=True,
            augmentation=Augmentation(scale=(1, 1), flip=False),
        )
    masks = next(iter(batches))[1].numpy()
    assert (masks != 255).sum((1, 2)).tolist() == [40 * 48] * 6
    assert sorted((masks == 1).sum((1, 2))) == sorted(
        int(np.asarray(Image.open(path)).sum()) for path in (root / "train/masks").iterdir()
    )


def test_a_rotated_image_goes_with_an_upright_mask(make_folder):
    root = make_folder(val=1)
    exif = Image.Exif()
    exif[0x0112] = 6
    stored = np.random.default_rng(0).integers(0, 256, (40, 48, 3), dtype=np.uint8)
    (root / "val/images/0.jpg").unlink()
    Image.fromarray(stored).save(root / "val/images/0.png", exif=exif)
    write_mask(root / "val/masks/0.png", np.eye(48, 40))
    ((image, mask),) = folder("val", data_dir=root)
    np.testing.assert_array_equal(image[0], np.rot90(stored, -1))
    np.testing.assert_array_equal(mask[0], np.eye(48, 40))


def test_a_png_without_its_last_bytes_is_named_at_the_start(make_folder):
    root = make_folder(val=1)
    (root / "val/images/0.jpg").unlink()
    Image.new("RGB", (48, 40)).save(root / "val/images/0.png")
    contents = (root / "val/images/0.png").read_bytes()
    (root / "val/images/0.png").write_bytes(contents[:-7])
    with pytest.raises(InputError, match=r"0\.png: is damaged or truncated \(its end is missing\)"):
        folder("val", data_dir=root)


def test_images_of_twelve_bits_that_are_wanted_as_rgb_are_told_of(make_folder):
    root = make_folder(val=2)
    for i, most in enumerate((4095, 3000)):
        (root / f"val/images/{i}.jpg").unlink()
        Image.fromarray(np.full((40, 48), most, np.uint16)).save(root / f"val/images/{i}.png")
    with pytest.warns(
        UserWarning, match=r"^2 images have 16 bits, but no value over 4095: .*multiply the values by 16 "
    ):
        read_folder("val", root, channels=3)


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


def names(split, root, **options):
    return [pair.image.stem for pair in read_folder(split, root, **options).pairs]


def test_all_and_further_splits_are_read(make_folder):
    root = make_folder(train=4, val=2)
    assert names("all", root / "train") == names("val", root / "train", val_fraction=1.0) == ["0", "1", "2", "3"]
    assert names("all", root) == ["0", "1", "2", "3", "0", "1"]
    (root / "val").rename(root / "test")
    assert names("test", root) == ["0", "1"]
    with pytest.raises(InputError, match="val: does not exist, though .*test does"):
        read_folder("val", root)
    assert len(list(folder("test", data_dir=root, batch_size=1))) == 2


@pytest.mark.parametrize(
    ("wrong", "right", "of"),
    [("valid", "val", ""), ("Validation", "val", ""), ("labels", "masks", "train/"), ("Images", "images", "train/")],
)
def test_folders_by_other_names_are_recognised_in_the_message(make_folder, wrong, right, of):
    root = make_folder()
    (root / of / right).rename(root / of / wrong)
    with pytest.raises(InputError, match=f"rename .*{of}{wrong} to {right}$"):
        read_folder("val" if right == "val" else "train", root)


def test_capital_splits_are_recognised_in_the_message(make_folder):
    root = make_folder()
    (root / "train").rename(root / "Train")
    (root / "val").rename(root / "Val")
    with pytest.raises(InputError, match="rename .*/Train to train$"):
        read_folder("train", root)


def test_images_beside_splits_are_ambiguous(make_folder):
    root = make_folder()
    shutil.copytree(root / "val/images", root / "images")
    with pytest.raises(InputError, match="images: lies beside .*train/images: move one"):
        read_folder("train", root)


def test_composed_and_decomposed_names_are_the_same(make_folder):
    root = make_folder(train=5, val=1)
    for number, name in enumerate(["é", "ö", "ñ", "å", "ü"]):
        (root / f"train/images/{number}.jpg").rename(
            root / "train/images" / unicodedata.normalize("NFD", f"{name}.jpg")
        )
        (root / f"train/masks/{number}.png").rename(root / "train/masks" / unicodedata.normalize("NFC", f"{name}.png"))
    found = read_folder("train", root).pairs
    assert [unicodedata.normalize("NFC", pair.image.stem) for pair in found] == sorted("éöñåü")
    assert all(pair.mask.stem == unicodedata.normalize("NFC", pair.image.stem) for pair in found)
    decomposed = {unicodedata.normalize("NFD", name) for name in "éöñåü"}
    kept = {unicodedata.normalize("NFC", name) for name in choose(decomposed, "val", 0.4)}
    assert kept == choose(set("éöñåü"), "val", 0.4)


def soften(root, levels):
    """Give the discs of a folder edges of these grey levels."""
    for path in root.glob("*/masks/*.png"):
        mask = np.asarray(Image.open(path)) * 255
        mask[0, : len(levels)] = levels
        write_mask(path, mask)


@pytest.mark.parametrize("levels", [[128], [64, 128, 191], [1, 2, 253, 254], range(5, 250, 6)])
def test_soft_edges_are_no_class_ids(make_folder, levels):
    root = make_folder()
    soften(root, levels)
    for split in ("train", "val"):
        with pytest.raises(
            InputError, match=rf"holds the value {max(levels)}, .* hold {len(levels) + 1} of the values"
        ):
            read_folder(split, root)
    # Named, they are what the file says: beyond it is refused by file.
    (root / "classes.txt").write_text("ground\ndisc\n")
    with pytest.raises(InputError, match=r"0\.png: holds class id \d+, but there are 2 classes"):
        read_folder("train", root)


def test_every_grey_level_is_no_class_id(make_folder):
    root = make_folder(train=6)
    levels = np.arange(256, dtype=np.uint8)
    for number, path in enumerate(sorted((root / "train/masks").iterdir())):
        mask = np.zeros((40, 48), np.uint8)
        mask[0] = levels[43 * number :][:48] if number < 5 else levels[-48:]
        write_mask(path, mask)
    with pytest.raises(InputError, match="holds the value 254, .* 255 of the values from 0 to 254"):
        read_folder("train", root)


@pytest.mark.parametrize("ids", [[0, 1, 3], [0, 2], [1], [0, 1, 4, 7, 8, 11, 20], [0, 5], list(range(80))])
def test_classes_may_be_missing(make_folder, ids):
    root = make_folder()
    for path in root.glob("*/masks/*.png"):
        mask = np.zeros((40, 48), np.uint8) + ids[0]
        mask.flat[: len(ids)] = ids
        mask[-1] = 255
        write_mask(path, mask)
    found = read_folder("val", root)
    assert max(found.ids - {255}) == ids[-1]
    assert found.pairs[0].ids == {*ids, 255}


def test_the_whole_folder_tells_whether_ids_are_sparse(make_folder):
    root = make_folder(val=1)
    for number, path in enumerate(sorted((root / "train/masks").iterdir())):
        write_mask(path, np.arange(40 * 48).reshape(40, 48) % 30 if number == 0 else np.zeros((40, 48)))
    write_mask(root / "val/masks/0.png", np.where(np.eye(40, 48), 29, 0))
    assert max(read_folder("val", root).ids - {255}) == 29
    # A model's own classes are known without the others.
    shutil.rmtree(root / "train")
    with pytest.raises(InputError, match="holds the value 29, .* 2 of the values"):
        read_folder("val", root)
    assert max(read_folder("val", root, class_names=[str(i) for i in range(30)]).ids - {255}) == 29


def test_of_many_named_classes_255_is_void(make_folder):
    root = make_folder()
    for path in root.glob("*/masks/*.png"):
        write_mask(path, np.asarray(Image.open(path)) * 255)
    for class_names, ids, black_and_white in (("a\nb\nc\n", {0, 255}, False), ("a\nb\n", {0, 1}, True)):
        (root / "classes.txt").write_text(class_names)
        found = read_folder("val", root)
        assert frozenset().union(*(pair.ids for pair in found.pairs)) == ids
        assert found.black_and_white == black_and_white


def test_black_and_white_masks_are_classes_0_and_1(make_folder):
    root = make_folder()
    for path in root.glob("*/masks/*.png"):
        write_mask(path, np.asarray(Image.open(path)) * 255)
    _, mask = next(iter(folder("val", data_dir=root)))
    assert set(np.unique(mask)) == {0, 1}


def test_one_stray_id_among_black_and_white_masks_is_told(make_folder):
    root = make_folder()
    for path in sorted(root.glob("*/masks/*.png")):
        write_mask(path, np.asarray(Image.open(path)) * 255)
    mask = np.array(Image.open(path))
    mask[0, 0] = 1
    write_mask(path, mask)
    with pytest.warns(UserWarning, match=r"val/masks/0\.png: holds no values but 0 and 255, as 2 of 3 masks do"):
        read_folder("val", root)


def test_black_and_white_is_judged_over_both_splits(make_folder):
    root = make_folder()
    for path in (root / "train/masks").iterdir():
        write_mask(path, np.asarray(Image.open(path)) * 255)
    for path in (root / "val/masks").iterdir():
        write_mask(path, np.zeros((40, 48), np.uint8))
    masks = {split: read_folder(split, root) for split in ("train", "val")}
    assert max(masks["train"].ids - {255}) == 1
    assert max(masks["val"].ids - {255}) == 0


def test_void_stays_void_where_any_mask_has_other_ids(make_folder):
    root = make_folder()
    for path in (root / "val/masks").iterdir():
        write_mask(path, np.asarray(Image.open(path)) * 255)
    with pytest.warns(UserWarning, match="255 counts as void here"):
        _, mask = next(iter(folder("val", data_dir=root)))
    assert set(np.unique(mask)) == {0, 255}


def test_class_names_are_given_where_the_folder_has_none(make_folder):
    root = make_folder()
    assert read_folder("val", root, class_names=["ground", "disc"]).class_names == ("ground", "disc")
    (root / "classes.txt").write_text("a\nb\n")
    assert read_folder("val", root, class_names=["ground", "disc"]).class_names == ("a", "b")


@pytest.mark.parametrize("class_names", ["ground", ["ground"], ["a", "a"]])
def test_class_names_name_each_class_once(make_folder, class_names):
    with pytest.raises(ValueError, match="`class_names` must name at least two classes, each once"):
        read_folder("val", make_folder(), class_names=class_names)


def test_a_share_that_leaves_nothing_to_train_on_is_refused(make_folder):
    root = make_folder() / "train"
    with pytest.raises(InputError, match="holds 6 images, which leave none for train beside a share of 1 .* or lower"):
        read_folder("train", root, val_fraction=1.0)


def test_class_names(make_folder):
    root = make_folder()
    assert read_folder("val", root).class_names is None
    for contents in (b"ground\ndisc\n", b"\xef\xbb\xbfground\r\n\r\ndisc"):
        (root / "classes.txt").write_bytes(contents)
        assert read_folder("val", root).class_names == ("ground", "disc")


def test_the_fingerprint_follows_the_contents(make_folder):
    root = make_folder()
    before = read_folder("val", root).fingerprint
    assert read_folder("val", root).fingerprint == before
    write_mask(root / "val/masks/0.png", np.zeros((40, 48)))
    assert read_folder("val", root).fingerprint != before


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
    (root / "train/images/2.heic").write_bytes(b"II*")


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
        (break_ending, r"train/images/2\.heic: is not one of"),
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


def test_wrong_arguments_of_folder_are_named(make_folder, tmp_path):
    root = make_folder()
    with pytest.raises(InputError, match="nowhere: does not exist"):
        folder("train", data_dir=tmp_path / "nowhere")
    with pytest.raises(
        InputError, match="test: does not exist, though .*train does: the folder's splits are train, val"
    ):
        folder("test", data_dir=root)
    with pytest.raises(ValueError, match=r"image_size=\(40, 48\)"):
        folder("train", data_dir=root, image_size=(40, 48), training=True)
    with pytest.raises(ValueError, match="target='boxes'"):
        folder("val", data_dir=root, target="boxes")
    with pytest.raises(ValueError, match="image_size=None"):
        folder("train", data_dir=root, training=True)
    with pytest.raises(InputError, match="6 images do not fill one batch of 16"):
        folder("train", data_dir=root, image_size=16, training=True)
    with pytest.raises(InputError, match=r"train/test: does not exist: the folder has no splits .*split='test'"):
        folder("test", data_dir=root / "train")
    for fraction in (0, 1.5):
        with pytest.raises(ValueError, match=f"val_fraction={fraction}"):
            folder("train", data_dir=root / "train", val_fraction=fraction)


def test_real_nuclei(real_data):
    found = read_folder("val", real_data("nuclei"))
    assert len(found.pairs) == 100
    assert max(found.ids - {255}) == 1


def test_real_membranes_have_one_channel(real_data):
    image, mask = next(iter(folder("val", data_dir=real_data("membranes"))))
    assert image.shape[1:] == (512, 512, 3)
    assert set(np.unique(mask)) == {0, 1}


def classes_in(*masks):
    """A folder whose masks hold these ids, one a row."""

    def draw(root):
        for i, mask in enumerate(masks):
            ids = np.array(mask, np.uint8)
            save_image(np.zeros((*ids.shape, 3), np.uint8), root / f"images/{i}.png")
            save_image(ids, root / f"masks/{i}.png")
        return read_folder("all", root)

    return draw


def test_class_weights_are_the_median_frequency_over_each_classs_own(tmp_path):
    # Class 0: 6 of the 10 pixels of both images; class 1: 2 of 6; class 2: 2 of 4. Void does not count.
    found = classes_in([[0, 0, 0], [0, 1, 1]], [[0, 0, 2, 255], [2, 255, 255, 255]])(tmp_path)
    frequencies = [6 / 10, 2 / 6, 2 / 4]
    assert found.class_weights(4) == pytest.approx([*(0.5 / frequency for frequency in frequencies), 1])


def test_oversampling_repeats_images_with_rare_classes(tmp_path):
    # Class 1 is in one of 16 images: sqrt(0.25 * 16) = 2 times.
    found = classes_in([[0, 1]], *[[[0, 2]]] * 15)(tmp_path)
    names = [pair.image.stem for pair in found.oversampled(0.25).pairs]
    assert names.count("0") == 2
    assert len(names) == 17
    assert found.oversampled(0).pairs == found.pairs
    # sqrt(0.14 * 16) = 1.497 times: what is left over is drawn.
    often = np.mean([len(found.oversampled(0.14, seed=seed)) - 15 for seed in range(200)])
    assert often == pytest.approx(1.497, abs=0.15)
    with pytest.raises(ValueError, match=r"`threshold` is a share from 0 to 1. Received: threshold=2"):
        found.oversampled(2)
