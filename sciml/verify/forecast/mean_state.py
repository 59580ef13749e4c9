"""Mean state of two runs by level, and budgets of water and energy of their columns."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Final

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from sciml.constants import CP_DRY, LATENT_HEAT_FUSION, LATENT_HEAT_VAPORISATION
from sciml.errors import MissingVariable
from sciml.parallel.bounded import ALONE, TaskRunner, in_order
from sciml.parallel.parts import Part, Parts, names_read
from sciml.verify.attributes import described
from sciml.wrf.requirements import require, where
from sciml.wrf.runs import new_runs
from sciml.wrf.times import elapsed_seconds

__all__ = ["budgets", "profiles"]

Array = NDArray[Any]

CONDENSATE: Final = ("QCLOUD", "QRAIN", "QICE", "QSNOW", "QGRAUP")
ICE: Final = ("QICE", "QSNOW", "QGRAUP")
RADIATION: Final = ("SWDNT", "SWUPT", "LWDNT", "LWUPT", "SWDNB", "SWUPB", "LWDNB", "LWUPB")
"""Fluxes at the top and the bottom; the atmosphere absorbs the difference of the net fluxes."""

FIELDS: Final[Mapping[str, tuple[str, str, Callable[[xr.Dataset], xr.DataArray]]]] = {
    "temperature": ("T", "K", lambda ds: ds.sciml.t),
    "vapour": ("QVAPOR", "g kg⁻¹", lambda ds: 1000 * _of(ds, "QVAPOR")),
    "condensate": ("QCLOUD", "g kg⁻¹", lambda ds: 1000 * _species(ds, CONDENSATE)),
    "wind, u": ("U", "m s⁻¹", lambda ds: ds.sciml.u),
    "wind, v": ("V", "m s⁻¹", lambda ds: ds.sciml.v),
}


def _of(ds: xr.Dataset, name: str) -> xr.DataArray:
    if name not in ds.variables:
        raise MissingVariable(f"the file has no {name}")
    return require(ds, name).astype("float64")


def _species(ds: xr.Dataset, names: tuple[str, ...]) -> xr.DataArray:
    _of(ds, "QVAPOR")
    there = [require(ds, name).astype("float64") for name in names if name in ds.variables]
    return sum(there[1:], there[0]) if there else xr.zeros_like(_of(ds, "QVAPOR"))


def profiles(
    reference: xr.Dataset, candidate: xr.Dataset, run: TaskRunner = ALONE
) -> tuple[xr.Dataset | None, dict[str, str]]:
    """Compute means by level over frames and grid, and the errors between the two runs.

    Parameters
    ----------
    reference, candidate
        Runs at the same times, on the same levels.
    run
        Carries out the tasks, a frame each, so that only a frame of each run is in the memory of a process. The bits do
        not depend on it.

    Returns
    -------
    xr.Dataset
        ``NAME`` (source, level), ``NAME bias`` and ``NAME rmse`` (level,), with ``units``; coordinate ``height``
        (km above the mean ground). None where heights are missing.
    dict
        Reasons for missing profiles.
    """
    if reference.sizes.get("bottom_top") != candidate.sizes.get("bottom_top"):
        levels = [run.sizes.get("bottom_top") for run in (reference, candidate)]
        return None, {"profiles": f"{levels[0]} and {levels[1]} levels"}
    try:
        lazy: list[xr.DataArray] = [reference.sciml.z, reference.sciml.z_faces]
    except MissingVariable as error:
        return None, {"profiles": str(error)}
    names, absent, theirs = [], {}, []
    for name, (_, _, field) in FIELDS.items():
        try:
            first, second = field(reference), field(candidate)
        except MissingVariable as error:
            absent[f"profile of {name}"] = str(error)
            continue
        names.append(name)
        lazy.append(first)
        theirs.append(second)
    pairs = _Pairs(
        Parts(reference[names_read(reference, lazy)], "Time", 1),
        Parts(candidate[names_read(candidate, theirs)], "Time", 1),
    )
    totals: dict[str, Array] = {}
    for sums in in_order(run(partial(_sums_of_a_frame, tuple(names)), pairs, lambda done, count: None)):
        totals = {name: totals[name] + values if totals else values for name, values in sums.items()}
    with np.errstate(invalid="ignore"):
        means = {name: values[0] / values[1] for name, values in totals.items()}
    height = (means["height"] - means["ground"][0]) / 1000
    out = xr.Dataset(coords={"height": ("level", height)})
    about = {"height": ("height above the mean ground", "km")}
    for name in names:
        units = FIELDS[name][1]
        out[name] = ("source", "level"), np.stack([means[f"{name} reference"], means[f"{name} candidate"]])
        out[f"{name} bias"] = "level", means[f"{name} bias"]
        out[f"{name} rmse"] = "level", np.sqrt(means[f"{name} square"])
        about |= {name: (f"mean {name}", units), f"{name} bias": (f"bias of {name}", units)}
        about[f"{name} rmse"] = (f"RMSE of {name}", units)
    return described(out, about, f"profiles of {where(candidate)} compared with {where(reference)}"), absent


class _Pairs(Sequence[tuple[Part, Part]]):
    """Frames of two runs at the same times."""

    def __init__(self, reference: Parts, candidate: Parts) -> None:
        self._parts = reference, candidate

    def __len__(self) -> int:
        return len(self._parts[0])

    def __getitem__(self, index: Any) -> Any:
        return self._parts[0][index], self._parts[1][index]


def _sums_of_a_frame(names: tuple[str, ...], pair: tuple[Part, Part]) -> dict[str, Array]:
    """Sum the fields of a frame by level, and count the values that are not NaN, (2, level) each."""
    import dask

    reference, candidate = (part.dataset for part in pair)
    with dask.config.set(scheduler="synchronous"):
        out = {
            "height": _level_sums(reference.sciml.z),
            "ground": _level_sums(reference.sciml.z_faces.isel(bottom_top_stag=[0])),
        }
        for name in names:  # one field at a time, for the memory
            first, second = (_float64(FIELDS[name][2](frame)) for frame in (reference, candidate))
            gap = second - first.values
            out[f"{name} reference"], out[f"{name} candidate"] = _level_sums(first), _level_sums(second)
            out[f"{name} bias"], out[f"{name} square"] = _level_sums(gap), _level_sums(gap**2)
    return out


def _float64(field: xr.DataArray) -> xr.DataArray:
    return field.transpose("Time", "bottom_top", ...).compute().astype("float64")


def _level_sums(field: xr.DataArray) -> Array:
    vertical = next(dim for dim in field.dims if str(dim).startswith("bottom_top"))
    values = field.astype("float64").transpose(vertical, ...).values.reshape(field.sizes[vertical], -1)
    known = ~np.isnan(values)
    return np.stack([np.where(known, values, 0.0).sum(1), known.sum(1)])


def budgets(run: xr.Dataset, rain: float) -> tuple[dict[str, float], dict[str, str]]:
    """Compute budgets of water (kg m-2) and energy (W m-2) of the mean column between the first and the last frame.

    Fluxes are means of the frames by the trapezoidal rule. The residual contains the error of this rule and the fluxes
    through the lateral boundaries.

    Parameters
    ----------
    run
        Frames of one run at the compared times.
    rain
        Mean amount (mm) between the first and the last frame.
    """
    if run.sizes["Time"] < 2:
        return {}, {"budgets": "one common time"}
    if new_runs(run).any():
        return {}, {"budgets": "the frames are of several runs; compare one run at a time"}
    seconds = float(elapsed_seconds(run["Time"].values[-1], run["Time"].values[0]))
    ends = run.isel(Time=[0, -1])
    try:
        mass = ends.sciml.rho * ends.sciml.dz8w
        vapour, ice = _of(ends, "QVAPOR"), _species(ends, ICE)
        water = vapour + _species(ends, CONDENSATE)
        enthalpy = CP_DRY * ends.sciml.t + LATENT_HEAT_VAPORISATION * vapour - LATENT_HEAT_FUSION * ice
        columns = [
            (mass * field).sum("bottom_top").mean(["south_north", "west_east"]).values
            for field in (water, enthalpy)
        ]
    except MissingVariable as error:
        return {}, {"budgets": str(error)}
    gained, warmed = (float(np.diff(ends)[0]) for ends in columns)
    absent: dict[str, str] = {}
    out = {"water: gained by the column (kg m-2)": gained, "water: rain (kg m-2)": rain}
    evaporation = _flux(run, ("QFX",))
    if evaporation is None:
        absent["evaporation"] = "no QFX"
    else:
        out["water: evaporation (kg m-2)"] = evaporation * seconds
        out["water: residual (kg m-2)"] = gained + rain - evaporation * seconds
    out["energy: gained by the column (W m-2)"] = warmed / seconds
    surface = _flux(run, ("HFX", "LH"))
    if surface is None:
        absent["surface heat fluxes"] = "no HFX and LH"
    else:
        out["energy: surface fluxes (W m-2)"] = surface
    fluxes = {name: _flux(run, (name,)) for name in RADIATION}
    if None in fluxes.values():
        absent["radiation"] = f"no {', '.join(name for name, value in fluxes.items() if value is None)}"
        return out, absent
    signs = (("SWDN", 1), ("SWUP", -1), ("LWDN", 1), ("LWUP", -1))
    top, bottom = (sum(sign * (fluxes[name + place] or 0.0) for name, sign in signs) for place in "TB")
    out["energy: radiation (W m-2)"] = top - bottom
    if surface is not None:
        out["energy: residual (W m-2)"] = warmed / seconds - surface - (top - bottom)
    return out, absent


def _flux(run: xr.Dataset, names: tuple[str, ...]) -> float | None:
    """Compute the mean of a sum of fluxes over time and grid; None if one is missing."""
    if any(name not in run.variables for name in names):
        return None
    mean = sum(
        require(run, name).astype("float64").mean(["south_north", "west_east"]).values for name in names
    )
    times = elapsed_seconds(run["Time"].values, run["Time"].values[0])
    return float(np.trapezoid(mean, times) / times[-1])
