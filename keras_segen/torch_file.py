"""PyTorch files read without PyTorch and without unpickling: nothing in the file is executed.

Such a file holds a pickle, which is a program, and the tensors' numbers: in a zip archive (from PyTorch 1.6 on) or one
after the other. The program is read step by step here. Of all that a pickle may call, this module knows a dictionary
and a tensor, and refuses the rest.
"""

import io
import math
import pickletools
import struct
import warnings
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np

from keras_segen.errors import InputError
from keras_segen.types import PathLike

__all__ = ["read_state_dict"]

_MAGIC, _PROTOCOL = 0x1950A86A20F9469CFC6C, 1001  # what files before 1.6 begin with
_TYPES = {
    "torch DoubleStorage": "<f8",
    "torch FloatStorage": "<f4",
    "torch HalfStorage": "<f2",
    "torch LongStorage": "<i8",
    "torch IntStorage": "<i4",
}

# What reading a file raises that is not what it should be.
_DAMAGE = (
    *(ValueError, LookupError, TypeError, AttributeError, ArithmeticError, EOFError, RuntimeError, MemoryError),
    *(struct.error, zlib.error, zipfile.BadZipFile),
)


def read_state_dict(path: PathLike) -> dict[str, np.ndarray]:
    """Read a dictionary of tensors, as `torch.save(model.state_dict(), path)` writes it.

    A convolution's kernel is (out, in, height, width) there, and (height, width, in, out) in Keras; a dense layer's is
    (out, in) there, and (in, out) in Keras.

    Args:
        path: The file, .pth or .pt.

    Returns:
        The tensors by their names.

    Raises:
        InputError: For a file that is damaged, holds something else, or would call something.

    Example:
        >>> state = ks.torch_file.read_state_dict("inception.pth")
        >>> kernel = state["Conv2d_1a_3x3.conv.weight"].transpose(2, 3, 1, 0)
    """
    file = io.BytesIO(Path(path).read_bytes())
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # pickletools' own, on damaged strings
            return _read_archive(file) if zipfile.is_zipfile(file) else _read_sequence(file)
    except _DAMAGE as error:
        raise InputError(f"{path}: is damaged, or no file of tensors by PyTorch ({error}): fetch it again") from error


@dataclass(frozen=True)
class _Storage:
    dtype: str
    key: str
    count: int

    @property
    def itemsize(self) -> int:
        """Bytes of one number."""
        return np.dtype(self.dtype).itemsize


@dataclass(frozen=True)
class _Tensor:
    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    stride: tuple[int, ...]

    def cut(self, numbers: np.ndarray) -> np.ndarray:
        """Return the tensor out of its storage's numbers."""
        last = self.offset + sum((size - 1) * step for size, step in zip(self.shape, self.stride, strict=True))
        if min((self.offset, *self.shape, *self.stride)) < 0:
            raise ValueError("a tensor of negative sizes")
        count = math.prod(self.shape)
        if count > len(numbers) or (count and last >= len(numbers)):
            raise ValueError("a tensor beyond its storage")
        strides = [step * numbers.itemsize for step in self.stride]
        return np.asarray(np.lib.stride_tricks.as_strided(numbers[self.offset :], self.shape, strides), order="C")


def _read_archive(contents: IO[bytes]) -> dict[str, np.ndarray]:
    with zipfile.ZipFile(contents) as archive:
        (pickle,) = (name for name in archive.namelist() if name.endswith("/data.pkl"))
        folder = pickle.removesuffix("data.pkl")
        with archive.open(pickle) as file:
            tensors = _tensors(_read_pickle(file))
        if f"{folder}byteorder" in archive.namelist() and archive.read(f"{folder}byteorder") != b"little":
            raise ValueError("bytes in the order of another machine")

        def read(storage: _Storage) -> bytes:
            entry = archive.getinfo(f"{folder}data/{storage.key}")
            # PyTorch compresses nothing, so that no entry is larger than the file.
            if entry.compress_type != zipfile.ZIP_STORED or entry.file_size < storage.count * storage.itemsize:
                raise ValueError("numbers that are compressed, or too few")
            return archive.read(entry)

        return _cut(tensors, read)


