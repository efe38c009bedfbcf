"""Arrays of a state dict that PyTorch saved, read without PyTorch and without running anything the file asks for.

A file of PyTorch 1.6 or later is a zip archive: a pickle that describes the tensors, and one entry of numbers for
each storage.
"""

import collections
import math
import pickle
import zipfile
from pathlib import Path
from typing import Any, NamedTuple

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
_WRAPPERS = ("state_dict", "model_state_dict", "model")


class _Storage(NamedTuple):
    kind: str
    key: str


class _Tensor(NamedTuple):
    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]  # in elements


class _Unpickler(pickle.Unpickler):
    """Knows ordered dictionaries, storages and tensors; anything else is refused by its name."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("collections", "OrderedDict"):
            return collections.OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return lambda storage, offset, shape, strides, *_: _Tensor(storage, offset, shape, strides)
        if module == "torch" and name in _DTYPES:
            return name
        raise pickle.UnpicklingError(f"it asks for {module}.{name}, which a state dict does not need; refused")

    def persistent_load(self, pid: Any) -> _Storage:
        _, kind, key, *_ = pid
        return _Storage(kind, key)


def read(path: Path) -> dict[str, np.ndarray]:
    """Arrays by name of a state dict, alone or as "state_dict", "model_state_dict" or "model" of a dictionary.

    Raises:
      ValueError: the file is not of PyTorch 1.6 or later, is damaged, or holds more than tensors.
      OSError: it cannot be read.
    """
    with open(path, "rb") as file:
        if not zipfile.is_zipfile(file):
            raise ValueError(f"{path} is damaged, or of PyTorch before 1.6; save its state dict again with a newer one")
    try:
        with zipfile.ZipFile(path) as archive:
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
    for name in _WRAPPERS:
        if isinstance(tree, dict) and isinstance(tree.get(name), dict):
            tree = tree[name]
    if not isinstance(tree, dict):
        raise ValueError("it holds no dictionary")
    return {str(name): _array(archive, root, name, value) for name, value in tree.items()}


def _array(archive: zipfile.ZipFile, root: str, name: str, tensor: Any) -> np.ndarray:
    """The tensor's numbers, once they are known to lie within its storage."""
    if not isinstance(tensor, _Tensor) or not isinstance(tensor.storage, _Storage):
        raise ValueError(f"{name} is no tensor")
    (kind, key), offset, shape, strides = tensor
    sizes = (offset, *shape, *strides)
    if len(shape) != len(strides) or not all(isinstance(size, int) and size >= 0 for size in sizes):
        raise ValueError(f"{name} has shape {shape} and strides {strides}")
    numbers = np.frombuffer(archive.read(f"{root}data/{key}"), jnp.dtype(_DTYPES[kind]))
    if math.prod(shape) == 0:
        return np.zeros(shape, numbers.dtype)
    last = offset + sum((n - 1) * stride for n, stride in zip(shape, strides, strict=True))
    if last >= numbers.size or math.prod(shape) > numbers.size:
        raise ValueError(f"{name} reaches beyond its storage")
    in_bytes = [stride * numbers.itemsize for stride in strides]
    return np.lib.stride_tricks.as_strided(numbers[offset:], shape, in_bytes, writeable=False).copy()
