"""Rain from rounded totals, from totals that were reset, and from a single frame."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import netCDF4
import numpy as np
import pytest
import xarray as xr

from sciml.wrf import open_wrfout
from sciml.wrf.increments import amount_between
from sciml.wrf.rain import rain_since_last
from tests.paths import SAMPLE_WRFOUT

DIMS = ("Time", "south_north", "west_east")
SHAPE = (7, 15, 15)  # With an odd number of cells, BitGroom rounds a cell differently in the next frame.


def _fallen(seed: int = 11) -> np.ndarray:
    """Showers (mm) in a third of the cells."""
    noise = np.random.default_rng(seed)
    return np.asarray(noise.gamma(0.4, 0.5, SHAPE) * (noise.random(SHAPE) < 0.3))


def _totals(before: float = 150.0, seed: int = 11) -> np.ndarray:
    return np.random.default_rng(seed + 1).gamma(2.0, before, SHAPE[1:]) + np.cumsum(_fallen(seed), axis=0)


def _dataset(totals: np.ndarray, first: int = 0, **parts: np.ndarray) -> xr.Dataset:
    """Hourly frames of a run that started earlier."""
    hours = 10.0 + first + np.arange(len(totals))
    times = np.datetime64("2011-03-05T00") + hours.astype("i8") * np.timedelta64(1, "h")
    fields = {"RAINC": 0 * totals, "RAINNC": totals} | parts
    return xr.Dataset(
        {
            name: (DIMS, values.astype("i4" if name.startswith("I_") else "f4"))
            for name, values in fields.items()
        }
        | {
            "XTIME": ("Time", (60 * hours).astype("f4"), {"units": "minutes since 2011-03-05 00:00:00"}),
            "Times": ("Time", [str(t)[:13].replace("T", "_").encode() + b":00:00" for t in times]),
        },
        attrs={"BUCKET_MM": -1.0, "SIMULATION_START_DATE": "2011-03-05_00:00:00"},
    )


def _packed(values: np.ndarray, dtype: str) -> np.ndarray:
    """Pack as ncpdq does, by the range of the values."""
    steps = np.iinfo(dtype).max * 2
    low, high = values.min(), values.max()
    return np.asarray(low + np.round((values - low) / (high - low) * steps) * (high - low) / steps)


def _message(values: np.ndarray, decimals: int = 1) -> np.ndarray:
    """Pack as GRIB does, by a reference value and steps of a power of two times a power of ten."""
    return np.stack(
        [v.min() + np.round((v - v.min()) * 10**decimals / 0.5) * 0.5 / 10**decimals for v in values]
    )


def _groomed(values: np.ndarray, bits: int) -> np.ndarray:
    """Round as BitGroom does: the last bits are all zero in one value and all one in the next."""
    whole = values.astype("f4").view("u4").ravel()
    mask = np.uint32((1 << bits) - 1)
    odd = np.arange(whole.size) % 2 == 1
    return np.where(odd, whole | mask, whole & ~mask).astype("u4").view("f4").reshape(values.shape)


ROUNDED: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "int16 by file": lambda v: np.concatenate([_packed(v[:4], "i2"), _packed(v[4:], "i2")]),
    "int8 by file": lambda v: np.concatenate([_packed(v[:3], "i1"), _packed(v[3:], "i1")]),
    "int16 by frame": lambda v: np.stack([_packed(frame, "i2") for frame in v]),
    "GRIB": _message,
    "BitGroom, 4 digits": lambda v: _groomed(v, 9),
    "BitGroom, 1 digit": lambda v: _groomed(v, 19),
    "noise of a float32": lambda v: v * (1 + 1e-7 * np.random.default_rng(3).standard_normal(v.shape)),
    "whole mm, some up, some down": lambda v: np.where(
        np.arange(v.size).reshape(v.shape) % 2, np.floor(v), np.ceil(v)
    ),
}


@pytest.mark.parametrize("before", [0.5, 150.0, 5000.0])
@pytest.mark.parametrize("how", ROUNDED)
def test_a_total_that_falls_by_rounding_gives_zero(how: str, before: float) -> None:
    totals = _totals(before)
    rounded = ROUNDED[how](totals)
    error = np.abs(rounded - totals).max()
    assert (np.diff(rounded, axis=0) < 0).any()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        rain = open_wrfout(_dataset(rounded)).sciml.rain.values
    assert np.isnan(rain[0]).all()
    assert (rain[1:] >= 0).all()
    np.testing.assert_allclose(rain[1:], _fallen()[1:], rtol=1e-3, atol=2 * error + 1e-6 * totals.max())


def test_files_that_ncpdq_packed(tmp_path: Path) -> None:
    """Each file with its own scale_factor; total and truth differ by the steps of the two."""
    totals, steps = _totals(), []
    for k, cut in enumerate((slice(0, 4), slice(4, 7))):
        low, high = totals[cut].min(), totals[cut].max()
        steps.append((high - low) / 65000)
        packing = {
            "dtype": "int16",
            "scale_factor": steps[-1],
            "add_offset": (high + low) / 2,
            "_FillValue": -32767,
        }
        part = _dataset(totals[cut], first=cut.start)
        part.to_netcdf(tmp_path / f"wrfout_d01_{k}", encoding={"RAINNC": packing})
    rain = open_wrfout(tmp_path).sciml.rain.values
    np.testing.assert_allclose(rain[1:], _fallen()[1:], atol=1.1 * sum(steps) / 2 + 1e-4)


@pytest.mark.parametrize("mode", ["BitGroom", "BitRound", "GranularBitRound"])
def test_files_that_netcdf_quantised(tmp_path: Path, mode: str) -> None:
    path = tmp_path / "wrfout_d01_quantised"
    ds = _dataset(_totals())
    with netCDF4.Dataset(path, "w") as file:
        for name, size in ((DIMS[0], None), *zip(DIMS[1:], SHAPE[1:], strict=True), ("DateStrLen", 19)):
            file.createDimension(name, size)
        for name, digits in (("RAINNC", 3), ("RAINC", None)):
            lossy: dict[str, Any] = {"significant_digits": digits, "quantize_mode": mode} if digits else {}
            file.createVariable(name, "f4", DIMS, zlib=True, **lossy)[:] = ds[name].values
        file.createVariable("Times", "S1", ("Time", "DateStrLen"))[:] = netCDF4.stringtochar(
            ds["Times"].values.astype("S19")
        )
        file.BUCKET_MM = np.float32(-1)
    rain = open_wrfout(path).sciml.rain.values
    limit = np.abs(xr.open_dataset(path)["RAINNC"].values - ds["RAINNC"].values).max()
    assert limit > 0.01
    np.testing.assert_allclose(rain[1:], _fallen()[1:], atol=2.1 * limit)


def test_a_bucket_that_was_rounded() -> None:
    """RAINNC falls by 100 mm where I_RAINNC increases; a packed RAINNC falls by a step in addition."""
    totals, bucket = _totals(), 100.0
    count = np.floor(totals / bucket)
    ds = _dataset(_packed(totals - count * bucket, "i2"), I_RAINC=0 * count, I_RAINNC=count).assign_attrs(
        BUCKET_MM=bucket
    )
    assert (np.diff(ds["RAINNC"].values, axis=0) < -90).any()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        rain = ds.sciml.rain.values
    np.testing.assert_allclose(rain[1:], _fallen()[1:], atol=100 / 65000 + 1e-4)


def _reset(totals: np.ndarray, frame: int, fallen: np.ndarray) -> np.ndarray:
    """From `frame` on, the totals count from a reset at the frame before."""
    out = totals.copy()
    out[frame:] = np.cumsum(fallen[frame:], axis=0)
    return out


@pytest.mark.parametrize("frame", [1, 3, 6])
@pytest.mark.parametrize("how", [None, "int16 by frame", "BitGroom, 4 digits", "GRIB"])
def test_a_reset_of_all_totals_is_detected(frame: int, how: str | None) -> None:
    """The amount of a cell is its new total even if that did not fall, because the reset is of the whole field."""
    fallen = _fallen()
    fallen[frame, :2] += 40.0
    totals = _totals(30.0) - _fallen().cumsum(0) + fallen.cumsum(0)
    totals[:, 0, :2] -= totals[0, 0, :2] - fallen[0, 0, :2]
    stored = _reset(totals, frame, fallen)
    assert (stored[frame, 0, :2] > totals[frame - 1, 0, :2]).any() or frame == 6
    rounded = stored if how is None else ROUNDED[how](stored)
    error = np.abs(rounded - stored).max()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        rain = open_wrfout(_dataset(rounded)).sciml.rain.values
    np.testing.assert_allclose(rain[1:], fallen[1:], atol=2.1 * error + 1e-4)


def test_a_reset_over_a_dry_domain_and_early_in_a_run() -> None:
    small = np.array([[0.0, 0.0, 4.0], [0.0, 2.0, 6.0]])
    np.testing.assert_array_equal(amount_between(0 * small, small), 0 * small)
    np.testing.assert_array_equal(amount_between(small, 0 * small), small)
    now = np.array([[3.0, 0.0, 0.0], [0.0, 2.5, 0.5]])
    np.testing.assert_array_equal(amount_between(now, small), now)


def test_a_reset_is_not_detected_from_one_cell() -> None:
    """Nine cells gain 1 mm, one loses 0.02 mm of its 128 mm."""
    before = np.full(10, 60.0)
    before[3] = 128.05
    now = before + 1
    now[3] = 128.03
    wanted = np.ones(10)
    wanted[3] = 0
    np.testing.assert_allclose(amount_between(now, before), wanted)


@pytest.mark.parametrize("chunks", [None, {"Time": 1}, {"Time": 3}, {"Time": -1, "west_east": 4}])
def test_an_unexplained_fall_causes_one_warning(chunks: dict[str, int] | None) -> None:
    """Without the counts of a bucket, some cells fall by 100 mm in every frame, the others do not."""
    fallen = np.full(SHAPE, 4.0)
    totals = np.linspace(0.0, 99.0, SHAPE[1] * SHAPE[2]).reshape(SHAPE[1:]) + np.cumsum(fallen, axis=0)
    ds = _dataset(totals % 100)
    ds = ds if chunks is None else ds.chunk(chunks)
    with pytest.warns(UserWarning, match=r"falls by up to 96 mm in \d+ cells.*BUCKET_MM") as seen:
        values = ds.sciml.rain.values
    assert len(seen) == 1
    assert set(np.round(np.unique(values[1:]), 3)) == {0.0, 4.0}


@pytest.mark.parametrize(
    "chunks", [{"Time": 1}, {"Time": 2}, {"Time": -1}, {"south_north": 4, "west_east": 7}, {}]
)
def test_chunks_do_not_change_the_rain(chunks: dict[str, int]) -> None:
    stored = _reset(_totals(), 4, _fallen())
    ds = _dataset(stored)
    wanted = rain_since_last(ds).values
    lazy = ds.chunk(chunks)
    rain = lazy.sciml.rain
    assert rain.chunks is not None
    np.testing.assert_array_equal(rain.values, wanted)
    np.testing.assert_array_equal(rain.isel(Time=[4]).values, wanted[[4]])
    assert rain.dtype == np.float32
    assert rain.dims == DIMS


def test_rain_reads_each_total_once() -> None:
    """Each frame is read by one task, and not again for the next frame."""
    read: list[int] = []

    def reading(block: np.ndarray, block_info: Any = None) -> np.ndarray:
        if block_info:
            read.append(block_info[0]["chunk-location"][0])
        return block

    ds = _dataset(_totals()).chunk(Time=1)
    ds["RAINNC"] = DIMS, ds["RAINNC"].data.map_blocks(reading, dtype="f4", meta=np.zeros((0, 0, 0), "f4"))
    rain = ds.sciml.rain
    assert not read
    rain.compute()
    assert sorted(read) == list(range(7))
    own = [key for key in rain.__dask_graph__() if isinstance(key, tuple) and key[0] == rain.data.name]
    assert len(own) == 7


def test_missing_cells_remain_missing() -> None:
    totals = _totals()
    totals[2, 3, 4] = np.nan
    rain = _dataset(totals).sciml.rain.values
    assert np.argwhere(np.isnan(rain[1:])).tolist() == [[1, 3, 4], [2, 3, 4]]


@pytest.mark.parametrize(
    "chunks", [None, {"Time": 1}, {"Time": 1, "south_north": 5}, {"Time": -1}, {}], ids=str
)
@pytest.mark.parametrize("start", [False, True])
def test_one_frame(tmp_path: Path, chunks: dict[str, int] | None, start: bool) -> None:
    """The amount is NaN, or at the start of the run the total."""
    with xr.open_dataset(SAMPLE_WRFOUT, decode_times=False) as sample:
        frame = sample.isel(Time=[3])
        if start:
            frame = frame.assign_attrs(SIMULATION_START_DATE="2007-06-10_11:45:00")
            frame["XTIME"] = "Time", np.zeros(1, "f4"), {"units": "minutes since 2007-06-10 11:45:00"}
        frame[["RAINC", "RAINNC", "XTIME", "Times"]].to_netcdf(tmp_path / "wrfout_d01_one")
    ds = open_wrfout(tmp_path / "wrfout_d01_one", chunks=chunks)
    rain = ds.sciml.rain
    wanted = ds["RAINC"].values + ds["RAINNC"].values if start else np.full((1, 24, 24), np.nan)
    np.testing.assert_allclose(rain.values, wanted, rtol=1e-6)
    np.testing.assert_allclose(
        ds.sciml.rain_total.values, ds["RAINC"].values + ds["RAINNC"].values, rtol=1e-6
    )
    assert float(rain.sum("Time", skipna=False).isnull().mean()) == (not start)
