"""Companions of wrfouts: files with the output of the true scheme for their states."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import xarray as xr

from sciml.errors import InputError
from sciml.wrf.opening import expand, open_lazily
from sciml.wrf.requirements import where
from sciml.wrf.times import frame_times

__all__ = ["companion_frames", "match_companions", "opened_companion"]

# State variables that a companion may have.
_STATE: Final = ("W0AVG", "PBLH", "HFX", "QVAPOR", "T")


def match_companions(
    wrfouts: Sequence[Path], truth: str | Path | Iterable[str | Path] | None
) -> dict[Path, Path]:
    """Match companions to wrfouts.

    The attribute SOURCE_FILE of a companion names its wrfout; if several have that name, it is the wrfout in the same
    folder. A companion without the attribute belongs to the only wrfout, or is matched by order if there are as many
    companions as wrfouts. A companion that names another file belongs to the only wrfout, which may have been renamed,
    with a warning.

    Raises
    ------
    InputError
        A companion belongs to no file, may belong to several, or belongs to another file by its content.
    """
    if truth is None:
        return {}
    companions = expand(truth)
    by_name: dict[str, list[Path]] = {}
    for path in wrfouts:
        by_name.setdefault(path.name, []).append(path)
    out: dict[Path, Path] = {}
    for position, companion in enumerate(companions):
        with open_lazily(companion, chunks=None) as ds:
            source = Path(str(ds.attrs.get("SOURCE_FILE", ""))).name
        if source in by_name:
            out[_named(companion, by_name[source])] = companion
        elif len(companions) == len(wrfouts) and (not source or len(wrfouts) == 1):
            out[wrfouts[position]] = companion
            if source:
                with (
                    open_lazily(wrfouts[position], chunks=None) as ds,
                    open_lazily(companion, chunks=None) as other,
                ):
                    _warn_of_name(ds, other)
        else:
            raise InputError(
                f"{companion} is the truth of {source or 'a file it does not name'}, which is not among the "
                f"wrfouts ({', '.join(by_name) or 'none'}): give it together with its wrfout"
            )
    return out


def _named(companion: Path, wrfouts: Sequence[Path]) -> Path:
    """The wrfout in the folder of the companion, among several with the same name."""
    beside = [path for path in wrfouts if path.resolve().parent == companion.resolve().parent]
    if len(wrfouts) == 1:
        return wrfouts[0]
    if len(beside) == 1:
        return beside[0]
    raise InputError(
        f"{companion} is the truth of {wrfouts[0].name}, and there are {len(wrfouts)} files of that name "
        f"({', '.join(str(path) for path in wrfouts[:3])}): move it to the folder of its wrfout"
    )


def opened_companion(ds: xr.Dataset, truth: xr.Dataset | str | Path) -> xr.Dataset:
    """Open the companion of a wrfout, lazily if the wrfout is lazy; warns if it names another file.

    Raises
    ------
    InputError
        The companion has a state variable that differs from the wrfout's.
    """
    other = truth if isinstance(truth, xr.Dataset) else open_lazily(Path(truth), like=ds)
    _warn_of_name(ds, other)
    return other


def _warn_of_name(ds: xr.Dataset, other: xr.Dataset) -> None:
    """Warn if SOURCE_FILE of the companion is another file, unless the companion has the state of this file."""
    source, name = Path(str(other.attrs.get("SOURCE_FILE", ""))).name, where(ds)
    if not source or ("source" not in ds.encoding and "SOURCE" not in ds.attrs) or source == Path(name).name:
        return
    shared = next((v for v in _STATE if v in ds.variables and v in other.variables), None)
    common = np.intersect1d(frame_times(ds), frame_times(other))
    if shared is not None and len(common):
        own_values, other_values = (
            d[shared].isel(Time=int(np.flatnonzero(frame_times(d) == common[0])[0])).values
            for d in (ds, other)
        )
        if own_values.shape == other_values.shape and np.array_equal(own_values, other_values):
            return
        raise InputError(
            f"{where(other)} is the truth of {source}, not of {name}: {shared} at {common[0]} differs; give "
            "the companion made of this file"
        )
    warnings.warn(
        f"{where(other)} is the truth of {source}, not of {name}, by its SOURCE_FILE: correct only if that was "
        "renamed; otherwise give the companion made of this file",
        stacklevel=4,
    )


def companion_frames(
    ds: xr.Dataset, truth: xr.Dataset | str | Path, wanted: npt.NDArray[np.datetime64]
) -> xr.Dataset:
    """Frames of the companion at the times of the wrfout, with a check of the grid.

    Raises
    ------
    InputError
        The grids differ, or the companion does not have a time of the wrfout.
    """
    other = truth if isinstance(truth, xr.Dataset) else open_lazily(Path(truth), like=ds)
    name = where(other)
    for dim in ("south_north", "west_east", "bottom_top"):
        if other.sizes.get(dim) != ds.sizes[dim]:
            raise InputError(
                f"{name} does not belong to {where(ds)}: {dim} is {other.sizes.get(dim)} there and "
                f"{ds.sizes[dim]} here; give the companion made of this file"
            )
    there = frame_times(other)
    position = {stamp: k for k, stamp in enumerate(there)}
    absent = [str(stamp) for stamp in wanted if stamp not in position]
    if absent:
        raise InputError(
            f"{name} has no truth for {absent[0]} ({len(absent)} of {len(wanted)} times of {where(ds)})"
        )
    order = [position[stamp] for stamp in wanted]
    return other if order == list(range(len(there))) else other.isel(Time=order)
