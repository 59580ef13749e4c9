"""Runs of any size for the benchmarks, made from the sample in data/ by repeating its grid and its frames."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import netCDF4
import numpy as np

SAMPLE = Path(__file__).resolve().parent.parent / "data" / "wrfout_d01_convrad_24x24_5min.nc"
BEGIN = datetime(2007, 6, 10, 11, 30)
STEP = timedelta(minutes=5)


def repeat(values: np.ndarray, dims: tuple[str, ...], times: int) -> np.ndarray:
    """Repeat a field along the axes of the grid; the face between two copies is used once."""
    for axis, dim in enumerate(dims):
        if dim.removesuffix("_stag") in ("south_north", "west_east"):
            stag = dim.endswith("_stag")
            count = values.shape[axis] - stag
            values = np.take(values, np.arange(count * times + stag) % count, axis)
    return values


def write_run(
    folder: Path, *, side: int, frames: int, files: int = 1, level: int = 0, warmer: float = 0.0
) -> list[Path]:
    """Write the files of a run, with frames five minutes apart.

    Parameters
    ----------
    folder
        Folder of the run; files that are there are not written again.
    side
        Number of copies of the sample's grid of 24 x 24 cells along each axis.
    frames, files
        Number of frames in a file, and of files.
    level
        Level of the compression (deflate with shuffle); 0 is WRF's default, without compression.
    warmer
        Added to the potential temperature in K; the rain increases by ten times that share.

    Returns
    -------
    list of Path
        The files in the order of time.
    """
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for number in range(files):
        path = folder / f"wrfout_d01_{BEGIN + number * frames * STEP:%Y-%m-%d_%H:%M:%S}"
        if not path.exists():
            part = path.with_suffix(".part")
            _write_file(part, range(number * frames, (number + 1) * frames), side, level, warmer)
            part.rename(path)
        paths.append(path)
    return paths


def _write_file(target: Path, numbers: range, side: int, level: int, warmer: float) -> None:
    with netCDF4.Dataset(SAMPLE) as old, netCDF4.Dataset(target, "w") as new:
        old.set_auto_mask(False)
        period = len(old.dimensions["Time"])
        for name, dim in old.dimensions.items():
            size = repeat(np.zeros(len(dim)), (name,), side).size
            new.createDimension(name, None if name == "Time" else size)
        new.setncatts({key: old.getncattr(key) for key in old.ncattrs()})
        packed = {"zlib": True, "complevel": level, "shuffle": True} if level else {}
        for name, variable in old.variables.items():
            by_frame = variable.dimensions[:1] == ("Time",)
            chunks = [1, *(len(new.dimensions[dim]) for dim in variable.dimensions[1:])] if by_frame else None
            copy = new.createVariable(name, variable.dtype, variable.dimensions, chunksizes=chunks, **packed)
            copy.setncatts(
                {key: variable.getncattr(key) for key in variable.ncattrs() if key != "_FillValue"}
            )
            values = repeat(variable[:], variable.dimensions, side)
            rain = name in ("RAINC", "RAINNC")
            if name == "T":
                values = values + np.float32(warmer)
            if rain:
                values = values * np.float32(1 + 10 * warmer)
            if not by_frame:
                copy[:] = values
                continue
            for place, number in enumerate(numbers):
                turn, at = divmod(number, period)
                frame = values[at]
                if rain:  # accumulated: each copy continues the one before
                    frame = frame + turn * (2 * values[-1] - values[-2] - values[0])
                copy[place] = frame
        text = np.array([f"{BEGIN + number * STEP:%Y-%m-%d_%H:%M:%S}" for number in numbers], dtype="S19")
        new["Times"][:] = netCDF4.stringtochar(text)
        new["XTIME"][:] = 210 + 5 * np.array(numbers)
        new["ITIMESTEP"][:] = 252 + 6 * np.array(numbers)
