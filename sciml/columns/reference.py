"""The companion of a wrfout: the true scheme's output for its state, in a file of its own."""

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

# What a companion may hold of the state that it is the truth of.
_STATE: Final = ("W0AVG", "PBLH", "HFX", "QVAPOR", "T")


def match_companions(
    wrfouts: Sequence[Path], truth: str | Path | Iterable[str | Path] | None
) -> dict[Path, Path]:
    """Which companion belongs to which wrfout.

    By the attribute SOURCE_FILE of the companion, which names the wrfout (of several of that name the one in
    its folder); a companion without it goes to the only wrfout, or by order where there are as many companions
    as wrfouts. One that names another file goes to the only wrfout, which may have been renamed, with a warning.

    Raises
    ------
    InputError
        A companion that belongs to no file or may belong to several, or is known by its content to be another's.
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
    """Of several wrfouts of one name, that in the companion's folder."""
    beside = [path for path in wrfouts if path.resolve().parent == companion.resolve().parent]
    if len(wrfouts) == 1:
        return wrfouts[0]
    if len(beside) == 1:
        return beside[0]
    raise InputError(
        f"{companion} is the truth of {wrfouts[0].name}, and there are {len(wrfouts)} files of that name "
        f"({', '.join(str(path) for path in wrfouts[:3])}): put it beside the one it belongs to"
    )


def opened_companion(ds: xr.Dataset, truth: xr.Dataset | str | Path) -> xr.Dataset:
    """The companion of a wrfout, opened as lazily as that is; a warning where it names another file.

    Raises
    ------
    InputError
        It holds a variable of the state, and that is another's.
    """
    other = truth if isinstance(truth, xr.Dataset) else open_lazily(Path(truth), like=ds)
    _warn_of_name(ds, other)
    return other


def _warn_of_name(ds: xr.Dataset, other: xr.Dataset) -> None:
    """Tell where the companion is by its SOURCE_FILE another file's, unless it holds this one's state."""
    source, name = Path(str(other.attrs.get("SOURCE_FILE", ""))).name, where(ds)
    if not source or ("source" not in ds.encoding and "SOURCE" not in ds.attrs) or source == Path(name).name:
        return
    shared = next((v for v in _STATE if v in ds.variables and v in other.variables), None)
    common = np.intersect1d(frame_times(ds), frame_times(other))
    if shared is not None and len(common):
        one, two = (
            d[shared].isel(Time=int(np.flatnonzero(frame_times(d) == common[0])[0])).values
            for d in (ds, other)
        )
        if one.shape == two.shape and np.array_equal(one, two):
            return
        raise InputError(
            f"{where(other)} is the truth of {source}, not of {name}: {shared} at {common[0]} differs; give "
            "the companion made of this file"
        )
    warnings.warn(
        f"{where(other)} says it is the truth of {source}, not of {name}: right only if that file was renamed"
        "; else give the companion made of this file",
        stacklevel=4,
    )


def companion_frames(
    ds: xr.Dataset, truth: xr.Dataset | str | Path, wanted: npt.NDArray[np.datetime64]
) -> xr.Dataset:
    """The companion's frames that belong to the wrfout's, checked for size and time.

    Raises
    ------
    InputError
        Another grid, or a time of the wrfout that the companion lacks.
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
