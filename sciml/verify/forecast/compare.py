"""Comparison of two runs, or of a run with observations on its grid: rain, profiles, budgets of water and energy."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Final, Literal

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from sciml.errors import InputError
from sciml.parallel.bounded import TaskRunner, open_task_runner
from sciml.tables import aligned, finite_number, plain
from sciml.verify.forecast.block_bootstrap import require_scores
from sciml.verify.forecast.mean_state import budgets, profiles
from sciml.verify.forecast.rain_floor import Judged, judge
from sciml.verify.forecast.rain_tables import RainComparison, floor_range, text_table
from sciml.verify.forecast.rainfall import compare_rain
from sciml.verify.forecast.run_place import differing_levels, grid_of, require_same_ground
from sciml.verify.forecast.run_source import RunSource, of_same_parts, open_source
from sciml.verify.forecast.run_times import HOUR, span
from sciml.verify.forecast.run_windows import Dropped, Windows, common_windows
from sciml.wrf.hyperslab import close_files

__all__ = ["RunComparison", "RunSource", "compare_runs", "open_source"]

Array = NDArray[Any]
BLOCK_BYTES: Final = 48 << 20
PROFILES: Final = 10
"""Number of profiles of a frame that the comparison reads, about."""


@dataclass(frozen=True, eq=False)
class RunComparison:
    """Result of `compare_runs`. ``print`` shows it as tables.

    Parameters
    ----------
    rain
        Comparison of the rain.
    profiles
        (source, level) means and (level,) differences; None if one side is not a run.
    budgets
        Budgets of each side; empty where they are not known.
    grid
        ``spacing`` (km; None if unknown), ``longitude`` and ``latitude`` (y, x) where the grid lies on the Earth.
    absent
        Reasons for missing results.
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
            rows = [(term, f"{value:.4g}") for term, value in self.budgets.get(name, {}).items()]
            lines += [
                "",
                f"budgets of {name}",
                *aligned(rows, widths=(56, 12), gap="", indent="  "),
            ] * bool(rows)
        if self.state:
            lines.append(text_table(*self.state_table()))
        lines += [""] * bool(self.absent) + [f"absent: {what}: {why}" for what, why in self.absent.items()]
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        return self.rain._repr_html_()

    def state_table(self) -> tuple[str, list[str], list[list[str]]]:
        """Return caption, head and rows of the departures of profiles and budgets."""
        rows = [
            [row.name, finite_number(row.value), floor_range(row.floor, finite_number), row.verdict]
            for row in self.state
        ]
        return (
            f"profiles and budgets: differences from {self.rain.names[0]}",
            ["quantity", "candidate", "floor", "verdict"],
            rows,
        )

    def to_json(self) -> dict[str, Any]:
        """Return every number for `json.dumps`."""
        drawn = self.profiles
        levels = None if drawn is None else {str(k): plain(v.values) for k, v in drawn.variables.items()}
        return {
            **self.rain.to_json(),
            "dropped": [asdict(part) for part in self.dropped],
            "profiles": levels,
            "budgets": plain(self.budgets),
            "state": plain([{**asdict(departure), "verdict": departure.verdict} for departure in self.state]),
            "absent": self.absent,
        }


