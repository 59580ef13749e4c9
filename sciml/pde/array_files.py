"""Arrays in files of any form: what is there, read only where it is asked for if the format allows."""

from __future__ import annotations

import operator
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, TypeAlias
from zipfile import BadZipFile

import numpy as np

from sciml.errors import InputError, MissingVariable
from sciml.pde.tensors import LEGACY, holds_tensors, tensors_in

__all__ = ["Form", "Found", "absent", "form_of", "found_in"]

Form: TypeAlias = str
ArrayLike: TypeAlias = Any  # has shape, dtype, ndim, and can be indexed
FORMS: Final = (
    "netCDF (.nc), zarr (a folder), HDF5 (.h5, .hdf5), MATLAB (.mat), NumPy (.npz, .npy), torch (.pt)"
)


@dataclass(frozen=True)
class Found:
    """The arrays of a file, its attributes, and its form."""

    arrays: Mapping[str, ArrayLike]
    attrs: Mapping[str, Any] = field(default_factory=dict)
    form: Form = ""

    def __str__(self) -> str:
        return ", ".join(
            f"{name} {' x '.join(map(str, one.shape)) or 'number'}" for name, one in self.arrays.items()
        )


def absent(ours: str, theirs: str, there: str) -> MissingVariable:
    """The error where a variable is not in a file, with what is there and how to name it."""
    kind = "target" if ours == "u" else "inputs"
    return MissingVariable(
        f"there is no {theirs!r} for {ours}: the file holds {there or 'nothing'}; say what it is called, such as "
        f'{kind}={{"{ours}": "NAME"}} (--{kind} {ours}=NAME), or name a layout'
    )


@dataclass(frozen=True)
class _Lazy:
    """An array in a file, opened anew for each piece: it goes to other processes as a path and a name."""

    path: str
    name: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    stamp: tuple[int, int]

    @property
    def ndim(self) -> int:
        return len(self.shape)

    def __dask_tokenize__(self) -> tuple[Any, ...]:
        return type(self).__name__, self.path, self.name, self.shape, self.stamp

    def _slices(self, index: Any) -> tuple[tuple[slice, ...], tuple[Any, ...]]:
        """An index as slices with steps forward, and what to do with their result."""
        index = index if isinstance(index, tuple) else (index,)
        if Ellipsis in index:
            at = index.index(Ellipsis)
            index = (*index[:at], *(slice(None),) * (self.ndim - len(index) + 1), *index[at + 1 :])
        index = (*index, *(slice(None),) * (self.ndim - len(index)))
        taken: list[slice] = []
        after: list[Any] = []
        for one, size in zip(index, self.shape, strict=True):
            if isinstance(one, slice):
                taken.append(one)
                after.append(slice(None))
            else:
                at = operator.index(one) % size
                taken.append(slice(at, at + 1))
                after.append(0)
        return tuple(taken), tuple(after)


class Hdf5Array(_Lazy):
    """A dataset of an HDF5 file."""

    def __getitem__(self, index: Any) -> np.ndarray:
        import h5py

        taken, after = self._slices(index)
        with h5py.File(self.path, "r") as file:
            piece: np.ndarray = np.asarray(file[self.name][taken])[after]
        return piece


class MatlabArray(_Lazy):
    """A variable of a MATLAB file of version 7.3, which stores the axes in reverse."""

    def __getitem__(self, index: Any) -> np.ndarray:
        import h5py

        taken, after = self._slices(index)
        with h5py.File(self.path, "r") as file:
            piece: np.ndarray = np.asarray(file[self.name][taken[::-1]]).T[after]
        return piece


class NpyArray(_Lazy):
    """A .npy file."""

    def __getitem__(self, index: Any) -> np.ndarray:
        return np.array(np.load(self.path, mmap_mode="r")[index])


