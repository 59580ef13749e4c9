"""Compare batched multigrid solves in torch with single solves by pyamg, in time per problem on one core.

    python bench/multigrid.py [--smoke] [--json OUT]

64 right-hand sides of one operator, and 64 operators with a right-hand side each, both solved until the residual is
1e-8 of the right-hand side. pyamg solves with conjugate gradients and its Ruge-Stuben, smoothed-aggregation and
geometric hierarchies; the fastest of them is the baseline. The solvers run in turn, round after round, and the least
processor time counts. Goal: 3 times as fast as the baseline, with existing hierarchies.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from sciml.multigrid import AMG
from sciml.multigrid.torch import StencilHierarchy, TorchHierarchy
from sciml.multigrid.torch.stencils import stencil_of
from sciml.pde import FAMILIES, System, discretize

RTOL = 1e-8
GOAL = 3.0
SIDES = 64
METHODS = ("ruge_stuben", "smoothed_aggregation", "geometric")
TORCH = {
    "torch, Ruge-Stuben": ("ruge_stuben", None),
    "torch, Ruge-Stuben, cycles in float32": ("ruge_stuben", torch.float32),
    "torch, aggregation, cycles in float32": ("smoothed_aggregation", torch.float32),
    "torch, geometric, cycles in float32": ("geometric", torch.float32),
}


def least(jobs: Mapping[str, Callable[[], Any]], rounds: int) -> dict[str, float]:
    """Run the jobs in turn, and return the least processor seconds of each."""
    times: dict[str, list[float]] = {name: [] for name in jobs}
    for _ in range(rounds):
        for name, job in jobs.items():
            begin = time.process_time()
            job()
            times[name].append(time.process_time() - begin)
    return {name: min(seconds) for name, seconds in times.items()}


def check(system: System, u: np.ndarray, b: np.ndarray) -> None:
    """Raise SystemExit if `u` does not solve the system to the tolerance."""
    left = np.linalg.norm(b - system.matrix @ u) / np.linalg.norm(b)
    if not left <= 1.05 * RTOL:
        raise SystemExit(f"error: a relative residual is {left:.2e}, above the tolerance {RTOL:g}")


def many_sides(family: str, resolution: int, rounds: int) -> dict[str, Any]:
    """Measure 64 right-hand sides of one operator, without set-up, in milliseconds per problem."""
    system = discretize(FAMILIES[family].problem(resolution, 7))
    b = np.random.default_rng(11).standard_normal((SIDES, system.grid.size)) * system.grid.volumes().ravel()
    built = {method: AMG(method=method).init(system) for method in METHODS}

    def one_by_one(method: str) -> None:
        for side in b:
            solver = built[method].multilevel
            u = solver.solve(side, tol=RTOL, accel="cg", maxiter=60)
        check(system, u, side)

    jobs: dict[str, Callable[[], Any]] = {
        f"pyamg, {method}": (lambda method=method: one_by_one(method)) for method in METHODS
    }
    sides = torch.from_numpy(b)
    for name, (method, inner) in TORCH.items():
        hierarchy = TorchHierarchy.of(built[method], cycle_dtype=inner)

        def batched(hierarchy: TorchHierarchy = hierarchy) -> None:
            solution = hierarchy.solve(sides, rtol=RTOL)
            check(system, solution.u[3].numpy(), b[3])

        jobs[name] = batched
    return compare(jobs, rounds)


def many_operators(family: str, resolution: int, rounds: int) -> dict[str, Any]:
    """Measure 64 operators, set-up included, in milliseconds per problem."""
    systems = [discretize(FAMILIES[family].problem(resolution, 7 + i)) for i in range(SIDES)]
    grid = systems[0].grid
    stencil = torch.stack([stencil_of(system.matrix, grid) for system in systems])
    b = torch.from_numpy(np.stack([system.field(system.rhs) for system in systems]))

    def one_by_one(method: str) -> None:
        for system in systems:
            hierarchy = AMG(method=method).init(system)
            u = hierarchy.multilevel.solve(system.rhs, tol=RTOL, accel="cg", maxiter=60)
        check(system, u, system.rhs)

    def batched(inner: torch.dtype | None) -> None:
        solution = StencilHierarchy(stencil, grid, cycle_dtype=inner).solve(b, rtol=RTOL)
        check(systems[3], solution.u[3].numpy().ravel(), systems[3].rhs)

    jobs: dict[str, Callable[[], Any]] = {
        f"pyamg, {method}": (lambda method=method: one_by_one(method)) for method in METHODS
    }
    jobs["torch, stencils"] = lambda: batched(None)
    jobs["torch, stencils, cycles in float32"] = lambda: batched(torch.float32)
    return compare(jobs, rounds)


def compare(jobs: Mapping[str, Callable[[], Any]], rounds: int) -> dict[str, Any]:
    """Return milliseconds per problem, and the best time of pyamg divided by the best time of torch."""
    times = {name: 1e3 * seconds / SIDES for name, seconds in least(jobs, rounds).items()}
    baseline = min(value for name, value in times.items() if name.startswith("pyamg"))
    best = min(value for name, value in times.items() if name.startswith("torch"))
    for name, value in times.items():
        print(f"  {name:42}{value:9.3f} ms per problem{baseline / value:8.2f}")
    return {"ms": times, "ratio": baseline / best}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--smoke", action="store_true", help="one small case, one round")
    parser.add_argument("--json", type=Path, help="file to write the numbers to")
    given = parser.parse_args()
    torch.set_num_threads(1)
    rounds = 1 if given.smoke else 5
    cases = (
        [("darcy-smooth", 31)]
        if given.smoke
        else [(family, n) for n in (63, 127) for family in ("darcy-smooth", "darcy-rough")]
    )
    results: dict[str, Any] = {}
    for what, measure in (
        ("64 right-hand sides of one operator, hierarchy at hand", many_sides),
        ("64 operators, set-up included", many_operators),
    ):
        for family, n in cases:
            title = f"{what}: {family}, {n} x {n}"
            print(f"{title}; ratios to the fastest of pyamg")
            results[title] = measure(family, n, rounds)
    print("\nbest of torch against best of pyamg")
    for title, result in results.items():
        goal = (
            f"goal {GOAL}: {'reached' if result['ratio'] >= GOAL else 'missed'}" if "sides" in title else ""
        )
        print(f"  {title:84}{result['ratio']:6.2f}  {goal}")
    if given.json:
        given.json.write_text(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
