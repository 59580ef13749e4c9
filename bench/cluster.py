"""Measure the commands on Dask workers: speed-up, memory, stages, and a model of many workers.

    python bench/cluster.py [--parts speed memory stages] [--repeats 3] [--smoke] [--json OUT] [--work FOLDER]

speed: seconds of writing columns, of an evaluation and of a comparison with 1 and with 2 workers, each a process with
one thread. Workers are started and have imported the package before the clock starts. The goal is a ratio of 1.7
for columns; on a machine with other work it means nothing.

memory: peak resident megabytes of two workers with a limit of 400 MB, and of the process that waits for them, for an
uncompressed run of more than 20 times the limit. The evaluation has an algorithm that returns the truth, because its
memory does not depend on the algorithm's speed; its limit is 640 MB, of which torch needs half.

stages: CPU seconds and bytes of each stage of a task in one process; the CPU seconds of the scheduler for a task; and
what a simulation (bench/cluster_model.py) with them gives for 1 to 64 workers and file systems of 1 and 5 GB/s.

The files are made from the sample in data/ (bench/cluster_data.py) in the folder of --work, 10 GB at most, and removed.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import xarray as xr
from cluster_data import write_run
from cluster_model import Stage, simulate
from cluster_stages import EMULATOR, columns_stages, compare_stages, evaluate_stages, scheduler_seconds

from sciml.columns.open import open_columns
from sciml.columns.plan import describe_sources
from sciml.columns.write import write_columns
from sciml.convection.emulator import Emulator
from sciml.parallel import cluster
from sciml.verify.emulator.evaluate import assess
from sciml.verify.forecast.compare import compare_runs, open_source

MB = 1e6
WORKERS = (1, 2, 4, 8, 16, 32, 64)
BANDWIDTHS = (1e9, 5e9)
MONTH = {"frames": 744, "points": 400 * 400 * 50}
"""A month of hourly output on 400 x 400 cells and 50 levels."""
SIZES = {
    "speed": {"side": 4, "frames": 12, "files": 6, "level": 1},
    "candidate": {"side": 4, "frames": 12, "files": 6, "level": 1, "warmer": 0.01},
    "memory": {"side": 10, "frames": 36},
    "sides": {"side": 6, "frames": 48, "files": 1},
}
SMOKE = {
    "speed": {"side": 1, "frames": 4, "files": 2, "level": 1},
    "candidate": {"side": 1, "frames": 4, "files": 2, "level": 1, "warmer": 0.01},
    "memory": {"side": 2, "frames": 7},
    "sides": {"side": 2, "frames": 7, "files": 1},
}


def made(folder: Path, **settings: Any) -> list[Path]:
    """Write a run in another process, so that its memory does not count here."""
    code = f"from pathlib import Path; import cluster_data as c; c.write_run(Path({str(folder)!r}), **{settings!r})"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parent)
    return write_run(folder, **settings)


def peak_megabytes() -> float:
    """Return the peak resident megabytes of this process."""
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    return int(status.split("VmHWM:")[1].split()[0]) / 1e3


class Truth:
    """Algorithm that returns the outputs in the columns."""

    def init(self, problem: Any) -> None:
        """Need no state."""

    def run(self, problem: Any, state: None) -> Any:
        """Return the columns as their own outputs."""

        @dataclasses.dataclass(frozen=True)
        class Solution:
            outputs: xr.Dataset
            result: Any = None
            stats: Any = None

        return Solution(problem.columns)


def speed(work: Path, sizes: dict[str, Any], repeats: int) -> dict[str, Any]:
    """Measure the seconds of the commands by number of workers, the least of the repeats."""
    files, others = made(work / "reference", **sizes["speed"]), made(work / "candidate", **sizes["candidate"])
    store = work / "speed.zarr"
    write_columns(files, store, workers=1, overwrite=True)
    columns = open_columns(store, keep="all").isel(column=slice(0, 24 * 4096))
    emulator = Emulator.load(EMULATOR)

    def write() -> None:
        write_columns(files, work / "again.zarr", overwrite=True)

    def evaluate() -> None:
        assess(columns, emulator, block=4096, by=[["class"]])

    def compare() -> None:
        compare_runs(open_source(work / "reference"), open_source(work / "candidate"), resamples=200)

    decoded = sum(read_bytes(path) for path in files)
    result: dict[str, Any] = {"columns": {"megabytes": decoded / MB}, "evaluate": {}, "compare": {}}
    result["evaluate"]["columns"] = columns.sizes["column"]
    result["compare"]["frames"] = sizes["speed"]["frames"] * sizes["speed"]["files"]
    for number in (1, 2):
        with cluster.client(n_workers=number) as client:
            for name, command in (("columns", write), ("evaluate", evaluate), ("compare", compare)):
                command() if number == 2 or name == "columns" else None  # imports, and the page cache
                client.run(__import__, f"sciml.verify.{'emulator' if name == 'evaluate' else 'forecast'}")
                result[name][f"seconds_{number}"] = min(timed(command) for _ in range(repeats))
    for name in ("columns", "evaluate", "compare"):
        result[name]["ratio"] = result[name]["seconds_1"] / result[name]["seconds_2"]
        print(
            f"{name:9} 1 worker {result[name]['seconds_1']:7.1f} s   2 workers {result[name]['seconds_2']:7.1f} s   "
            f"ratio {result[name]['ratio']:.2f}"
        )
    del others
    return result


def timed(command: Callable[[], None]) -> float:
    """Return the seconds of a call."""
    os.sync()  # earlier writes do not count
    begun = time.perf_counter()
    command()
    return time.perf_counter() - begun


def read_bytes(path: Path) -> int:
    """Return the bytes of the values in a file that columns are made from."""
    (source,) = describe_sources(path, None, None)
    with xr.open_dataset(path, decode_times=False) as ds:
        return sum(int(ds[name].nbytes) for name in source.fields if name in ds)


def memory(work: Path, sizes: dict[str, Any]) -> list[dict[str, Any]]:
    """Measure the peak memory of two workers with a low limit, and of this process, in processes of their own."""
    rows = []
    for name in ("columns", "evaluate", "compare"):
        size = "sides" if name == "compare" else "memory"
        made(work / size, **sizes[size])
        words = [sys.executable, __file__, "--inside", name, "--work", str(work)]
        done = subprocess.run(words, check=True, stdout=subprocess.PIPE, text=True)
        row = json.loads(done.stdout.splitlines()[-1])
        rows.append(row)
        print(
            f"{name:9} input {row['input_mb']:7.0f} MB = {row['times']:.1f} x limit of {row['limit_mb']:.0f} MB   "
            f"peak of a worker {row['peak_mb']:.0f} MB (at its start {row['start_mb']:.0f})   "
            f"this process {row['waiting_mb']:.0f} MB   workers lost {row['lost']}",
            flush=True,
        )
        if name != "columns":
            shutil.rmtree(work / size)  # columns and evaluate have the same run
    return rows


def inside(name: str, work: Path) -> dict[str, Any]:
    """Run one command with two workers of a low limit, and return its memory."""
    limit = 640e6 if name == "evaluate" else 400e6
    run, store = work / "memory", work / "memory.zarr"
    used = (
        ("sciml.verify.emulator.evaluate", "torch")
        if name == "evaluate"
        else ("sciml.verify.forecast.compare",)
    )
    with cluster.client(n_workers=2, memory_limit=limit) as client:
        for module in ("sciml.columns.write", *used):
            client.run(__import__, module)
        start, before = max(client.run(peak_megabytes).values()), set(client.run(os.getpid).values())
        if name == "columns":
            write_columns(run, store, keep="all", overwrite=True)
            size = sum(path.stat().st_size for path in run.iterdir())
        elif name == "evaluate":
            columns = open_columns(store)
            assess(columns, Truth(), block=4096)
            size = columns.nbytes
        else:
            source = open_source(work / "sides")
            compare_runs(source, source, resamples=50, thresholds=[0.1], scales=[1, 9])
            size = 2 * sum(path.stat().st_size for path in (work / "sides").iterdir())
        peak, after = max(client.run(peak_megabytes).values()), set(client.run(os.getpid).values())
    return {
        "command": name,
        "limit_mb": limit / MB,
        "input_mb": size / MB,
        "times": size / limit,
        "start_mb": start,
        "peak_mb": peak,
        "waiting_mb": peak_megabytes(),
        "lost": len(before - after),
    }


def stages(work: Path, sizes: dict[str, Any]) -> dict[str, Any]:
    """Measure the stages of each command in this process, and simulate many workers."""
    result: dict[str, Any] = {"scheduler_s": scheduler_seconds()}
    print(f"scheduler and client: {1e3 * result['scheduler_s']:.2f} ms of CPU for a task")
    files = made(work / "reference", **sizes["speed"])
    made(work / "candidate", **sizes["candidate"])
    for name, measured in (
        ("columns", columns_stages(files, work)),
        ("evaluate", evaluate_stages(work)),
        ("compare", compare_stages(work)),
    ):
        tasks = [
            dataclasses.replace(stage, central_s=stage.central_s + result["scheduler_s"])
            if stage.tasks
            else stage
            for stage in measured
        ]
        result[name] = {"stages": [dataclasses.asdict(stage) for stage in tasks]}
        for stage in tasks:
            print(f"{name:9} {describe(stage)}")
        result[name]["measured"] = [
            {"workers": number, "seconds": simulate(tasks, number, 1e12).seconds} for number in (1, 2)
        ]
        frame_points = (24 * sizes["speed"]["side"]) ** 2 * 44
        factor = (
            MONTH["frames"]
            * MONTH["points"]
            / (sizes["speed"]["frames"] * sizes["speed"]["files"] * frame_points)
        )
        # The sample compresses 20 times, real output 2 to 3 times, and WRF's default is none: that is simulated.
        plain = (
            1.0 if name == "evaluate" else sum(map(read_bytes, files)) / sum(p.stat().st_size for p in files)
        )
        month = [dataclasses.replace(stage.times(factor), read=plain * stage.read) for stage in tasks]
        result[name]["month"] = rows = []
        for bandwidth in BANDWIDTHS:
            for number in WORKERS:
                usage = simulate(month, number, bandwidth)
                rows.append(
                    {
                        "bandwidth": bandwidth,
                        "workers": number,
                        "hours": usage.seconds / 3600,
                        "limit": usage.limit,
                        "file_system": usage.file_system,
                        "scheduler": usage.central,
                        "busy": usage.workers,
                    }
                )
            print(
                f"{name:9} a month on {bandwidth / 1e9:g} GB/s, hours with 1 to 64 workers: "
                + " ".join(f"{row['hours']:.2f}" for row in rows[-len(WORKERS) :])
                + f"; 64 are limited by the {rows[-1]['limit']}",
                flush=True,
            )
    return result


def describe(stage: Stage) -> str:
    """Return a stage as one line."""
    if not stage.tasks:
        return f"{stage.name}: serial, {stage.central_s:.2f} s"
    parts = [
        f"read {stage.read / MB:.1f} MB in {stage.read_s:.3f} s",
        f"compute {stage.compute_s:.3f} s",
        f"write {stage.write / MB:.2f} MB in {stage.write_s:.3f} s",
        f"waiting process {1e3 * stage.central_s:.1f} ms",
    ]
    return f"{stage.name}: {stage.tasks} tasks of {', '.join(parts)}"


def main() -> None:
    """Run the parts and write the numbers."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--parts", nargs="+", default=["stages", "memory", "speed"])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--smoke", action="store_true", help="small files, to see that it works")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--work", type=Path, default=Path("bench-output/cluster"))
    parser.add_argument("--inside", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.inside:
        print(json.dumps(inside(given.inside, given.work)))
        return
    sizes, numbers = SMOKE if given.smoke else SIZES, {}
    given.work.mkdir(parents=True, exist_ok=True)
    if given.json and given.json.exists():
        numbers = json.loads(given.json.read_text(encoding="utf-8"))  # other parts stay
    try:
        for part in given.parts:
            if part == "speed":
                numbers["speed"] = speed(given.work, sizes, 1 if given.smoke else given.repeats)
            elif part == "memory":
                numbers["memory"] = memory(given.work, sizes)
            else:
                numbers["stages"] = stages(given.work, sizes)
            if given.json:
                given.json.write_text(json.dumps(numbers, indent=1) + "\n", encoding="utf-8")
    finally:
        shutil.rmtree(given.work, ignore_errors=True)


if __name__ == "__main__":
    main()
