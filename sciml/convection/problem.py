"""Problem that emulators of convection solve, and its solution."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from sciml.columns.classes import DEEP, NONE, SHALLOW
from sciml.columns.mixture import LEVELS, describe_mixture, padding, ranges
from sciml.errors import InputError, MissingVariable
from sciml.schemes.mskf import MSKF
from sciml.solve import Result
from sciml.tables import html_table, named_values
from sciml.version import __version__
from sciml.wrf.diagnostics import RD
from sciml.wrf.variables import TABLE

if TYPE_CHECKING:
    import xarray as xr

__all__ = [
    "INPUT_PROFILES",
    "INPUT_SURFACE",
    "Convection",
    "ConvectionSolution",
    "between",
    "check_inputs",
    "output_attributes",
    "solution_of",
]

INPUT_PROFILES = MSKF.input_profiles
INPUT_SURFACE = MSKF.input_scalars
# Limits of the native library, sciml_mskf.h.
ANY_WEATHER = {entry.name: entry.limits for entry in MSKF.inputs if not entry.is_profile}
SETTINGS = ("DX", "DT", "CUDT")
UNITS = {entry.name: entry.units for entry in MSKF.outputs}
LONG_NAMES = {
    "KIND": "class of convection",
    "NOVELTY": "expected error or distance from the training, above 1 in columns unlike those of the training",
    "P_TRIGGER": "probability of convection",
    "P_DEEP": "probability of deep convection",
}


@dataclass(frozen=True, eq=False)
class Convection:
    """Problem of computing the outputs of one call of the convection scheme on columns.

    Parameters
    ----------
    columns
        Result of `sciml.convection_columns` or `sciml.open_columns`: dimensions ``column`` and ``level``, WRF names,
        the attributes or coordinates (column,) DX (m), DT (s) and CUDT (min), and LEVELS (column,) if the columns have
        different numbers of levels. Targets are ignored.

    Raises
    ------
    MissingVariable
        An input is missing.
    InputError
        The argument is not a dataset, there are no columns, DX, DT or CUDT is missing or invalid, or dimensions have
        other names.
    """

    columns: xr.Dataset

    def __post_init__(self) -> None:
        import xarray as xr

        if not isinstance(self.columns, xr.Dataset):
            raise InputError(
                f"columns is {self.columns!r}, no dataset: open files with sciml.open_columns(paths) first"
            )
        sizes = self.columns.sizes
        if "column" not in sizes or "level" not in sizes:
            raise InputError(
                f"a dataset of {dict(sizes)}: make columns of it with sciml.convection_columns(ds) first"
            )
        if sizes["column"] == 0:
            raise InputError("zero columns: choose some, or widen the selection that left none")
        absent = [name for name in (*INPUT_PROFILES, *INPUT_SURFACE) if name not in self.columns]
        if absent:
            raise MissingVariable(
                f"the columns do not have {', '.join(absent)}: make them with sciml.convection_columns(ds), from a "
                "file that has what they are made of (sciml wrf info lists what a file does not have)"
            )
        lost = [name for name in SETTINGS if name not in self.columns and name not in self.columns.attrs]
        if lost:
            lines = "; ".join(f"columns.attrs['{name}'] = ..." for name in lost)
            raise InputError(
                f"the columns do not have the attribute{'s' * (len(lost) > 1)} {', '.join(lost)}: set what the run "
                f"had, {lines}"
            )
        for name in SETTINGS:
            for value in (
                np.unique(self.columns[name].values) if name in self.columns else [self.columns.attrs[name]]
            ):
                _check_setting(name, value)
        given = self._levels_of_each
        if given.min() < 1 or given.max() > sizes["level"]:
            raise InputError(
                f"LEVELS is {given.min()} to {given.max()} in profiles of {sizes['level']} levels: give the number of "
                "levels of each column, or drop LEVELS if all have as many as the profiles"
            )

    def __len__(self) -> int:
        return int(self.columns.sizes["column"])

    @property
    def levels(self) -> int:
        """Least number of mass levels of the columns."""
        return int(self._levels_of_each.min())

    def check_levels(self, least: int) -> None:
        """Check that no column has fewer than `least` levels; raise `InputError` if one has."""
        if self.levels >= least:
            return
        few = "the columns have"
        if LEVELS in self.columns.variables and "RUN" in self.columns.variables:
            runs = np.unique(self.columns["RUN"].values[self._levels_of_each < least])
            few = f"columns of RUN {', '.join(map(str, runs))} have"
        raise InputError(
            f"{few} {self.levels} levels, and the network needs {least} or more: give a run with more levels"
        )

    @cached_property
    def _levels_of_each(self) -> np.ndarray[Any, Any]:
        if LEVELS in self.columns.variables:
            return np.asarray(self.columns[LEVELS].values)
        return np.full(len(self), self.columns.sizes["level"])

    @cached_property
    def settings(self) -> dict[str, tuple[float, float]]:
        """Least and greatest DX (m), DT (s), CUDT (min) of the columns."""
        pairs = {}
        for name in SETTINGS:
            given = self.columns[name].values if name in self.columns else float(self.columns.attrs[name])
            pairs[name] = (float(np.min(given)), float(np.max(given)))
        return pairs

    def blocks(self, size: int) -> Iterator[tuple[np.ndarray[Any, Any], xr.Dataset]]:
        """Yield the numbers of at most `size` columns of equal length, and these columns."""
        for levels in np.unique(self._levels_of_each):
            rows = np.flatnonzero(self._levels_of_each == levels)
            for start in range(0, len(rows), size):
                chosen = rows[start : start + size]
                yield chosen, self.columns.isel(column=chosen, level=slice(0, int(levels)))

    def uniform(self) -> Iterator[tuple[np.ndarray[Any, Any], Convection]]:
        """Yield the numbers of the columns of each DX, DT, CUDT and number of levels, and the problem of these."""
        names = [name for name in (*SETTINGS, LEVELS) if name in self.columns.variables]
        if not names:
            yield np.arange(len(self)), self
            return
        table = np.stack([self.columns[name].values.astype(np.float64) for name in names], 1)
        values, group = np.unique(table, axis=0, return_inverse=True)
        for number, own in enumerate(values.tolist()):
            rows = np.flatnonzero(group.ravel() == number)
            settings = dict(zip(names, own, strict=True))
            levels = int(settings.pop(LEVELS, self.columns.sizes["level"]))
            part = self.columns.isel(column=rows, level=slice(0, levels)).drop_vars(names)
            yield rows, Convection(part.assign_attrs(settings))

    def single(self) -> Convection:
        """Return the problem with DX, DT and CUDT as attributes, for an algorithm that takes only equal columns.

        Raises
        ------
        InputError
            The columns differ in DX, DT, CUDT or their number of levels.
        """
        parts = [part for _, part in itertools.islice(self.uniform(), 2)]
        if len(parts) > 1:
            differing = describe_mixture(ranges(self.columns))
            raise InputError(
                f"the columns are of different runs ({differing}), and this needs columns of one grid and time step: "
                "give one run"
            )
        return parts[0]

    def put(
        self,
        arrays: dict[str, np.ndarray[Any, Any]],
        name: str,
        rows: np.ndarray[Any, Any],
        values: np.ndarray[Any, Any],
    ) -> None:
        """Write the values of a block into the array `name` of all columns; levels above a shorter column are NaN."""
        whole = len(rows) == len(self) and (
            values.ndim == 1 or values.shape[1] == self.columns.sizes["level"]
        )
        if whole:
            arrays[name] = values
            return
        if name not in arrays:
            shape = (len(self), *[self.columns.sizes["level"]] * (values.ndim - 1))
            fill = np.nan if np.issubdtype(values.dtype, np.floating) else 0
            arrays[name] = np.full(shape, fill, values.dtype)
        if values.ndim == 1:
            arrays[name][rows] = values
        else:
            arrays[name][rows, : values.shape[1]] = values

    def __repr__(self) -> str:
        set_to = ", ".join(f"{name} {between(pair)}" for name, pair in self.settings.items())
        levels = between((float(self.levels), float(self._levels_of_each.max())))
        return f"Convection({len(self)} columns of {levels} levels, {set_to})"

    def _repr_html_(self) -> str:
        units = {"DX": "m", "DT": "s", "CUDT": "min"}
        settings = ((name, f"{between(pair)} {units[name]}") for name, pair in self.settings.items())
        levels = between((float(self.levels), float(self._levels_of_each.max())))
        return html_table("Convection", [("columns", str(len(self))), ("levels", levels), *settings])


def between(pair: tuple[float, float]) -> str:
    """Write a range, or one number where both ends are equal."""
    low, high = pair
    return f"{low:g}" if low == high else f"{low:g} to {high:g}"


def _check_setting(name: str, value: Any) -> None:
    """Check that the value is possible; CUDT = 0 means every time step in WRF."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not math.isfinite(number) or number < 0 or (number == 0 and name != "CUDT"):
        meant = "0 or more minutes" if name == "CUDT" else "a number above 0"
        raise InputError(
            f"the attribute {name} is {value!r}, not {meant}: set columns.attrs['{name}'] to what the run had"
        )


