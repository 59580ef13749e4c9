"""Two runs side by side, or a run and observations on its grid: rain, profiles, and the budgets of water and energy."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from sciml.errors import InputError
from sciml.verify.emulator.moments import plain
from sciml.verify.forecast.block_bootstrap import require_scores
from sciml.verify.forecast.mean_state import budgets, profiles
from sciml.verify.forecast.rain_floor import Judged, judge
from sciml.verify.forecast.rain_tables import RainComparison, floor_range, text_table
from sciml.verify.forecast.rainfall import compare
from sciml.verify.forecast.run_place import differing_levels, grid_of, require_same_ground
from sciml.verify.forecast.run_source import Source, of_same_parts, open_source
from sciml.verify.forecast.run_times import HOUR, span
from sciml.verify.forecast.run_windows import Dropped, Windows, common_windows

__all__ = ["RunComparison", "Source", "compare_runs", "open_source"]

Array = NDArray[Any]


@dataclass(frozen=True, eq=False)
class RunComparison:
    """What `compare_runs` gives.

    Parameters
    ----------
    rain
        Its scores.
    profiles
        (source, level) means and (level,) differences; None where one side is no run.
    budgets
        Of each side; empty where they are not known.
    grid
        ``spacing`` (km; None if unknown), ``longitude`` and ``latitude`` (y, x) where the grid lies on the Earth.
    absent
        What is missing, and why.
    dropped
        Parts of the periods of the sides that are not compared.
    state
        Departures of profiles and budgets from the reference, of the candidate and of the floor runs; empty without
        floor runs.
    """

    rain: RainComparison
    profiles: xr.Dataset | None = field(repr=False)
    budgets: dict[str, dict[str, float]]
    grid: dict[str, Any] = field(repr=False)
    absent: dict[str, str]
    dropped: tuple[Dropped, ...] = ()
    state: tuple[Judged, ...] = field(default=(), repr=False)

    def __str__(self) -> str:
        lines = [str(self.rain)]
        for name in self.rain.names:
            terms = self.budgets.get(name, {})
            lines += [
                "",
                f"budgets of {name}",
                *(f"  {term:<56}{value:>12.4g}" for term, value in terms.items()),
            ] * bool(terms)
        if self.state:
            lines.append(text_table(*self.state_table()))
        lines += [""] * bool(self.absent) + [f"absent: {what}: {why}" for what, why in self.absent.items()]
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        return self.rain._repr_html_()

    def state_table(self) -> tuple[str, list[str], list[list[str]]]:
        """Caption, head and rows of the departures of profiles and budgets."""
        rows = [
            [one.name, _four(one.value), floor_range(one.floor, _four), one.verdict] for one in self.state
        ]
        return (
            f"profiles and budgets: differences from {self.rain.names[0]}",
            ["quantity", "candidate", "floor", "verdict"],
            rows,
        )

    def to_json(self) -> dict[str, Any]:
        """Every number, for `json.dumps`."""
        drawn = self.profiles
        levels = None if drawn is None else {str(k): plain(v.values) for k, v in drawn.variables.items()}
        return {
            **self.rain.to_json(),
            "dropped": [asdict(one) for one in self.dropped],
            "profiles": levels,
            "budgets": plain(self.budgets),
            "state": plain([{**asdict(one), "verdict": one.verdict} for one in self.state]),
            "absent": self.absent,
        }


def _four(value: float) -> str:
    return f"{value:.4g}" if np.isfinite(value) else "-"


def compare_runs(
    reference: Source,
    candidate: Source,
    *,
    floor: Sequence[Source] = (),
    window: str | None = None,
    align: Literal["time", "start"] = "time",
    thresholds: Sequence[float] | None = None,
    scales: Sequence[int] | None = None,
    block: int | None = None,
    resamples: int = 1000,
    seed: int = 7,
) -> RunComparison:
    """Compare a candidate with a reference: a run with an emulator with its control, two models, observations.

    Parameters
    ----------
    floor
        Runs of the reference with rounding-size perturbations (`sciml.wrf.perturb`): every score of the candidate is
        set beside theirs, see `sciml.verify.forecast.rain_floor`.
    window
        Over which rain is added up, such as "3h"; None: from one common time to the next.
    align
        By the time of day and year, or by the time since the start of each run.
    thresholds, scales, block, resamples, seed
        As in `sciml.verify.forecast.rainfall.compare`.

    Raises
    ------
    InputError
        As `compare`; sides that lie on other ground; one frame only; common times that are not equally far apart,
        without a window.
    SciMLError
        The package `scores` is not installed.
    """
    require_scores()
    sides, notes = of_same_parts(_named([reference, candidate, *floor]))
    shapes = [one.amounts.shape[-2:] for one in sides]
    for one, shape in zip(sides[1:], shapes[1:], strict=True):
        if shape != shapes[0]:
            raise InputError(
                f"grids of {shapes[0]} ({sides[0].name}) and {shape} cells ({one.name}): bring both to one grid first, "
                "such as by xesmf"
            )
    result = common_windows(sides, window, align)
    for k, one in enumerate(sides[1:], start=1):
        pair = (sides[0].name, one.name)
        grounds = tuple(side.run if side.run is not None else side.amounts for side in (sides[0], one))
        notes += require_same_ground(pair, (grounds[0], grounds[1]), (result.frames[0], result.frames[k]))
    run = next((one.run for one in sides if one.run is not None), None)
    grid = grid_of(run)

    def scored(k: int) -> RainComparison:
        return compare(
            result.amounts[0],
            result.amounts[k],
            thresholds=thresholds,
            scales=scales,
            names=(sides[0].name, sides[k].name),
            longitude=grid.get("longitude"),
            clocks=None if result.clocks is None else (result.clocks[0], result.clocks[k]),
            block=block,
            resamples=resamples,
            seed=seed,
        )

    rain = scored(1)
    lines = (rain.said[0], *result.notes, *notes, *_left_out(result.dropped, len(sides)), *rain.said[1:])
    rain = replace(rain, said=tuple(dict.fromkeys(lines)))
    if floor:
        runs = [scored(k).scores for k in range(2, len(sides))]
        rain = replace(rain, floor=judge(rain.scores, runs, [one.name for one in sides[2:]]))
    return _with_state(rain, sides, result, grid)


def _named(sides: Sequence[Source]) -> list[Source]:
    """The sides with different names."""
    first, second, *floors = sides
    if first.name == second.name:
        first, second = (
            replace(first, name=f"reference: {first.name}"),
            replace(second, name=f"candidate: {second.name}"),
        )
    taken = [first.name, second.name]
    out = [first, second]
    for k, one in enumerate(floors, start=1):
        name = f"floor {k}: {one.name}" if one.name in taken else one.name
        taken.append(name)
        out.append(replace(one, name=name))
    return out


def _left_out(dropped: Sequence[Dropped], count: int) -> list[str]:
    """What is not compared, one line each; the same part of all sides once."""
    parts: dict[tuple[str, str, str, float], list[str]] = {}
    for one in dropped:
        parts.setdefault((one.begin, one.end, one.why, one.hours), []).append(one.source)
    lines = []
    for (begin, end, why, hours), sources in parts.items():
        whose = (
            "both sides"
            if len(sources) == count == 2
            else "all sides"
            if len(sources) == count
            else ", ".join(sources)
        )
        lines.append(f"left out of {whose}: {begin} to {end} ({span(round(hours * HOUR))}): {why}")
    return lines


def _with_state(
    rain: RainComparison, sides: Sequence[Source], result: Windows, grid: dict[str, Any]
) -> RunComparison:
    """Add profiles and budgets, and set them beside those of the floor runs."""
    runs = [one.run for one in sides if one.run is not None]
    if len(runs) < len(sides):
        absent = {"profiles and budgets": "one side is no run"}
        return RunComparison(rain, None, {}, grid, absent, result.dropped)
    pair = [run.isel(Time=at) for run, at in zip(runs, result.frames, strict=True)]
    absent = {}
    compared, absent = _profiles(sides, pair, 1)
    amounts: dict[str, dict[str, float]] = {}
    for k, (one, run) in enumerate(zip(sides, pair, strict=True)):
        terms, missing = budgets(run, _fallen(one.amounts, result.frames[k]))
        amounts[one.name] = terms
        if k < 2:
            absent |= {f"{what} of {one.name}": why for what, why in missing.items()}
    state: tuple[Judged, ...] = ()
    if len(sides) > 2:
        floors = [_profiles(sides, pair, k)[0] for k in range(2, len(sides))]
        names = [one.name for one in sides]
        state = (*_profile_rows(compared, floors), *_budget_rows([amounts[name] for name in names]))
    chosen = {name: terms for name, terms in amounts.items() if terms}
    return RunComparison(rain, compared, chosen, grid, absent, result.dropped, state)


def _profiles(
    sides: Sequence[Source], runs: Sequence[xr.Dataset], k: int
) -> tuple[xr.Dataset | None, dict[str, str]]:
    """Profiles of a side against the reference, unless their levels are not the same ones."""
    if runs[0].sizes.get("bottom_top") == runs[k].sizes.get("bottom_top"):
        why = differing_levels((sides[0].name, sides[k].name), (runs[0], runs[k]))
        if why is not None:
            warnings.warn(f"profiles are not compared: {why}", stacklevel=4)
            return None, {"profiles": why}
    return profiles(runs[0], runs[k])


def _profile_rows(compared: xr.Dataset | None, floors: Sequence[xr.Dataset | None]) -> list[Judged]:
    if compared is None:
        return []
    rows = []
    for key in compared.data_vars:
        name = str(key)
        if f"{name} rmse" not in compared:
            continue
        units = compared[name].attrs["units"]
        there = [one if one is not None and name in one else None for one in floors]
        for score, words, reduce in (
            ("rmse", "mean RMSE of the levels", np.mean),
            ("bias", "largest bias of a level", np.max),
        ):
            values = [
                float("nan") if one is None else float(reduce(np.abs(one[f"{name} {score}"].values)))
                for one in (compared, *there)
            ]
            rows.append(Judged(f"{name}, {words} ({units})", values[0], tuple(values[1:])))
    return rows


def _budget_rows(terms: Sequence[Mapping[str, float]]) -> list[Judged]:
    """Differences of the budgets from those of the reference, the first."""
    reference, candidate, *floors = terms
    return [
        Judged(
            term,
            abs(candidate[term] - value),
            tuple(abs(one[term] - value) if term in one else float("nan") for one in floors),
        )
        for term, value in reference.items()
        if term in candidate
    ]


def _fallen(amounts: xr.DataArray, frames: Array) -> float:
    """Mean amount (mm) between the first and the last of these frames."""
    between = amounts.isel(Time=slice(int(frames[0]) + 1, int(frames[-1]) + 1))
    return float(between.sum("Time", skipna=False).mean())
