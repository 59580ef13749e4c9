"""Columns in radiative-convective equilibrium: closure of budgets, drift, and novelty.

The budget of a column between two records must close for each member (P precipitation, E evaporation):

======== ============================================= ==================================================
budget   identity                                      source of the residual
======== ============================================= ==================================================
water    d(vapour + condensate) = E - P_cu - P_ls      the library computes in float32: its tendencies and
                                                       PRATEC are rounded separately; with the integral of the
                                                       tendencies in place of P_cu, float64 only
enthalpy d(cp T + Lv qv) = H + Lv E + radiation + C    float64 only: C is the change by the tendencies of
                                                       convection
======== ============================================= ==================================================

C is not a rounding error and is reported. It has two parts: the enthalpy of the scheme, with its Lv(T), closes only
within a bound (see `sciml.verify.emulator.budgets`), and Lv of the host is constant.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, final

import numpy as np
from numpy.typing import NDArray

from sciml.constants import DAY, LATENT_HEAT_VAPORISATION
from sciml.errors import InputError
from sciml.tables import aligned, number_or_switch
from sciml.verify.library.cape import cape, saturation

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["ENTHALPY", "HOST", "WATER", "Band", "Equilibrium", "equilibrium"]

Array = NDArray[np.float64]

WATER: Final = 1e-6
"""Tolerance of the water budget, relative to the fluxes of a column between records. float32 rounds to 6e-8; eight
roundings are 5e-7, and the random roundings of five species in 44 layers add up to far less than their sum."""

HOST: Final = 1e-11
"""Tolerance of the water budget with the integral of the tendencies for the rain. A step rounds the water of the column
(50 kg m-2) by at most 1e-14 kg m-2 a few times; 432 steps, all to one side, make 2e-11 kg m-2 of fluxes of 2 kg m-2."""

ENTHALPY: Final = 1e-9
"""Tolerance of the enthalpy budget. A step rounds the temperature of each layer a few times by half of 3e-14 K,
1e-6 J m-2 for the column; 432 steps in 6 hours, all to one side, make 5e-4 J m-2 of fluxes of 3e6 J m-2."""

_DEEPEST: Final = 1e4  # Pa; above this level there is no convection, and the temperature is prescribed


@final
@dataclass(frozen=True, eq=False)
class Band:
    """Mean, minimum and maximum over members; each (level,) or (period,)."""

    mean: Array
    low: Array
    high: Array

    @classmethod
    def of(cls, values: Array) -> Band:
        """Compute a band of values (member, ...)."""
        return cls(values.mean(0), values.min(0), values.max(0))


@final
@dataclass(frozen=True, repr=False, eq=False)
class Equilibrium:
    """Result of a run. ``print`` shows a table whose last line is the verdict.

    Attributes
    ----------
    numbers
        Every number by name, as in the JSON file.
    pressure
        Pressure of the levels, Pa.
    profiles
        By level, means of the first and of the last third of the run: differences from the start ``T first``,
        ``T last`` (K), ``q first``, ``q last`` (g/kg); ``RH first``, ``RH last`` (%); and of the last third, K/day:
        ``convection``, ``condensation``.
    days
        Middles of the periods of the time series.
    courses
        Time series by period: ``convective``, ``large-scale`` and ``evaporation`` (mm/day); ``shallow``, ``deep`` (% of
        the evaluated calls); ``novel`` (% of the calls with convection); ``CAPE`` (kJ kg-1).
    """

    numbers: dict[str, Any]
    pressure: Array
    profiles: dict[str, Band]
    days: Array
    courses: dict[str, Band]

    @property
    def ok(self) -> bool:
        """Whether all values are finite, no water is negative, no column is invalid, and both budgets close."""
        n = self.numbers
        return bool(
            n["finite"]
            and n["least vapour (kg/kg)"] >= 0
            and n["least condensate (kg/kg)"] >= 0
            and n["calls refused"] == 0
            and n["residual of water"] <= WATER
            and n["residual of water, tendencies for rain"] <= HOST
            and n["residual of enthalpy"] <= ENTHALPY
        )

    def __str__(self) -> str:
        numbers = [
            (name, number_or_switch(value, ",d", ".4g"))
            for name, value in self.numbers.items()
            if name != "says"
        ]
        rows = aligned(numbers, align="<", widths=(62,), gap="", indent="  ")
        verdict = f"verdict: {'ok' if self.ok else 'FAILED'}: {self.numbers['says']}"
        title = "Radiative-convective equilibrium with the emulator as convection"
        return "\n".join([title, *rows, verdict])

    __repr__ = __str__


def equilibrium(history: xr.Dataset) -> Equilibrium:
    """Analyse a run of columns.

    Parameters
    ----------
    history
        Records from `sciml.coupling.rce_host.history`.

    Raises
    ------
    InputError
        There are fewer than three records after the start.
    """
    if history.sizes["time"] < 4:
        raise InputError(
            f"{history.sizes['time'] - 1} records after the start: run for at least three, or write them more often"
        )
    came = {str(name): history[name].values[1:].astype(np.float64) for name in history.data_vars}
    seconds = float(history["time"][1] - history["time"][0]) * DAY
    third = max(1, len(came["T"]) // 3)
    pressure, mass = history["PRESSURE"].values, history["MASS"].values
    profiles = _profiles(history, came, third)
    energy = cape(pressure, came["T"], came["QVAPOR"])
    days, courses = _courses(came | {"CAPE": energy / 1000}, seconds)
    numbers: dict[str, Any] = {
        "days": float(history["time"][-1]),
        "members": int(history.sizes["member"]),
        "finite": all(bool(np.isfinite(values).all()) for values in came.values()),
        **_closure(history, came),
        **_convective_source(came, seconds),
        **_negatives(came),
        **_rain(came, seconds, third),
        **_kinds(came, third),
        **_drift(profiles, pressure, mass),
        **_balance(came | {"CAPE": energy}, seconds, third, pressure, mass),
    }
    return Equilibrium(numbers | {"says": _says(numbers)}, pressure, profiles, days, courses)


def _closure(history: xr.Dataset, came: dict[str, Array]) -> dict[str, float]:
    """Compute the largest residual of a member between two records, relative to the fluxes, and of the whole run."""
    evaporated, large_scale = came["EVAPORATION"], -came["RAIN_LS"]
    heat = (
        came["SENSIBLE"],
        LATENT_HEAT_VAPORISATION * came["EVAPORATION"],
        came["RADIATION"],
        came["ENTHALPY_CU"],
    )
    budgets = {
        "water": ("WATER", (evaporated, -came["RAIN_CU"], large_scale)),
        "water, tendencies for rain": ("WATER", (evaporated, came["WATER_CU"], large_scale)),
        "enthalpy": ("ENTHALPY", heat),
    }
    numbers = {}
    for name, (column, terms) in budgets.items():
        missed = np.diff(history[column].values, axis=0) - sum(terms)
        through = np.maximum(sum(np.abs(term) for term in terms), np.finfo(np.float64).tiny)
        unit = "J/m2" if column == "ENTHALPY" else "kg/m2"
        numbers[f"residual of {name}"] = float((np.abs(missed) / through).max())
        numbers[f"  {unit} in a record, of {name}"] = float(np.abs(missed).max())
        numbers[f"  of the whole run, of {name}"] = float((np.abs(missed.sum(0)) / through.sum(0)).max())
    return numbers


def _convective_source(came: dict[str, Array], seconds: float) -> dict[str, float]:
    heated = came["ABSOLUTE_CU"].sum()
    numbers = {}
    for name, label in (
        ("ENTHALPY_CU", "with the host's Lv"),
        ("SCHEME_CU", "with the scheme's Lv(T)"),
    ):
        numbers[f"enthalpy made by convection (W/m2), {label}"] = float(came[name].mean() / seconds)
        numbers[f"  of its sum |cp dT| (%), {label}"] = (
            float(100 * came[name].sum() / heated) if heated else 0.0
        )
    return numbers


def _negatives(came: dict[str, Array]) -> dict[str, float]:
    return {
        "least vapour (kg/kg)": float(came["LEAST_VAPOUR"].min()),
        "least condensate (kg/kg)": float(came["QCLOUD"].min()),
        "steps with tendencies scaled down": int(came["LIMITED"].sum()),
        "calls refused": int(came["UNSOUND"].sum()),
    }


def _rain(came: dict[str, Array], seconds: float, third: int) -> dict[str, float]:
    numbers: dict[str, float] = {}
    daily = DAY / seconds
    for when, part in (("first", slice(None, third)), ("last", slice(-third, None))):
        for name, label in (
            ("RAIN_CU", "convective rain"),
            ("RAIN_LS", "large-scale rain"),
            ("EVAPORATION", "evaporation"),
        ):
            numbers[f"{label} (mm/day), {when} third"] = float(came[name][part].mean() * daily)
        numbers[f"convective share of rain (%), {when} third"] = 100 * _share(
            came["RAIN_CU"][part].sum(), came["RAIN_LS"][part].sum()
        )
    numbers["PRATEC after its tendencies (mm/day): does not fall"] = float(came["RAIN_LATE"].mean() * daily)
    return numbers


def _share(part: float, rest: float) -> float:
    return float(part / (part + rest)) if part + rest else 0.0


def _kinds(came: dict[str, Array], third: int) -> dict[str, Any]:
    rose = came["SHALLOW"] + came["DEEP"]
    numbers: dict[str, Any] = {"calls": int(came["EVALUATED"].sum())}
    numbers["  of them shallow (%)"] = float(100 * came["SHALLOW"].sum() / came["EVALUATED"].sum())
    numbers["  of them deep (%)"] = float(100 * came["DEEP"].sum() / came["EVALUATED"].sum())
    for when, part in (("first", slice(None, third)), ("last", slice(-third, None))):
        numbers[f"novel of those in which convection rose (%), {when} third"] = float(
            100 * came["NOVEL"][part].sum() / max(rose[part].sum(), 1)
        )
    numbers["novel calls"] = int(came["NOVEL"].sum())
    numbers["greatest novelty"] = float(came["NOVELTY"].max())
    return numbers


def _drift(profiles: dict[str, Band], pressure: Array, mass: Array) -> dict[str, float]:
    """Compute the drift of the mean profile from the start to the last third."""
    reached = pressure > _DEEPEST
    weight = mass[reached] / mass[reached].sum()
    numbers = {}
    for name, unit in (("T", "K"), ("q", "g/kg")):
        change = profiles[f"{name} last"].mean[reached]
        worst = int(np.abs(change).argmax())
        numbers[f"drift of {name} ({unit}): mean below 100 hPa"] = float(weight @ change)
        late = change - profiles[f"{name} first"].mean[reached]
        numbers[f"drift of {name} ({unit}): root mean square"] = math.sqrt(float(weight @ change**2))
        numbers[f"  of it since the first third, of {name}"] = math.sqrt(float(weight @ late**2))
        numbers[f"drift of {name} ({unit}): greatest"] = float(change[worst])
        numbers[f"  at (hPa), of {name}"] = float(pressure[reached][worst] / 100)
    return numbers


def _balance(
    came: dict[str, Array], seconds: float, third: int, pressure: Array, mass: Array
) -> dict[str, float]:
    """Compute numbers that show whether the columns are in equilibrium."""
    reached = pressure > _DEEPEST
    weight = mass[reached] / mass[reached].sum()
    gain = (
        came["SENSIBLE"]
        + LATENT_HEAT_VAPORISATION * came["EVAPORATION"]
        + came["RADIATION"]
        + came["ENTHALPY_CU"]
    )
    numbers = {"CAPE (J/kg), at the first record": float(came["CAPE"][0].mean())}
    for when, part in (("first", slice(None, third)), ("last", slice(-third, None))):
        numbers[f"CAPE (J/kg), {when} third"] = float(came["CAPE"][part].mean())
        numbers[f"column water (kg/m2), {when} third"] = float(came["WATER"][part].mean())
        numbers[f"gain of enthalpy (W/m2), {when} third"] = float(gain[part].mean() / seconds)
        mean = came["T"][part].mean(1)[:, reached]
        if third > 1:
            trend = np.polyfit(np.arange(third) * seconds / DAY, mean, 1)[0]
            numbers[f"trend of T (K/day), root mean square, {when} third"] = math.sqrt(
                float(weight @ trend**2)
            )
    return numbers


def _profiles(history: xr.Dataset, came: dict[str, Array], third: int) -> dict[str, Band]:
    """Reduce (time, member, level) to bands of (level,)."""
    temperature, vapour = came["T"], came["QVAPOR"]
    shown = {
        "T": temperature - history["T"].values[0],
        "q": 1e3 * (vapour - history["QVAPOR"].values[0]),
        "RH": 100 * vapour / saturation(history["PRESSURE"].values, temperature),
    }
    bands = {}
    for name, values in shown.items():
        bands[f"{name} first"] = Band.of(values[:third].mean(0))
        bands[f"{name} last"] = Band.of(values[-third:].mean(0))
    for name, heating in (("convection", "HEATING_CU"), ("condensation", "HEATING_LS")):
        bands[name] = Band.of(DAY * came[heating][-third:].mean(0))
    return bands


def _courses(came: dict[str, Array], seconds: float) -> tuple[Array, dict[str, Band]]:
    """Reduce (time, member) to bands of (period,): by day, or by record in runs of few days."""
    together = max(1, round(DAY / seconds)) if len(came["T"]) * seconds >= 10 * DAY else 1
    periods = len(came["T"]) // together

    def summed(name: str) -> Array:
        return np.asarray(came[name][: periods * together].reshape(periods, together, -1).sum(1))

    daily = DAY / (seconds * together)
    calls, rose = np.maximum(summed("EVALUATED"), 1), np.maximum(summed("SHALLOW") + summed("DEEP"), 1)
    courses = {
        "convective": summed("RAIN_CU") * daily,
        "large-scale": summed("RAIN_LS") * daily,
        "evaporation": summed("EVAPORATION") * daily,
        "shallow": 100 * summed("SHALLOW") / calls,
        "deep": 100 * summed("DEEP") / calls,
        "novel": 100 * summed("NOVEL") / rose,
        "CAPE": summed("CAPE") / together,
    }
    days = (np.arange(periods, dtype=np.float64) + 0.5) * (together * seconds / DAY)
    return days, {name: Band.of(values.T) for name, values in courses.items()}


def _says(numbers: dict[str, Any]) -> str:
    """Summarise the table in one line."""
    novel = numbers["novel of those in which convection rose (%), last third"]
    water, enthalpy = numbers["residual of water"], numbers["residual of enthalpy"]
    return (
        f"water closes to {water:.0e} and enthalpy to {enthalpy:.0e} of the fluxes; "
        f"{novel:.0f} % of the convection in the last third is outside the training range, T drifts by "
        f"{numbers['drift of T (K): root mean square']:.1f} K, CAPE from "
        f"{numbers['CAPE (J/kg), at the first record']:.0f} to {numbers['CAPE (J/kg), last third']:.0f} J/kg"
    )