def check_inputs(arrays: Mapping[str, np.ndarray[Any, Any]]) -> None:
    """Check that inputs (column, level) and (column,) are finite, in the right units and not upside down.

    Columns with unusual surface values are accepted and count as novel. Impossible values raise an error; the native
    library gives no result for such columns (kind -1).

    Raises
    ------
    InputError
        The message names the variable, a value and the remedy.
    """
    if not arrays["P_HYD"].size:
        return
    for name, values in arrays.items():
        bad = int((~np.isfinite(values)).sum())
        if bad:
            raise InputError(
                f"{name} has {bad} values that are not finite: drop those columns, or repair the file they are from"
            )
    for name in INPUT_PROFILES:
        (low, high), values = TABLE[name].bounds, arrays[name]
        least, most = float(values.min()), float(values.max())
        if least < low or most > high:
            raise InputError(
                f"{name} reaches {least if least < low else most:g}, outside {low:g} to {high:g} "
                f"{TABLE[name].units}: drop those columns, or give the variable in that unit"
            )
    for name, (low, high) in ANY_WEATHER.items():
        least, most = float(arrays[name].min()), float(arrays[name].max())
        if least < low or most > high:
            raise InputError(
                f"{name} reaches {least if least < low else most:g}, outside {low:g} to {high:g}: drop those columns, "
                f"or give the variable in {TABLE[name].units}"
            )
    pressure = arrays["P_HYD"]
    rising = int((np.diff(pressure, axis=1) >= 0).any(1).sum())
    if rising:
        raise InputError(
            f"P_HYD does not fall with height in {rising} columns ({pressure[0, 0]:g} Pa at level 0, "
            f"{pressure[0, -1]:g} at the last): turn the levels so that 0 is the lowest"
        )
    gas = arrays["RHO"][:, 0] * arrays["T_PHY"][:, 0] * float(RD)
    ratio = pressure[:, 0] / gas
    worst = int(np.abs(np.log(ratio)).argmax())
    if not 0.5 < ratio[worst] < 2.0:
        raise InputError(
            f"P_HYD is {pressure[worst, 0]:g} at level 0 where density and temperature make {gas[worst]:.0f} Pa: "
            "give P_HYD in Pa and RHO in kg m-3"
        )