def form_of(path: Path) -> Form:
    """The form of a file, by its first bytes rather than its name.

    Raises
    ------
    InputError
        It is not there, empty, or of no known form.
    """
    if path.is_dir():
        if any((path / name).exists() for name in ("zarr.json", ".zgroup", ".zmetadata")):
            return "zarr"
        raise InputError(f"{path} is a folder but no zarr store: give a file or a store ({FORMS})")
    try:
        with path.open("rb") as file:
            head = file.read(520)
    except FileNotFoundError:
        partial = path.with_name(path.name + ".partial")
        hint = (
            f": {partial.name} is there, so it was not finished: run its command again"
            if partial.is_dir()
            else ""
        )
        raise InputError(f"{path} is not there{hint}") from None
    if b"\x89HDF\r\n\x1a\n" in (head[:8], head[512:520]):
        if head.startswith(b"MATLAB 7.3"):
            return "matlab73"
        return "netcdf" if path.suffix in (".nc", ".nc4", ".cdf") else "hdf5"
    for start, form in (
        (b"CDF", "netcdf"),
        (b"MATLAB 5.0", "matlab"),
        (b"\x93NUMPY", "npy"),
        (b"PK\x03\x04", "npz"),
    ):
        if head.startswith(start):
            return "torch" if form == "npz" and _of_torch(path) else form
    if head.startswith(LEGACY):
        raise InputError(
            f"{path} was written by torch before 1.6, as a stream of pickles: load and save it with a newer torch, "
            "or save the arrays with numpy.savez"
        )
    if path.suffix == ".mat" and len(head) >= 20:  # version 4 has no magic bytes: scipy tells
        return "matlab"
    what = "is empty" if not head else "is of no known form"
    raise InputError(f"{path} {what}: a dataset may be {FORMS}")


def _of_torch(path: Path) -> bool:
    try:
        return holds_tensors(path)
    except BadZipFile:
        return False


def found_in(path: Path, form: Form) -> Found:
    """The numeric arrays of a file that names its arrays but not their dimensions.

    Raises
    ------
    InputError
        It cannot be read, or holds no arrays of numbers.
    """
    if form in ("zarr", "netcdf"):
        raise InputError(
            f"{path} ({form}) names its dims: give the path of one dataset that holds all variables"
        )
    readers = {
        "hdf5": _hdf5,
        "matlab73": _hdf5,
        "matlab": _matlab,
        "npz": _npz,
        "npy": _npy,
        "torch": _torch,
    }
    try:
        found = replace(readers[form](path, form), form=form)
    except InputError:
        raise
    except (OSError, ValueError, KeyError, NotImplementedError, EOFError, BadZipFile, zlib.error) as error:
        raise InputError(f"{path} cannot be read ({error}): is it whole?") from error
    if not found.arrays:
        zipped = ", being no .npz but another zip (a zarr store): save the arrays with numpy.savez, or unzip"
        raise InputError(
            f"{path} holds no arrays of numbers" + (zipped if path.suffix != ".npz" and form == "npz" else "")
        )
    return found


def _stamp(path: Path) -> tuple[int, int]:
    stat = path.stat()
    return stat.st_size, stat.st_mtime_ns


def _hdf5(path: Path, form: Form) -> Found:
    import h5py

    kind = MatlabArray if form == "matlab73" else Hdf5Array
    arrays: dict[str, ArrayLike] = {}

    def visit(name: str, one: Any) -> None:
        if isinstance(one, h5py.Dataset) and one.dtype.kind in "fiuc" and not name.startswith("#"):
            shape = one.shape[::-1] if form == "matlab73" else one.shape
            arrays[name] = kind(str(path), name, shape, one.dtype, _stamp(path))

    with h5py.File(path, "r") as file:
        file.visititems(visit)
        attrs = dict(file.attrs.items())
    return Found(arrays, attrs)


def _matlab(path: Path, form: Form) -> Found:
    from scipy.io import loadmat

    try:
        content = loadmat(path)
    except Exception as error:  # of a damaged file it raises nearly anything
        raise ValueError(f"{type(error).__name__}: {error}") from error
    return Found({name: one for name, one in content.items() if _numeric(one)})


def _npz(path: Path, form: Form) -> Found:
    with np.load(path, allow_pickle=False) as content:
        arrays = {name: content[name] for name in content.files}
    return Found({name: one for name, one in arrays.items() if _numeric(one)})


def _npy(path: Path, form: Form) -> Found:
    one = np.load(path, mmap_mode="r", allow_pickle=False)
    if not _numeric(one):
        return Found({})
    return Found({path.stem: NpyArray(str(path), path.stem, one.shape, one.dtype, _stamp(path))})


def _torch(path: Path, form: Form) -> Found:
    return Found({name: one for name, one in tensors_in(path).items() if _numeric(one)})


def _numeric(one: Any) -> bool:
    return isinstance(one, np.ndarray) and one.dtype.kind in "fiuc"
