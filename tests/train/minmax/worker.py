"""A process of a group that solves a game; writes its result to a file."""

from __future__ import annotations

import sys
from pathlib import Path

import torch
import torch.distributed as dist

from sciml.solve import solve
from sciml.train.minmax import MASHA1, MASHA2, Processes, RandK, TopK, VariationalInequality, bilinear_game

DEVICES = 3
METHODS = {
    "masha1": lambda transport: MASHA1(
        RandK(0.25), RandK(0.5), transport=transport, max_iterations=50, rtol=0.0
    ),
    "participants": lambda transport: MASHA1(
        RandK(0.25), participants=2, transport=transport, max_iterations=50, rtol=0.0, payload=torch.float32
    ),
    "masha2": lambda transport: MASHA2(
        TopK(0.3), TopK(0.3), step=0.1, transport=transport, max_iterations=50, rtol=0.0
    ),
}


def problem_of(device: int | None) -> VariationalInequality:
    """Return the problem of one device, or of all."""
    whole = bilinear_game(DEVICES, size=10, seed=11)
    operators = whole.operators if device is None else [whole.operators[device]]
    return VariationalInequality(operators, whole.start, lipschitz=whole.lipschitz, answer=whole.answer)


def main() -> None:
    """Solve the game with each method."""
    rank, folder = int(sys.argv[1]), Path(sys.argv[2])
    torch.set_num_threads(1)
    dist.init_process_group("gloo", f"file://{folder}/meeting", rank=rank, world_size=DEVICES)
    results = {}
    for name, make in METHODS.items():
        solution = solve(problem_of(rank), make(Processes()), throw=False)
        results[name] = {"z": solution.z, "bytes_up": solution.stats["bytes_up"]}
    dist.barrier()
    dist.destroy_process_group()
    torch.save(results, folder / f"result_{rank}.pt")


if __name__ == "__main__":
    main()