def compare_runs(
    reference: RunSource,
    candidate: RunSource,
    *,
    floor: Sequence[RunSource] = (),
    window: str | None = None,
    align: Literal["time", "start"] = "time",
    thresholds: Sequence[float] | None = None,
    scales: Sequence[int] | None = None,
    block: int | None = None,
    resamples: int = 1000,
    seed: int = 7,
    workers: int | None = 1,
) -> RunComparison:
    """Compare a candidate with a reference: a run with an emulator and its control, two models, or observations.

    Parameters
    ----------
    reference, candidate
        Sides of the comparison, from `sciml.verify.forecast.run_source.open_source`.
    floor
        Runs of the reference with rounding-size perturbations (`sciml.wrf.perturb`): the scores of the
        candidate are compared with theirs, see `sciml.verify.forecast.rain_floor`.
    window
        Length of the windows of rain, such as "3h"; None: from one common time to the next.
    align
        Match frames by date, or by the time since the start of each run.
    thresholds, scales, block, resamples, seed
        As in `sciml.verify.forecast.rainfall.compare_rain`.
    workers
        Number of Dask worker processes; 1 works in this process, unless a scheduler is there (see
        `sciml.parallel.cluster.client`); None is one worker for each core if the runs are large. The result has the
        same bits for any number.

    Returns
    -------
    RunComparison
        Scores of the rain, profiles and budgets of both sides.

    Raises
    ------
    InputError
        As in `compare_rain`; or the sides are at different places, there is only one frame, or the common times are not
        equally spaced and no window is given.
    SciMLError
        The package `scores` is not installed.
    ClusterError
        The workers or the scheduler of a cluster stopped.
    """
    require_scores()
    settings = {
        "thresholds": thresholds,
        "scales": scales,
        "block": block,
        "resamples": resamples,
        "seed": seed,
    }
    sides = _named([reference, candidate, *floor])
    with open_task_runner(workers, _blocks(sides), finish=close_files) as run_tasks:
        return _compared(sides, window, align, settings, run_tasks)


def _blocks(sides: Sequence[RunSource]) -> int:
    """Estimate the number of blocks of `BLOCK_BYTES` that the profiles read."""
    runs = [side.run for side in sides if side.run is not None and "bottom_top" in side.run.sizes]
    sizes = (run["QVAPOR"].nbytes for run in runs if "QVAPOR" in run.variables)
    return sum(PROFILES * size for size in sizes) // BLOCK_BYTES


def _compared(
    given: Sequence[RunSource],
    window: str | None,
    align: Literal["time", "start"],
    settings: Mapping[str, Any],
    run_tasks: TaskRunner,
) -> RunComparison:
    """Compare sides with unique names."""
    sides, notes = of_same_parts(given)
    shapes = [side.amounts.shape[-2:] for side in sides]
    for side, shape in zip(sides[1:], shapes[1:], strict=True):
        if shape != shapes[0]:
            raise InputError(
                f"grids of {shapes[0]} ({sides[0].name}) and {shape} cells ({side.name}): bring both to one grid "
                "first, for example with xesmf"
            )
    result = common_windows(sides, window, align)
    for k, side in enumerate(sides[1:], start=1):
        pair = (sides[0].name, side.name)
        grounds = tuple(each.run if each.run is not None else each.amounts for each in (sides[0], side))
        notes += require_same_ground(pair, (grounds[0], grounds[1]), (result.frames[0], result.frames[k]))
    run = next((side.run for side in sides if side.run is not None), None)
    grid = grid_of(run)

    def scored(k: int) -> RainComparison:
        return compare_rain(
            result.amounts[0],
            result.amounts[k],
            names=(sides[0].name, sides[k].name),
            longitude=grid.get("longitude"),
            clocks=None if result.clocks is None else (result.clocks[0], result.clocks[k]),
            run=run_tasks,
            **settings,
        )

    rain = scored(1)
    lines = (
        rain.summary[0],
        *result.notes,
        *notes,
        *_left_out(result.dropped, len(sides)),
        *rain.summary[1:],
    )
    rain = replace(rain, summary=tuple(dict.fromkeys(lines)))
    if len(sides) > 2:
        runs = [scored(k).scores for k in range(2, len(sides))]
        rain = replace(rain, floor=judge(rain.scores, runs, [side.name for side in sides[2:]]))
    return _with_state(rain, sides, result, grid, run_tasks)


def _named(sides: Sequence[RunSource]) -> list[RunSource]:
    """Return the sides with unique names."""
    first, second, *floors = sides
    if first.name == second.name:
        first, second = (
            replace(first, name=f"reference: {first.name}"),
            replace(second, name=f"candidate: {second.name}"),
        )
    taken = [first.name, second.name]
    out = [first, second]
    for k, side in enumerate(floors, start=1):
        name = f"floor {k}: {side.name}" if side.name in taken else side.name
        taken.append(name)
        out.append(replace(side, name=name))
    return out


