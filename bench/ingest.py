"""Measure the rate and the memory of writing a wrfout file as a store, compared with decompression by netCDF4.

    python bench/ingest.py [--frames 60] [--files 6] [--json OUT]

The files are made from the sample in data/ by repeating its frames. All ratios are of one run. CPU seconds are printed
beside wall-clock seconds, which depend on other work of the machine. Goals: at least 60 % of the rate of decompression;
two Dask workers at least 1.6 times as fast as one; the same memory for 6 and 60 frames.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import netCDF4
import numpy as np

from sciml.columns.fields import needed
from sciml.columns.write import write_columns
from sciml.parallel import cluster

SAMPLE = Path(__file__).resolve().parent.parent / "data" / "wrfout_d01_convrad_24x24_5min.nc"


def doubled(values: np.ndarray, dims: tuple[str, ...]) -> np.ndarray:
    """Double the rows and columns by repeating the field; the face between the two copies is used once."""
    for axis, dim in enumerate(dims):
        if dim.removesuffix("_stag") in ("south_north", "west_east"):
            first = np.delete(values, -1, axis) if dim.endswith("_stag") else values
            values = np.concatenate([first, values], axis)
    return values


def repeat(target: Path, frames: int, *, day: int = 0, wide: bool = False) -> None:
    """Write the frames of the sample repeatedly, five minutes apart, with the compression of the sample.

    The times start `day` days after those of the sample, because a time that is in several files is read once. With
    `wide` the fields have 48 x 48 points and less compression, which is faster.
    """
    with netCDF4.Dataset(SAMPLE) as old, netCDF4.Dataset(target, "w") as new:
        old.set_auto_mask(False)
        period = len(old.dimensions["Time"])
        for name, dim in old.dimensions.items():
            length = doubled(np.zeros(len(dim)), (name,)).size if wide else len(dim)
            new.createDimension(name, None if name == "Time" else length)
        new.setncatts({k: old.getncattr(k) for k in old.ncattrs()})
        for name, variable in old.variables.items():
            filters, pieces = variable.filters(), variable.chunking()
            copy = new.createVariable(
                name,
                variable.dtype,
                variable.dimensions,
                zlib=filters["zlib"],
                complevel=1 if wide else filters["complevel"] or 4,
                shuffle=filters["shuffle"],
                chunksizes=None if wide or pieces == "contiguous" else pieces,
            )
            copy.setncatts({k: variable.getncattr(k) for k in variable.ncattrs() if k != "_FillValue"})
            values = doubled(variable[:], variable.dimensions) if wide else variable[:]
            for t in range(frames):
                copy[t] = values[t % period]
        stamps = [datetime(2007, 6, 10 + day, 11, 30) + timedelta(minutes=5 * t) for t in range(frames)]
        text = np.array([f"{stamp:%Y-%m-%d_%H:%M:%S}" for stamp in stamps], dtype="S19")
        new["Times"][:] = netCDF4.stringtochar(text)
        new["XTIME"][:] = 1440 * day + 210 + 5 * np.arange(frames)
        new["ITIMESTEP"][:] = 1728 * day + 252 + 6 * np.arange(frames)


def timed(work: Callable[[], object]) -> tuple[float, float]:
    """Return the wall-clock and CPU seconds of this process."""
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - wall, time.process_time() - cpu


def decompress(path: Path) -> float:
    """Read the variables that columns need, one frame at a time, and return their megabytes."""
    total = 0
    with netCDF4.Dataset(path) as nc:
        nc.set_auto_mask(False)
        names = needed("wrfout", set(nc.variables))
        for t in range(len(nc.dimensions["Time"])):
            total += sum(nc.variables[name][t : t + 1].nbytes for name in names)
    return total / 1e6


def peak_memory(path: Path, store: Path) -> float:
    """Return the peak resident megabytes of a process that only writes the store."""
    code = (
        "import sys\nfrom sciml.columns.write import write_columns\n"
        "write_columns(sys.argv[1], sys.argv[2], keep='all', workers=1)\n"
        # ru_maxrss is no use: a process inherits it from its parent.
        "print(open('/proc/self/status').read().split('VmHWM:')[1].split()[0])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(path), str(store)], check=True, capture_output=True, text=True
    )
    return int(done.stdout.split()[-1]) / 1e3


def by_workers(files: list[Path], folder: Path, number: int, turn: int) -> tuple[float, float]:
    """Return the wall-clock seconds with a number of running workers, and the CPU seconds.

    The CPU seconds are the sum of those of this process and of the busiest worker: the wall-clock seconds on an idle
    machine without overlap of the two.
    """
    with cluster.client(n_workers=number) as client:
        client.run(__import__, "sciml.columns.write")
        write_columns(files[0], folder / f"warm{number}-{turn}.zarr", keep="all")
        os.sync()  # flush earlier writes before the measurement
        before = client.run(time.process_time)
        wall, cpu = timed(lambda: write_columns(files, folder / f"by{number}-{turn}.zarr", keep="all"))
        after = client.run(time.process_time)
        return wall, cpu + max(after[worker] - before[worker] for worker in before)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--frames", type=int, default=60, help="number of frames per file")
    parser.add_argument("--files", type=int, default=6, help="number of files")
    parser.add_argument("--repeats", type=int, default=3, help="number of rounds")
    parser.add_argument("--json", type=Path, help="file to write the numbers to")
    chosen = parser.parse_args()
    results: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        files = [folder / f"wrfout_d01_run{k}" for k in range(chosen.files)]
        for day, file in enumerate(files):
            repeat(file, chosen.frames, day=day)
        small, large = folder / "wrfout_d01_small", folder / "wrfout_d01_large"
        repeat(small, 6, wide=True)
        repeat(large, 60, wide=True)
        write_columns(small, folder / "warm.zarr", keep="all", workers=1)
        reads, writes = [], []
        for k in range(chosen.repeats):
            megabytes = decompress(files[0])
            reads.append(timed(lambda: decompress(files[0])))
            store = folder / f"store{k}.zarr"
            writes.append(timed(lambda store=store: write_columns(files[0], store, keep="all", workers=1)))
        read, write = np.min(reads, axis=0), np.min(writes, axis=0)
        results["megabytes"] = megabytes
        results["decompress_MB_per_s"] = megabytes / read[0]
        results["store_MB_per_s"] = megabytes / write[0]
        results["rate_wall"], results["rate_cpu"] = read[0] / write[0], read[1] / write[1]
        turns = [[by_workers(files, folder, n, turn) for n in (1, 2)] for turn in range(chosen.repeats)]
        single, double = np.median(turns, axis=0)
        results["one_worker_s"], results["two_workers_s"] = single[0], double[0]
        results["speedup"], results["speedup_cpu"] = single / double
        results["memory_6_MB"] = peak_memory(small, folder / "small.zarr")
        results["memory_60_MB"] = peak_memory(large, folder / "large.zarr")
        results["memory_ratio"] = results["memory_60_MB"] / results["memory_6_MB"]
    print(f"decompress  {results['decompress_MB_per_s']:7.1f} MB/s of {results['megabytes']:.0f} MB")
    print(f"store       {results['store_MB_per_s']:7.1f} MB/s")
    print(
        f"rate        {results['rate_wall']:7.2f} of decompression (CPU time: {results['rate_cpu']:.2f}), goal 0.60"
    )
    print(
        f"two workers {results['speedup']:7.2f} times one ({double[0]:.1f} s, {single[0]:.1f} s; by CPU time: "
        f"{results['speedup_cpu']:.2f}), goal 1.60"
    )
    print(
        f"memory      {results['memory_60_MB']:7.0f} MB for 60 frames, {results['memory_6_MB']:.0f} MB for 6: "
        f"{results['memory_ratio']:.2f}"
    )
    if chosen.json:
        chosen.json.write_text(json.dumps(results, indent=1))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