def _read_sequence(file: IO[bytes]) -> dict[str, np.ndarray]:
    file.seek(0)
    if _read_pickle(file) != _MAGIC or _read_pickle(file) != _PROTOCOL:
        raise ValueError("it does not begin as one")
    if not _read_pickle(file)["little_endian"]:
        raise ValueError("bytes in the order of another machine")
    tensors = _tensors(_read_pickle(file))
    by_key = {tensor.storage.key: tensor.storage for tensor in tensors.values()}
    keys = _read_pickle(file)
    rest, start, contents = memoryview(file.read()), 0, {}
    for key in keys:
        (count,) = struct.unpack_from("<q", rest, start)
        end = start + 8 + count * by_key[key].itemsize
        contents[key] = rest[start + 8 : end]
        start = end
    return _cut(tensors, lambda storage: contents[storage.key])


def _tensors(content: Any) -> dict[str, _Tensor]:
    if not isinstance(content, dict) or not all(isinstance(value, _Tensor) for value in content.values()):
        raise ValueError("it holds no dictionary of tensors")
    return content


def _cut(tensors: dict[str, _Tensor], read: Callable[[_Storage], Any]) -> dict[str, np.ndarray]:
    return {name: t.cut(np.frombuffer(read(t.storage), t.storage.dtype)) for name, t in tensors.items()}


def _call(function: Any, arguments: Any) -> Any:
    """Do what the two functions that a dictionary of tensors needs would do."""
    if function == "collections OrderedDict" and not arguments:
        return {}
    if function == "torch._utils _rebuild_tensor_v2":
        storage, offset, shape, stride = arguments[:4]
        return _Tensor(storage, offset, tuple(shape), tuple(stride))
    raise ValueError(f"it calls {function}")


def _name(key: Any) -> str:
    """Return a key that is a string; hashing anything else may take for ever, or end the process."""
    if not isinstance(key, str):
        raise ValueError("a dictionary whose keys are no names")
    return key


def _persistent(reference: Any) -> _Storage:
    kind, dtype, key, _, count = reference[:5]
    if kind != "storage" or dtype not in _TYPES:
        raise ValueError(f"numbers of an unknown kind, {dtype}")
    return _Storage(_TYPES[dtype], str(key), int(count))


def _read_pickle(file: IO[bytes]) -> Any:  # noqa: PLR0912, PLR0915 - one branch an instruction
    """Follow the instructions of one pickle; a name of a function or class stays a string "module name"."""
    stack: list[Any] = []
    marks: list[int] = []
    memory: dict[int, Any] = {}

    def since_mark() -> list[Any]:
        first = marks.pop()
        items = stack[first:]
        del stack[first:]
        return items

    instruction: pickletools.OpcodeInfo
    argument: Any
    for instruction, argument, _ in pickletools.genops(file):
        match instruction.name:
            case "PROTO" | "FRAME":
                pass
            case "STOP":
                return stack.pop()
            case "MARK":
                marks.append(len(stack))
            case "GLOBAL" | "BINUNICODE" | "SHORT_BINUNICODE" | "BININT" | "BININT1" | "BININT2" | "LONG1":
                stack.append(argument)
            case "NONE" | "NEWTRUE" | "NEWFALSE":
                stack.append({"NONE": None, "NEWTRUE": True, "NEWFALSE": False}[instruction.name])
            case "EMPTY_DICT" | "EMPTY_LIST" | "EMPTY_TUPLE":
                stack.append({"EMPTY_DICT": dict, "EMPTY_LIST": list, "EMPTY_TUPLE": tuple}[instruction.name]())
            case "TUPLE":
                stack.append(tuple(since_mark()))
            case "TUPLE1" | "TUPLE2" | "TUPLE3":
                count = int(instruction.name[-1])
                stack[-count:] = [tuple(stack[-count:])]
            case "APPEND":
                item = stack.pop()
                stack[-1].append(item)
            case "APPENDS":
                items = since_mark()
                stack[-1].extend(items)
            case "SETITEM":
                key, value = stack.pop(-2), stack.pop()
                stack[-1][_name(key)] = value
            case "SETITEMS":
                items = since_mark()
                stack[-1].update(zip(map(_name, items[::2]), items[1::2], strict=True))
            case "BINPUT" | "LONG_BINPUT":
                memory[argument] = stack[-1]
            case "MEMOIZE":
                memory[len(memory)] = stack[-1]
            case "BINGET" | "LONG_BINGET":
                stack.append(memory[argument])
            case "BINPERSID":
                stack.append(_persistent(stack.pop()))
            case "REDUCE":
                arguments = stack.pop()
                stack.append(_call(stack.pop(), arguments))
            case "BUILD":  # the dictionary's _metadata, which says nothing of the tensors
                stack.pop()
            case other:
                raise ValueError(f"it holds the instruction {other}")
    raise ValueError("it ends too early")