def _left_out(dropped: Sequence[Dropped], count: int) -> list[str]:
    """Describe the parts that are not compared, in one line each; a part of all sides has one line."""
    parts: dict[tuple[str, str, str, float], list[str]] = {}
    for part in dropped:
        parts.setdefault((part.begin, part.end, part.why, part.hours), []).append(part.source)
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
    rain: RainComparison,
    sides: Sequence[RunSource],
    result: Windows,
    grid: dict[str, Any],
    run_tasks: TaskRunner,
) -> RunComparison:
    """Add profiles and budgets, and compare them with those of the floor runs."""
    runs = [side.run for side in sides if side.run is not None]
    if len(runs) < len(sides):
        absent = {"profiles and budgets": "one side is not a run"}
        return RunComparison(rain, None, {}, grid, absent, result.dropped)
    pair = [run.isel(Time=at) for run, at in zip(runs, result.frames, strict=True)]
    absent = {}
    compared, absent = _profiles(sides, pair, 1, run_tasks)
    amounts: dict[str, dict[str, float]] = {}
    for k, (side, run) in enumerate(zip(sides, pair, strict=True)):
        terms, missing = budgets(run, _fallen(side.amounts, result.frames[k]))
        amounts[side.name] = terms
        if k < 2:
            absent |= {f"{what} of {side.name}": why for what, why in missing.items()}
    state: tuple[Judged, ...] = ()
    if len(sides) > 2:
        floors = [_profiles(sides, pair, k, run_tasks)[0] for k in range(2, len(sides))]
        names = [side.name for side in sides]
        state = (*_profile_rows(compared, floors), *_budget_rows([amounts[name] for name in names]))
    chosen = {name: terms for name, terms in amounts.items() if terms}
    return RunComparison(rain, compared, chosen, grid, absent, result.dropped, state)


def _profiles(
    sides: Sequence[RunSource], runs: Sequence[xr.Dataset], k: int, run_tasks: TaskRunner
) -> tuple[xr.Dataset | None, dict[str, str]]:
    """Compute profiles of a side and the reference, unless their levels differ."""
    if runs[0].sizes.get("bottom_top") == runs[k].sizes.get("bottom_top"):
        why = differing_levels((sides[0].name, sides[k].name), (runs[0], runs[k]))
        if why is not None:
            warnings.warn(f"profiles are not compared: {why}", stacklevel=4)
            return None, {"profiles": why}
    return profiles(runs[0], runs[k], run_tasks)


def _profile_rows(compared: xr.Dataset | None, floors: Sequence[xr.Dataset | None]) -> list[Judged]:
    if compared is None:
        return []
    rows = []
    for key in compared.data_vars:
        name = str(key)
        if f"{name} rmse" not in compared:
            continue
        units = compared[name].attrs["units"]
        there = [errors if errors is not None and name in errors else None for errors in floors]
        for score, words, reduce in (
            ("rmse", "mean RMSE of the levels", np.mean),
            ("bias", "largest bias of a level", np.max),
        ):
            values = [
                float("nan") if errors is None else float(reduce(np.abs(errors[f"{name} {score}"].values)))
                for errors in (compared, *there)
            ]
            rows.append(Judged(f"{name}, {words} ({units})", values[0], tuple(values[1:])))
    return rows


def _budget_rows(terms: Sequence[Mapping[str, float]]) -> list[Judged]:
    """Compute differences of the budgets from those of the reference (the first)."""
    reference, candidate, *floors = terms
    return [
        Judged(
            term,
            abs(candidate[term] - value),
            tuple(abs(budget[term] - value) if term in budget else float("nan") for budget in floors),
        )
        for term, value in reference.items()
        if term in candidate
    ]


def _fallen(amounts: xr.DataArray, frames: Array) -> float:
    """Compute the mean amount (mm) between the first and the last of the given frames."""
    between = amounts.isel(Time=slice(int(frames[0]) + 1, int(frames[-1]) + 1))
    return float(between.sum("Time", skipna=False).mean())
