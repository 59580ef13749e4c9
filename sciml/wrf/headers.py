"""What is read of every file of a run: times, where the grid lies, global attributes, and a check of its layout.

The files of a run are alike, and reading all metadata of one takes about as long as reading a frame. Of a netCDF-4
file the metadata are therefore read by HDF5 alone, object by object, and of a classic file by netCDF4.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import netCDF4
import numpy as np
import numpy.typing as npt
import xarray as xr
from h5py import h5a, h5d, h5g, h5s, h5t

from sciml.wrf.moving import CORNERS
from sciml.wrf.open_files import LOCK, hdf5_file

__all__ = ["FILE_ATTRIBUTES", "Header", "Layout", "header_of"]

Array = npt.NDArray[Any]

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
"""The global attributes that are read of every file; the others are those of the first file."""

_DECODING: Final[tuple[str, ...]] = (
    "_FillValue",
    "missing_value",
    "scale_factor",
    "add_offset",
    "_Unsigned",
    "_Encoding",
)
_CLOCKS: Final[tuple[str, ...]] = ("Times", "Time", "XTIME")
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


@dataclass(frozen=True)
class Layout:
    """What two files must have in common to be read alike.

    Attributes
    ----------
    variables
        By name: the shape, the type, and the attributes by which stored values are decoded. Of HDF5 these are
        all datasets, dimensions included.
    hdf5
        Whether the file is read by HDF5.
    """

    variables: tuple[tuple[str, tuple[Any, ...]], ...]
    hdf5: bool
    _by_name: dict[str, tuple[Any, ...]] = field(init=False, repr=False, compare=False, hash=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_by_name", dict(self.variables))

    def is_like(self, other: Layout, axes: Mapping[str, int]) -> bool:
        """Whether both have the same variables, but for the number of frames.

        Parameters
        ----------
        axes
            Which axis of a variable is Time, of those that depend on it.
        """
        if self.hdf5 != other.hdf5 or self._by_name.keys() != other._by_name.keys():
            return False
        return all(
            one[1:] == other._by_name[name][1:]
            and _without(one[0], axes.get(name)) == _without(other._by_name[name][0], axes.get(name))
            for name, one in self._by_name.items()
        )

    def frames(self, axes: Mapping[str, int]) -> set[int]:
        """The lengths of Time in the variables that depend on it."""
        return {int(self._by_name[name][0][axis]) for name, axis in axes.items() if name in self._by_name}


def _without(shape: tuple[int, ...], axis: int | None) -> tuple[int, ...]:
    return shape if axis is None else shape[:axis] + shape[axis + 1 :]


@dataclass(frozen=True, eq=False)
class Header:
    """What was read of a file.

    Attributes
    ----------
    summary
        Times, XTIME and `CORNERS` by frame, sizes of the grid, and the `FILE_ATTRIBUTES`; no values else.
    layout
        Of its variables.
    """

    summary: xr.Dataset
    layout: Layout


def header_of(path: Path) -> Header | None:
    """Read the header of a file; None where it has no plain variables along Time, or cannot be read so.

    Nothing is raised: such a file is for `open_lazily`, which takes more forms and says what is wrong.
    """
    with path.open("rb") as file:
        magic = file.read(4)
    try:
        with LOCK:
            return _read_hdf5(path) if magic == b"\x89HDF" else _read_netcdf(path)
    except (OSError, RuntimeError, KeyError, ValueError, TypeError, IndexError):
        return None


def _summary(
    path: Path,
    sizes: Mapping[str, int],
    found: Mapping[str, tuple[Array, dict[str, Any]]],
    attrs: dict[str, Any],
) -> xr.Dataset:
    """The dataset of a header: a dimension is there by a blank variable of its length."""
    variables: dict[str, Any] = {}
    for name, (values, more) in found.items():
        dims = ("Time", "DateStrLen")[: values.ndim]
        variables[name] = xr.Variable(dims, values, more)
    for name, size in sizes.items():
        variables[f"_{name}"] = xr.Variable((name,), np.broadcast_to(np.int8(0), (size,)))
    out = xr.Dataset(variables, attrs=attrs)
    out.encoding["source"] = str(path)
    return out


def _read_hdf5(path: Path) -> Header:
    file = hdf5_file(path)
    try:
        root = h5g.open(file, b"/")
        listed: dict[str, tuple[Any, ...]] = {}
        marks = [(name, name.encode()) for name in _DECODING]
        for name in root:
            variable = h5d.open(root, name)
            packing = tuple((k, _fixed(_attribute(variable, b))) for k, b in marks if h5a.exists(variable, b))
            listed[name.decode()] = (variable.shape, variable.get_type().encode(), packing)
        found: dict[str, tuple[Array, dict[str, Any]]] = {}
        for name in _CLOCKS:
            if name in listed and len(listed[name][0]) == (2 if name == "Times" else 1):
                variable = h5d.open(root, name.encode())
                if not h5a.exists(variable, b"CLASS") or name != "Time" or _is_variable(variable):
                    found[name] = (_values(variable), _attributes(variable, _CLOCK_ATTRS))
        sizes = {name: int(listed[name][0][0]) for name in _SIZES if name in listed}
        grid = tuple(sizes.get(name, -1) for name in _GRID[1:])
        for short, name in zip(CORNERS, ("XLAT", "XLONG"), strict=True):
            shape = listed.get(name, ((),))[0]
            if len(shape) == 3 and shape[1:] == grid and all(shape):
                found[short] = (_values(h5d.open(root, name.encode()), corner=True), {})
        return Header(
            _summary(path, sizes, found, _attributes(root, FILE_ATTRIBUTES)),
            Layout(tuple(listed.items()), hdf5=True),
        )
    finally:
        file.close()


def _is_variable(scale: Any) -> bool:
    """Whether a dimension scale is a coordinate variable too, and not only a dimension."""
    name = _attribute(scale, b"NAME") if h5a.exists(scale, b"NAME") else ""
    return not str(name).startswith("This is a netCDF dimension but not a netCDF variable")


def _values(variable: Any, *, corner: bool = False) -> Array:
    """All values, or by frame that of the first grid point."""
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
    """An attribute as netCDF4 gives it: text as str, one number as a scalar."""
    attribute = h5a.open(place, name)
    kind = attribute.get_type()
    if isinstance(kind, h5t.TypeStringID):
        # netCDF's text is one string of a fixed length, or an array of strings of any length.
        out = np.empty(attribute.shape, object if kind.is_variable_str() else f"S{kind.get_size()}")
        attribute.read(out, mtype=kind if kind.is_variable_str() else None)
        texts = [t.decode("utf-8", "replace") if isinstance(t, bytes) else str(t) for t in out.ravel()]
        return texts[0] if len(texts) == 1 else texts
    out = np.empty(attribute.shape, attribute.dtype)
    attribute.read(out)
    return out.ravel()[0] if out.size == 1 else out


def _fixed(value: Any) -> Any:
    """A value that can be compared and hashed; NaN is like NaN."""
    return value if isinstance(value, str) else (np.asarray(value).dtype.str, np.asarray(value).tobytes())


def _read_netcdf(path: Path) -> Header:
    with netCDF4.Dataset(path) as nc:
        nc.set_auto_maskandscale(False)
        nc.set_auto_chartostring(False)
        listed: dict[str, tuple[Any, ...]] = {}
        found: dict[str, tuple[Array, dict[str, Any]]] = {}
        for name, variable in nc.variables.items():
            known = variable.ncattrs()
            packing = tuple((k, _fixed(variable.getncattr(k))) for k in _DECODING if k in known)
            listed[name] = (variable.shape, np.dtype(variable.dtype).str, packing, variable.dimensions)
            if name in _CLOCKS and variable.ndim == (2 if name == "Times" else 1):
                attrs = {k: variable.getncattr(k) for k in _CLOCK_ATTRS if k in known}
                found[name] = (np.asarray(variable[:]), attrs)
        for short, name in zip(CORNERS, ("XLAT", "XLONG"), strict=True):
            if name in listed and listed[name][3] == _GRID and all(listed[name][0]):
                found[short] = (np.asarray(nc[name][:, 0, 0]), {})
        sizes = {name: len(nc.dimensions[name]) for name in _SIZES if name in nc.dimensions}
        attrs = {name: nc.getncattr(name) for name in FILE_ATTRIBUTES if name in nc.ncattrs()}
        return Header(_summary(path, sizes, found, attrs), Layout(tuple(listed.items()), hdf5=False))
