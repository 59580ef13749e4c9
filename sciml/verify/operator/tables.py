"""Tables of an evaluation of an operator."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from sciml.tables import Table, number

__all__ = ["iteration_table", "start_table", "tables"]

NAMES: Final = {
    "relative_l2": "relative L2",
    "relative_h1": "relative H1",
    "relative_h1_truncated": "“H1”, official truncated",
    "relative_h1_fft": "“H1”, Fourier",
    "relative_max": "relative maximum",
    "residual": "residual ||r|| / ||b||",
    "residual_energy": "residual, A⁻¹ norm",
    "relative_energy": "relative energy",
}


BESIDE: Final = ("relative_l2", "relative_h1", "relative_energy", "residual")


def tables(scores: Mapping[str, Any]) -> list[Table]:
    """Return the tables of the available scores."""
    return [
        table
        for make in (
            _norms,
            _resolutions,
            _baselines,
            _frequency,
            _levels,
            _saved,
            _certified,
            _rollout,
            _certificate,
        )
        for table in make(scores)
    ]


def _norms(scores: Mapping[str, Any]) -> Iterator[Table]:
    rows = [
        [NAMES[name], *(number(norm[key]) for key in ("mean", "median", "worst")), str(norm["worst_sample"])]
        for name, norm in scores["norms"].items()
    ]
    if "residual_energy" in scores:
        label = f"{NAMES['residual_energy']} ({scores['looked_at']} samples)"
        rows.append([label, number(scores["residual_energy"]), "–", "–", "–"])
    yield Table("Errors over the samples", ["norm", "mean", "median", "worst", "worst sample"], rows)


def _resolutions(scores: Mapping[str, Any]) -> Iterator[Table]:
    rows = [
        [
            " x ".join(map(str, row["shape"])),
            *(number(row.get(key)) for key in ("relative_l2", "ratio_l2", "relative_h1", "ratio_h1")),
            *(number(row.get(key)) for key in ("smoothed_h1", "interpolated_l2", "interpolated_h1")),
        ]
        for row in scores.get("resolutions", ())
    ]
    if not rows:
        return
    head = ["grid", "L2", "ratio", "H1", "ratio", "H1, smoothed", "truth, interpolated: L2", "H1"]
    caption = f"Other resolutions ({scores['resolutions'][0]['samples']} samples, the same random fields)"
    yield Table(caption, head, rows)


def _baselines(scores: Mapping[str, Any]) -> Iterator[Table]:
    answers = scores.get("baselines")
    if not answers:
        return
    names = [key for key in BESIDE if key in next(iter(answers.values()))]
    rows = [[who, *(number(errors.get(key)) for key in names)] for who, errors in answers.items()]
    caption = "Comparison with predictions that need no training (mean errors)"
    yield Table(caption, ["prediction", *(NAMES.get(name, name) for name in names)], rows)


def _frequency(scores: Mapping[str, Any]) -> Iterator[Table]:
    rows = [
        [
            f"{band['from']:g} to {band['to']:g}",
            number(band["relative_error"]),
            _share(band["share_of_error"]),
            _share(band["share_of_truth"]),
        ]
        for band in scores["frequency"]["bands"]
    ]
    head = ["wave number", "relative error", "share of error²", "share of truth²"]
    yield Table("Error by frequency (L2)", head, rows)


def _levels(scores: Mapping[str, Any]) -> Iterator[Table]:
    if not scores.get("levels"):
        return
    rows = [
        [
            f"{level['level']:.0f}",
            f"{level['unknowns']:,.0f}",
            number(level["relative_error"]),
            _share(level["share_of_error"]),
            _share(level["share_of_truth"]),
        ]
        for level in scores["levels"]
    ]
    head = ["level", "unknowns", "relative error", "share of error²", "share of truth²"]
    yield Table("Error by multigrid level (energy)", head, rows)


def start_table(starts: Mapping[str, Any], caption: str) -> Table:
    """Tabulate the errors of each start before and after one cycle."""
    rows = [
        [
            name,
            *(number(start[key]) for key in ("relative_l2", "relative_energy", "residual")),
            *(number(start["after_cycle"][key]) for key in ("relative_l2", "residual")),
        ]
        for name, start in starts.items()
    ]
    head = ["start", "L2", "energy", "||r||/||b||", "L2 after a cycle", "||r||/||b|| after"]
    return Table(caption, head, rows)


def iteration_table(starts: Mapping[str, Any], aim: str, caption: str) -> Table:
    """Tabulate the iterations of each method from each start."""
    names = list(next(iter(starts.values()))["iterations"])
    rows = [[name, *(_count(start["iterations"][by], aim) for by in names)] for name, start in starts.items()]
    head = ["start", *("plain RS cycles" if name == "cycles" else f"CG, {name}" for name in names)]
    return Table(caption, head, rows)


def _count(counts: Mapping[str, Any], aim: str) -> str:
    return f"> {counts['limit']:.0f}" if counts[aim] is None else f"{counts[aim]:.1f}"


def _saved(scores: Mapping[str, Any]) -> Iterator[Table]:
    starts = scores.get("iterations")
    if starts:
        count = scores["looked_at"]
        yield start_table(starts, f"As an initial guess: errors of the start (mean of {count} samples)")
        aims = {
            "residual": "the residual is 1e-8 of b",
            "energy": "the energy error is 1e-4",
            "l2": "the L2 error is 1e-4",
        }
        for aim, condition in aims.items():
            yield iteration_table(starts, aim, f"Iterations until {condition}")
    preconditioners = scores.get("preconditioner")
    if preconditioners:
        rows = [
            [name, _count(counts, "residual"), _count(counts, "energy")]
            for name, counts in preconditioners.items()
        ]
        head = ["flexible CG with", "to residual 1e-8", "to energy error 1e-4"]
        yield Table("As a preconditioner: iterations from zero", head, rows)


def _certified(scores: Mapping[str, Any]) -> Iterator[Table]:
    certified = scores.get("certified")
    if certified:
        rows = [
            [
                f"{name} bound / true error",
                *(
                    number(certified["effectivity"][name][key], ".4f")
                    for key in ("least", "mean", "greatest")
                ),
            ]
            for name in ("lower", "upper")
        ]
        sharp = certified["effectivity"]
        caption = f"Guaranteed bounds of {sharp['samples']} predictions, {sharp['violated']} violated"
        yield Table(caption, ["effectivity", "least", "mean", "greatest"], rows)
        rows = [
            [f"plain cycles from {name}", _cycles(count), "–"] for name, count in certified["cycles"].items()
        ]
        for name, cost in certified.get("corrected", {}).items():
            rows.append([f"Corrected, from {name}", _cycles(cost["cycles"]), f"{1e3 * cost['seconds']:.1f}"])
        caption = (
            f"Cycles until the guaranteed bound is under {certified['rtol']:g}; ms with set-up and prediction"
        )
        yield Table(caption, ["method", "cycles", "ms"], rows)
    seconds = scores.get("time")
    if seconds:
        names = {
            "prediction_alone": "one prediction, alone",
            "prediction_in_batch": f"one prediction of a batch of {seconds['batch']:.0f}",
            "set_up": "multigrid set-up",
            "solve": "multigrid-CG to 1e-8",
        }
        rows = [[label, f"{1e3 * seconds[key]:.2f}"] for key, label in names.items()]
        alone, together = number(seconds["ratio"], ".2f"), number(seconds["ratio_in_batch"], ".2f")
        caption = (
            f"Wall-clock time (threads: {seconds['threads']}): a prediction takes {alone} times multigrid-CG "
            f"with its set-up alone, {together} times in a batch"
        )
        yield Table(caption, ["step", "ms"], rows)


def _cycles(count: float | None) -> str:
    return "not within the limit" if count is None else f"{count:.1f}"


def _rollout(scores: Mapping[str, Any]) -> Iterator[Table]:
    rollout = scores.get("rollout")
    if rollout:
        rows = [
            [str(step), number(error), number(still)]
            for step, (error, still) in enumerate(
                zip(rollout["relative_l2"], rollout["persistence"], strict=True), 1
            )
        ]
        yield Table("Rollout: relative L2 error by step", ["step", "operator", "unchanged first field"], rows)


def _certificate(scores: Mapping[str, Any]) -> Iterator[Table]:
    if "certificate" in scores:
        from sciml.operators.lipschitz_bound import Certificate

        proven = Certificate.from_json(scores["certificate"])
        rows = [[name, f"{value:.7g}"] for name, value in proven.factors.items()]
        yield Table(f"Certificate of a step: {proven.headline()}", ["part", "bound"], rows)


def _share(value: float | None) -> str:
    return "–" if value is None else f"{value:.1%}"
