"""Compare a learned preconditioner for waves in open media with sparse LU and shifted-Laplacian multigrid.

    python bench/helmholtz_preconditioners.py            # 127, 255 and 511 nodes an axis: 10 minutes on a core
    python bench/helmholtz_preconditioners.py --smoke    # seconds, to test that the benchmark runs
    python bench/helmholtz_preconditioners.py --network MODEL

Problems: a point source in the centre of media of `AnySpeed`, 10 nodes for the shortest wavelength, whose seeds were
not used in training. Each method solves to a true relative residual of 1e-6. Times are CPU seconds of one thread:
set-up (factors, hierarchy or gates) and solution. Sparse LU has the order of nested dissection. Shifted-Laplacian
multigrid has three forms, each tuned at 255 nodes: two grids with LU on the coarser one, three grids, and four grids
with damped Jacobi (the textbook form, whose coarsest problem is small). Iterations are means over the seeds.

Transfer: 25 media of higher contrast at 127 nodes, 25 problems with twice the wave number at 255 nodes, and 3 with
twice the wave number at 127 nodes, which are 5 nodes for the shortest wavelength.
Batch: 64 right-hand sides of one medium, and 64 media, in one call, against LU one by one.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from sciml.multigrid import ShiftedLaplacian
from sciml.operators.learned_helmholtz import LearnedHelmholtz
from sciml.pde import AnySpeed, Direct, OpenHelmholtz, discretize
from sciml.pde.media import InclusionSpeed, LayeredSpeed, SmoothSpeed
from sciml.solve import init, solve
from sciml.tables import aligned

SEEDS = (101, 103, 107)
SIZES = (127, 255, 511)
TEXTBOOK_LIMIT = 255
"""Largest size at which the textbook multigrid is measured with every seed; beyond it, with the first one."""
Row = dict[str, Any]


def methods(learned: LearnedHelmholtz) -> dict[str, Any]:
    """Return the algorithms by name."""
    return {
        "sparse LU": Direct(),
        "shifted, 2 grids": ShiftedLaplacian(levels=1, shift=0.02),
        "shifted, 3 grids": ShiftedLaplacian(levels=2, shift=0.25),
        "shifted, 4 grids": ShiftedLaplacian(levels=3, shift=0.5, smoother="jacobi", restart=100),
        "learned": learned,
    }


def measured(algorithm: Any, problems: Sequence[Any]) -> Row:
    """Solve each problem, set-up included."""
    setups, solutions, iterations, residuals = [], [], [], []
    for problem in problems:
        begin = time.process_time()
        state = init(problem, algorithm)
        middle = time.process_time()
        solution = solve(problem, algorithm, state=state, throw=False)
        setups.append(middle - begin)
        solutions.append(time.process_time() - middle)
        iterations.append(solution.stats.get("iterations", 0))
        residuals.append(solution.stats["relative_residual"])
    return {
        "iterations": float(np.mean(iterations)),
        "most iterations": int(max(iterations)),
        "setup_s": float(np.mean(setups)),
        "solve_s": float(np.mean(solutions)),
        "total_s": float(np.mean(setups) + np.mean(solutions)),
        "residual": float(max(residuals)),
        "problems": len(problems),
    }


def transfer(learned: LearnedHelmholtz, size: int, count: int) -> Row:
    """Count the problems that converge, of media and wave numbers outside of the training."""
    kinds = (SmoothSpeed(4.0, 9.0), LayeredSpeed(4.0, 12), InclusionSpeed(4.0, 24))
    other = [OpenHelmholtz(size, kinds[i % 3], seed=301 + i) for i in range(count)]
    double = [OpenHelmholtz(2 * size + 1, seed=401 + i) for i in range(count)]
    coarse = [OpenHelmholtz(size, seed=601 + i, points=5.0, layer=3.0) for i in range(min(count, 3))]
    made = {}
    named = {
        "contrast 4": other,
        "twice the wave number, twice the nodes": double,
        "twice the wave number, 5 nodes a wavelength": coarse,
    }
    for name, problems in named.items():
        solutions = [solve(problem, learned, throw=False) for problem in problems]
        made[name] = {
            "problems": len(problems),
            "converged": sum(solution.result.ok for solution in solutions),
            "iterations": float(np.mean([solution.stats["iterations"] for solution in solutions])),
            "most iterations": int(max(solution.stats["iterations"] for solution in solutions)),
        }
    return made


def timed(call: Callable[[], Any]) -> tuple[Any, float]:
    """Return what a function returns, and its CPU seconds."""
    begin = time.process_time()
    made = call()
    return made, time.process_time() - begin


def batches(learned: LearnedHelmholtz, size: int, count: int) -> Row:
    """Solve many right-hand sides of one medium, and many media, in one call and by LU."""
    problem = OpenHelmholtz(size, seed=SEEDS[0])
    system, rng = discretize(problem), np.random.default_rng(7)
    rhs = rng.standard_normal((count, system.size)) + 1j * rng.standard_normal((count, system.size))
    ours, ours_s = timed(lambda: learned.solve_batch([problem], rhs))
    state, setup_s = timed(lambda: Direct().init(system))
    _, lu_s = timed(lambda: [state.apply(b) for b in rhs])
    media = [discretize(OpenHelmholtz(size, AnySpeed(), seed=501 + i)) for i in range(count)]
    several, several_s = timed(lambda: learned.solve_batch(media))
    _, each_s = timed(lambda: [solve(system, Direct()) for system in media])
    return {
        "count": count,
        "size": size,
        "right-hand sides": {"learned_s": ours_s, "lu_s": setup_s + lu_s, "ok": bool(ours.converged.all())},
        "media": {"learned_s": several_s, "lu_s": each_s, "ok": bool(several.converged.all())},
    }


def report(numbers: Row) -> str:
    """Return the tables."""
    rows = [("nodes", "method", "iterations", "most", "set-up s", "solution s", "total s", "residual")]
    for size, by_method in numbers["sizes"].items():
        rows += [
            (
                size,
                name,
                f"{row['iterations']:.1f}",
                str(row["most iterations"]),
                f"{row['setup_s']:.2f}",
                f"{row['solve_s']:.2f}",
                f"{row['total_s']:.2f}",
                f"{row['residual']:.1e}",
            )
            for name, row in by_method.items()
        ]
    lines = [*aligned(rows, align="<<>>>>>>"), ""]
    for name, row in numbers["transfer"].items():
        lines.append(
            f"{name}: {row['converged']} of {row['problems']} converge, {row['iterations']:.1f} iterations, at most "
            f"{row['most iterations']}"
        )
    made = numbers["batch"]
    for name in ("right-hand sides", "media"):
        lines.append(
            f"{made['count']} {name} at {made['size']} nodes: learned {made[name]['learned_s']:.2f} s, sparse LU "
            f"{made[name]['lu_s']:.2f} s"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--smoke", action="store_true", help="tiny sizes, to test that the benchmark runs")
    parser.add_argument("--network", default="helmholtz-layers", help="checkpoint of the network")
    parser.add_argument("--json", type=Path, help="file to write the numbers to")
    given = parser.parse_args()
    torch.set_num_threads(1)
    learned = replace(LearnedHelmholtz.load(given.network), restart=100)
    sizes, seeds, count, batch, media = (SIZES, SEEDS, 25, 64, 127)
    if given.smoke:
        sizes, seeds, count, batch, media = (47, 63), SEEDS[:1], 1, 2, 47
    made: Row = {"seeds": list(seeds), "sizes": {}}
    for size in sizes:
        problems = [discretize(OpenHelmholtz(size, seed=seed)) for seed in seeds]
        made["sizes"][str(size)] = by_method = {}
        for name, algorithm in methods(learned).items():
            few = size > TEXTBOOK_LIMIT and name in ("shifted, 3 grids", "shifted, 4 grids")
            by_method[name] = measured(algorithm, problems[:1] if few else problems)
            print(size, name, by_method[name], file=sys.stderr, flush=True)
    made["transfer"] = transfer(learned, media, count)
    made["batch"] = batches(learned, media, batch)
    made["parameters"] = sum(p.numel() for p in learned.network.parameters())
    print(report(made))
    if given.json:
        given.json.write_text(json.dumps(made, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
