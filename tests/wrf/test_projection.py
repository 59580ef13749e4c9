"""Rotation of the grid if COSALPHA, SINALPHA or attributes of the projection are missing."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from sciml.errors import InputError, MissingVariable

pyproj = pytest.importorskip("pyproj")

LAMBERT = {"MAP_PROJ": 1, "TRUELAT1": 30.0, "TRUELAT2": 60.0, "STAND_LON": 10.0}
TANGENT = {"MAP_PROJ": 1, "TRUELAT1": 45.0, "TRUELAT2": 45.0, "STAND_LON": -100.0}
SOUTH = {"MAP_PROJ": 1, "TRUELAT1": -20.0, "TRUELAT2": -50.0, "STAND_LON": 178.0}
POLAR = {"MAP_PROJ": 2, "TRUELAT1": 70.0, "STAND_LON": -45.0}
POLAR_SOUTH = {"MAP_PROJ": 2, "TRUELAT1": -71.0, "STAND_LON": 170.0}
TANGENT_SOUTH = {"MAP_PROJ": 1, "TRUELAT1": -40.0, "TRUELAT2": -40.0, "STAND_LON": 178.0}
POLAR_AT_POLE = {"MAP_PROJ": 2, "TRUELAT1": -90.0, "STAND_LON": -60.0}
MERCATOR = {"MAP_PROJ": 3, "TRUELAT1": 20.0, "STAND_LON": 30.0}
MERCATOR_SOUTH = {"MAP_PROJ": 3, "TRUELAT1": -20.0, "STAND_LON": 30.0}


def _crs(attrs: dict[str, float]) -> str:
    sphere = "+R=6370000"
    if attrs["MAP_PROJ"] == 1:
        lats = f"+lat_1={attrs['TRUELAT1']} +lat_2={attrs['TRUELAT2']} +lat_0={attrs['TRUELAT1']}"
        return f"+proj=lcc {lats} +lon_0={attrs['STAND_LON']} {sphere}"
    pole = np.copysign(90, attrs["TRUELAT1"])
    return f"+proj=stere +lat_ts={attrs['TRUELAT1']} +lat_0={pole} +lon_0={attrs['STAND_LON']} {sphere}"


def _grid(attrs: dict[str, float], centre: tuple[float, float]) -> xr.Dataset:
    """A wind of 10 m/s along the y axis of a grid with coordinates from pyproj."""
    forward = pyproj.Transformer.from_crs("+proj=longlat +R=6370000", _crs(attrs), always_xy=True)
    x0, y0 = forward.transform(*centre)
    x, y = np.meshgrid(x0 + 30e3 * np.arange(-3, 4), y0 + 30e3 * np.arange(-2, 3))
    lon, lat = forward.transform(x, y, direction="INVERSE")
    plane = ("Time", "south_north", "west_east")
    return xr.Dataset(
        {
            "U10": (plane, np.zeros((1, *x.shape), "f4")),
            "V10": (plane, np.full((1, *x.shape), 10, "f4")),
            "XLONG": (plane, lon[None]),
            "XLAT": (plane, lat[None]),
        },
        attrs=attrs,
    )


def _towards(ds: xr.Dataset, attrs: dict[str, float]) -> tuple[np.ndarray, np.ndarray]:
    """East and north components of a unit step along y, from a step of 1 m in pyproj's projection."""
    forward = pyproj.Transformer.from_crs("+proj=longlat +R=6370000", _crs(attrs), always_xy=True)
    lon, lat = ds["XLONG"].values[0], ds["XLAT"].values[0]
    x, y = forward.transform(lon, lat)
    lon2, lat2 = forward.transform(x, y + 1, direction="INVERSE")
    east = (lon2 - lon + 180) % 360 - 180
    east, north = east * np.cos(np.deg2rad(lat)), lat2 - lat
    length = np.hypot(east, north)
    return 10 * east / length, 10 * north / length


@pytest.mark.parametrize(
    ("attrs", "centre"),
    [
        (LAMBERT, (25.0, 47.0)),
        (TANGENT, (-120.0, 40.0)),
        (SOUTH, (-175.0, -40.0)),
        (POLAR, (-20.0, 75.0)),
        (POLAR_SOUTH, (-160.0, -72.0)),
    ],
)
def test_the_angle_is_that_of_the_projection(attrs: dict[str, float], centre: tuple[float, float]) -> None:
    from sciml.wrf.geography import earth_wind

    ds = _grid(attrs, centre)
    east, north = earth_wind(ds, "10m")
    right = _towards(ds, attrs)
    np.testing.assert_allclose(east.values[0], right[0], atol=2e-3)
    np.testing.assert_allclose(north.values[0], right[1], atol=2e-3)
    assert "STAND_LON" in east.attrs["comment"]
    named = ds.assign_attrs(
        MAP_PROJ_CHAR="Lambert Conformal" if attrs["MAP_PROJ"] == 1 else "Polar Stereographic"
    )
    del named.attrs["MAP_PROJ"]
    np.testing.assert_array_equal(earth_wind(named, "10m")[0], east)


@pytest.mark.parametrize("lost", ["STAND_LON", "TRUELAT1", "TRUELAT2"])
def test_missing_attributes_of_the_angle_are_named(lost: str) -> None:
    from sciml.wrf.geography import earth_wind

    ds = _grid(LAMBERT, (25.0, 47.0))
    del ds.attrs[lost]
    with pytest.raises(MissingVariable, match=f"COSALPHA.*{lost}"):
        earth_wind(ds, "10m")
    with pytest.raises(InputError, match=rf"lost the global attributes? .*{lost}.*ds.attrs\['{lost}'\]"):
        _ = ds.sciml.crs


