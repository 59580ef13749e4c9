"""Lazy arrays over many files with the same layout, whose files are opened when values are read."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import xarray as xr
from h5py import h5d, h5s
from xarray.backends import BackendArray
from xarray.core import indexing

from sciml.errors import InputError
from sciml.wrf.headers import FileLayout, Reader
from sciml.wrf.open_files import LOCK, hdf5_file, netcdf_file
from sciml.wrf.runs import RUN_START
from sciml.wrf.truncation import read_values

__all__ = ["Frames", "decoded", "stacked"]

Array = npt.NDArray[Any]
Span = tuple[int, int, int]
_CLOCKS: Final = ("Times", "Time", RUN_START)


def decoded(ds: xr.Dataset) -> xr.Dataset:
    """Decode values by their CF attributes (missing values, packing, characters), except times."""
    return xr.decode_cf(ds, decode_times=False, decode_coords=False, concat_characters=True)


@dataclass(frozen=True, eq=False)
class Frames:
    """Positions of the frames of a dataset in files.

    Attributes
    ----------
    paths
        Absolute paths of the files.
    changed
        Modification time of each file [ns], by which Dask recognises a file that was written again.
    file, frame
        Number of the file, and number within the file, for each frame of the dataset.
    reader
        Name of the reader of the values: HDF5, or a plain read for classic files.
    """

    paths: tuple[str, ...]
    changed: tuple[int, ...]
    file: Array
    frame: Array
    reader: Reader

    @classmethod
    def of(cls, paths: list[Path], file: Array, frame: Array, *, reader: Reader) -> Frames:
        """Make the positions of frames in files, which must exist; `file` and `frame` as above."""
        absolute = tuple(os.path.abspath(path) for path in paths)
        return cls(absolute, tuple(os.stat(path).st_mtime_ns for path in absolute), file, frame, reader)


class FrameStack(BackendArray):
    """A stored variable over the frames of many files; a variable without Time is read from the first file."""

    def __init__(
        self,
        frames: Frames,
        name: str,
        shape: tuple[int, ...],
        dtype: np.dtype[Any],
        axis: int | None,
        places: tuple[Array, Array],
    ) -> None:
        """`places` has, for each classic file, the position of the first value and the bytes between frames."""
        self._frames, self._name, self._axis, self._places = frames, name, axis, places
        self.shape, self.dtype = shape, dtype

    def __getitem__(self, key: indexing.ExplicitIndexer) -> Array:
        return np.asarray(
            indexing.explicit_indexing_adapter(key, self.shape, indexing.IndexingSupport.OUTER, self._read)
        )

    def _read(self, key: tuple[Any, ...]) -> Array:
        """Read values by integers, slices and arrays of integers, independently for each axis."""
        scalar = tuple(k for k, index in enumerate(key) if isinstance(index, (int, np.integer)))
        chosen = [_chosen(index, length) for index, length in zip(key, self.shape, strict=True)]
        inside = [_span(index) for index in chosen]
        out = self._piece(0, inside) if self._axis is None else self._stack(chosen[self._axis], inside)
        # Drop the values between those that an array of integers selects.
        for axis, (index, span) in enumerate(zip(chosen, inside, strict=True)):
            if axis != self._axis and not (isinstance(index, range) and index.step > 0):
                out = out.take([k - span[0] for k in index], axis)
        return out.squeeze(scalar) if scalar else out

    def _stack(self, wanted: npt.NDArray[np.intp] | range, inside: list[Span]) -> Array:
        axis = self._axis
        assert axis is not None
        shape = [len(range(*span)) for span in inside]
        shape[axis] = len(wanted)
        out = np.empty(shape, self.dtype)
        file, frame = self._frames.file[wanted], self._frames.frame[wanted]
        # Successive frames in a file are read together.
        ends = np.flatnonzero((np.diff(file) != 0) | (np.diff(frame) != 1)) + 1
        for first, last in zip([0, *ends.tolist()], [*ends.tolist(), len(wanted)], strict=True):
            if last > first:
                spans = list(inside)
                spans[axis] = (int(frame[first]), int(frame[last - 1]) + 1, 1)
                place = (slice(None),) * axis + (slice(first, last),)
                out[place] = self._piece(int(file[first]), spans)
        return out

    def _piece(self, file: int, spans: list[Span]) -> Array:
        """Read from a single file; with netCDF4, which may have more filters, if the fast reader fails."""
        path = self._frames.paths[file]
        try:
            with suppress(OSError, RuntimeError, KeyError, ValueError, TypeError):
                if self._frames.reader == "classic":
                    return self._of_classic(file, spans)
                if self.dtype.kind in "iufS":
                    with LOCK:
                        return _by_hdf5(path, self._name, spans, self.dtype)
            with LOCK:
                variable = netcdf_file(path, raw=True).variables[self._name]
                return np.asarray(variable[tuple(slice(*span) for span in spans)], self.dtype)
        except (OSError, RuntimeError, KeyError, IndexError, ValueError) as error:
            raise InputError(
                f"{path}: {self._name} cannot be read ({error}); copy the file again, or leave it out"
            ) from error

    def _of_classic(self, file: int, spans: list[Span]) -> Array:
        begin, step = (int(numbers[file]) for numbers in self._places)
        path, stored = self._frames.paths[file], self.dtype.newbyteorder(">")
        if self._axis is None:
            return read_values(path, begin, self.shape, stored, spans).astype(self.dtype)
        first, last, by = spans[0]
        shape = self.shape[1:]
        parts = [
            read_values(path, begin + k * step, shape, stored, spans[1:]) for k in range(first, last, by)
        ]
        return np.asarray(parts, self.dtype)


def _chosen(key: Any, length: int) -> npt.NDArray[np.intp] | range:
    if isinstance(key, slice):
        return range(*key.indices(length))
    return np.atleast_1d(np.asarray(key, np.intp)) % max(length, 1)


def _span(chosen: npt.NDArray[np.intp] | range) -> Span:
    """Start, stop and positive step of a slice that contains the selection."""
    if not len(chosen):
        return 0, 0, 1
    if isinstance(chosen, range) and chosen.step > 0:
        return chosen.start, chosen[-1] + 1, chosen.step
    return int(min(chosen)), int(max(chosen)) + 1, 1


def _by_hdf5(path: str, name: str, spans: list[Span], dtype: np.dtype[Any]) -> Array:
    shape = tuple(len(range(*span)) for span in spans)
    out = np.empty(shape, dtype)
    if not out.size:
        return out
    file = hdf5_file(path)
    try:
        variable = h5d.open(file, name.encode())
        if shape == variable.shape:
            variable.read(h5s.ALL, h5s.ALL, out)
        else:
            space = variable.get_space()
            starts, strides = tuple(span[0] for span in spans), tuple(span[2] for span in spans)
            space.select_hyperslab(starts, shape, stride=strides)
            variable.read(h5s.create_simple(shape), space, out)
    finally:
        file.close()
    return out


def stacked(
    raw: xr.Dataset, frames: Frames, layouts: Sequence[FileLayout], known: Mapping[str, Array]
) -> xr.Dataset:
    """A dataset over the frames of files with the same layout. No file is opened.

    Parameters
    ----------
    raw
        A dataset of one of the files, opened without decoding.
    frames
        Positions of the frames.
    layouts
        Layout of each file.
    known
        Stored values that were read already, for each frame of the dataset.

    Returns
    -------
    xr.Dataset
        Lazy dataset without Dask, decoded except for times; without Times, Time and RUN_START.
    """
    variables: dict[str, xr.Variable] = {}
    steps = np.array([layout.step for layout in layouts])
    for key, variable in raw.variables.items():
        name = str(key)
        if name in _CLOCKS:
            continue
        if name in known:
            variables[name] = xr.Variable(variable.dims, known[name], variable.attrs, variable.encoding)
            continue
        axis = variable.dims.index("Time") if "Time" in variable.dims else None
        shape = tuple(len(frames.file) if n == axis else length for n, length in enumerate(variable.shape))
        begins = np.array([layout.begin_of(name) for layout in layouts])
        array = FrameStack(frames, name, shape, variable.dtype, axis, (begins, steps))
        variables[name] = xr.Variable(
            variable.dims, indexing.LazilyIndexedArray(array), variable.attrs, variable.encoding
        )
    return decoded(xr.Dataset(variables, attrs=raw.attrs))
