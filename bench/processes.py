"""Measure trainings that one process and two processes share: samples a second, and bytes that each process sends.

    python bench/processes.py [--json OUT] [--rounds 2] [--smoke]

Each process has one torch thread. A round trains each case in one process and in two, in turn; the samples a second are
those of the median epoch of all rounds, without the first epoch of each. ``of CPU`` is the ratio of the processor times
of a step, which a busy machine changes little: the speed-up without the waits for each other. The bytes of a step are
those that a process gave to its connections (``tcpi_bytes_acked`` of Linux) in the second half of a training.
``exchange`` is the time in which two processes add a tensor with the size of the gradient, measured alone. The last
line has the bytes that the first of 1, 2 and 4 processes reads of a store of 26 MB in an epoch.

The columns are those of the sample that convect, four times, to have batches of 2,048; the PDEs are 64 samples of
darcy-any. A training lasts a few epochs only: this measures time, not errors.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
WORK = ROOT / "bench-output" / "processes"
SAMPLE = ROOT / "data" / "wrfout_d01_convrad_24x24_5min.nc"
REFERENCE = ROOT / "data" / "mskf_offline_convrad_24x24_5min.nc"
COPIES = 4
CASES: dict[str, dict[str, Any]] = {
    "plume-closure, 256 columns": {"batch_size": 256, "epochs": 4},
    "plume-closure, 2048 columns": {"batch_size": 2048, "epochs": 4},
    "plume-closure, 256 columns, bfloat16": {"batch_size": 256, "epochs": 4, "communication": "bfloat16"},
    "plume-closure, 256 columns, powersgd": {"batch_size": 256, "epochs": 4, "communication": "powersgd"},
    "MgNO, 8 x 63 x 63": {"batch_size": 8, "epochs": 4},
}
"""Settings of the trainings."""


def data(smoke: bool) -> tuple[Path, Path]:
    """Write the columns and the PDEs, unless they are there."""
    import numpy as np
    import xarray as xr

    from sciml.columns.open import open_columns
    from sciml.pde.generation import generate

    WORK.mkdir(parents=True, exist_ok=True)
    name = "smoke" if smoke else "whole"
    columns, pdes = WORK / f"{name}_columns.zarr", WORK / f"{name}_darcy.zarr"
    if not columns.exists():
        sample = open_columns([SAMPLE], truth=[REFERENCE])
        sample = sample.isel(column=np.flatnonzero(sample["KIND"].values)[:: 20 if smoke else 1]).load()
        repeated = xr.concat([sample] * (1 if smoke else COPIES), "column")
        for variable in repeated.variables.values():
            variable.encoding = {}
        repeated.chunk(column=4096).to_zarr(columns, consolidated=False)
    if not pdes.exists():
        count, resolution = (16, 15) if smoke else (64, 63)
        generate("darcy-any", count, resolution, 17).to_zarr(pdes, consolidated=False)
    return columns, pdes


def sent() -> int:
    """Return the bytes that this process has sent over its TCP connections."""
    total = 0
    for name in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):
            if not os.readlink(f"/proc/self/fd/{name}").startswith("socket:"):
                continue
            with socket.socket(fileno=os.dup(int(name))) as connection:
                state = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 128)
                total += struct.unpack_from("Q", state, 120)[0]
    return total


def exchange_seconds(numbers: int) -> float:
    """Return the median time in which the processes add a tensor."""
    import torch
    import torch.distributed as dist

    values, taken = torch.zeros(numbers), []
    for _ in range(100):
        begin = time.perf_counter()
        dist.all_reduce(values)
        taken.append(time.perf_counter() - begin)
    return statistics.median(taken)


def reading(smoke: bool) -> dict[str, float]:
    """Return the bytes that one of 1, 2 and 4 processes reads of a store in an epoch, by the number of processes."""
    import numpy as np
    import xarray as xr

    from sciml.train.batches import epoch_generator
    from sciml.train.streaming import StoreSource

    def count() -> int:
        lines = Path("/proc/self/io").read_text(encoding="ascii").splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("rchar"))

    samples, read = (4096 if smoke else 65536), {}
    values = np.random.default_rng(17).standard_normal((samples, 100), dtype=np.float32)
    with tempfile.TemporaryDirectory() as folder:
        store = Path(folder) / "samples.zarr"
        xr.Dataset({"x": (("column", "value"), values)}).chunk(column=samples // 64).to_zarr(
            store, consolidated=False
        )
        for size in (1, 2, 4):
            source, before = StoreSource(store, ("x",)), count()
            for _ in source.shares(256, epoch_generator(7, 0), 0, 0, size):
                pass
            read[str(size)] = float(count() - before)
    return read


def worker(case: str, columns: str, pdes: str, output: Path) -> None:
    """Train a case in this process, or with the other one, and print what was measured."""
    from sciml.convection.training import train as train_emulator
    from sciml.operators.training import train as train_operator
    from sciml.train import checkpoint
    from sciml.train.processes import Processes, joined
    from sciml.train.progress import Quiet

    marks: list[tuple[int, float]] = []
    backward = Processes.backward

    def counted(self: Processes, *given: Any) -> Any:
        marks.append((sent(), time.process_time()))
        return backward(self, *given)

    Processes.backward = counted
    fit = {**CASES[case], "threads": 1, "device": "cpu"}
    with joined() as processes:
        if case.startswith("MgNO"):
            trained: Any = train_operator(pdes, output, fit=fit, progress=Quiet())
            samples = trained.about["samples"]
        else:
            trained = train_emulator(columns, output, fit=fit, progress=Quiet())
            samples = trained.about["columns"]
        parameters = sum(weight.numel() for weight in trained.network.parameters())
        seconds = exchange_seconds(parameters) if processes.size > 1 else 0.0
        if processes.rank == 0:
            epochs = checkpoint.load(output).history.epochs
            middle = len(marks) // 2  # PowerSGD begins after ten steps
            steps = len(marks) - 1 - middle
            numbers = {
                "parameters": parameters,
                "samples": samples,
                "epochs": [epoch.seconds for epoch in epochs[1:]],
                "bytes": (marks[-1][0] - marks[middle][0]) / steps,
                "cpu": (marks[-1][1] - marks[middle][1]) / steps,
                "exchange": seconds,
            }
            print(json.dumps(numbers), flush=True)


def measure(case: str, size: int, columns: Path, pdes: Path) -> dict[str, Any]:
    """Train a case in a number of processes."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    shared = {"WORLD_SIZE": str(size), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    shared |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    with tempfile.TemporaryDirectory() as folder:
        words = [sys.executable, __file__, "--worker", case, str(columns), str(pdes), f"{folder}/m.sciml"]
        children = [
            subprocess.Popen(
                words, env={**os.environ, **shared, "RANK": str(rank)}, stdout=subprocess.PIPE, text=True
            )
            for rank in range(size)
        ]
        printed = [child.communicate()[0] for child in children]
        if any(child.returncode for child in children):
            raise SystemExit(f"error: {case} in {size} processes ended with an error")
    numbers: dict[str, Any] = json.loads(printed[0].splitlines()[-1])
    return numbers