@dataclass(frozen=True, eq=False)
class ConvectionSolution:
    """Outputs of the scheme.

    Attributes
    ----------
    outputs
        Dataset on ``column`` and ``level`` of the problem, with its coordinates: KIND (0 none, 1 shallow, 2 deep), the
        eight tendencies, cloud fractions and condensate, PRATEC (mm/s), NCA (s; -100 without convection), CUTOP, CUBOT
        (levels from 1), NOVELTY (the larger of the expected error of the heating and the distance from the training
        range, above 1 in columns unlike those of the training; 0 where nothing is evaluated), P_TRIGGER.
    result
        Whether the outputs are valid, see `sciml.Result`.
    stats
        Numbers of columns by class and validity, and the time of the computation in seconds.
    """

    outputs: xr.Dataset
    result: Result
    stats: Mapping[str, float] = field(default_factory=dict)

    def __repr__(self) -> str:
        lines = [f"ConvectionSolution: {self.result.name}"]
        lines += named_values(self._rows())
        if self.result.value:
            lines.append(f"  ({self.result.value})")
        return "\n".join(lines)

    def _rows(self) -> list[tuple[str, str]]:
        return [(name, f"{value:.6g}") for name, value in self.stats.items()]

    def _repr_html_(self) -> str:
        return html_table(f"ConvectionSolution: {self.result.name}", self._rows(), note=self.result.value)


