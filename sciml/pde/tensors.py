"""Tensors in files of torch, read without torch and without executing the pickle."""

from __future__ import annotations

import pickle
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from zipfile import ZipFile

import numpy as np

from sciml.errors import InputError

__all__ = ["LEGACY", "holds_tensors", "tensors_in"]

LEGACY: Final = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."
"""First bytes of a file that torch wrote before version 1.6: a stream of pickles."""

_KINDS: Final[Mapping[str, str]] = {
    "FloatStorage": "f4",
    "DoubleStorage": "f8",
    "HalfStorage": "f2",
    "BFloat16Storage": "bfloat16",
    "LongStorage": "i8",
    "IntStorage": "i4",
    "ShortStorage": "i2",
    "CharStorage": "i1",
    "ByteStorage": "u1",
    "BoolStorage": "?",
    "ComplexFloatStorage": "c8",
    "ComplexDoubleStorage": "c16",
}


def holds_tensors(path: Path) -> bool:
    """Return whether torch.save wrote a zip file: all its entries are in one folder, which contains a pickle."""
    with ZipFile(path) as archive:
        return any(name.count("/") == 1 and name.endswith("/data.pkl") for name in archive.namelist())


def tensors_in(path: Path) -> dict[str, np.ndarray]:
    """Read the tensors in a file of torch.save, by name.

    The names are the keys of a dict, or the positions of the items of a tuple or list ("0", "1"); a single tensor has
    the name of the file. Names of nested tensors are joined with a slash. True and False become 1 and 0 in float32, and
    bfloat16 becomes float32.

    The file is a zip archive of a pickle and of the numbers. The unpickler calls only functions that build tensors, so
    that a file cannot run code.

    Raises
    ------
    InputError
        The pickle contains anything else than tensors, dicts, lists, tuples, numbers and text.
    """
    with ZipFile(path) as archive:
        name = next(
            value for value in archive.namelist() if value.count("/") == 1 and value.endswith("/data.pkl")
        )
        folder = name.removesuffix("data.pkl")
        order = "<"
        if f"{folder}byteorder" in archive.namelist():
            order = ">" if archive.read(f"{folder}byteorder").strip() == b"big" else "<"
        with archive.open(name) as stream:
            reader = _Tensors(stream, archive, f"{folder}data/", order, path)
            try:
                content = reader.load()
            except InputError:
                raise
            except Exception as error:  # a damaged pickle raises almost any exception
                raise ValueError(f"{type(error).__name__}: {error}") from error
    return {key or path.stem: _real(value) for key, value in _flat(content, "")}


def _flat(content: Any, name: str) -> Iterator[tuple[str, np.ndarray]]:
    if isinstance(content, np.ndarray):
        yield name, content
        return
    if isinstance(content, Mapping):
        items: Any = content.items()
    elif isinstance(content, list | tuple):
        items = enumerate(content)
    else:
        return
    for key, item in items:
        yield from _flat(item, f"{name}/{key}" if name else str(key))


def _real(value: np.ndarray) -> np.ndarray:
    return value.astype(np.float32) if value.dtype.kind == "b" else value


@dataclass(frozen=True)
class _Kind:
    """Type of a storage, under its name in the pickle."""

    name: str


class _Tensors(pickle.Unpickler):
    """Unpickler that builds arrays instead of tensors, and raises an error for anything else."""

    def __init__(self, stream: Any, archive: ZipFile, folder: str, order: str, path: Path) -> None:
        super().__init__(stream)
        self._archive, self._folder, self._order, self._path = archive, folder, order, path
        self._read: dict[str, np.ndarray] = {}

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("collections", "OrderedDict"):
            return _ordered
        if module == "torch" and name in _KINDS:
            return _Kind(_KINDS[name])
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _tensor
        if (module, name) == ("torch._utils", "_rebuild_parameter"):
            return _parameter
        raise InputError(
            f"{self._path} holds {module}.{name}, and only tensors, dicts, lists, tuples, numbers and text are read "
            'from a file of torch: save the tensors alone, as torch.save({"x": x, "y": y}, path)'
        )

    def persistent_load(self, pid: Any) -> np.ndarray:
        """Return the numbers of a storage."""
        mark, kind, key, _, _ = pid
        if mark != "storage" or not isinstance(kind, _Kind):
            raise ValueError(f"unknown storage {mark!r}")
        if str(key) not in self._read:
            content = self._archive.read(f"{self._folder}{key}")
            self._read[str(key)] = _numbers(content, kind.name, self._order)
        return self._read[str(key)]


def _numbers(content: bytes, kind: str, order: str) -> np.ndarray:
    if kind == "bfloat16":  # the upper half of a float32
        wide = np.frombuffer(content, f"{order}u2").astype(np.uint32) << np.uint32(16)
        return wide.view(np.float32)
    values = np.frombuffer(content, kind if kind == "?" else f"{order}{kind}")
    return values.astype(kind)


def _ordered(items: Any = ()) -> OrderedDict[Any, Any]:
    return OrderedDict(items)


def _tensor(
    storage: Any,
    offset: Any,
    size: Any,
    stride: Any,
    requires_grad: Any = False,
    hooks: Any = None,
    *rest: Any,
) -> np.ndarray:
    """Return the array of these sizes and strides within the numbers of a storage."""
    shape, steps = tuple(map(int, size)), tuple(map(int, stride))
    if (
        not isinstance(storage, np.ndarray)
        or len(shape) != len(steps)
        or min((*shape, *steps, int(offset), 0)) < 0
    ):
        raise ValueError(f"a tensor of sizes {shape} and strides {steps}")
    last = int(offset) + sum((n - 1) * step for n, step in zip(shape, steps, strict=True))
    if 0 not in shape and last >= storage.size:
        raise ValueError(f"a tensor of sizes {shape} in a storage of {storage.size}")
    if 0 in shape:
        return np.zeros(shape, storage.dtype)
    if int(np.prod(shape, dtype=object)) > storage.size:
        raise ValueError(
            f"a tensor of sizes {shape} in a storage of {storage.size}: expanded, call .clone() first"
        )
    view = np.lib.stride_tricks.as_strided(
        storage[int(offset) :], shape, [step * storage.itemsize for step in steps], writeable=False
    )
    return np.ascontiguousarray(view)


def _parameter(data: Any, *rest: Any) -> Any:
    return data