def main() -> None:
    if sys.argv[1:2] == ["--worker"]:
        worker(*sys.argv[2:5], Path(sys.argv[5]))
        return
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", type=Path, help="file to write the numbers to")
    parser.add_argument("--rounds", type=int, default=2, help="number of rounds (default 2)")
    parser.add_argument("--smoke", action="store_true", help="tiny data and one round, to test the benchmark")
    asked = parser.parse_args()
    columns, pdes = data(asked.smoke)
    rows: dict[str, dict[str, float]] = {}
    print(
        f"{'':38}{'parameters':>11}{'1 process':>11}{'2':>9}{'ratio':>7}{'of CPU':>7}{'bytes/step':>12}{'exchange':>10}"
    )
    for case in CASES:
        measured: dict[int, list[dict[str, Any]]] = {1: [], 2: []}
        for _ in range(1 if asked.smoke else asked.rounds):
            for size, results in measured.items():
                results.append(measure(case, size, columns, pdes))
        single, double = (
            results[0]["samples"] / statistics.median(s for result in results for s in result["epochs"])
            for results in measured.values()
        )
        last = measured[2][-1]
        exchange = statistics.median(result["exchange"] for result in measured[2])
        rows[case] = {
            "parameters": last["parameters"],
            "one": single,
            "two": double,
            "ratio": double / single,
            "cpu_ratio": measured[1][-1]["cpu"] / last["cpu"],
            "bytes": last["bytes"],
            "exchange": exchange,
            "batch": CASES[case]["batch_size"],
        }
        print(
            f"{case:38}{last['parameters']:11,}{single:9.0f}/s{double:7.0f}/s{double / single:7.2f}"
            f"{rows[case]['cpu_ratio']:7.2f}"
            f"{last['bytes']:12,.0f}{exchange * 1e3:7.2f} ms",
            flush=True,
        )
    read = reading(asked.smoke)
    print(
        "MB that the first of some processes reads:",
        ", ".join(f"{n}: {b / 1e6:.1f}" for n, b in read.items()),
    )
    if asked.json:
        asked.json.parent.mkdir(parents=True, exist_ok=True)
        asked.json.write_text(json.dumps({"trainings": rows, "reading": read}, indent=1) + "\n")


if __name__ == "__main__":
    main()