def solution_of(
    problem: Convection, arrays: dict[str, np.ndarray[Any, Any]], seconds: float, *, source: str = ""
) -> ConvectionSolution:
    """Make a solution of arrays by name, on the columns of the problem.

    Parameters
    ----------
    problem, arrays, seconds
        Columns, outputs by name, and the time of their computation.
    source
        Name of the algorithm, for the attribute ``history``.
    """
    import xarray as xr

    coords = {
        name: c for name, c in problem.columns.coords.items() if name != "KIND" and c.dims == ("column",)
    }
    outputs = xr.Dataset(coords=coords, attrs=dict(problem.columns.attrs))
    if source:
        lines = [str(outputs.attrs.get("history", "")), f"convection by {source}, sciml {__version__}"]
        outputs.attrs["history"] = "\n".join(line for line in lines if line)
    for name, values in arrays.items():
        dims = ("column", "level") if values.ndim == 2 else ("column",)
        outputs[name] = xr.Variable(dims, values, output_attributes(name))
    return _judged(outputs, seconds)


def output_attributes(name: str) -> dict[str, Any]:
    """Return units, long name and, where CF has one, standard name of an output."""
    row = TABLE.get(name)
    attrs: dict[str, Any] = {
        "units": UNITS.get(name, "1"),
        "long_name": row.long_name if row else LONG_NAMES.get(name, name),
    }
    if row and row.standard_name:
        attrs["standard_name"] = row.standard_name
    if name == "KIND":
        attrs |= {"flag_values": [NONE, SHALLOW, DEEP], "flag_meanings": "none shallow deep"}
    return attrs


def _judged(outputs: xr.Dataset, seconds: float) -> ConvectionSolution:
    """Classify outputs as not finite, novel or successful, and count the columns of each class."""
    kind, novelty = outputs["KIND"].values, outputs["NOVELTY"].values
    finite = all(_is_finite(outputs, str(name)) for name in outputs.data_vars)
    novel = int((novelty > 1.0).sum())
    stats = {
        "columns": float(kind.size),
        "none": float((kind == NONE).sum()),
        "shallow": float((kind == SHALLOW).sum()),
        "deep": float((kind == DEEP).sum()),
        "novel": float(novel),
        "greatest novelty": float(novelty.max()),
        "seconds": seconds,
    }
    result = Result.SUCCESS if novel == 0 else Result.NOVEL
    return ConvectionSolution(outputs, result if finite else Result.NOT_FINITE, stats)


def _is_finite(outputs: xr.Dataset, name: str) -> bool:
    """Whether all values are finite; levels above a shorter column are NaN."""
    values, above = np.isfinite(outputs[name].values), padding(outputs)
    return bool(values.all() if above is None or values.ndim < 2 else (values | above).all())
