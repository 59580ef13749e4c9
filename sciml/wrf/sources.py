"""The three sources of columns: drawn pairs, captures of the scheme's arguments, and wrfouts with or without
truth.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import xarray as xr

from sciml.wrf import state
from sciml.wrf.companion import companion_frames
from sciml.wrf.forms import GRID, scheme_attrs
from sciml.wrf.kinds import DEEP, HELD, SHALLOW, UNKNOWN, stored_kinds, true_kinds
from sciml.wrf.table import INPUT_SCALARS, SCHEME_INPUTS, TARGET_PROFILES, TARGET_SCALARS, missing
from sciml.wrf.times import frame_times, run_minutes

__all__ = [
    "capture_kinds",
    "frame_kinds",
    "from_capture",
    "from_pairs",
    "from_wrfout",
    "grid_times",
    "wrfout_kinds",
]

MSKF: Final = 11
_OPTIONAL: Final = ("TIMEC_KF",)
# Without these the class of a column cannot be told; the other stored targets are taken if they are there.
_DECISIVE: Final = ("RTHCUTEN", "RQVCUTEN", "NCA", "PRATEC")


def _column(array: xr.DataArray) -> xr.DataArray:
    """(Time, [level,] y, x) to (column[, level]), lazily where it is lazy."""
    level = [d for d in array.dims if d not in GRID]
    data = array.transpose(*GRID, *level).data
    shape = (-1, *(array.sizes[d] for d in level))
    out = xr.DataArray(
        data.reshape(shape).astype(np.float32, copy=False), dims=("column", "level")[: len(shape)]
    )
    out.attrs = dict(array.attrs)
    return out


def _columns(
    parts: Mapping[str, xr.DataArray], kind: np.ndarray[Any, Any], times: xr.Dataset, shape: tuple[int, ...]
) -> xr.Dataset:
    """Put the arrays of a gridded source into one columns dataset with its coordinates."""
    out = xr.Dataset(
        {name: _column(state.labelled(a, name, a.attrs.get("comment", ""))) for name, a in parts.items()}
    )
    t, j, i = np.meshgrid(*(np.arange(n, dtype=np.int32) for n in shape), indexing="ij")
    number = out.sizes["column"]
    return out.assign_coords(
        Time=("column", times["Time"].values[t.ravel()]),
        XTIME=("column", times["XTIME"].values.astype(np.float32)[t.ravel()], {"units": "minutes"}),
        south_north=("column", j.ravel()),
        west_east=("column", i.ravel()),
        KIND=("column", kind.reshape(-1)),
        WEIGHT=("column", np.ones(number, dtype=np.float32)),
    )


def grid_times(ds: xr.Dataset) -> xr.Dataset:
    """Time and XTIME (minutes since the start of the run) by frame."""
    times = frame_times(ds)
    return xr.Dataset({"Time": ("t", times), "XTIME": ("t", run_minutes(ds, times))})


def _targets(ds: xr.Dataset, wanted: tuple[str, ...], *, partial: bool = False) -> dict[str, xr.DataArray]:
    """The targets a source holds. RQSCUTEN, numerically nil in this scheme, is zero where it is absent."""
    if partial:
        wanted = tuple(name for name in wanted if name in ds.variables)
    for name in wanted:
        if name not in ds.variables and name != "RQSCUTEN":
            raise missing(name, state.where(ds), "what the scheme returned is incomplete")
    found = {name: ds[name] for name in (*wanted, *_OPTIONAL) if name in ds.variables}
    if "RQSCUTEN" in wanted and "RQSCUTEN" not in found:
        nil = xr.zeros_like(found["RQRCUTEN"])
        nil.attrs = {"comment": "absent from the source, where it is numerically nil: zero here"}
        found["RQSCUTEN"] = nil
    return found


def from_pairs(ds: xr.Dataset) -> xr.Dataset:
    """Columns drawn before, (column, bottom_top); XTIME, J, I, RUN and WEIGHT where the file tells them."""
    inputs = {name: state.require(ds, name) for name in SCHEME_INPUTS}
    parts = {}
    for name, array in (inputs | _targets(ds, TARGET_PROFILES + TARGET_SCALARS)).items():
        data = array.transpose("column", ...).data
        bare = xr.DataArray(data, dims=("column", "level")[: data.ndim])
        parts[name] = state.labelled(bare, name, str(array.attrs.get("comment", "")))
    out = xr.Dataset(parts)
    number = out.sizes["column"]
    minutes = (
        ds["XTIME"].values.astype(np.float32)
        if "XTIME" in ds.variables
        else np.full(number, np.nan, np.float32)
    )
    whole = np.zeros(number, np.int32)
    coords: dict[str, Any] = {
        "Time": ("column", np.full(number, np.datetime64("NaT", "ns"))),
        "XTIME": ("column", minutes, {"units": "minutes"}),
        "south_north": ("column", ds["J"].values.astype(np.int32) if "J" in ds.variables else whole),
        "west_east": ("column", ds["I"].values.astype(np.int32) if "I" in ds.variables else whole),
        "KIND": ("column", true_kinds(ds["NCA"].values, ds["PRATEC"].values, ds.attrs.get("CUDT"))),
        "WEIGHT": (
            "column",
            ds["WEIGHT"].values if "WEIGHT" in ds.variables else np.ones(number, np.float32),
        ),
    }
    if "RUN" in ds.variables:
        coords["RUN"] = ("column", ds["RUN"].values.astype(np.int32))
    return out.assign_coords(coords)


def from_capture(ds: xr.Dataset) -> xr.Dataset:
    """Columns of captured calls; those the scheme skipped (CU_ACT_FLAG 0, or NCA_IN >= DT/2) are held."""
    inputs = {name: state.require(ds, name) for name in SCHEME_INPUTS}
    parts = inputs | _targets(ds, TARGET_PROFILES + TARGET_SCALARS)
    kind = capture_kinds(ds)
    return _columns(parts, kind, grid_times(ds), kind.shape)


def capture_kinds(ds: xr.Dataset) -> npt.NDArray[np.int8]:
    """KIND (Time, south_north, west_east) of captured calls, from NCA, PRATEC and CU_ACT_FLAG (or NCA_IN)."""
    nca, rain = (state.require(ds, name).transpose(*GRID).values for name in ("NCA", "PRATEC"))
    kind = true_kinds(nca, rain, ds.attrs.get("CUDT"))
    if "CU_ACT_FLAG" in ds.variables:
        held = ds["CU_ACT_FLAG"].transpose(*GRID).values == 0
    else:
        held = state.require(ds, "NCA_IN").transpose(*GRID).values >= 0.5 * float(ds.attrs["DT"])
    kind[held] = HELD
    return kind


def from_wrfout(
    ds: xr.Dataset, truth: xr.Dataset | str | Path | None, before: xr.DataArray | None
) -> xr.Dataset:
    """Columns of a wrfout: inputs derived from its state, targets from the companion or as stored."""
    state.require(ds, "W0AVG", "it decides where convection starts, and no other variable stands for it")
    u, v = state.wind(ds)
    p = state.pressure(ds)
    pi = state.exner(ds, p)
    t = state.temperature(ds, pi)
    parts = {
        "U_PHY": u,
        "V_PHY": v,
        "T_PHY": t,
        "QVAPOR": state.require(ds, "QVAPOR"),
        "P_HYD": state.hydrostatic_pressure(ds),
        "DZ8W": state.layer_thickness(ds),
        "RHO": state.density(ds, p, t),
        "PI_PHY": pi,
        "W0AVG": ds["W0AVG"],
    }
    parts |= {name: state.require(ds, name) for name in INPUT_SCALARS}
    assert set(parts) == set(SCHEME_INPUTS)
    times = grid_times(ds)
    companion = None if truth is None else companion_frames(ds, truth, times["Time"].values)
    kind = wrfout_kinds(ds, companion, times, before)
    if companion is not None:
        parts |= _targets(companion, TARGET_PROFILES + TARGET_SCALARS)
    elif has_stored_targets(ds):
        stored = _targets(ds, TARGET_PROFILES + TARGET_SCALARS, partial=True)
        # What the scheme returned, before the step's end took one DT off it.
        fresh = np.isin(kind, (SHALLOW, DEEP))
        nca = stored["NCA"].transpose(*GRID)
        stored["NCA"] = nca + np.where(fresh, np.float32(ds.attrs["DT"]), np.float32(0))
        parts |= stored
    return _columns(parts, kind, times, kind.shape)


def wrfout_kinds(
    ds: xr.Dataset, companion: xr.Dataset | None, times: xr.Dataset, before: xr.DataArray | None = None
) -> npt.NDArray[np.int8]:
    """KIND (Time, south_north, west_east): from the companion, else from what is stored, else unknown."""
    if companion is not None:
        nca, rain = (state.require(companion, name).transpose(*GRID).values for name in ("NCA", "PRATEC"))
        return true_kinds(nca, rain, ds.attrs.get("CUDT"))
    if has_stored_targets(ds):
        return frame_kinds(ds, times, before)
    return np.full([ds.sizes[d] for d in GRID], UNKNOWN, dtype=np.int8)


def has_stored_targets(ds: xr.Dataset) -> bool:
    """Whether a wrfout tells what the MSKF scheme returned (warns where another scheme was run)."""
    if any(name not in ds.variables for name in _DECISIVE):
        return False
    scheme = int(ds.attrs.get("CU_PHYSICS", MSKF))
    if scheme != MSKF:
        warnings.warn(
            f"{state.where(ds)} was made with cu_physics={scheme}: its cumulus tendencies are not those of "
            f"MSKF (cu_physics={MSKF}) and are left out; its columns can be predicted, not trained on",
            stacklevel=4,
        )
        return False
    return True


def frame_kinds(
    ds: xr.Dataset, times: xr.Dataset, before: xr.DataArray | None = None
) -> np.ndarray[Any, Any]:
    """KIND (Time, south_north, west_east) from the NCA and PRATEC stored in a wrfout (`stored_kinds`, frame
    by frame).
    """
    attrs = scheme_attrs(ds)
    dt, cudt, stepcu = attrs["DT"], attrs["CUDT"], attrs["STEPCU"]
    nca, pratec = (ds[name].transpose(*GRID).values for name in ("NCA", "PRATEC"))
    cutop = ds["CUTOP"].transpose(*GRID).values if "CUTOP" in ds.variables else None
    minutes, clock = times["XTIME"].values, times["Time"].values
    steps = ds["ITIMESTEP"].values if "ITIMESTEP" in ds.variables else np.round(minutes * 60 / dt)
    kinds = np.empty(nca.shape, dtype=np.int8)
    last = None if before is None else before.transpose("south_north", "west_east").values
    at = None if before is None else before["Time"].values
    for t, step in enumerate(steps):
        called = bool(np.isfinite(step)) and int(step) > 0 and (int(step) % stepcu == 0 or int(step) == 1)
        gap = None if at is None else float((clock[t] - at) / np.timedelta64(1, "s"))
        kinds[t] = stored_kinds(
            nca[t],
            pratec[t],
            dt=dt,
            cudt=cudt,
            cumulus_step=called,
            cutop=None if cutop is None else cutop[t],
            before=last,
            interval=gap,
        )
        last, at = nca[t], clock[t]
    return kinds
