"""Arrays of a state dict that PyTorch saved, read without PyTorch and without running anything the file asks for.

A file of PyTorch 1.6 or later is a zip archive: a pickle that describes the tensors, and one entry of numbers for
each storage. An older one is a sequence of pickles, the tensors' the fourth, followed by the numbers.
"""

import collections
import math
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import jax.numpy as jnp
import numpy as np

_DTYPES = {
    "FloatStorage": "float32",
    "DoubleStorage": "float64",
    "HalfStorage": "float16",
    "BFloat16Storage": "bfloat16",
    "LongStorage": "int64",
    "IntStorage": "int32",
    "ShortStorage": "int16",
    "CharStorage": "int8",
    "ByteStorage": "uint8",
    "BoolStorage": "bool",
}
_OLD_MAGIC = 0x1950A86A20F9469CFC6C
_WRAPPERS = ("state_dict", "model_state_dict", "model")


class _Storage(NamedTuple):
    kind: str
    key: str


class _Tensor(NamedTuple):
    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]  # in elements


_KNOWN = {f"torch.{kind}": kind for kind in _DTYPES} | {
    "collections.OrderedDict": collections.OrderedDict,
    "torch._utils._rebuild_tensor_v2": lambda *fields: _Tensor(*fields[:4]),
    "torch._utils._rebuild_parameter": lambda tensor, *_: tensor,
}


class _Unpickler(pickle.Unpickler):
    """Knows ordered dictionaries, storages and tensors; anything else is refused by its name."""

    def find_class(self, module: str, name: str) -> Any:
        if (found := _KNOWN.get(f"{module}.{name}")) is None:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}, which a state dict does not need; refused")
        return found

    def __init__(self, file: BinaryIO):
        super().__init__(file)
        self.kinds: dict[str, str] = {}  # of the storages that the pickle names, by key

    def persistent_load(self, pid: Any) -> _Storage:
        _, kind, key, *_ = pid
        self.kinds[key] = kind
        return _Storage(kind, key)


def read(path: Path) -> dict[str, np.ndarray]:
    """Arrays by name of a state dict, alone or as "state_dict", "model_state_dict" or "model" of a dictionary.

    Raises:
      ValueError: the file is not of torch.save, is damaged, or holds more than tensors.
      OSError: it cannot be read.
    """
    try:
        with open(path, "rb") as file:
            if not zipfile.is_zipfile(file):
                file.seek(0)
                return _read_old(file)
            with zipfile.ZipFile(file) as archive:
                return _read(archive)
    except OSError:
        raise
    except Exception as error:  # a damaged pickle raises any type
        raise ValueError(f"{path} is not a state dict: {error or type(error).__name__}") from error


def _read(archive: zipfile.ZipFile) -> dict[str, np.ndarray]:
    roots = [name.removesuffix("data.pkl") for name in archive.namelist() if name.endswith("data.pkl")]
    if len(roots) != 1:
        raise ValueError("it is a zip archive, but not of PyTorch")
    root = roots[0]
    if root + "byteorder" in archive.namelist() and archive.read(root + "byteorder") != b"little":
        raise ValueError("its numbers are not little-endian")
    with archive.open(root + "data.pkl") as file:
        tree = _Unpickler(file).load()
    return _arrays(tree, lambda storage: archive.read(f"{root}data/{storage.key}"))


def _read_old(file: BinaryIO) -> dict[str, np.ndarray]:
    """Before PyTorch 1.6: magic number, version, byte order, tensors and storage keys, each a pickle; then numbers."""
    if file.peek(1)[:1] != b"\x80" or _Unpickler(file).load() != _OLD_MAGIC:
        raise ValueError("it is no file of torch.save, or damaged")
    _, system = _Unpickler(file).load(), _Unpickler(file).load()
    if not system["little_endian"]:
        raise ValueError("its numbers are not little-endian")
    unpickler = _Unpickler(file)
    tree, keys = unpickler.load(), _Unpickler(file).load()
    numbers = {}
    for key in keys:
        size = int.from_bytes(file.read(8), "little") * jnp.dtype(_DTYPES[unpickler.kinds[key]]).itemsize
        numbers[key] = file.read(size)
        if len(numbers[key]) != size:
            raise ValueError("it ends too early")
    return _arrays(tree, lambda storage: numbers[storage.key])


def _arrays(tree: Any, bytes_of: Callable[[_Storage], bytes]) -> dict[str, np.ndarray]:
    for name in _WRAPPERS:
        if isinstance(tree, dict) and isinstance(tree.get(name), dict):
            tree = tree[name]
    if not isinstance(tree, dict):
        raise ValueError("it holds no dictionary")
    return {str(name): _array(bytes_of, name, value) for name, value in tree.items()}


def _array(bytes_of: Callable[[_Storage], bytes], name: str, tensor: Any) -> np.ndarray:
    """The tensor's numbers, once they are known to lie within its storage."""
    if not isinstance(tensor, _Tensor) or not isinstance(tensor.storage, _Storage):
        raise ValueError(f"{name} is no tensor")
    storage, offset, shape, strides = tensor
    sizes = (offset, *shape, *strides)
    if len(shape) != len(strides) or not all(isinstance(size, int) and size >= 0 for size in sizes):
        raise ValueError(f"{name} has shape {shape} and strides {strides}")
    numbers = np.frombuffer(bytes_of(storage), jnp.dtype(_DTYPES[storage.kind]))
    if math.prod(shape) == 0:
        return np.zeros(shape, numbers.dtype)
    last = offset + sum((n - 1) * stride for n, stride in zip(shape, strides, strict=True))
    if last >= numbers.size or math.prod(shape) > numbers.size:
        raise ValueError(f"{name} reaches beyond its storage")
    in_bytes = [stride * numbers.itemsize for stride in strides]
    return np.lib.stride_tricks.as_strided(numbers[offset:], shape, in_bytes, writeable=False).copy()
