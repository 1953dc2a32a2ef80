import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from examples.prepared_data import draw_pets, tfds
from keras_segen.data import Augmentation
from keras_segen.data import _pairs as pairs
from keras_segen.data._oxford_iiit_pet import read_oxford_iiit_pet
from keras_segen.data._records import Records
from keras_segen.errors import InputError

CONTENTS = [bytes([i]) * length for i, length in enumerate((5, 0, 300, 1, 70_000, 12))]


def write(path, contents):
    with tf.io.TFRecordWriter(str(path)) as file:
        for content in contents:
            file.write(content)


@pytest.fixture
def files(tmp_path):
    paths = [tmp_path / name for name in ("a", "b", "c")]
    for path, some in zip(paths, (CONTENTS[:4], [], CONTENTS[4:]), strict=True):
        write(path, some)
    return paths


@pytest.fixture
def pets(tmp_path, monkeypatch):
    (tmp_path / "tfds").mkdir()
    draw_pets(tmp_path / "files", monkeypatch, train=7)
    return tmp_path / "tfds"


def test_records_in_any_order(files):
    found = Records(files)
    assert len(found) == len(CONTENTS)
    for i in (3, 0, 5, 1, 4, 2):
        assert found[i] == CONTENTS[i]


def test_the_digest_is_of_the_contents(files, tmp_path):
    digest = Records(files).digest
    moved = [path.rename(tmp_path / f"{path.name}2") for path in files]
    assert Records(moved).digest == digest
    write(moved[2], [CONTENTS[4][:-1] + b"!", CONTENTS[5]])
    assert Records(moved).digest != digest


@pytest.mark.parametrize("kept", [1, 11, 12, 20, -1, -20])
def test_a_truncated_file_is_named(files, kept):
    content = files[0].read_bytes()
    files[0].write_bytes(content[:kept])
    with pytest.raises(InputError, match="a: is truncated or damaged"):
        Records(files)


def test_real_records(real_data):
    """All images of a real data set come by their numbers as they come from end to end."""
    builder = tfds.builder("celeb_a:2.1.0", data_dir=real_data("tfds"))
    paths = [Path(path) for path in builder.info.splits["validation"].filepaths]
    found = Records(paths)
    whole = [record.numpy() for record in tf.data.TFRecordDataset([str(path) for path in paths])]
    assert len(found) == len(whole) == 400
    for i in np.random.default_rng(0).permutation(400):
        assert found[i] == whole[i]


def test_batches_are_those_of_a_folder_with_the_same_files(pets, tmp_path):
    """To the bit, in training and out of it: order, crops, flips and colours."""
    source = read_oxford_iiit_pet("train", pets)
    found = []
    for i in range(len(source.records)):
        example = source.features.deserialize_example(source.records[i], decoders={"image": tfds.decode.SkipDecoding()})
        image, mask = tmp_path / f"{i}.jpg", tmp_path / f"{i}.png"
        image.write_bytes(example["image"].numpy())
        Image.fromarray(np.array([0, 1, 0, 255], "uint8")[example["segmentation_mask"][..., 0]]).save(mask)
        found.append(pairs.read_pair(image, mask))
    for settings in (
        {"image_size": 32, "batch_size": 3, "training": True, "seed": 5, "start": 0},
        {"image_size": 32, "batch_size": 3},
        {},
    ):
        batches = zip(source.dataset(**settings), pairs.Pairs(found).dataset(**settings), strict=False)
        for _, (ours, theirs) in zip(range(6), batches, strict=False):
            np.testing.assert_array_equal(ours[1], theirs[1])
            np.testing.assert_array_equal(ours[0], theirs[0])


def test_a_run_goes_on_where_it_was(pets):
    source = read_oxford_iiit_pet("train", pets)

    def taken(start, count, seed=0):
        batches = source.dataset(image_size=16, batch_size=2, training=True, seed=seed, start=start)
        return list(batches.take(count).as_numpy_iterator())

    whole = taken(0, 9)
    for (image, mask), (image_again, mask_again) in zip(whole[4:], taken(8, 5), strict=True):
        np.testing.assert_array_equal(image, image_again)
        np.testing.assert_array_equal(mask, mask_again)
    assert not np.array_equal(whole[0][0], taken(0, 1, seed=1)[0][0])


def test_each_image_comes_once_a_pass_and_anew_in_the_next(pets):
    source = read_oxford_iiit_pet("train", pets)
    whole = source.dataset(image_size=16, batch_size=7, training=True, seed=0)
    assert int(whole.cardinality()) == 1
    first, second = (next(iter(whole))[0].numpy() for _ in range(2))
    assert not np.array_equal(first, second)
    sizes = Counter(image.shape for image, _ in source.dataset().as_numpy_iterator())
    assert set(sizes.values()) == {1}
    assert len(sizes) == 7


def test_what_cannot_be_used_is_named(pets, tmp_path):
    read_oxford_iiit_pet("train", pets)
    with pytest.raises(ValueError, match="image_size=None"):
        read_oxford_iiit_pet("train", pets).dataset(training=True)
    (shard,) = pets.rglob("*train.tfrecord*")
    other = tmp_path / "other"
    shutil.copytree(pets, other)
    (damaged,) = other.rglob("*train.tfrecord*")
    damaged.write_bytes(shard.read_bytes()[:-5])
    with pytest.raises(InputError, match=r"train.tfrecord-00000-of-00001: is truncated or damaged"):
        read_oxford_iiit_pet("train", other)
    (tmp_path / "arrays").mkdir()
    tfds.builder(
        "oxford_iiit_pet:4.0.0", data_dir=tmp_path / "arrays", file_format="array_record"
    ).download_and_prepare()
    with pytest.raises(InputError, match="is prepared as array_record"):
        read_oxford_iiit_pet("train", tmp_path / "arrays")


def test_a_mask_of_another_size_stops_the_reading(tmp_path, monkeypatch):
    draw_pets(tmp_path / "files", monkeypatch, train=1, test=1)
    Image.fromarray(np.ones((9, 9), "uint8")).save(tmp_path / "files/annotations/trimaps/pug_0.png")
    (tmp_path / "tfds").mkdir()
    with pytest.raises(tf.errors.InvalidArgumentError, match="a mask has another size than its image"):
        list(read_oxford_iiit_pet("train", tmp_path / "tfds").dataset())


def test_objects_are_pasted_into_what_is_read_from_records(pets):
    examples = read_oxford_iiit_pet("train", pets)
    options = {"image_size": 32, "batch_size": 4, "training": True, "seed": 2, "start": 0}
    plain, masks = next(iter(examples.dataset(**options)))
    pasted, new_masks = next(iter(examples.dataset(augmentation=Augmentation(copy_paste=1.0), **options)))
    assert np.any(pasted != plain)
    assert set(np.unique(new_masks[new_masks != masks])) == {1}
