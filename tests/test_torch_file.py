import contextlib
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from examples.torch_files import write_torch_file
from keras_segen.errors import InputError
from keras_segen.torch_file import _Storage, _Tensor, read_state_dict

WRITTEN = Path(__file__).parent / "examples"


@pytest.mark.parametrize("name", ["state_dict.pth", "state_dict_before_1_6.pth"])
def test_what_pytorch_wrote_is_read(name):
    tensors = read_state_dict(WRITTEN / name)
    np.testing.assert_array_equal(tensors["0.weight"], np.arange(6, dtype="float32").reshape(2, 3))
    np.testing.assert_array_equal(tensors["part"], [2, 3])  # of a storage that holds more
    np.testing.assert_array_equal(tensors["1.running_var"], np.ones(2, "float16"))
    assert tensors["1.running_var"].dtype == np.float16
    assert tensors["1.num_batches_tracked"].shape == ()
    assert tensors["1.num_batches_tracked"].dtype == np.int64
    assert list(tensors)[:2] == ["0.weight", "0.bias"]


def test_the_tests_own_writer_writes_the_same(tmp_path):
    tensors = {"a": np.arange(6, dtype="float32").reshape(1, 3, 2), "b": np.float32([7])}
    write_torch_file(tmp_path / "a.pth", tensors)
    for name, array in read_state_dict(tmp_path / "a.pth").items():
        np.testing.assert_array_equal(array, tensors[name])


@pytest.mark.parametrize("axes", [(0, 1, 2, 3), (3, 2, 0, 1), (1, 0, 3, 2), (2, 3, 1, 0)])
def test_tensors_that_lie_in_another_order_are_read(axes, tmp_path):
    tensor = np.arange(120, dtype="float32").reshape(2, 3, 4, 5).transpose(axes)
    write_torch_file(tmp_path / "a.pth", {"kernel": tensor, "row": np.float32([1, 2, 3])})
    tensors = read_state_dict(tmp_path / "a.pth")
    np.testing.assert_array_equal(tensors["kernel"], tensor)
    assert tensors["kernel"].flags.c_contiguous
    np.testing.assert_array_equal(tensors["row"], [1, 2, 3])


@pytest.mark.parametrize(
    ("shape", "stride", "offset"),
    [
        ((2, 3), (3, 2), 0),
        ((3,), (-1,), 5),
        ((3,), (1,), 4),
        ((7,), (0,), 0),
        ((2,), (1,), -1),
        ((2**40, 2**40), (1, 1), 0),
    ],
)
def test_tensors_beyond_their_storage_are_refused(shape, stride, offset):
    with pytest.raises(ValueError, match="beyond its storage|negative"):
        _Tensor(_Storage("<f4", "0", 6), offset, shape, stride).cut(np.zeros(6, "float32"))


class Evil:
    def __reduce__(self):
        return Path.touch, (Path("executed"),)


def test_nothing_is_executed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for content in ({"a": Evil()}, Evil()):
        head = b"".join(pickle.dumps(x, protocol=2) for x in (0x1950A86A20F9469CFC6C, 1001, {"little_endian": True}))
        Path("evil.pth").write_bytes(head + pickle.dumps(content, protocol=2))
        with pytest.raises(InputError, match=r"evil.pth: is damaged, or no file of tensors"):
            read_state_dict(Path("evil.pth"))
        assert not Path("executed").exists()


@pytest.mark.parametrize(
    "program",
    [
        b"\x80\x02})" + b"\x85" * 300_000 + b"K\x01s.",  # to hash this key would end the process
        b"\x80\x02)" + b"q\x00h\x00h\x00\x86" * 40 + b"q\x01}h\x01K\x01s.",  # and this one take for ever
    ],
)
def test_keys_that_are_no_names_are_refused(program, tmp_path):
    with zipfile.ZipFile(tmp_path / "a.pth", "w") as archive:
        archive.writestr("a/data.pkl", program)
    with pytest.raises(InputError, match="whose keys are no names"):
        read_state_dict(tmp_path / "a.pth")


def test_a_small_file_asks_for_little_memory(tmp_path):
    write_torch_file(tmp_path / "a.pth", {"a": np.zeros(9)})
    with zipfile.ZipFile(tmp_path / "a.pth") as whole, zipfile.ZipFile(tmp_path / "b.pth", "w") as bomb:
        bomb.writestr("a/data.pkl", whole.read("archive/data.pkl"))
        bomb.writestr("a/data/0", bytes(10**7), zipfile.ZIP_DEFLATED)
    with pytest.raises(InputError, match="compressed"):
        read_state_dict(tmp_path / "b.pth")


def test_a_whole_model_is_refused():
    with pytest.raises(InputError, match="it calls|instruction|dictionary of tensors"):
        read_state_dict(WRITTEN / "whole_model.pth")


@settings(max_examples=200, deadline=None)
@given(st.data(), st.sampled_from(["state_dict.pth", "state_dict_before_1_6.pth"]))
def test_damage_ends_in_one_line_or_changes_numbers_only(tmp_path_factory, data, name):
    contents = bytearray((WRITTEN / name).read_bytes())
    at = data.draw(st.integers(0, len(contents) - 1))
    if data.draw(st.booleans()):
        contents[at] ^= data.draw(st.integers(1, 255))
    else:
        del contents[at:]
    path = tmp_path_factory.mktemp("damaged") / name
    path.write_bytes(contents)
    with contextlib.suppress(InputError):  # and nothing else
        assert all(isinstance(array, np.ndarray) for array in read_state_dict(path).values())
