import numpy as np
import pytest
from scipy.io import savemat

from examples.voc_devkit import save_mat
from keras_segen.data._sbd import read_mat
from keras_segen.errors import InputError


def test_the_mask_comes_back(tmp_path):
    mask = np.random.default_rng(0).integers(0, 21, (30, 40)).astype("uint8")
    save_mat(tmp_path / "a.mat", mask)
    read = read_mat(tmp_path / "a.mat")
    assert read.dtype == np.uint8
    np.testing.assert_array_equal(read, mask)


def test_a_file_of_sbd_that_is_wrong_is_named(tmp_path):
    path = tmp_path / "a.mat"
    with pytest.raises(InputError, match=r"a.mat: is not there: unpack the whole of benchmark.tgz"):
        read_mat(path)
    save_mat(path, np.ones((30, 40), "uint8"))
    whole = path.read_bytes()
    for content in (b"", b"no such thing", whole[: len(whole) // 2], whole[:130]):
        path.write_bytes(content)
        with pytest.raises(InputError, match=r"a.mat: is damaged, or holds no mask of SBD's .* fetch https"):
            read_mat(path)
    savemat(path, {"GTinst": {"Segmentation": np.ones((3, 4), "uint8")}})
    with pytest.raises(InputError, match=r"a.mat: is damaged, or holds no mask"):
        read_mat(path)
    savemat(path, {"GTcls": {"Segmentation": np.ones((3, 4))}})
    with pytest.raises(InputError, match=r"a.mat: its mask is float64 \(3, 4\), not uint8"):
        read_mat(path)
