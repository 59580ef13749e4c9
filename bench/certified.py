"""Measure certified solutions: cycles saved by a prediction, sharpness of the error bounds, and time.

    python bench/certified.py [--operator darcy-any] [--smoke] [--json OUT]

For each family of definite elliptic problems, `Corrected` solves until the guaranteed bound of the energy error is 1e-6
of the solution, from the operator's prediction and from zero. The seeds of the problems were not used in training. The
reference for the true error is sparse LU. The baseline in time is conjugate gradients with the same hierarchy (AMG),
until the relative residual is 1e-6, which guarantees no error. One thread; the least of several rounds, run in turn.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse.linalg as sla
import torch

import sciml as sm
from sciml.pde import FAMILIES, System, discretize

RTOL = 1e-6
GOAL = 1.3
FIRST_SEED = 500_001
CASES = (
    ("poisson", 63),
    ("darcy-smooth", 63),
    ("darcy-rough", 63),
    ("darcy-multiscale", 63),
    ("darcy-lognormal", 63),
    ("darcy-any", 63),
    ("darcy-smooth", 127),
    ("darcy-rough", 127),
)


def measure(system: System, neural: sm.Neural, rounds: int) -> dict[str, float]:
    """Return the cycles, errors, bounds and milliseconds of one problem, with those of the set-up separate."""
    learned, zero, plain = sm.Corrected(neural, rtol=RTOL), sm.Corrected(None, rtol=RTOL), sm.AMG(rtol=RTOL)
    states = sm.init(system, learned), sm.init(system, zero), sm.init(system, plain)
    times: list[list[float]] = [[], [], []]
    corrected: Any = None
    start: Any = None
    for _ in range(rounds):
        corrected = sm.solve(system, learned, state=states[0])
        start = sm.solve(system, zero, state=states[1])
        quick = sm.solve(system, plain, state=states[2])
        for mine, solution in zip(times, (corrected, start, quick), strict=True):
            mine.append(1e3 * solution.stats["seconds"])
    exact = sla.spsolve(system.matrix.tocsc(), system.rhs)
    error = system.energy(corrected.u.values.ravel() - exact)
    return {
        "cycles": corrected.stats["cycles"],
        "from_zero": start.stats["cycles"],
        "not_used": corrected.stats["started_from_zero"],
        "prediction_error": corrected.stats.get("prediction_error", float("nan")),
        "upper": corrected.error_bound / error,
        "ms": min(times[0]),
        "ms_from_zero": min(times[1]),
        "ms_amg": min(times[2]),
        "ms_setup": 1e3 * states[2].seconds,
        "ms_certificate": 1e3 * states[0].hierarchy.contraction.seconds,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--operator", nargs="+", default=["darcy-any"], help="checkpoints, or names of packaged ones"
    )
    parser.add_argument("--count", type=int, default=12, help="number of problems of each family")
    parser.add_argument("--smoke", action="store_true", help="small problems, two of each")
    parser.add_argument("--json", type=Path, help="file to write the numbers to")
    given = parser.parse_args()
    torch.set_num_threads(1)
    count, rounds = (2, 1) if given.smoke else (given.count, 3)
    results: dict[str, Any] = {}
    for name in given.operator:
        neural = sm.Neural.load(name)
        print(f"{name}, {count} problems of each family, guaranteed error {RTOL:g}; ms without set-up")
        print(
            f"{'family':20}{'n':>5}{'prediction':>12}{'cycles':>8}{'from 0':>8}{'bound/error':>20}"
            f"{'ms':>8}{'from 0':>8}{'AMG-CG':>8}{'ratio':>7}{'set-up':>8}{'for bounds':>11}"
        )
        for family, resolution in CASES:
            n = 15 if given.smoke else resolution
            rows = [
                measure(discretize(FAMILIES[family].problem(n, FIRST_SEED + i)), neural, rounds)
                for i in range(count)
            ]
            mean = {key: float(np.mean([row[key] for row in rows])) for key in rows[0]}
            upper = [row["upper"] for row in rows]
            mean |= {"upper_least": min(upper), "upper_greatest": max(upper)}
            results.setdefault(name, {})[f"{family} {resolution}"] = mean
            print(
                f"{family:20}{n:5}{mean['prediction_error']:12.2e}{mean['cycles']:8.1f}{mean['from_zero']:8.1f}"
                f"{f'{min(upper):.4f} to {max(upper):.3f}':>20}{mean['ms']:8.2f}{mean['ms_from_zero']:8.2f}"
                f"{mean['ms_amg']:8.2f}{mean['ms'] / mean['ms_amg']:7.2f}{mean['ms_setup']:8.2f}"
                f"{mean['ms_certificate']:11.2f}"
            )
        mine = results[name].values()
        fewer = all(row["cycles"] < row["from_zero"] for row in mine)
        print(
            f"goals: bound >= error {'reached' if all(row['upper_least'] >= 1 - 1e-9 for row in mine) else 'MISSED'}, "
            f"effectivity <= {GOAL} {'reached' if all(row['upper_greatest'] <= GOAL for row in mine) else 'missed'}, "
            f"fewer cycles on every family {'reached' if fewer else 'missed'}\n"
        )
    if given.json:
        given.json.write_text(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
