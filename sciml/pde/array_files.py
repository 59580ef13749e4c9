"""Arrays in files of many formats, read lazily if the format allows it."""

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
from sciml.storage.containment import check_hdf5
from sciml.storage.damage import DAMAGE, reading_values, reason_of

__all__ = ["Form", "FileArrays", "absent", "form_of", "read_arrays"]

Form: TypeAlias = str
ArrayLike: TypeAlias = Any  # has shape, dtype, ndim, and can be indexed
FORMS: Final = (
    "netCDF (.nc), zarr (a folder), HDF5 (.h5, .hdf5), MATLAB (.mat), NumPy (.npz, .npy), torch (.pt)"
)


@dataclass(frozen=True)
class FileArrays:
    """Arrays, attributes and format of a file."""

    arrays: Mapping[str, ArrayLike]
    attrs: Mapping[str, Any] = field(default_factory=dict)
    form: Form = ""

    def __str__(self) -> str:
        return ", ".join(
            f"{name} {' x '.join(map(str, array.shape)) or 'number'}" for name, array in self.arrays.items()
        )


def absent(ours: str, theirs: str, there: str) -> MissingVariable:
    """Make the error for a missing variable, with the variables of the file and the option that names one."""
    kind = "target" if ours == "u" else "inputs"
    return MissingVariable(
        f"there is no {theirs!r} for {ours}: the file holds {there or 'nothing'}; say what it is called, such as "
        f'{kind}={{"{ours}": "NAME"}} (--{kind} {ours}=NAME), or name a layout'
    )


@dataclass(frozen=True)
class _Lazy:
    """Array in a file that is opened for each read, so that it is pickled as a path and a name."""

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
        """Convert an index to slices with positive steps, and an index of their result."""
        index = index if isinstance(index, tuple) else (index,)
        if Ellipsis in index:
            at = index.index(Ellipsis)
            index = (*index[:at], *(slice(None),) * (self.ndim - len(index) + 1), *index[at + 1 :])
        index = (*index, *(slice(None),) * (self.ndim - len(index)))
        taken: list[slice] = []
        after: list[Any] = []
        for value, size in zip(index, self.shape, strict=True):
            if isinstance(value, slice):
                taken.append(value)
                after.append(slice(None))
            else:
                at = operator.index(value) % size
                taken.append(slice(at, at + 1))
                after.append(0)
        return tuple(taken), tuple(after)


class Hdf5Array(_Lazy):
    """Dataset of an HDF5 file."""

    def __getitem__(self, index: Any) -> np.ndarray:
        import h5py

        taken, after = self._slices(index)
        with reading_values(self.path, self.name), h5py.File(self.path, "r") as file:
            piece: np.ndarray = np.asarray(file[self.name][taken])[after]
        return piece


class MatlabArray(_Lazy):
    """Variable of a MATLAB file of version 7.3, which stores the axes in reverse."""

    def __getitem__(self, index: Any) -> np.ndarray:
        import h5py

        taken, after = self._slices(index)
        with reading_values(self.path, self.name), h5py.File(self.path, "r") as file:
            piece: np.ndarray = np.asarray(file[self.name][taken[::-1]]).T[after]
        return piece


class NpyArray(_Lazy):
    """Array of a .npy file."""

    def __getitem__(self, index: Any) -> np.ndarray:
        with reading_values(self.path, self.name):
            return np.array(np.load(self.path, mmap_mode="r", allow_pickle=False)[index])


def form_of(path: Path) -> Form:
    """Return the format of a file, from its first bytes rather than its name.

    Raises
    ------
    InputError
        The file does not exist, is empty, or has an unknown format.
    """
    if path.is_dir():
        if any((path / name).exists() for name in ("zarr.json", ".zgroup", ".zmetadata")):
            return "zarr"
        raise InputError(f"{path} is a folder but not a zarr store: give a file or a store ({FORMS})")
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
    if path.suffix == ".mat" and len(head) >= 20:  # version 4 has no magic bytes: scipy recognises it
        return "matlab"
    what = "is empty" if not head else "is of no known form"
    raise InputError(f"{path} {what}: a dataset may be {FORMS}")


def _of_torch(path: Path) -> bool:
    try:
        return holds_tensors(path)
    except BadZipFile:
        return False


def read_arrays(path: Path, form: Form) -> FileArrays:
    """Read the numeric arrays of a file that does not name their dimensions.

    Raises
    ------
    InputError
        The file cannot be read, or contains no arrays of numbers.
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
        content = replace(readers[form](path, form), form=form)
    except InputError:
        raise
    except (*DAMAGE, BadZipFile, zlib.error) as error:
        raise InputError(f"{path} cannot be read ({reason_of(error)}): is it whole?") from error
    if not content.arrays:
        zipped = ", being no .npz but another zip (a zarr store): save the arrays with numpy.savez, or unzip"
        raise InputError(
            f"{path} holds no arrays of numbers" + (zipped if path.suffix != ".npz" and form == "npz" else "")
        )
    return content


def _stamp(path: Path) -> tuple[int, int]:
    stat = path.stat()
    return stat.st_size, stat.st_mtime_ns


def _hdf5(path: Path, form: Form) -> FileArrays:
    import h5py

    check_hdf5(path)
    kind = MatlabArray if form == "matlab73" else Hdf5Array
    arrays: dict[str, ArrayLike] = {}

    def visit(name: str, value: Any) -> None:
        if isinstance(value, h5py.Dataset) and value.dtype.kind in "fiuc" and not name.startswith("#"):
            shape = value.shape[::-1] if form == "matlab73" else value.shape
            arrays[name] = kind(str(path), name, shape, value.dtype, _stamp(path))

    with h5py.File(path, "r") as file:
        file.visititems(visit)
        attrs = dict(file.attrs.items())
    return FileArrays(arrays, attrs)


def _matlab(path: Path, form: Form) -> FileArrays:
    from scipy.io import loadmat

    try:
        content = loadmat(path)
    except Exception as error:  # a damaged file raises almost any exception
        raise ValueError(f"{type(error).__name__}: {error}") from error
    return FileArrays({name: array for name, array in content.items() if _numeric(array)})


def _npz(path: Path, form: Form) -> FileArrays:
    with np.load(path, allow_pickle=False) as content:
        arrays = {name: content[name] for name in content.files}
    return FileArrays({name: array for name, array in arrays.items() if _numeric(array)})


def _npy(path: Path, form: Form) -> FileArrays:
    value = np.load(path, mmap_mode="r", allow_pickle=False)
    if not _numeric(value):
        return FileArrays({})
    return FileArrays({path.stem: NpyArray(str(path), path.stem, value.shape, value.dtype, _stamp(path))})


def _torch(path: Path, form: Form) -> FileArrays:
    return FileArrays({name: value for name, value in tensors_in(path).items() if _numeric(value)})


def _numeric(value: Any) -> bool:
    return isinstance(value, np.ndarray) and value.dtype.kind in "fiuc"
