"""Compare sciml with xarray in opening many WRF files of one frame each, and in reading from them.

    python bench/opening.py [--files 150 1000] [--rounds 3] [--json OUT]

The files are made from the sample in data/, cut to 6 x 6 points, with its 65 variables or with 217 (the number that WRF
writes by default), as netCDF-4 and as classic files. Each measurement is a separate process that opens all files, reads
one map of T2, and computes the sum of rain of all frames. The two sides take turns; the numbers are CPU seconds of the
process and the growth of its peak memory (RSS), the least of the rounds, and the ratios are of one run. For more than
500 files there is one round, without 217 variables, because xarray takes minutes.

xarray is used as its documentation recommends for many files: `open_mfdataset` with combine="nested",
data_vars="minimal", coords="minimal", compat="override", and without decoding times. Goals: at most 0.25 of its time
and memory to open, and at most its time for the map and the sum.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import h5py
import netCDF4
import numpy as np

SAMPLE = Path(__file__).resolve().parent.parent / "data" / "wrfout_d01_convrad_24x24_5min.nc"
POINTS = 6
GOALS = {"open": 0.25, "memory": 0.25, "map": 1.0, "rain": 1.0}
SIDE = """
import json, resource, sys, time
from pathlib import Path
import dask, dask.array, distributed, h5py, netCDF4, numpy as np, xarray as xr
from sciml.wrf import open_wrfout
import sciml.wrf.accessor
dask.config.set(scheduler="synchronous")
files = sorted(Path(sys.argv[2]).glob("wrfout_d01_*"))
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
before, marks = peak(), [time.process_time()]
if sys.argv[1] == "xarray":
    ds = xr.open_mfdataset(files, combine="nested", concat_dim="Time", data_vars="minimal", coords="minimal",
                           compat="override", parallel=False, decode_times=False, engine="netcdf4")
else:
    ds = open_wrfout(files)
marks.append(time.process_time())
memory = peak() - before
ds["T2"].isel(Time=len(files) // 2).values
marks.append(time.process_time())
if sys.argv[1] == "xarray":
    rain = (ds["RAINC"] + ds["RAINNC"]).diff("Time").sum("Time").values
else:
    rain = ds.sciml.rain.sum("Time").values
marks.append(time.process_time())
print(json.dumps({"memory": memory, "sum": float(np.sum(rain, dtype="f8")),
                  **dict(zip(("open", "map", "rain"), np.diff(marks).tolist()))}))
"""


def template(path: Path, variables: int, form: str) -> None:
    """Write one frame of the sample on fewer points; further variables are copies of those in the sample."""
    with netCDF4.Dataset(SAMPLE) as old, netCDF4.Dataset(path, "w", format=form) as new:
        old.set_auto_mask(False)
        sizes = {"south_north": POINTS, "west_east": POINTS}
        sizes |= {f"{name}_stag": size + 1 for name, size in sizes.items()}
        for name, dim in old.dimensions.items():
            new.createDimension(name, None if name == "Time" else sizes.get(name, len(dim)))
        new.setncatts({k: old.getncattr(k) for k in old.ncattrs()})
        names = [name for name in old.variables if old[name].ndim > 2]
        listed = [(name, name) for name in old.variables]
        listed += [
            (f"{names[k % len(names)]}_{k}", names[k % len(names)]) for k in range(variables - len(listed))
        ]
        for target, name in listed:
            variable = old[name]
            packed = form == "NETCDF4" and variable.ndim > 2
            made = new.createVariable(
                target, variable.dtype, variable.dimensions, zlib=packed, complevel=2, shuffle=packed
            )
            made.setncatts({k: variable.getncattr(k) for k in variable.ncattrs() if k != "_FillValue"})
            key = [slice(0, 1 if d == "Time" else len(new.dimensions[d])) for d in variable.dimensions]
            made[:] = variable[tuple(key)]


def write_files(folder: Path, number: int, variables: int, form: str) -> None:
    """Write files five minutes apart, in which rain and temperature increase."""
    first = folder / "first.nc"
    template(first, variables, form)
    with netCDF4.Dataset(first) as nc:
        nc.set_auto_mask(False)
        rain, warmth = nc["RAINNC"][:], nc["T2"][:]
    for k in range(number):
        stamp = f"{datetime(2007, 6, 10, 11, 30) + timedelta(minutes=5 * k):%Y-%m-%d_%H:%M:%S}"
        path = folder / f"wrfout_d01_{stamp}"
        shutil.copyfile(first, path)
        values = {
            "Times": np.frombuffer(stamp.encode(), "S1")[None],
            "XTIME": 210 + 5 * k,
            "ITIMESTEP": 252 + 6 * k,
            "RAINNC": rain + np.float32(0.25 * k),
            "T2": warmth + np.float32(0.01 * k),
        }
        with h5py.File(path, "r+") if form == "NETCDF4" else netCDF4.Dataset(path, "r+") as file:
            for name, value in values.items():
                file[name][:] = value
    first.unlink()


def measure(side: str, folder: Path) -> dict[str, float]:
    done = subprocess.run(
        [sys.executable, "-c", SIDE, side, str(folder)], check=True, capture_output=True, text=True
    )
    return dict(json.loads(done.stdout.splitlines()[-1]))


def compare(number: int, variables: int, form: str, rounds: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="sciml-opening-") as folder:
        write_files(Path(folder), number, variables, form)
        taken: dict[str, list[dict[str, float]]] = {"xarray": [], "sciml": []}
        for _ in range(rounds):
            for side, results in taken.items():
                results.append(measure(side, Path(folder)))
    least = {
        side: {key: min(result[key] for result in results) for key in results[0]}
        for side, results in taken.items()
    }
    if not np.isclose(least["xarray"]["sum"], least["sciml"]["sum"], rtol=1e-5):
        raise SystemExit(f"error: the sums of rain differ: {least}")
    return {**least, "ratios": {key: least["sciml"][key] / least["xarray"][key] for key in GOALS}}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--files", type=int, nargs="+", default=[150, 1000], help="numbers of files")
    parser.add_argument("--rounds", type=int, default=3, help="number of rounds")
    parser.add_argument("--json", type=Path, help="file to write the numbers to")
    given = parser.parse_args()
    results = {}
    print(f"{'files':>6}{'variables':>10}  {'form':8}{'':8}{'xarray':>10}{'sciml':>10}{'ratio':>8}   goal")
    for number in given.files:
        for variables, form in ((65, "NETCDF4"), (217, "NETCDF4"), (65, "NETCDF3_64BIT_OFFSET")):
            if number > 500 and variables > 65:
                continue
            result = compare(number, variables, form, given.rounds if number <= 500 else 1)
            short = "netCDF-4" if form == "NETCDF4" else "classic"
            results[f"{number} files, {variables} variables, {short}"] = result
            for key, goal in GOALS.items():
                ratio, unit = result["ratios"][key], "MB" if key == "memory" else "s"
                verdict = "reached" if ratio <= goal else "MISSED"
                sides = "".join(f"{result[side][key]:8.3f} {unit:2}" for side in ("xarray", "sciml"))
                print(
                    f"{number:6}{variables:10}  {short:8}  {key:8}{sides}{ratio:8.2f}   {goal}: {verdict}",
                    flush=True,
                )
    if given.json:
        given.json.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
