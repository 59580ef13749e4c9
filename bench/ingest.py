"""How fast wrfout becomes a store, against netCDF4 merely decompressing the same variables; and what memory it takes.

    python bench/ingest.py [--frames 60] [--files 6] [--json OUT]

The files are made from the sample in data/ by repeating its frames. All ratios come from one run; CPU seconds are
printed beside wall seconds, because a busy machine spoils the latter. Goals: at least 60 % of the rate of
decompression; two dask workers at least 1.6 times one; memory flat from 6 to 60 frames.
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
    """Twice the rows and columns: the field beside itself; a face between two is taken once."""
    for axis, dim in enumerate(dims):
        if dim.removesuffix("_stag") in ("south_north", "west_east"):
            first = np.delete(values, -1, axis) if dim.endswith("_stag") else values
            values = np.concatenate([first, values], axis)
    return values


def repeat(target: Path, frames: int, *, day: int = 0, wide: bool = False) -> None:
    """Write the sample's frames again and again, five minutes apart, compressed as the sample is.

    From so many days later on, as a frame that several files hold is taken once. If wide, on 48 x 48 points and
    compressed less, to be quick about it.
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
    """Wall and CPU seconds of this process."""
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - wall, time.process_time() - cpu


def decompress(path: Path) -> float:
    """Read what columns are made of, a frame at a time; returns megabytes."""
    total = 0
    with netCDF4.Dataset(path) as nc:
        nc.set_auto_mask(False)
        names = needed("wrfout", set(nc.variables))
        for t in range(len(nc.dimensions["Time"])):
            total += sum(nc.variables[name][t : t + 1].nbytes for name in names)
    return total / 1e6


def peak_memory(path: Path, store: Path) -> float:
    """Peak resident megabytes of a process that does nothing but write the store."""
    code = (
        "import sys\nfrom sciml.columns.write import write_columns\n"
        "write_columns(sys.argv[1], sys.argv[2], keep='all', workers=1)\n"
        # Not ru_maxrss, which a process inherits from the one that started it.
        "print(open('/proc/self/status').read().split('VmHWM:')[1].split()[0])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(path), str(store)], check=True, capture_output=True, text=True
    )
    return int(done.stdout.split()[-1]) / 1e3


def by_workers(files: list[Path], folder: Path, number: int, turn: int) -> tuple[float, float]:
    """Wall seconds with so many worker processes, started and warm; and the CPU seconds one after another.

    The latter are those of this process and of the busiest worker: what the wall would show on a machine with
    nothing else to do, if nothing here overlapped.
    """
    with cluster.client(n_workers=number) as client:
        client.run(__import__, "sciml.columns.write")
        write_columns(files[0], folder / f"warm{number}-{turn}.zarr", keep="all")
        os.sync()  # what was written before is not to be flushed meanwhile
        before = client.run(time.process_time)
        wall, cpu = timed(lambda: write_columns(files, folder / f"by{number}-{turn}.zarr", keep="all"))
        after = client.run(time.process_time)
        return wall, cpu + max(after[worker] - before[worker] for worker in before)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--frames", type=int, default=60)
    parser.add_argument("--files", type=int, default=6)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--json", type=Path)
    chosen = parser.parse_args()
    found: dict[str, float] = {}
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
        found["megabytes"] = megabytes
        found["decompress_MB_per_s"] = megabytes / read[0]
        found["store_MB_per_s"] = megabytes / write[0]
        found["rate_wall"], found["rate_cpu"] = read[0] / write[0], read[1] / write[1]
        turns = [[by_workers(files, folder, n, turn) for n in (1, 2)] for turn in range(chosen.repeats)]
        one, two = np.median(turns, axis=0)
        found["one_worker_s"], found["two_workers_s"], found["speedup"] = one[0], two[0], one[0] / two[0]
        found["speedup_cpu"] = one[1] / two[1]
        found["memory_6_MB"] = peak_memory(small, folder / "small.zarr")
        found["memory_60_MB"] = peak_memory(large, folder / "large.zarr")
        found["memory_ratio"] = found["memory_60_MB"] / found["memory_6_MB"]
    print(f"decompress  {found['decompress_MB_per_s']:7.1f} MB/s of {found['megabytes']:.0f} MB")
    print(f"store       {found['store_MB_per_s']:7.1f} MB/s")
    print(
        f"rate        {found['rate_wall']:7.2f} of decompression (CPU time: {found['rate_cpu']:.2f}), goal 0.60"
    )
    print(
        f"two workers {found['speedup']:7.2f} times one ({two[0]:.1f} s, {one[0]:.1f} s; by CPU time: "
        f"{found['speedup_cpu']:.2f}), goal 1.60"
    )
    print(
        f"memory      {found['memory_60_MB']:7.0f} MB for 60 frames, {found['memory_6_MB']:.0f} MB for 6: "
        f"{found['memory_ratio']:.2f}"
    )
    if chosen.json:
        chosen.json.write_text(json.dumps(found, indent=1))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
