"""Columns of the three sources: drawn pairs, captures of the arguments of the scheme, and wrfouts."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import xarray as xr

from sciml.columns.classes import DEEP, HELD, SHALLOW, UNKNOWN, stored_kinds, true_kinds
from sciml.columns.formats import GRID, scheme_attrs
from sciml.columns.missing import absent_targets, require_inputs
from sciml.columns.reference import companion_frames
from sciml.errors import MissingVariable
from sciml.schemes.mskf import MSKF
from sciml.wrf import diagnostics
from sciml.wrf.missing import describe_missing, iofields_line
from sciml.wrf.moving_nest import lies_elsewhere
from sciml.wrf.projection import number
from sciml.wrf.requirements import require, require_all, where
from sciml.wrf.runs import describe_seam, new_runs
from sciml.wrf.times import elapsed_seconds, frame_times, run_minutes, start_minutes
from sciml.wrf.vertical import warn_assumed

__all__ = [
    "capture_kinds",
    "frame_kinds",
    "from_capture",
    "from_pairs",
    "from_wrfout",
    "grid_times",
    "returned_kinds",
    "why_unknown",
    "wrfout_kinds",
]

UNFIT: Final = (
    "the columns that the scheme computed cannot be determined (they are unknown); give the truth, or capture the "
    "scheme"
)


def _column(array: xr.DataArray) -> xr.DataArray:
    """Reshape (Time, [level,] y, x) to (column[, level]), lazily if the array is lazy."""
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
    """Combine the arrays of a gridded source to a columns dataset with its coordinates."""
    out = xr.Dataset(
        {
            name: _column(diagnostics.labelled(a, name, a.attrs.get("comment", "")))
            for name, a in parts.items()
        }
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
    """Targets in a source. If RQSCUTEN is missing, it is zero: it is numerically zero in this scheme."""
    if partial:
        wanted = tuple(name for name in wanted if name in ds.variables)
    absent = [name for name in wanted if name not in ds.variables and name not in MSKF.zero_if_absent]
    if absent:
        why = "the outputs of the scheme are incomplete"
        raise MissingVariable(describe_missing(absent, where(ds), why=why))
    targets = {name: require(ds, name) for name in (*wanted, *MSKF.optional_names) if name in ds.variables}
    if "RQSCUTEN" in wanted and "RQSCUTEN" not in targets:
        nil = xr.zeros_like(targets["RQRCUTEN"])
        nil.attrs = {"comment": "zero: absent from the source, and numerically zero in this scheme"}
        targets["RQSCUTEN"] = nil
    return targets


def from_pairs(ds: xr.Dataset) -> xr.Dataset:
    """Columns from drawn pairs, (column, bottom_top); with XTIME, J, I, RUN and WEIGHT if the file has them."""
    inputs = dict(zip(MSKF.input_names, require_all(ds, MSKF.input_names), strict=True))
    parts = {}
    for name, array in (inputs | _targets(ds, MSKF.output_names)).items():
        data = array.transpose("column", ...).data
        bare = xr.DataArray(data, dims=("column", "level")[: data.ndim])
        parts[name] = diagnostics.labelled(bare, name, str(array.attrs.get("comment", "")))
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
        "KIND": ("column", returned_kinds(ds, ("column",), scheme_attrs(ds)["CUDT"])),
        "WEIGHT": (
            "column",
            ds["WEIGHT"].values if "WEIGHT" in ds.variables else np.ones(number, np.float32),
        ),
    }
    if "RUN" in ds.variables:
        coords["RUN"] = ("column", ds["RUN"].values.astype(np.int32))
    return out.assign_coords(coords)


def from_capture(ds: xr.Dataset) -> xr.Dataset:
    """Columns of captured calls; those that the scheme skipped (CU_ACT_FLAG 0, or NCA_IN >= DT/2) are held."""
    inputs = dict(zip(MSKF.input_names, require_all(ds, MSKF.input_names), strict=True))
    parts = inputs | _targets(ds, MSKF.output_names)
    kind = capture_kinds(ds)
    return _columns(parts, kind, grid_times(ds), kind.shape)


def returned_kinds(
    ds: xr.Dataset, dims: tuple[str, ...] = GRID, cudt: float | None = None
) -> npt.NDArray[np.int8]:
    """KIND along `dims` from the outputs NCA and PRATEC, and CUTOP if CUDT [min] is 0."""
    names = ("NCA", "PRATEC", "CUTOP") if cudt is not None and cudt <= 0 else ("NCA", "PRATEC")
    nca, rain, *top = (require(ds, name).transpose(*dims).values for name in names)
    return true_kinds(nca, rain, cudt, *top)


def capture_kinds(ds: xr.Dataset) -> npt.NDArray[np.int8]:
    """KIND (Time, south_north, west_east) of captured calls, from NCA, PRATEC and CU_ACT_FLAG (or NCA_IN)."""
    attrs = scheme_attrs(ds)
    kind = returned_kinds(ds, cudt=attrs["CUDT"])
    if "CU_ACT_FLAG" in ds.variables:
        held = ds["CU_ACT_FLAG"].transpose(*GRID).values == 0
    else:
        held = require(ds, "NCA_IN").transpose(*GRID).values >= 0.5 * float(attrs["DT"])
    kind[held] = HELD
    return kind


def from_wrfout(
    ds: xr.Dataset, truth: xr.Dataset | str | Path | None, before: xr.DataArray | None
) -> xr.Dataset:
    """Columns of a wrfout: inputs derived from its state, targets from the companion or as stored."""
    require_inputs(ds, truth=truth is not None)
    u, v = diagnostics.wind(ds)
    p = diagnostics.pressure(ds)
    pi = diagnostics.exner(ds, p)
    t = diagnostics.temperature(ds, pi)
    parts = {
        "U_PHY": u,
        "V_PHY": v,
        "T_PHY": t,
        "QVAPOR": require(ds, "QVAPOR"),
        "P_HYD": diagnostics.hydrostatic_pressure(ds),
        "DZ8W": diagnostics.layer_thickness(ds),
        "RHO": diagnostics.density(ds, p, t),
        "PI_PHY": pi,
        "W0AVG": require(ds, "W0AVG"),
    }
    parts |= {name: require(ds, name) for name in MSKF.input_scalars}
    assert set(parts) == set(MSKF.input_names)
    times = grid_times(ds)
    companion = None if truth is None else companion_frames(ds, truth, times["Time"].values)
    kind, why = wrfout_kinds(ds, companion, times, before)
    if companion is not None:
        parts |= _targets(companion, MSKF.output_names)
    elif has_stored_targets(ds):
        stored = _targets(ds, MSKF.output_names, partial=True)
        # The value that the scheme returned, before the end of the step subtracted DT.
        fresh = np.isin(kind, (SHALLOW, DEEP))
        nca = stored["NCA"].transpose(*GRID)
        stored["NCA"] = nca + np.where(fresh, np.float32(scheme_attrs(ds)["DT"]), np.float32(0))
        parts |= stored
    out = _columns(parts, kind, times, kind.shape)
    if why:
        out["KIND"].attrs["comment"] = why
    return out


def wrfout_kinds(
    ds: xr.Dataset, companion: xr.Dataset | None, times: xr.Dataset, before: xr.DataArray | None = None
) -> tuple[npt.NDArray[np.int8], str]:
    """Return KIND (Time, south_north, west_east), and the reasons why columns are unknown, or "".

    KIND is derived from the companion, else from stored outputs, else it is unknown.
    """
    if companion is not None:
        return returned_kinds(companion, cudt=scheme_attrs(ds)["CUDT"]), ""
    if has_stored_targets(ds):
        return _explained_kinds(ds, times, before)
    return np.full([ds.sizes[d] for d in GRID], UNKNOWN, dtype=np.int8), why_unknown(ds)


def why_unknown(ds: xr.Dataset) -> str:
    """Reason why a wrfout alone does not determine which columns the scheme computed; else "".

    Only the names of its variables are examined, so that a header is enough.
    """
    if all(name in ds.variables for name in MSKF.decisive):
        return ""
    absent = absent_targets(ds)
    return (
        f"{', '.join(absent)} {'is' if len(absent) == 1 else 'are'} not in the file: add the line "
        f"'{iofields_line(absent)}' to the file named by iofields_filename in &time_control and run WRF "
        "again, or give the truth"
    )


def has_stored_targets(ds: xr.Dataset) -> bool:
    """Whether a wrfout has the outputs of the MSKF scheme (warns if another scheme was run)."""
    if any(name not in ds.variables for name in MSKF.decisive):
        return False
    if "CU_PHYSICS" not in ds.attrs:
        text = (
            f"{where(ds)} has lost the attribute CU_PHYSICS: its cumulus tendencies are taken as those of MSKF "
            f"(cu_physics={MSKF.cu_physics}); if another scheme ran, set ds.attrs['CU_PHYSICS'] to it, or with "
            "ncatted -a CU_PHYSICS,global,o,l,..."
        )
        warn_assumed(ds, text, stacklevel=4)
        return True
    scheme = int(number(ds, "CU_PHYSICS"))
    if scheme != MSKF.cu_physics:
        warnings.warn(
            f"{where(ds)} was made with cu_physics={scheme}: its cumulus tendencies are not those of "
            f"MSKF (cu_physics={MSKF.cu_physics}) and are left out; its columns can be used for prediction, not for "
            "training",
            stacklevel=4,
        )
        return False
    return True


def frame_kinds(
    ds: xr.Dataset, times: xr.Dataset, before: xr.DataArray | None = None
) -> np.ndarray[Any, Any]:
    """Return KIND (Time, south_north, west_east) from NCA and PRATEC of a wrfout, frame by frame (`stored_kinds`).

    It is unknown, with a warning, in frames in which the nest has moved, in the first frame of a run that follows
    another, and in frames whose time is not ITIMESTEP steps of DT.
    """
    return _explained_kinds(ds, times, before)[0]


def _explained_kinds(
    ds: xr.Dataset, times: xr.Dataset, before: xr.DataArray | None
) -> tuple[npt.NDArray[np.int8], str]:
    """Result of `frame_kinds`, and the reasons why columns are unknown."""
    attrs = scheme_attrs(ds)
    dt, cudt, stepcu = attrs["DT"], attrs["CUDT"], attrs["STEPCU"]
    nca, pratec = (ds[name].transpose(*GRID).values for name in ("NCA", "PRATEC"))
    cutop = ds["CUTOP"].transpose(*GRID).values if "CUTOP" in ds.variables else None
    clock = times["Time"].values
    steps, *why = _steps(ds, times, dt)
    moved = lies_elsewhere(ds, before)
    if moved.any():
        # Without frame numbers, so that a file that is read in parts causes a single warning.
        why.append(
            "the nest moves, and in a frame at another position than the frame before (by XLAT and XLONG)"
        )
    new = new_runs(ds, before)
    reasons = [f"{reason} {UNFIT}" for reason in why if reason]
    for text in reasons:
        warnings.warn(f"{where(ds)}: {text}", stacklevel=6)
    if new.any():
        seam = (
            f"{describe_seam(ds, new, before)}: KIND is unknown there; give the truth, or capture the scheme"
        )
        reasons.append(seam)
        warnings.warn(seam, stacklevel=6)
    moved |= new
    kinds = np.empty(nca.shape, dtype=np.int8)
    last = None if before is None else before.transpose("south_north", "west_east").values
    at = None if before is None else before["Time"].values
    for t, step in enumerate(steps):
        called = bool(np.isfinite(step)) and int(step) > 0 and (int(step) % stepcu == 0 or int(step) == 1)
        gap = None if at is None else float(elapsed_seconds(clock[t], at))
        kinds[t] = stored_kinds(
            nca[t],
            pratec[t],
            dt=dt,
            cudt=cudt,
            cumulus_step=called and not moved[t],
            cutop=None if cutop is None else cutop[t],
            before=last,
            interval=gap,
        )
        last, at = nca[t], clock[t]
    return kinds, "; ".join(reasons)


def _steps(ds: xr.Dataset, times: xr.Dataset, dt: float) -> tuple[npt.NDArray[np.float64], str]:
    """Return the number of the time step that ends at each frame, and a description of its disagreement with the clock.

    The number is NaN where it disagrees. If the time step is adaptive or was changed at a restart, the number does not
    determine when the scheme was called.
    """
    seconds = times["XTIME"].values.astype(np.float64) * 60
    if "ITIMESTEP" not in ds.variables:
        if not np.isfinite(seconds).all():
            return np.full(len(seconds), np.nan), (
                "without ITIMESTEP, XTIME and the attribute SIMULATION_START_DATE the number of the time step is not "
                "known;"
            )
        steps = np.round(seconds / dt)
        off = np.abs(seconds - steps * dt) > 0.1 * dt + 1e-6 * np.abs(seconds)
        if not off.any():
            return np.asarray(steps), ""
        k = int(np.argmax(off))
        return np.where(off, np.nan, steps), (
            f"XTIME {seconds[k]:g} s is not a whole number of steps of DT = {dt:g} s, so the time step is "
            "adaptive or was changed;"
        )
    steps = np.atleast_1d(ds["ITIMESTEP"].values).astype(np.float64)
    ran = steps * dt
    # XTIME is a float32; a nest that starts later than its parent counts its steps from its own start.
    near = 0.5 * dt + 1e-6 * np.abs(seconds)
    off = np.abs(ran - seconds) > near
    if off.any():
        off &= ~(np.abs(ran - 60 * start_minutes(ds, times["Time"].values)) <= near)
    if not off.any():
        return steps, ""
    k = int(np.argmax(off))
    return np.where(off, np.nan, steps), (
        f"ITIMESTEP {steps[k]:.0f} of DT = {dt:g} s make {ran[k]:g} s but XTIME is {seconds[k]:g} s, so the "
        "time step is adaptive or was changed;"
    )