def test_a_missing_projection() -> None:
    from sciml.wrf.geography import earth_wind

    ds = _grid(LAMBERT, (25.0, 47.0))
    ds.attrs = {}
    with pytest.raises(InputError, match="MAP_PROJ"):
        earth_wind(ds, "10m")
    with pytest.raises(InputError, match="MAP_PROJ"):
        _ = ds.sciml.crs
    with pytest.raises(InputError, match="MAP_PROJ"):
        earth_wind(ds.drop_vars(["XLAT", "XLONG"]), "10m")
    rows = ds.assign(XLAT=ds["XLAT"].isel(west_east=0) + 0 * ds["XLAT"])
    both = rows.assign(XLONG=rows["XLONG"].isel(south_north=0) + 0 * rows["XLONG"])
    east, north = earth_wind(both, "10m")
    np.testing.assert_array_equal(north, ds["V10"])
    assert "not rotated" in east.attrs["comment"]
    turned = both.assign(COSALPHA=0 * ds["XLAT"], SINALPHA=0 * ds["XLAT"] + 1)
    np.testing.assert_allclose(earth_wind(turned, "10m")[0], -10)


def test_a_grid_of_longitude_and_latitude() -> None:
    from sciml.wrf.geography import earth_wind

    ds = _grid(LAMBERT, (25.0, 47.0)).assign_attrs(MAP_PROJ=6, POLE_LAT=90.0)
    np.testing.assert_array_equal(earth_wind(ds, "10m")[1], ds["V10"])
    with pytest.raises(MissingVariable, match="COSALPHA"):
        earth_wind(ds.assign_attrs(POLE_LAT=40.0), "10m")
    del ds.attrs["POLE_LAT"]
    with pytest.raises(MissingVariable, match="COSALPHA"):
        earth_wind(ds, "10m")


RADIUS = 6_370_000.0


def _snyder(attrs: dict[str, float], lon: np.ndarray, lat: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Metres on the sphere by the formulas of Snyder (1987), those of the south as mirror images of the north.

    Equations 7-1 and 7-2 (Mercator), 15-1 to 15-5 (Lambert), 21-5 and 21-6 (polar stereographic).
    """
    south = -1.0 if attrs["TRUELAT1"] < 0 else 1.0
    gap = np.deg2rad((lon - attrs["STAND_LON"] + 180) % 360 - 180)
    phi, first = np.deg2rad(south * lat), np.deg2rad(abs(attrs["TRUELAT1"]))
    tangent = np.tan(np.pi / 4 + phi / 2)
    if attrs["MAP_PROJ"] == 3:
        return RADIUS * np.cos(first) * gap, south * RADIUS * np.cos(first) * np.log(tangent)
    if attrs["MAP_PROJ"] == 2:
        rho = RADIUS * (1 + np.sin(first)) / tangent
        return rho * np.sin(gap), -south * rho * np.cos(gap)
    second = np.deg2rad(abs(attrs["TRUELAT2"]))
    cone = np.sin(first)
    if first != second:
        ratio = np.tan(np.pi / 4 + second / 2) / np.tan(np.pi / 4 + first / 2)
        cone = np.log(np.cos(first) / np.cos(second)) / np.log(ratio)
    scale = RADIUS * np.cos(first) * np.tan(np.pi / 4 + first / 2) ** cone / cone
    origin = scale / np.tan(np.pi / 4 + np.deg2rad(abs(attrs["MOAD_CEN_LAT"])) / 2) ** cone
    rho = scale / tangent**cone
    return rho * np.sin(cone * gap), south * (origin - rho * np.cos(cone * gap))


@pytest.mark.parametrize(
    ("attrs", "centre"),
    [
        (LAMBERT, (25.0, 47.0)),
        (TANGENT, (-120.0, 40.0)),
        (SOUTH, (-175.0, -40.0)),
        (TANGENT_SOUTH, (170.0, -45.0)),
        (POLAR, (-20.0, 75.0)),
        (POLAR_SOUTH, (-160.0, -72.0)),
        (POLAR_AT_POLE, (100.0, -80.0)),
        (MERCATOR, (35.0, 10.0)),
        (MERCATOR_SOUTH, (28.0, -25.0)),
    ],
    ids=lambda value: "-".join(map(str, value.values() if isinstance(value, dict) else value)),
)
def test_the_projection_is_that_of_both_hemispheres(
    attrs: dict[str, float], centre: tuple[float, float]
) -> None:
    pytest.importorskip("xwrf")
    attrs = {**attrs, "MOAD_CEN_LAT": centre[1], "CEN_LON": attrs["STAND_LON"], "CEN_LAT": centre[1]}
    lon = centre[0] + np.array([[-2.0, 0.0, 3.0]])
    lat = centre[1] + np.array([[-1.5], [0.0], [2.0]])
    lon, lat = np.broadcast_arrays(lon, lat)
    plane = ("south_north", "west_east")
    ds = xr.Dataset({"XLONG": (plane, lon), "XLAT": (plane, lat)}, attrs={**attrs, "DX": 3e4, "DY": 3e4})
    crs = ds.sciml.crs
    forward = pyproj.Transformer.from_crs(crs.geodetic_crs, crs, always_xy=True)
    np.testing.assert_allclose(forward.transform(lon, lat), _snyder(attrs, lon, lat), atol=1e-2)
