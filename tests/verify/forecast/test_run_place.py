"""Sides at different places, with different cells or levels, or without coordinates; moving nests."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from sciml.errors import InputError
from sciml.verify.forecast.compare import RunSource, compare_runs, open_source
from sciml.verify.forecast.run_place import differing_levels, require_same_ground
from tests.paths import SAMPLE_WRFOUT

pytest.importorskip("scores", reason="pip install scores")

HOURS = np.arange(5)
ROWS, COLUMNS = 8, 10
PLACES = ("XLAT", "XLONG")
Change = Callable[[xr.Dataset], xr.Dataset]


def domain(moving: int = 0) -> xr.Dataset:
    """A run on a grid of 10 km near 46 N, 10 E; `moving` cells to the east after the third hour."""
    rng = np.random.default_rng(41)
    dims = ("Time", "south_north", "west_east")
    shape = (HOURS.size, ROWS, COLUMNS)
    row, column = np.meshgrid(np.arange(ROWS), np.arange(COLUMNS), indexing="ij")
    east = np.where(HOURS >= 3, moving, 0)[:, None, None]
    latitude = 46 + 0.09 * row + 0.001 * (column + east)
    longitude = 10 + 0.13 * (column + east) + 0 * row
    rain = np.cumsum(rng.gamma(0.4, 2.0, shape), 0).astype("f4")
    return xr.Dataset(
        {
            "Times": ("Time", np.array([f"2007-06-10_{h:02d}:00:00" for h in HOURS], "S19")),
            "RAINC": (dims, rain),
            "RAINNC": (dims, 0 * rain),
            "XLAT": (dims, np.broadcast_to(latitude, shape).astype("f4")),
            "XLONG": (dims, np.broadcast_to(longitude, shape).astype("f4")),
        },
        attrs={
            "DT": np.float32(50),
            "DX": np.float32(10000),
            "DY": np.float32(10000),
            "MAP_PROJ": np.int32(1),
            "SIMULATION_START_DATE": "2007-06-10_00:00:00",
        },
    )


def opened(folder: Path, name: str, ds: xr.Dataset) -> RunSource:
    path = folder / f"wrfout_d01_{name}.nc"
    ds.to_netcdf(path)
    return open_source(path, name)


def with_attrs(**attrs: object) -> Change:
    return lambda ds: ds.assign_attrs(attrs)


def shifted(north: float, east: float) -> Change:
    return lambda ds: ds.assign(XLAT=ds["XLAT"] + np.float32(north), XLONG=ds["XLONG"] + np.float32(east))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (shifted(5, 5), r"46\.0000, XLONG 10\.0000 at the first point, .*51\.0000, XLONG 15\.0000"),
        (shifted(0, 0.065), "places, 5.0. km apart"),  # half a cell
        (shifted(0.09, 0), r"46\.0000.*46\.0900"),
        (lambda ds: ds.isel(south_north=slice(None, None, -1)), "places"),
        (with_attrs(DX=np.float32(3000)), "DX = 10000 m; .* DX = 3000 m"),
        (with_attrs(DY=np.float32(9000)), "DY = 10000 m; .* DY = 9000 m"),
        (with_attrs(MAP_PROJ=np.int32(3)), "MAP_PROJ = 1, Lambert; .* MAP_PROJ = 3, Mercator"),
    ],
)
def test_another_place_is_an_error(tmp_path: Path, change: Change, words: str) -> None:
    sides = opened(tmp_path, "here", domain()), opened(tmp_path, "there", change(domain()))
    with pytest.raises(InputError, match=words) as caught:
        compare_runs(*sides, resamples=0)
    assert "here" in str(caught.value)
    assert "there" in str(caught.value)


@pytest.mark.parametrize(
    "change",
    [
        lambda ds: ds,
        shifted(2e-6, -2e-6),  # float32
        shifted(0.0015, 0.0015),  # packed into 16 bits
        shifted(0, 360),
        with_attrs(DX=np.float32(10000.001)),
        lambda ds: ds.isel(Time=slice(0, 4)),
    ],
)
def test_the_same_place(tmp_path: Path, change: Change) -> None:
    sides = opened(tmp_path, "here", domain()), opened(tmp_path, "there", change(domain()))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        result = compare_runs(*sides, resamples=0)
    assert float(result.rain.scores["rmse"].sel(estimate="value")) == 0


def test_without_coordinates(tmp_path: Path) -> None:
    here, bare = opened(tmp_path, "here", domain()), opened(tmp_path, "bare", domain().drop_vars(PLACES))
    for sides in ((here, bare), (bare, here)):
        with pytest.warns(UserWarning, match=r"bare has no coordinates \(XLAT, XLONG\), but here has"):
            result = compare_runs(*sides, resamples=0)
        assert "their places could not be compared" in str(result)
    assert "not checked" not in str(compare_runs(bare, bare, resamples=0))
    centred = [
        domain().drop_vars(PLACES).assign_attrs(CEN_LAT=46.0, CEN_LON=lon) for lon in (10.0, 370.0, 15.0)
    ]
    assert require_same_ground(("a", "b"), (centred[0], centred[1])) == []
    with pytest.raises(InputError, match=r"CEN_LON = 10; .* CEN_LON = 15"):
        require_same_ground(("a", "b"), (centred[0], centred[2]))


def test_observations_with_coordinates(tmp_path: Path) -> None:
    here = opened(tmp_path, "here", domain())
    path = tmp_path / "radar.nc"
    bare = here.amounts[1:].drop_vars(["XLAT", "XLONG"]).rename(Time="time").rename("RR")
    latitude, longitude = here.amounts["XLAT"].values, here.amounts["XLONG"].values
    bare.assign_coords(lat=(("y", "x"), latitude), lon=(("y", "x"), longitude)).to_netcdf(path)
    result = compare_runs(open_source(path, "radar", "RR"), here, resamples=0)
    assert float(result.rain.scores["rmse"].sel(estimate="value")) == 0
    bare.assign_coords(lat=(("y", "x"), latitude + 1), lon=(("y", "x"), longitude)).to_netcdf(path)
    with pytest.raises(InputError, match=r"radar has XLAT 47\.0000"):
        compare_runs(open_source(path, "radar", "RR"), here, resamples=0)


def test_moving_nests(tmp_path: Path) -> None:
    moving = opened(tmp_path, "nest", domain(2))
    result = compare_runs(moving, moving, resamples=0)
    assert float(result.rain.scores["rmse"].sel(estimate="value")) == 0
    assert "the nest moves" in str(result)
    still, further = opened(tmp_path, "still", domain()), opened(tmp_path, "further", domain(3))
    for other in (still, further):
        with pytest.raises(InputError, match="places in frame 3"):
            compare_runs(moving, other, resamples=0)
    with pytest.raises(InputError, match="moving nest: rain of its cells cannot be summed"):
        compare_runs(moving, moving, window="2h", resamples=0)


def test_one_idealised_place() -> None:
    """All cells have the same coordinates, so the spacing is DX."""
    flat = domain().assign(
        {name: xr.full_like(domain()[name], 12.0).isel(Time=0, drop=True) for name in PLACES}
    )
    near = flat.assign(XLAT=flat["XLAT"] + np.float32(1e-4))
    assert require_same_ground(("a", "b"), (flat, near)) == []
    with pytest.raises(InputError, match=r"XLAT 12\.0000"):
        require_same_ground(("a", "b"), (flat, flat.assign(XLAT=flat["XLAT"] + 45)))


def test_levels() -> None:
    eta = np.linspace(0.99, 0.01, 12, dtype="f4")
    first = xr.Dataset(
        {"ZNU": (("Time", "bottom_top"), eta[None]), "P_TOP": ("Time", [5000.0])}, attrs={"HYBRID_OPT": 2}
    )
    names = ("control", "other")
    assert differing_levels(names, (first, first.assign(ZNU=first["ZNU"] + np.float32(1e-6)))) is None
    other = first.copy(deep=True)
    other["ZNU"][0, 4] = 0.5
    assert "ZNU of level 4 is 0.633636 of control and 0.5 of other" in str(
        differing_levels(names, (first, other))
    )
    assert "P_TOP is 5000 of control and 1000 of other" in str(
        differing_levels(names, (first, first.assign(P_TOP=("Time", [1000.0]))))
    )
    assert "HYBRID_OPT is 2 of control and 0" in str(
        differing_levels(names, (first, first.assign_attrs(HYBRID_OPT=0)))
    )


@pytest.mark.skipif(not SAMPLE_WRFOUT.exists(), reason="no sample in data/")
def test_profiles_on_other_levels_are_not_compared(tmp_path: Path) -> None:
    with xr.open_dataset(SAMPLE_WRFOUT, decode_times=False) as ds:
        other = ds.load().assign(ZNU=ds["ZNU"] ** 1.05)
    sides = open_source(SAMPLE_WRFOUT, "control"), opened(tmp_path, "other", other)
    with pytest.warns(UserWarning, match="profiles are not compared: other eta levels"):
        result = compare_runs(*sides, resamples=0, scales=[1])
    assert result.profiles is None
    assert "ZNU of level" in result.absent["profiles"]
