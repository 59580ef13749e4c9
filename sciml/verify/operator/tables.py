"""The tables of an evaluation of an operator."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from sciml.verify.operator.evaluation import Table, number

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
    """Every table that these scores have something for."""
    return [
        one
        for make in (_norms, _baselines, _frequency, _levels, _saved, _certified, _rollout)
        for one in make(scores)
    ]


def _norms(scores: Mapping[str, Any]) -> Iterator[Table]:
    rows = [
        [NAMES[name], *(number(one[key]) for key in ("mean", "median", "worst")), str(one["worst_sample"])]
        for name, one in scores["norms"].items()
    ]
    if "residual_energy" in scores:
        said = f"{NAMES['residual_energy']} ({scores['looked_at']} samples)"
        rows.append([said, number(scores["residual_energy"]), "–", "–", "–"])
    yield Table("Errors over the samples", ["norm", "mean", "median", "worst", "of sample"], rows)


def _baselines(scores: Mapping[str, Any]) -> Iterator[Table]:
    found = scores.get("baselines")
    if not found:
        return
    names = [key for key in BESIDE if key in next(iter(found.values()))]
    rows = [[who, *(number(one.get(key)) for key in names)] for who, one in found.items()]
    caption = "Beside answers that need no training, means"
    yield Table(caption, ["answer", *(NAMES.get(name, name) for name in names)], rows)


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
            f"{one['level']:.0f}",
            f"{one['unknowns']:,.0f}",
            number(one["relative_error"]),
            _share(one["share_of_error"]),
            _share(one["share_of_truth"]),
        ]
        for one in scores["levels"]
    ]
    head = ["level", "unknowns", "relative error", "share of error²", "share of truth²"]
    yield Table("Error by multigrid level (energy)", head, rows)


def start_table(found: Mapping[str, Any], caption: str) -> Table:
    """How good each start is, before and after one cycle."""
    rows = [
        [
            name,
            *(number(one[key]) for key in ("relative_l2", "relative_energy", "residual")),
            *(number(one["after_cycle"][key]) for key in ("relative_l2", "residual")),
        ]
        for name, one in found.items()
    ]
    head = ["start", "L2", "energy", "||r||/||b||", "L2 after a cycle", "||r||/||b|| after"]
    return Table(caption, head, rows)


def iteration_table(found: Mapping[str, Any], aim: str, caption: str) -> Table:
    """How many iterations of each method remain from each start."""
    names = list(next(iter(found.values()))["iterations"])
    rows = [[name, *(_count(one["iterations"][by], aim) for by in names)] for name, one in found.items()]
    head = ["start", *("plain RS cycles" if name == "cycles" else f"CG, {name}" for name in names)]
    return Table(caption, head, rows)


def _count(one: Mapping[str, Any], aim: str) -> str:
    return f"> {one['limit']:.0f}" if one[aim] is None else f"{one[aim]:.1f}"


def _saved(scores: Mapping[str, Any]) -> Iterator[Table]:
    found = scores.get("iterations")
    if found:
        count = scores["looked_at"]
        yield start_table(found, f"As an initial guess: how good a start is (mean of {count} samples)")
        aims = {
            "residual": "the residual is 1e-8 of b",
            "energy": "the energy error is 1e-4",
            "l2": "the L2 error is 1e-4",
        }
        for aim, said in aims.items():
            yield iteration_table(found, aim, f"Iterations until {said}")
    found = scores.get("preconditioner")
    if found:
        rows = [[name, _count(one, "residual"), _count(one, "energy")] for name, one in found.items()]
        head = ["flexible CG with", "to residual 1e-8", "to energy error 1e-4"]
        yield Table("As a preconditioner: iterations from zero", head, rows)


def _certified(scores: Mapping[str, Any]) -> Iterator[Table]:
    found = scores.get("certified")
    if found:
        rows = [
            [
                f"{name} bound / true error",
                *(number(found["effectivity"][name][key], ".4f") for key in ("least", "mean", "greatest")),
            ]
            for name in ("lower", "upper")
        ]
        sharp = found["effectivity"]
        said = f"Guaranteed bounds of {sharp['samples']} predictions, {sharp['violated']} violated"
        yield Table(said, ["effectivity", "least", "mean", "greatest"], rows)
        rows = [[f"plain cycles from {name}", _cycles(count), "–"] for name, count in found["cycles"].items()]
        for name, one in found.get("corrected", {}).items():
            rows.append([f"Corrected, from {name}", _cycles(one["cycles"]), f"{1e3 * one['seconds']:.1f}"])
        said = f"Cycles until the guaranteed bound is under {found['rtol']:g}; ms with set-up and prediction"
        yield Table(said, ["how", "cycles", "ms"], rows)
    found = scores.get("time")
    if found:
        names = {
            "prediction_alone": "one prediction, alone",
            "prediction_in_batch": f"one prediction of a batch of {found['batch']:.0f}",
            "set_up": "multigrid set-up",
            "solve": "multigrid-CG to 1e-8",
        }
        rows = [[said, f"{1e3 * found[key]:.2f}"] for key, said in names.items()]
        alone, together = number(found["ratio"], ".2f"), number(found["ratio_in_batch"], ".2f")
        said = (
            f"Wall-clock ({found['threads']} threads): a prediction takes {alone} times multigrid-CG with its set-up "
            f"alone, {together} times in a batch"
        )
        yield Table(said, ["what", "ms"], rows)


def _cycles(count: float | None) -> str:
    return "not within the limit" if count is None else f"{count:.1f}"


def _rollout(scores: Mapping[str, Any]) -> Iterator[Table]:
    found = scores.get("rollout")
    if found:
        rows = [
            [str(step), number(one), number(still)]
            for step, (one, still) in enumerate(
                zip(found["relative_l2"], found["persistence"], strict=True), 1
            )
        ]
        yield Table("Rollout: relative L2 error by step", ["step", "operator", "unchanged first field"], rows)


def _share(value: float | None) -> str:
    return "–" if value is None else f"{value:.1%}"
