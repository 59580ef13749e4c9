"""Tables of `bench/analogs.py` for the results page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

OUTPUTS = {"RTHCUTEN": "heating", "RQVCUTEN": "vapour"}
SPACES = {"nearest column": "profiles", "nearest column, plume": "plume"}
NOVELTY = {
    "training range": "range of the profiles",
    "Mahalanobis": "Mahalanobis",
    "nearest column": "nearest column",
    "mean of the members": "mean of 32 members",
    "training range, plume": "range of the plume",
    "nearest column, plume": "nearest plume",
    "mean of the members, plume": "mean of 32 plumes",
}
GUARD = {
    "novelty of guard": "`guard`",
    "training range, plume": "its training range alone",
    "nearest column": "nearest column",
    "nearest column, plume": "nearest plume",
}


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _of_seeds(rows: Sequence[Any], *path: str) -> list[float]:
    values = []
    for row in rows:
        for key in path:
            row = row[key]
        values.append(float(row))
    return values


def _mean(rows: Sequence[Any], *path: str, form: str = ".3f") -> str:
    return format(np.mean(_of_seeds(rows, *path)), form)


def _range(rows: Sequence[Any], *path: str) -> str:
    values = [f"{value:.2f}" for value in sorted(_of_seeds(rows, *path))]
    return values[0] if values[0] == values[-1] else f"{values[0]} to {values[-1]}"


def ensembles(n: Mapping[str, Any]) -> str:
    """Write R2, CRPS and coverage of each held-out run."""
    head = ["new run", "distance by", "tendency", "R²", "CRPS by distance", "CRPS, equal weights"]
    head += ["coverage of 90 %", "calibrated in the same run", "not calibrated"]
    rows = []
    for run, seeds in n["runs"].items():
        some = list(seeds.values())
        for space, by in SPACES.items():
            for output, name in OUTPUTS.items():
                ours, equal = (("ensembles", space, kind, "new", output) for kind in ("by distance", "equal"))
                cover = [
                    _range(some, "intervals", space, "new", output, label, "coverage")
                    for label in ("held out", "same run", "not at all")
                ]
                crps = [_mean(some, *kind, "crps") for kind in (ours, equal)]
                rows.append([run, by, name, _mean(some, *ours, "r2"), *crps, *cover])
    return _table(head, rows)


def novelty(n: Mapping[str, Any]) -> str:
    """Write the AUROC of each held-out run, and the share detected."""
    rows = []
    for key, name in NOVELTY.items():
        cells = []
        for seeds in n["runs"].values():
            some = list(seeds.values())
            cells += [_mean(some, "novelty", key, kind) for kind in ("auroc", "detected")]
        rows.append([name, *cells])
    runs = [text for run in n["runs"] for text in (f"run {run}: AUROC", "detected")]
    return _table(["score", *runs], rows)


def guard(n: Mapping[str, Any]) -> str:
    """Write the AUROC of columns that the emulator gets wrong, and the share detected, by run."""
    rows = []
    for run, row in n["guard"].items():
        cells = []
        for key in GUARD:
            score = row["novelty"][key]
            cells.append(f"{score['auroc']:.3f}, {score['detected']:.0%}")
        rows.append([run, f"{row['wrong']} of {row['columns']:,}", *cells])
    return _table(["run", "wrong", *GUARD.values()], rows)
