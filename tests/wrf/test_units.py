"""Units that a tool changed raise an error where the variable is used; spellings of WRF do not."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from sciml.columns import convection_columns
from sciml.errors import InputError
from sciml.wrf import open_wrfout
from sciml.wrf.units import contradicts
from tests.paths import SHARED


@pytest.mark.parametrize(
    ("name", "units"),
    [
        ("PSFC", "hPa"),
        ("P", "mb"),
        ("PB", "kPa"),
        ("T2", "degC"),
        ("T2", "C"),
        ("T", "celsius"),
        ("RAINC", "m"),
        ("RAINNC", "cm"),
        ("RAINNC", "in"),
        ("QVAPOR", "g kg-1"),
        ("QVAPOR", "g/kg"),
        ("HGT", "km"),
        ("PBLH", "ft"),
        ("U", "knots"),
        ("U10", "km h-1"),
        ("V10", "kt"),
        ("PRATEC", "mm h-1"),
        ("PRATEC", "mm/day"),
        ("RTHCUTEN", "K day-1"),
        ("PH", "m"),
        ("NCA", "min"),
    ],
)
def test_converted_units_contradict(name: str, units: str) -> None:
    assert contradicts(name, units)


@pytest.mark.parametrize(
    ("name", "units"),
    [
        ("PSFC", "Pa"),
        ("T", "K"),
        ("T", "kelvin"),
        ("RAINC", "kg m-2"),
        ("PRATEC", "kg m-2 s-1"),
        ("PRATEC", "mm/s"),
        ("QVAPOR", "kg kg{-1}"),
        ("QVAPOR", "kg/kg"),
        ("QVAPOR", "1"),
        ("QVAPOR", ""),
        ("NCA", ""),
        ("PH", "m2 s-2"),
        ("PH", "m**2 s**-2"),
        ("PH", "J kg-1"),
        ("XLAT", "degree_north"),
        ("COSALPHA", "-"),
        ("XTIME", "minutes since 2007-06-10 08:00:00"),
        ("HFX", "W/m2"),
        ("ZOL", "what?"),
        ("NOSUCH", "hPa"),
    ],
)
def test_spellings_of_wrf_do_not_contradict(name: str, units: str) -> None:
    assert not contradicts(name, units)


@pytest.mark.shared
@pytest.mark.parametrize(
    "name",
    [
        "sample/wrfout_d01_convrad_full.nc",
        "sample/wrfout_d01_terrain3km_full.nc",
        "real/salem_wrf_d01_allvars_cropped.nc",
        "real/mercator_sample.nc",
        "real/salem_wrf_cropped.nc",
    ],
)
def test_no_real_file_contradicts(name: str) -> None:
    with xr.open_dataset(SHARED / "wrf" / name, decode_times=False) as ds:
        assert [n for n, v in ds.variables.items() if contradicts(str(n), v.attrs.get("units"))] == []


@pytest.mark.parametrize(("name", "units", "factor"), [("PB", "hPa", 0.01), ("QVAPOR", "g kg-1", 1e3)])
def test_the_message_converts_back(frames: xr.Dataset, name: str, units: str, factor: float) -> None:
    right = open_wrfout(frames)
    changed = frames.assign({name: (frames[name] * factor).assign_attrs(units=units)})
    ds = open_wrfout(changed)
    assert ds[name].attrs["units"] == units
    np.testing.assert_array_equal(
        ds.sciml.rain_total, right.sciml.rain_total
    )  # the converted variable is not used
    with pytest.raises(InputError, match=rf"{name} of the dataset is in {units}.*convert it back") as caught:
        convection_columns(ds)
    line = str(caught.value).split("as in ")[1].split(", or use")[0]
    place: dict[str, xr.Dataset] = {"ds": ds.copy()}
    exec(line, place)
    np.testing.assert_allclose(place["ds"].sciml.rho, right.sciml.rho, rtol=1e-5)


def test_kelvin_from_celsius() -> None:
    ds = xr.Dataset({"T": ("Time", np.array([-250.0]), {"units": "degC"})}, attrs={"USE_THETA_M": 0})
    with pytest.raises(InputError, match=r"ds\['T'\] \+ 273.15"):
        _ = ds.sciml.theta
