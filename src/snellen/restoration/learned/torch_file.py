"""Reads the tensors of a file that torch.save wrote, without torch, and nothing else that a pickle could hold."""

from __future__ import annotations

import collections
import io
import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

_TYPES = {
    "FloatStorage": "<f4",
    "DoubleStorage": "<f8",
    "HalfStorage": "<f2",
    "LongStorage": "<i8",
    "IntStorage": "<i4",
}
_LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
_DAMAGED = (
    pickle.UnpicklingError, zipfile.BadZipFile, EOFError, LookupError, ValueError, TypeError, AttributeError,
    OverflowError,
)  # fmt: skip
"""Errors that unpickling a damaged file raises."""


def read_tensors(path: Path) -> Any:
    """Return what the file holds, with each tensor as an array.

    Raises:
        ValueError: the file is damaged, or holds other than tensors, numbers, texts and containers.
    """
    try:
        return _read_zip(path) if zipfile.is_zipfile(path) else _read_legacy(path)
    except _DAMAGED as error:
        raise ValueError(f"{path} cannot be read: {error}") from error


class _Tensor:
    """A tensor whose values may come later."""

    def __init__(self, storage: tuple[str, str], offset: int, size: tuple[int, ...], stride: tuple[int, ...]) -> None:
        self.storage, self.offset, self.size, self.stride = storage, offset, size, stride

    def array(self, storages: dict[str, NDArray[Any]]) -> NDArray[Any]:
        if min((self.offset, *self.size, *self.stride)) < 0:
            raise ValueError("a tensor reaches outside its storage")
        values = storages[self.storage[1]][self.offset :]
        count = 1 + sum((side - 1) * step for side, step in zip(self.size, self.stride, strict=True))
        if min(self.size, default=1) > 0 and count > values.size:
            raise ValueError("a tensor reaches outside its storage")
        steps = tuple(step * values.itemsize for step in self.stride)
        strided: NDArray[Any] = np.lib.stride_tricks.as_strided(values, self.size, steps).copy()
        return strided


def _rebuild(storage: tuple[str, str], offset: int, size: tuple[int, ...], stride: tuple[int, ...], *_: Any) -> _Tensor:
    return _Tensor(storage, offset, size, stride)


class _Unpickler(pickle.Unpickler):
    """Knows tensors, their storages and ordered dicts; every other class is an error."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("collections", "OrderedDict"):
            return collections.OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _rebuild
        if module == "torch" and name in _TYPES:
            return name
        raise pickle.UnpicklingError(f"it holds {module}.{name}, which is no tensor")

    def persistent_load(self, saved: Any) -> tuple[str, str]:
        return saved[1], str(saved[2])  # type of the numbers, key


def _read_zip(path: Path) -> Any:
    with zipfile.ZipFile(path) as archive:
        (name,) = [name for name in archive.namelist() if name.endswith("/data.pkl")]
        held = _Unpickler(io.BytesIO(archive.read(name))).load()
        root = name.removesuffix("data.pkl")
        storages: dict[str, NDArray[Any]] = {}
        for tensor in _tensors(held):
            kind, key = tensor.storage
            storages[key] = np.frombuffer(archive.read(f"{root}data/{key}"), _TYPES[kind])
    return _filled(held, storages)


def _read_legacy(path: Path) -> Any:
    """Before torch 1.6: magic number, version, machine, contents, keys; then a count and the values of each key."""
    with path.open("rb") as file:
        if _Unpickler(file).load() != _LEGACY_MAGIC:
            raise ValueError("torch.save did not write it")
        _Unpickler(file).load()
        _Unpickler(file).load()
        held = _Unpickler(file).load()
        keys = _Unpickler(file).load()
        types = {tensor.storage[1]: tensor.storage[0] for tensor in _tensors(held)}
        storages = {}
        for key in keys:
            count = int(np.frombuffer(file.read(8), "<i8")[0])
            kind = np.dtype(_TYPES[types[str(key)]])
            storages[str(key)] = np.frombuffer(file.read(count * kind.itemsize), kind)
    return _filled(held, storages)


def _tensors(held: Any) -> list[_Tensor]:
    if isinstance(held, _Tensor):
        return [held]
    parts = held.values() if isinstance(held, dict) else held if isinstance(held, list | tuple) else ()
    return [tensor for part in parts for tensor in _tensors(part)]


def _filled(held: Any, storages: dict[str, NDArray[Any]]) -> Any:
    if isinstance(held, _Tensor):
        return held.array(storages)
    if isinstance(held, dict):
        return {key: _filled(part, storages) for key, part in held.items()}
    return [_filled(part, storages) for part in held] if isinstance(held, list | tuple) else held
