"""Tables of an evaluation: a row for each column, a profile for each output, and their summaries."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from sciml.columns.formats import COORDINATE_ATTRS
from sciml.columns.mixture import MIXED
from sciml.convection.problem import output_attributes
from sciml.tables import plain
from sciml.verify.emulator.budgets import budgets, summary
from sciml.verify.emulator.moments import NIL, NONE, TRIGGERED, MomentSums
from sciml.verify.emulator.scores import confusion, f1

__all__ = [
    "PLACE",
    "STATISTICS",
    "SUBSETS",
    "budget_scores",
    "column_rows",
    "column_table",
    "novelty",
    "profile_table",
]

Array = NDArray[Any]

SOURCES: Final = ("truth", "prediction")
SUBSETS: Final[Mapping[str, Sequence[int]]] = {"triggered": TRIGGERED, "shallow": (1,), "deep": (2,)}
STATISTICS: Final = ("truth", "truth_std", "prediction", "prediction_std", "bias", "rmse", "r2")
ROWS: Final = {
    "heating": ("HEATING", "W m-2", "column integral of cp pi RTHCUTEN"),
    "moistening": ("MOISTENING", "kg m-2 s-1", "column integral of RQVCUTEN"),
    "water": ("WATER", "1", "relative imbalance of column water"),
    "enthalpy": ("ENTHALPY", "1", "relative imbalance of column enthalpy"),
    "momentum": ("MOMENTUM", "1", "relative imbalance of column momentum"),
    "negative_vapour": ("NEGATIVE_VAPOUR", "1", "levels where one step makes vapour negative"),
}
PLACE: Final = ("Time", "south_north", "west_east", "RUN")
"""Variables that identify a column."""
HEATING_ERROR: Final = {"units": "K s-1", "long_name": "root mean square error of RTHCUTEN, weighted by mass"}
BESIDE: Final = ("NOVELTY", "P_TRIGGER", "P_DEEP")


def column_rows(
    truth: xr.Dataset,
    prediction: xr.Dataset,
    state: Mapping[str, Array],
    outputs: Mapping[str, Mapping[str, Array]],
    kind: Mapping[str, Array],
    dt: float | Array,
) -> xr.Dataset:
    """Tabulate class, rain, integrals and residuals of each column of a block, for truth and prediction."""
    residuals = [budgets(state, outputs[source], dt=dt) for source in SOURCES]
    rows = xr.Dataset(coords={"source": ("source", list(SOURCES), {"long_name": "source of the outputs"})})
    pair = ("source", "column")
    kinds = np.stack([kind[source] for source in SOURCES]).astype(np.int8)
    rows["KIND"] = pair, kinds, output_attributes("KIND")
    if "PRATEC" in outputs["truth"]:
        rain = np.stack([outputs[source]["PRATEC"] for source in SOURCES])
        rows["PRATEC"] = pair, rain.astype(np.float32), output_attributes("PRATEC")
    for key, (name, units, meaning) in ROWS.items():
        if key in residuals[0]:
            values = np.stack([source_residuals[key] for source_residuals in residuals]).astype(np.float32)
            rows[name] = pair, values, {"units": units, "long_name": meaning}
    if all("RTHCUTEN" in outputs[source] for source in SOURCES):
        rows["HEATING_ERROR"] = "column", _heating_error(state, outputs), HEATING_ERROR
    for name in BESIDE:
        if name in prediction:
            rows[name] = "column", prediction[name].values.astype(np.float32), output_attributes(name)
    if "WEIGHT" in truth.variables:
        rows["WEIGHT"] = "column", truth["WEIGHT"].values.astype(np.float32), COORDINATE_ATTRS["WEIGHT"]
    where = {
        name: ("column", truth[name].values, {**COORDINATE_ATTRS.get(name, {}), **truth[name].attrs})
        for name in (*PLACE, *MIXED)
        if name in truth.variables and truth[name].dims == ("column",)
    }
    return rows.assign_coords(where)


def _heating_error(state: Mapping[str, Array], outputs: Mapping[str, Mapping[str, Array]]) -> Array:
    """Root mean square error of RTHCUTEN of each column, weighted by mass."""
    mass = state["RHO"].astype(np.float64) * state["DZ8W"]
    true, predicted = (outputs[source]["RTHCUTEN"].astype(np.float64) for source in SOURCES)
    error: Array = np.sqrt((mass * (predicted - true) ** 2).sum(1) / mass.sum(1)).astype(np.float32)
    return error


def column_table(rows: Sequence[xr.Dataset]) -> xr.Dataset:
    """Concatenate the rows of all blocks."""
    return xr.concat(
        rows, "column", data_vars="minimal", coords="minimal", compat="override", join="override"
    )


def profile_table(moments: Mapping[str, MomentSums], height: Array, units: Mapping[str, str]) -> xr.Dataset:
    """Compute statistics by level of each output with levels; dims (statistic, subset, level)."""
    levels = height.size
    table = xr.Dataset(
        coords={
            "statistic": ("statistic", list(STATISTICS), {"long_name": "statistic over the columns"}),
            "subset": ("subset", list(SUBSETS), {"long_name": "true class of the columns"}),
            "height": ("level", height, {"units": "km", "long_name": "mean height above ground"}),
        }
    )
    for name, sums in moments.items():
        if sums.sums.shape[1] != levels:
            continue
        values = np.empty((len(STATISTICS), len(SUBSETS), levels))
        for column, kinds in enumerate(SUBSETS.values()):
            means = sums.mean_profiles(kinds)
            scores = sums.by_level(kinds, nil=NIL.get(name, 0.0))
            for row, statistic in enumerate(STATISTICS):
                values[row, column] = (
                    means[statistic] if statistic in means else [getattr(x, statistic) for x in scores]
                )
        table[name] = (
            ("statistic", "subset", "level"),
            values,
            {**output_attributes(name), "units": units[name]},
        )
    return table


def budget_scores(columns: xr.Dataset, dt: Sequence[float]) -> dict[str, Any]:
    """Summarise the residuals of truth and prediction, each by its own classes; `dt` has all time steps (s)."""
    scores: dict[str, Any] = {}
    for key in ("water", "enthalpy", "momentum"):
        name = ROWS[key][0]
        if name in columns:
            scores[key] = {
                source: summary(columns[name].sel(source=source), columns["KIND"].sel(source=source))
                for source in SOURCES
            }
    if "NEGATIVE_VAPOUR" in columns:
        counted = (columns["NEGATIVE_VAPOUR"] > 0).sum("column")
        scores["negative_vapour_columns"] = {s: int(counted.sel(source=s)) for s in SOURCES}
        scores["negative_vapour_dt"] = dt[0] if len(dt) == 1 else [min(dt), max(dt)]
    return scores


def novelty(columns: xr.Dataset) -> dict[str, Any] | None:
    """Summarise the novelty of the columns, and the scores inside and outside the training range.

    NOVELTY is above 1 in columns unlike those of the training. It is 0 in columns that failed the parcel test; they
    are not counted. ``inside`` and ``outside`` have the number of columns, the F1 of the trigger and the nmae of the
    column heating.
    """
    if "NOVELTY" not in columns:
        return None
    every = columns["NOVELTY"].values.astype(np.float64)
    seen = every != 0
    result: dict[str, Any] = {"looked_at": int(seen.sum()), "looked_at_fraction": seen.mean()}
    if seen.any():
        score = every[seen]
        result |= {"median": np.median(score), "p99": np.quantile(score, 0.99), "max": score.max()}
        result["fraction_above_1"] = (score > 1).mean()
    kind, predicted_kind = columns["KIND"].values
    for name, where in (("inside", seen & (every <= 1)), ("outside", seen & ~(every <= 1))):
        part: dict[str, Any] = {"columns": int(where.sum())}
        part["f1"] = f1(confusion(kind[where], predicted_kind[where]), TRIGGERED)
        if "HEATING" in columns:
            true, predicted = columns["HEATING"].values.astype(np.float64)[:, where & (kind > NONE)]
            size = np.abs(true).sum()
            part["heating_nmae"] = np.abs(predicted - true).sum() / size if size > 0 else float("nan")
        result[name] = part
    described: dict[str, Any] = plain(result)
    return described
