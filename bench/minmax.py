"""Bytes that min-max methods send to solve a game, between processes that exchange messages by gloo.

    python bench/minmax.py [--devices 5] [--json FILE]
    python bench/minmax.py --smoke      # seconds, to test that the benchmark runs

Two games (`sciml.train.minmax.bilinear_game`) have 50 + 50 components and a strength of 0.1: in one the devices have
independent matrices, in the other similar ones, with a correlation of 0.95 with a common matrix. Methods stop at a
relative error of 1e-6, numbers are sent in float32, and renewals of the reference point are counted. The step of each
method is the best of a grid on the first seed of a game, with all devices in one process. Then each device has a
process of its own, the first of which is also the server, and all seeds are solved.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.distributed as dist

from sciml.solve import Result, solve
from sciml.tables import aligned
from sciml.train.minmax import (
    MASHA1,
    MASHA2,
    Extragradient,
    NaturalRounding,
    Processes,
    RandK,
    SaddleSolution,
    TopK,
    VariationalInequality,
    bilinear_game,
)

SEEDS = (7, 11, 23)
GAMES = {"independent devices": 0.0, "similar devices": 0.95}
"""Similarity of the devices by the name of a game."""
Make = Callable[..., Any]
METHODS: Mapping[str, tuple[Make, Mapping[str, Any]]] = {
    "extragradient": (Extragradient, {}),
    "MASHA1 RandK 5 %, up only": (MASHA1, {"compressor": RandK(0.05)}),
    "MASHA1 RandK 10 %, up only": (MASHA1, {"compressor": RandK(0.1)}),
    "MASHA1 natural rounding, both ways": (
        MASHA1,
        {"compressor": NaturalRounding(), "server": NaturalRounding()},
    ),
    "MASHA1 RandK 30 %, both ways": (MASHA1, {"compressor": RandK(0.3), "server": RandK(0.3)}),
    "MASHA2 TopK 30 %, both ways": (MASHA2, {"compressor": TopK(0.3), "server": TopK(0.3)}),
    "MASHA2 TopK 10 %, both ways": (MASHA2, {"compressor": TopK(0.1), "server": TopK(0.1)}),
    "naive TopK 30 %": (Extragradient, {"compressor": TopK(0.3)}),
}
STEPS = {
    "extragradient": (0.8, 0.9, 1.0, 1.1, 1.2, 1.3, 1.4),
    "naive TopK 30 %": (0.005, 0.01, 0.02, 0.05, 0.1, 0.2),
}
GRID = (0.05, 0.07, 0.1, 0.14, 0.2, 0.28, 0.4, 0.56, 0.8)


def posed(task: Mapping[str, Any], seed: int, device: int | None = None) -> VariationalInequality:
    """Return the game of a task for all devices, or for one."""
    whole = bilinear_game(task["devices"], task["size"], seed=seed, similarity=GAMES[task["game"]])
    operators = whole.operators if device is None else [whole.operators[device]]
    return VariationalInequality(operators, whole.start, lipschitz=whole.lipschitz, answer=whole.answer)


def run(problem: VariationalInequality, name: str, step: float, most: int, **settings: Any) -> SaddleSolution:
    """Solve a game with a method."""
    make, own = METHODS[name]
    method = make(**own, step=step, max_iterations=most, payload=torch.float32, **settings)
    solution: SaddleSolution = solve(problem, method, throw=False)
    return solution


def tuned(task: Mapping[str, Any]) -> dict[str, float]:
    """Return the best step of each method on the first seed: the fewest bytes, else the least error."""
    problem, best = posed(task, SEEDS[0]), {}
    for name in METHODS:
        scores, most = {}, task["most"]
        for step in STEPS.get(name, GRID):
            solution = run(problem, name, step, most)
            solved = solution.result is Result.SUCCESS
            most = min(most, int(solution.stats["iterations"])) if solved else most  # more cannot be better
            error = solution.stats["error"] if np.isfinite(solution.stats["error"]) else np.inf
            scores[step] = (0, solution.stats["bytes_up"]) if solved else (1, error)
        best[name] = min(scores, key=lambda step: scores[step])
        edge = best[name] in (min(scores), max(scores))
        print(
            f"{task['game']}, {name}: step {best[name]:g}{' (at an end of the grid)' if edge else ''}",
            flush=True,
        )
    return best


def work(rank: int, meeting: str, task: Mapping[str, Any]) -> None:
    """Run all methods and seeds as one device; the first prints the results."""
    torch.set_num_threads(1)
    dist.init_process_group("gloo", meeting, rank=rank, world_size=task["devices"])
    for name, step in task["steps"].items():
        for seed in SEEDS:
            problem = posed(task, seed, rank)
            solution = run(problem, name, step, task["most"], transport=Processes())
            last = [record.error for record in solution.history[-200:]]
            row = {
                "game": task["game"],
                "method": name,
                "seed": seed,
                "step": step,
                "result": solution.result.name,
            }
            row |= {"devices": task["devices"], "best_of_last_200": min(last), **solution.stats}
            if rank == 0:
                print(json.dumps(row), flush=True)
    dist.barrier()
    dist.destroy_process_group()


def measured(game: str, devices: int, size: int, most: int) -> list[dict[str, Any]]:
    """Tune the steps for a game, then run the processes and return their results."""
    task: dict[str, Any] = {"game": game, "devices": devices, "size": size, "most": most}
    task["steps"] = tuned(task)
    with tempfile.TemporaryDirectory() as folder:
        command = [
            sys.executable,
            __file__,
            "--task",
            json.dumps(task),
            "--meeting",
            f"file://{folder}/meeting",
        ]
        started = [
            subprocess.Popen([*command, "--rank", str(rank)], stdout=subprocess.PIPE if rank == 0 else None)
            for rank in range(devices)
        ]
        printed, _ = started[0].communicate()
        codes = [process.wait() for process in started]
    if any(codes):
        raise SystemExit(f"error: the processes ended with the codes {codes}")
    return [json.loads(line) for line in printed.splitlines()]


def both_ways(row: Mapping[str, Any]) -> float:
    """Return the bytes that a device sends and receives in the mean."""
    return float(row["bytes_up"] / row["devices"] + row["bytes_down"])


def medians(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the medians over the seeds of each method, with bytes relative to the extragradient method's."""
    base = {row["seed"]: row for row in rows if row["method"] == "extragradient"}
    summary = []
    for name in METHODS:
        mine = [row for row in rows if row["method"] == name]
        solved = all(row["result"] == "SUCCESS" for row in mine)
        over = {
            "up": [row["bytes_up"] / base[row["seed"]]["bytes_up"] for row in mine],
            "both": [both_ways(row) / both_ways(base[row["seed"]]) for row in mine],
            "iterations": [row["iterations"] for row in mine],
            "kilobytes": [row["bytes_up"] / row["devices"] / 1e3 for row in mine],
            "seconds": [row["seconds"] for row in mine],
        }
        summary.append(
            {
                "method": name,
                "step": mine[0]["step"],
                "solved": solved,
                **{key: float(np.median(values)) for key, values in over.items()},
                "error": max(row["error"] if solved else row["best_of_last_200"] for row in mine),
            }
        )
    return summary


