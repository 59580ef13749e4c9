"""Measure the time of a training step with one torch thread and with all, for networks of several sizes.

    python bench/threads.py [--json OUT] [--rounds 12] [--threads 2] [--busy 2]

The numbers are wall-clock times, medians of the rounds, with one thread and all threads in turn. ``--busy N`` runs N
processes that compute all the time: then threads wait for each other at the end of every operation. The size of a step
is the number of parameters times the number of values in its largest input (samples x points x channels), as
`sciml.train.environment.step_size` computes it; below ``ONE_THREAD`` a training uses one thread.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import nn

from sciml.convection.network import Architecture, Closure
from sciml.operators.fno import FNO
from sciml.operators.mgno import MgNO
from sciml.operators.published.network import published
from sciml.train.environment import ONE_THREAD, step_size


def spin() -> None:
    """Keep a core busy."""
    x = 1.0
    while True:
        x = (x * 1.0000001) % 3.0


def step_of(network: nn.Module, batch: dict[str, torch.Tensor]) -> Callable[[], None]:
    """Make a training step on random data."""
    optimiser = torch.optim.AdamW(network.parameters(), 1e-3, fused=True)

    def work() -> None:
        optimiser.zero_grad(set_to_none=True)
        answer = network(*batch.values())
        tensors = answer if isinstance(answer, tuple) else (answer,)
        sum(x.square().mean() for x in tensors).backward()
        optimiser.step()

    return work


def cases() -> dict[str, tuple[nn.Module, dict[str, torch.Tensor]]]:
    """Make the networks, each with a batch."""
    torch.manual_seed(7)
    shape = Architecture()
    closure = Closure(shape)
    networks: dict[str, tuple[nn.Module, dict[str, torch.Tensor]]] = {}
    columns = {
        "x": torch.randn(256, shape.below + shape.cloud, len(shape.channels)),
        "y": torch.randn(256, len(shape.scalars)),
    }
    networks["Bi-LSTM 1 x 24, 256 columns"] = closure, columns
    for points, batch in ((31, 8), (63, 8), (127, 8)):
        networks[f"MgNO, {batch} x {points} x {points}"] = (
            MgNO(),
            {"x": torch.randn(batch, 1, points, points)},
        )
    networks["FNO, 8 x 63 x 63"] = FNO(), {"x": torch.randn(8, 1, 63, 63)}
    networks["published darcy-rough, 8 x 128 x 128"] = (
        published("darcy-rough"),
        {"x": torch.randn(8, 1, 128, 128)},
    )
    return networks


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", type=Path, help="file to write the numbers to")
    parser.add_argument("--rounds", type=int, default=12, help="number of rounds (default 12)")
    parser.add_argument(
        "--threads", type=int, default=2, help="number of threads to compare with one (default 2)"
    )
    parser.add_argument("--busy", type=int, default=0, help="number of busy processes (default 0)")
    asked = parser.parse_args()
    busy = [multiprocessing.Process(target=spin, daemon=True) for _ in range(asked.busy)]
    for process in busy:
        process.start()
    results: dict[str, dict[str, float]] = {}
    print(f"torch {torch.__version__}, 1 and {asked.threads} threads, {asked.busy} busy processes")
    print(f"{'':40}{'size of a step':>16}{'1 thread':>12}{f'{asked.threads} threads':>12}{'ratio':>8}")
    for name, (network, batch) in cases().items():
        work, seconds = step_of(network, batch), {1: [], asked.threads: []}
        for number in range(asked.rounds + 1):
            for threads, taken in seconds.items():
                torch.set_num_threads(threads)
                begin = time.perf_counter()
                work()
                if number:
                    taken.append(time.perf_counter() - begin)
        single, all_threads = (statistics.median(taken) for taken in seconds.values())
        size = step_size(network, batch)
        results[name] = {"size": size, "one": single, "all": all_threads, "ratio": all_threads / single}
        mark = "one thread" if size < ONE_THREAD else ""
        print(
            f"{name:40}{size:16.2g}{single * 1e3:9.1f} ms{all_threads * 1e3:9.1f} ms"
            f"{all_threads / single:8.2f}  {mark}",
            flush=True,
        )
    for process in busy:
        process.terminate()
    if asked.json:
        asked.json.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
