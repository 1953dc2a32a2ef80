import pytest
import tensorflow_datasets as tfds

from keras_segen.data._named import prepared
from keras_segen.errors import InputError


def test_a_failed_download_says_what_to_do(tmp_path, monkeypatch):
    def fail(self, **settings):
        raise OSError("host is down")

    monkeypatch.setattr(tfds.core.DatasetBuilder, "download_and_prepare", fail)
    with pytest.raises(InputError, match=r"cifar10.3\.0\.2: .*host is down.*: fetch it by hand"):
        prepared("cifar10:3.0.2", tmp_path, by_hand="fetch it by hand")


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(InputError, match="nowhere: is not a folder"):
        prepared("cifar10:3.0.2", tmp_path / "nowhere", by_hand="")
