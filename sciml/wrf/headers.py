"""Headers of the files of a run: times, position of the grid, global attributes, and a check of the layout.

Reading all metadata of a file takes about as long as reading a frame, and the files of a run have the same metadata.
The metadata of a netCDF-4 file are therefore read with HDF5 alone, object by object. The header of a classic file is
contiguous.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt
import xarray as xr
from h5py import h5a, h5d, h5ds, h5g, h5l, h5s, h5t

from sciml.storage.containment import reads_other_files
from sciml.wrf.moving_nest import CORNERS
from sciml.wrf.open_files import LOCK, hdf5_file
from sciml.wrf.runs import RUN_START
from sciml.wrf.truncation import read_classic, read_values

__all__ = ["FILE_ATTRIBUTES", "Header", "FileLayout", "Reader", "header_of"]

Array = npt.NDArray[Any]
Reader = Literal["hdf5", "classic"]

FILE_ATTRIBUTES: Final[tuple[str, ...]] = (
    "TITLE",
    "START_DATE",
    "SIMULATION_START_DATE",
    "GRID_ID",
    "PARENT_ID",
    "I_PARENT_START",
    "J_PARENT_START",
    "MAP_PROJ",
    "CEN_LAT",
    "CEN_LON",
    "TRUELAT1",
    "TRUELAT2",
    "STAND_LON",
    "DX",
    "DY",
    "DT",
    "CUDT",
    "STEPCU",
    "CU_PHYSICS",
    "MP_PHYSICS",
    "BUCKET_MM",
    "BUCKET_J",
    "HYBRID_OPT",
    "USE_THETA_M",
    "SOURCE",
    "SOURCE_FILE",
)
"""Global attributes that are read from every file; the others are those of the first file."""

_DECODING: Final[tuple[str, ...]] = (
    "_FillValue",
    "missing_value",
    "scale_factor",
    "add_offset",
    "_Unsigned",
    "_Encoding",
)
_CLOCKS: Final[tuple[str, ...]] = ("Times", "Time", "XTIME", "ITIMESTEP", RUN_START)
_CLOCK_ATTRS: Final[tuple[str, ...]] = ("units", "since", "calendar")
_SIZES: Final[tuple[str, ...]] = (
    "bottom_top",
    "south_north",
    "west_east",
    "bottom_top_stag",
    "south_north_stag",
    "west_east_stag",
)
_GRID: Final[tuple[str, ...]] = ("Time", "south_north", "west_east")
# Variables whose order of dimensions is read. Reading it for all variables takes longer than opening with netCDF4.
_ORDERED: Final[tuple[str, ...]] = ("XLAT", "T")


@dataclass(frozen=True)
class FileLayout:
    """Properties that two files must share to be read in the same way.

    Attributes
    ----------
    variables
        Name of each variable with its shape, its type, and the attributes that decode stored values. For HDF5
        these are all datasets, including dimensions.
    reader
        Name of the reader of the values.
    begins, step
        Position of the first value of each variable, and number of bytes between frames, in a classic file. They
        may differ between files that are read in the same way.
    """

    variables: tuple[tuple[str, tuple[Any, ...]], ...]
    reader: Reader
    begins: tuple[int, ...] = ()
    step: int = 0
    _by_name: dict[str, tuple[Any, ...]] = field(init=False, repr=False, compare=False, hash=False)
    _begins: dict[str, int] = field(init=False, repr=False, compare=False, hash=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_by_name", dict(self.variables))
        object.__setattr__(self, "_begins", dict(zip(self._by_name, self.begins, strict=False)))

    def is_like(self, other: FileLayout, axes: Mapping[str, int]) -> bool:
        """Whether both have the same variables, except for the number of frames.

        Parameters
        ----------
        axes
            Axis of Time in each variable that depends on it.
        """
        if self.reader != other.reader or self._by_name.keys() != other._by_name.keys():
            return False
        return all(
            entry[1:] == other._by_name[name][1:]
            and _without(entry[0], axes.get(name)) == _without(other._by_name[name][0], axes.get(name))
            for name, entry in self._by_name.items()
        )

    def begin_of(self, name: str) -> int:
        """Position of the first value of a variable in a classic file; else 0."""
        return self._begins.get(name, 0)

    def frames(self, axes: Mapping[str, int]) -> set[int]:
        """Lengths of Time in the variables that depend on it."""
        return {int(self._by_name[name][0][axis]) for name, axis in axes.items() if name in self._by_name}


def _without(shape: tuple[int, ...], axis: int | None) -> tuple[int, ...]:
    return shape if axis is None else shape[:axis] + shape[axis + 1 :]


@dataclass(frozen=True, eq=False)
class Header:
    """Header of a file.

    Attributes
    ----------
    summary
        Times, XTIME and `CORNERS` for each frame, sizes of the grid, and the `FILE_ATTRIBUTES`; no other values.
    layout
        Layout of the variables.
    """

    summary: xr.Dataset
    layout: FileLayout


def header_of(path: Path) -> Header | None:
    """Read the header of a file; None if that is not possible.

    It raises no error, because `open_lazily` reads more formats and describes the errors of a file.
    """
    try:
        with path.open("rb") as file:
            magic = file.read(4)
        if magic[:3] == b"CDF":
            return _read_classic(path)
        if magic != b"\x89HDF":
            return None
        with LOCK:
            return _read_hdf5(path)
    except (OSError, RuntimeError, KeyError, ValueError, TypeError, IndexError, struct.error, MemoryError):
        return None


def _summary(
    path: Path,
    sizes: Mapping[str, int],
    clocks: Mapping[str, tuple[Array, dict[str, Any]]],
    attrs: dict[str, Any],
) -> xr.Dataset:
    """Dataset of a header; a blank variable gives each dimension its length."""
    variables: dict[str, Any] = {}
    for name, (values, more) in clocks.items():
        dims = ("Time", "DateStrLen")[: values.ndim]
        variables[name] = xr.Variable(dims, values, more)
    for name, size in sizes.items():
        variables[f"_{name}"] = xr.Variable((name,), np.broadcast_to(np.int8(0), (size,)))
    out = xr.Dataset(variables, attrs=attrs)
    out.encoding["source"] = str(path)
    return out


def _read_hdf5(path: Path) -> Header | None:
    file = hdf5_file(path)
    try:
        root = h5g.open(file, b"/")
        marks = [(name, name.encode()) for name in _DECODING]
        if any(root.links.get_info(name).type == h5l.TYPE_EXTERNAL for name in root):
            return None
        opened = {name.decode(): h5d.open(root, name) for name in root}
        if any(map(reads_other_files, opened.values())):
            return None
        listed: dict[str, tuple[Any, ...]] = {}
        for name, variable in opened.items():
            packing = tuple((k, _fixed(_attribute(variable, b))) for k, b in marks if h5a.exists(variable, b))
            kind = variable.get_type().encode()
            listed[name] = (variable.shape, kind, packing)
        for name in _ORDERED:
            if name in opened:
                listed[name] += (_is_row_first(opened[name], opened),)
        clocks: dict[str, tuple[Array, dict[str, Any]]] = {}
        for name in _CLOCKS:
            if name in listed and len(listed[name][0]) == (2 if name == "Times" else 1):
                variable = opened[name]
                if not h5a.exists(variable, b"CLASS") or name != "Time" or _is_variable(variable):
                    clocks[name] = (_values(variable), _attributes(variable, _CLOCK_ATTRS))
        if any(_is_packed(listed[name][2]) for name in clocks):
            return None
        sizes = {name: int(listed[name][0][0]) for name in _SIZES if name in listed}
        grid = tuple(sizes.get(name, -1) for name in _GRID[1:])
        for short, name in zip(CORNERS, ("XLAT", "XLONG"), strict=True):
            shape = listed.get(name, ((),))[0]
            if len(shape) == 3 and shape[1:] == grid and all(shape):
                clocks[short] = (_values(opened[name], corner=True), {})
        return Header(
            _summary(path, sizes, clocks, _attributes(root, FILE_ATTRIBUTES)),
            FileLayout(tuple(listed.items()), "hdf5"),
        )
    finally:
        file.close()


def _is_packed(packing: tuple[tuple[str, Any], ...]) -> bool:
    """Whether stored values must be decoded; a missing value that is NaN does not count."""
    nan = {_fixed(np.array(np.nan, kind)) for kind in ("f4", "f8")}
    return any(name != "_FillValue" or value not in nan for name, value in packing)


def _is_row_first(variable: Any, opened: Mapping[str, Any]) -> bool:
    """Whether south_north comes before west_east. For grids that are not square, the shape shows it."""
    rows, columns = (opened.get(name) for name in _GRID[1:])
    if rows is None or columns is None or variable.shape[-2:] != rows.shape + columns.shape:
        return False
    if rows.shape != columns.shape:
        return True
    return bool(h5ds.is_attached(variable, rows, len(variable.shape) - 2))


def _is_variable(scale: Any) -> bool:
    """Whether a dimension scale is also a coordinate variable."""
    name = _attribute(scale, b"NAME") if h5a.exists(scale, b"NAME") else ""
    return not str(name).startswith("This is a netCDF dimension but not a netCDF variable")


def _values(variable: Any, *, corner: bool = False) -> Array:
    """All values, or the value of the first grid point for each frame."""
    if not corner:
        out = np.empty(variable.shape, variable.dtype)
        variable.read(h5s.ALL, h5s.ALL, out)
        return out
    frames = int(variable.shape[0])
    out = np.empty((frames, 1, 1), variable.dtype)
    space = variable.get_space()
    space.select_hyperslab((0, 0, 0), out.shape)
    variable.read(h5s.create_simple(out.shape), space, out)
    return out[:, 0, 0]


def _attributes(place: Any, names: tuple[str, ...]) -> dict[str, Any]:
    return {name: _attribute(place, name.encode()) for name in names if h5a.exists(place, name.encode())}


def _attribute(place: Any, name: bytes) -> Any:
    """An attribute as netCDF4 returns it: text as str, a single number as a scalar."""
    attribute = h5a.open(place, name)
    kind = attribute.get_type()
    if isinstance(kind, h5t.TypeStringID):
        # Text in netCDF is a string of fixed length, or an array of strings of any length.
        out = np.empty(attribute.shape, object if kind.is_variable_str() else f"S{kind.get_size()}")
        attribute.read(out, mtype=kind if kind.is_variable_str() else None)
        texts = [t.decode("utf-8", "replace") if isinstance(t, bytes) else str(t) for t in out.ravel()]
        return texts[0] if len(texts) == 1 else texts
    out = np.empty(attribute.shape, attribute.dtype)
    attribute.read(out)
    return out.ravel()[0] if out.size == 1 else out


def _fixed(value: Any) -> Any:
    """Convert a value so that it can be compared and hashed; NaN equals NaN."""
    return value if isinstance(value, str) else (np.asarray(value).dtype.str, np.asarray(value).tobytes())


def _read_classic(path: Path) -> Header | None:
    whole = read_classic(path)
    if whole.record != "Time" or whole.end - path.stat().st_size > 3:
        return None
    frames = whole.sizes["Time"]
    listed: dict[str, tuple[Any, ...]] = {}
    clocks: dict[str, tuple[Array, dict[str, Any]]] = {}

    def by_frame(name: str, cut: tuple[int, ...] = ()) -> Array:
        """Values of all frames, or those of the first grid point."""
        variable = whole.variables[name]
        shape = variable.shape[1:]
        spans = [(0, length, 1) for length in cut or shape]
        parts = [
            read_values(str(path), variable.begin + k * whole.step, shape, variable.dtype, spans)
            for k in range(frames)
        ]
        return np.asarray(parts, np.dtype(variable.dtype).newbyteorder("="))

    for name, variable in whole.variables.items():
        packing = tuple((k, _fixed(variable.attrs[k])) for k in _DECODING if k in variable.attrs)
        listed[name] = (variable.shape, variable.dtype, packing, variable.dims)
        if name in _CLOCKS and variable.is_record and len(variable.dims) == (2 if name == "Times" else 1):
            clocks[name] = (by_frame(name), {k: v for k, v in variable.attrs.items() if k in _CLOCK_ATTRS})
    if any(_is_packed(listed[name][2]) for name in clocks):
        return None
    for short, name in zip(CORNERS, ("XLAT", "XLONG"), strict=True):
        if name in listed and listed[name][3] == _GRID and all(listed[name][0]):
            clocks[short] = (by_frame(name, (1, 1))[:, 0, 0], {})
    sizes = {name: whole.sizes[name] for name in _SIZES if name in whole.sizes}
    attrs = {name: whole.attrs[name] for name in FILE_ATTRIBUTES if name in whole.attrs}
    begins = tuple(variable.begin for variable in whole.variables.values())
    return Header(
        _summary(path, sizes, clocks, attrs),
        FileLayout(tuple(listed.items()), "classic", begins, whole.step),
    )
