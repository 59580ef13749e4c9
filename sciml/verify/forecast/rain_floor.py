"""Floor of scores: scores of rounding-size perturbations of the control, and comparison of a candidate with them.

Convection is chaotic: runs whose initial states differ by rounding errors have rain in different cells after a few
hours. A score of a candidate, with the control as the reference, shows an error of the candidate only if it is worse
than the same score of a perturbed run of the control, called a floor run (Hohenegger and Schaer 2007, doi
10.1175/BAMS-88-11-1783).

A score is *within the floor* where its departure from the perfect value is not larger than the largest departure of the
values of the floor runs and of the ends of their 95 % block-bootstrap intervals; else it is *above the floor*. The
departure is the absolute difference from the perfect value (0 of errors, 1 of skill), and the absolute logarithm of
ratios, so that half and double are equally far from 1.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from sciml.tables import plain

__all__ = ["ABOVE", "PERFECT", "RATIOS", "WITHIN", "Judged", "RainFloor", "departure", "judge"]

Array = NDArray[Any]

WITHIN: Final = "within the floor"
ABOVE: Final = "above the floor"
PERFECT: Final[Mapping[str, float]] = {
    **dict.fromkeys(("bias", "mae", "rmse", "far", "crps", "brier"), 0.0),
    **dict.fromkeys(("ratio", "spread_ratio", "frequency_bias", "spread_skill"), 1.0),
    **dict.fromkeys(("correlation", "csi", "ets", "pod", "hss", "pss", "sedi", "fss"), 1.0),
}
"""Value of each score where the two agree; other scores have no floor."""
RATIOS: Final = ("ratio", "spread_ratio", "frequency_bias", "spread_skill")
"""Scores whose departure is the absolute logarithm."""


def departure(name: str, values: Array) -> Array:
    """Compute the departure of values of a score from its perfect value; infinite for a ratio of 0, NaN for NaN.

    Examples
    --------
    >>> departure("csi", np.array([1.0, 0.25])).tolist(), departure("ratio", np.array([0.5, 2.0])).round(3).tolist()
    ([0.0, 0.75], [0.693, 0.693])
    """
    if name in RATIOS:
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.abs(np.log(np.where(values >= 0, values, np.nan)))
    return np.abs(np.asarray(values, np.float64) - PERFECT[name])


@dataclass(frozen=True, eq=False)
class RainFloor:
    """Scores of each floor run, and the scores of the candidate that are within them.

    Parameters
    ----------
    names
        Names of the floor runs.
    scores
        Scores like those of the candidate, with a first dimension ``run``.
    within
        By score, without ``estimate``: 1 within the floor, 0 above it, NaN where either is not known.
    """

    names: tuple[str, ...]
    scores: xr.Dataset = field(repr=False)
    within: xr.Dataset = field(repr=False)

    def values(self, name: str, at: Mapping[str, Any]) -> list[float]:
        """Return the values of a score of every floor run, such as at one threshold."""
        return [float(x) for x in self.scores[name].sel(estimate="value", **at).values]

    def verdict(self, name: str, at: Mapping[str, Any]) -> str:
        """Return whether the value is within the floor or above it, as text; a dash where that is not known."""
        if name not in self.within:
            return "-"
        inside = float(self.within[name].sel(**at))
        return "-" if not np.isfinite(inside) else WITHIN if inside else ABOVE

    def above(self) -> list[str]:
        """Return the scores above the floor, as text."""
        result = []
        for key, inside in self.within.items():
            name = str(key)
            for index in np.argwhere(inside.values == 0):
                at = {str(dim): inside[dim].values[i] for dim, i in zip(inside.dims, index, strict=True)}
                where = [f"{at['threshold']:g} mm"] if "threshold" in at else []
                where += [f"{at['scale']} cells"] if "scale" in at else []
                result.append(" ".join([name, *(["at", ", ".join(where)] if where else [])]))
        return result

    def summary(self) -> str:
        """Summarise the number of scores within the floor, and the others, in one line."""
        known = sum(int(np.isfinite(inside.values).sum()) for inside in self.within.values())
        above = self.above()
        named = f"; above it: {', '.join(above[:8])}" + (", ..." if len(above) > 8 else "") if above else ""
        runs = f"{len(self.names)} run{'s' * (len(self.names) > 1)}"
        inside = f"{known - len(above)} of {known} scores of rain are within it"
        return f"floor ({runs}: {', '.join(self.names)}): {inside}{named}"

    def to_json(self) -> dict[str, Any]:
        """Return every number for `json.dumps`."""
        return {
            "runs": list(self.names),
            "scores": {str(name): plain(values.values) for name, values in self.scores.variables.items()},
            "within": {str(name): _verdicts(inside.values) for name, inside in self.within.items()},
        }


def _verdicts(within: Array) -> Any:
    """Convert to True within the floor, False above it, None where that is not known."""
    return np.asarray(np.where(np.isfinite(within), within == 1, None)).tolist()


def judge(candidate: xr.Dataset, floors: Sequence[xr.Dataset], names: Sequence[str]) -> RainFloor:
    """Compare scores of a candidate with those of floor runs.

    Parameters
    ----------
    candidate, floors
        Scores with the same control as the reference in the same windows, with ``estimate`` value, lower, upper.
    names
        Names of the floor runs.
    """
    scored = [
        str(name)
        for name, scores in candidate.data_vars.items()
        if "estimate" in scores.dims and all(name in other for other in floors)
    ]
    together = xr.concat([scores[scored] for scores in floors], "run", join="exact")
    within = {}
    for name in scored:
        if name not in PERFECT:
            continue
        value = candidate[name].sel(estimate="value", drop=True)
        far = departure(name, value.values)
        floor = departure(name, together[name].transpose("run", ..., "estimate").values)
        limit = np.max(np.where(np.isnan(floor), -1.0, floor), axis=(0, -1))
        known = np.isfinite(value.values) & (limit >= 0)
        within[name] = value.copy(data=np.where(known, (far <= limit).astype(float), np.nan))
    return RainFloor(tuple(names), together, xr.Dataset(within))


@dataclass(frozen=True)
class Judged:
    """A departure of the candidate from the control, and those of the floor runs.

    Parameters
    ----------
    name
        Name such as "temperature, mean RMSE over the levels (K)".
    value, floor
        Departures of the candidate and of each floor run; not negative, 0 where the two agree.
    """

    name: str
    value: float
    floor: tuple[float, ...]

    @property
    def verdict(self) -> str:
        """Return whether the value is within the floor or above it, as text; a dash where that is not known."""
        known = [value for value in self.floor if np.isfinite(value)]
        if not known or not np.isfinite(self.value):
            return "-"
        return WITHIN if self.value <= max(known) else ABOVE
