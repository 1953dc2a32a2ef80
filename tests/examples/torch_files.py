"""A writer of the files that PyTorch writes, for tests to make large ones without it."""

import io
import pickle
import sys
import types
import zipfile
from collections import OrderedDict
from pathlib import Path
from unittest import mock

import numpy as np


class FloatStorage:
    __module__ = "torch"


def _rebuild_tensor_v2(*arguments):
    raise AssertionError


_rebuild_tensor_v2.__module__ = "torch._utils"


class _Numbers:
    def __init__(self, key: str, count: int) -> None:
        self.key, self.count = key, count


class _Tensor:
    def __init__(self, key: str, array: np.ndarray) -> None:
        strides = tuple(s // array.itemsize for s in array.strides)
        self.arguments = (_Numbers(key, array.size), 0, array.shape, strides, False, OrderedDict())

    def __reduce__(self):
        return _rebuild_tensor_v2, self.arguments


class _Pickler(pickle.Pickler):
    def persistent_id(self, thing):
        if isinstance(thing, _Numbers):
            return "storage", FloatStorage, thing.key, "cpu", thing.count
        return None


def write_torch_file(path: Path, tensors: dict[str, np.ndarray]) -> None:
    """Write float32 tensors as `torch.save` does; arrays with their axes in another order keep it in the file."""
    arrays = {name: np.asarray(array, np.float32) for name, array in tensors.items()}
    torch, utils = types.ModuleType("torch"), types.ModuleType("torch._utils")
    torch.FloatStorage, utils._rebuild_tensor_v2 = FloatStorage, _rebuild_tensor_v2
    program = io.BytesIO()
    with mock.patch.dict(sys.modules, {"torch": torch, "torch._utils": utils}):
        content = OrderedDict((name, _Tensor(str(i), array)) for i, (name, array) in enumerate(arrays.items()))
        _Pickler(program, protocol=2).dump(content)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", program.getvalue())
        for i, array in enumerate(arrays.values()):
            archive.writestr(f"archive/data/{i}", array.ravel(order="K").tobytes())