def report(summary: list[dict[str, Any]]) -> str:
    """Return the medians as a table."""
    lines = [("method", "step", "iterations", "kB up a device", "up / EG", "both / EG", "seconds", "error")]
    for row in summary:
        up, both = (f"{row[key]:.2f}" if row["solved"] else "-" for key in ("up", "both"))
        numbers = (f"{row['iterations']:.0f}", f"{row['kilobytes']:.1f}", up, both, f"{row['seconds']:.1f}")
        lines.append((row["method"], f"{row['step']:g}", *numbers, f"{row['error']:.1e}"))
    return "\n".join(aligned(lines))


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--devices", type=int, default=5, help="Number of processes")
    parser.add_argument("--smoke", action="store_true", help="Small game and few iterations")
    parser.add_argument("--json", type=Path, help="File to write the numbers to")
    parser.add_argument("--task", type=json.loads, help=argparse.SUPPRESS)
    parser.add_argument("--meeting", help=argparse.SUPPRESS)
    parser.add_argument("--rank", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.task:
        return work(options.rank, options.meeting, options.task)
    sizes = (2, 5, 50) if options.smoke else (options.devices, 50, 4000)
    rows = {game: measured(game, *sizes) for game in GAMES}
    summary = {game: medians(runs) for game, runs in rows.items()}
    for game, table in summary.items():
        print(f"\n{game}\n{report(table)}")
    if options.json:
        options.json.write_text(
            json.dumps({"medians": summary, "runs": rows}, indent=1) + "\n", encoding="utf-8"
        )
    return None


if __name__ == "__main__":
    main()
