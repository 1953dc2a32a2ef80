import gzip
import hashlib
from pathlib import Path

import numpy as np
import pytest

from examples.prepared_data import mnist_files, prepare_fashion_mnist
from keras_segen.data import class_names, fashion_mnist, mnist, read_fashion_mnist, read_mnist, splits
from keras_segen.errors import InputError
from keras_segen.ranges import to_uint8

# Of the official files, unpacked.
MD5 = {
    "train": ("6bbc9ace898e44ae57da46a324031adb", "a25bea736e30d166cdddb491f175f624"),
    "test": ("2646ac647ad5339dbf082846283269ea", "27ae3e4e09519cfbb04c329615203637"),
}
DEBIAN = Path("/usr/share/datasets/fashion-mnist")  # of the package dataset-fashion-mnist


@pytest.mark.parametrize("split", splits("mnist"))
def test_mnist_is_the_official_one(real_data, split):
    files = mnist_files(*read_mnist(split, real_data("tfds/mnist").parent))
    assert tuple(hashlib.md5(file).hexdigest() for file in files) == MD5[split]


def test_digits_come_in_batches_and_are_not_mirrored(real_data):
    root = real_data("tfds/mnist").parent
    images, labels = read_mnist("test", root)
    batch, its_labels = next(iter(mnist("test", data_dir=root, image_size=32, batch_size=10)))
    assert batch.shape == (10, 32, 32, 1)
    np.testing.assert_array_equal(to_uint8(batch[:, 2:-2, 2:-2]), images[:10])
    assert float(np.max(batch[:, :2])) == -1
    np.testing.assert_array_equal(its_labels, labels[:10])
    known = {image.tobytes() for image in images}
    training = mnist("test", data_dir=root, batch_size=64, training=True, target=None)
    drawn = to_uint8(next(iter(training)))
    assert all(image.tobytes() in known for image in drawn)


def test_images_come_in_the_order_of_the_files(tmp_path, monkeypatch):
    rng = np.random.default_rng(0)
    arrays = {
        split: (rng.integers(0, 256, (count, 28, 28, 1), "uint8"), rng.integers(0, 10, count))
        for split, count in (("train", 50), ("test", 20))
    }
    prepare_fashion_mnist(tmp_path, monkeypatch, {split: mnist_files(*both) for split, both in arrays.items()})
    for split, (images, labels) in arrays.items():
        found, its_labels = read_fashion_mnist(split, tmp_path)
        np.testing.assert_array_equal(found, images)
        np.testing.assert_array_equal(its_labels, labels)
    batch, _ = next(iter(fashion_mnist("test", data_dir=tmp_path, batch_size=5)))
    np.testing.assert_array_equal(to_uint8(batch), arrays["test"][0][:5])


@pytest.mark.slow
@pytest.mark.skipif(not DEBIAN.is_dir(), reason="needs the Debian package dataset-fashion-mnist")
def test_fashion_mnist_is_the_official_one(tmp_path, monkeypatch):
    def contents(name):
        return tuple(
            gzip.decompress((DEBIAN / f"{name}-{kind}-ubyte.gz").read_bytes())
            for kind in ("images-idx3", "labels-idx1")
        )

    official = {"train": contents("train"), "test": contents("t10k")}
    prepare_fashion_mnist(tmp_path, monkeypatch, official)
    for split, files in official.items():
        assert mnist_files(*read_fashion_mnist(split, tmp_path)) == files


@pytest.mark.parametrize("read", [mnist, fashion_mnist])
@pytest.mark.parametrize("wrong", [{"split": "val"}, {"image_size": 64}, {"target": "mask"}])
def test_what_they_do_not_have_is_named(read, wrong):
    with pytest.raises(ValueError, match=str(next(iter(wrong.values())))):
        read(**{"split": "train", **wrong})


def test_data_that_cannot_be_had_are_said(tmp_path, monkeypatch):
    def no_host(self, urls):
        raise OSError("no host")

    import tensorflow_datasets as tfds

    monkeypatch.setattr(tfds.download.DownloadManager, "download_and_extract", no_host)
    with pytest.raises(InputError, match=r"fashion_mnist:3\.0\.1 is not there, and its download failed \(no host\)"):
        read_fashion_mnist("train", tmp_path)


def test_classes_have_names():
    assert class_names("mnist")[7] == "7"
    assert class_names("fashion_mnist")[9] == "Ankle boot"
