"""Winds towards north and east, the map projection of the grid, and coordinates in metres."""

from __future__ import annotations

import importlib
import math
import os
import tempfile
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import xarray as xr

from sciml.errors import InputError, SciMLError
from sciml.wrf.diagnostics import wind
from sciml.wrf.projection import alignment, map_projection, require_projection
from sciml.wrf.requirements import require_all, where

if TYPE_CHECKING:
    from pyproj import CRS

__all__ = ["crs", "earth_wind", "projected"]

# xwrf reads these attributes for every projection, also if the projection does not use them.
_UNUSED: Final = dict.fromkeys(
    ("CEN_LON", "CEN_LAT", "DX", "DY", "TRUELAT1", "MOAD_CEN_LAT", "STAND_LON"), 1.0
)


def earth_wind(ds: xr.Dataset, height: str = "levels") -> tuple[xr.DataArray, xr.DataArray]:
    """Winds towards east and north [m s-1].

    Parameters
    ----------
    height
        "levels" for all mass points, "10m" for U10 and V10.

    Notes
    -----
    ``east = u cos(alpha) - v sin(alpha)``, ``north = v cos(alpha) + u sin(alpha)`` with COSALPHA and SINALPHA
    of the file. If they are missing, the angle is derived from the projection (`sciml.wrf.projection.alignment`),
    and the attribute `comment` states it. Mercator and Cartesian grids are not rotated.

    Raises
    ------
    MissingVariable
        The grid is rotated, and its angle is missing.
    InputError
        The projection is missing, and the coordinates do not show that the grid is aligned with east and north.
    """
    u, v = wind(ds) if height == "levels" else require_all(ds, ("U10", "V10"))
    turn, comment = alignment(ds)
    if turn is not None:
        (cosine, sine), dims = turn, u.dims
        u, v = (u * cosine - v * sine).transpose(*dims), (v * cosine + u * sine).transpose(*dims)
    east, north = u.rename("WIND_EAST"), v.rename("WIND_NORTH")
    east.attrs = {"standard_name": "eastward_wind", "long_name": "wind towards east", "units": "m s-1"}
    north.attrs = {"standard_name": "northward_wind", "long_name": "wind towards north", "units": "m s-1"}
    if comment:
        east.attrs["comment"] = north.attrs["comment"] = comment
    return east, north


def _xwrf() -> Any:
    """Import xwrf, with a temporary folder for the configuration file that it writes on import."""
    chosen = os.environ.get("XWRF_CONFIG")
    try:
        with tempfile.TemporaryDirectory() as folder:
            os.environ["XWRF_CONFIG"] = chosen or folder
            return importlib.import_module("xwrf")
    except ImportError as error:
        raise SciMLError(
            f"map projections need xwrf, which is not installed ({error}): pip install xwrf pyproj"
        ) from error
    finally:
        if chosen is None:
            os.environ.pop("XWRF_CONFIG", None)


def crs(ds: xr.Dataset) -> CRS:
    """The map projection of the grid, by xwrf (on WRF's sphere of radius 6370 km).

    xwrf gives lat_0 = 90 for both polar stereographic hemispheres; PROJ takes the pole from the sign of TRUELAT1, as
    WPS does, so that the projection is right in the south too.

    Raises
    ------
    SciMLError
        The extra `wrf` is not installed.
    InputError
        The run is idealised, without geography, or xwrf does not support its projection.
    """
    require_projection(ds)
    if map_projection(ds) == 0:
        raise InputError(f"{where(ds)} is a Cartesian grid (MAP_PROJ = 0): it has no position on the Earth")
    _xwrf()
    # xwrf changes its input, so it gets a dataset with the attributes and sizes alone.
    stand_in = xr.Dataset(
        {"HGT": (("south_north", "west_east"), np.zeros((ds.sizes["south_north"], ds.sizes["west_east"])))},
        attrs={**_UNUSED, **ds.attrs, "MAP_PROJ": map_projection(ds)},
    )
    try:
        made = stand_in.xwrf.postprocess(decode_times=False, calculate_diagnostic_variables=False)
        projection: CRS = made["wrf_projection"].item()
        return projection
    except (NotImplementedError, KeyError, AttributeError) as error:
        raise InputError(f"{where(ds)} has a map projection that xwrf cannot read: {error}") from error


def projected(ds: xr.Dataset) -> xr.Dataset:
    """Coordinates in metres: x (west_east) and y (south_north) of the mass points in the projection of the file.

    They are computed from XLONG and XLAT, so that they are right for cropped files too, in which the attributes
    describe the centre of a larger grid.

    Raises
    ------
    InputError
        XLAT and XLONG do not form a regular grid in that projection, so one of them is wrong.
    """
    pyproj = importlib.import_module("pyproj")
    target = crs(ds)
    sphere = target.geodetic_crs
    forward = pyproj.Transformer.from_crs(sphere, target, always_xy=True)
    lon, lat = require_all(ds, ("XLONG", "XLAT"))
    if "Time" in lon.dims:
        lon, lat = lon.isel(Time=0), lat.isel(Time=0)
    x, y = forward.transform(lon.values.astype(float), lat.values.astype(float))
    along_x, along_y = np.mean(x, axis=0), np.mean(y, axis=1)
    off = max(float(np.ptp(x, axis=0).max()), float(np.ptp(y, axis=1).max()))
    spacing = float(np.abs(np.diff(along_x)).mean()) if along_x.size > 1 else math.inf
    if off > 0.1 * spacing:
        raise InputError(
            f"XLAT and XLONG of {where(ds)} are off the grid of its projection "
            f"by {off:.0f} m (the spacing is {spacing:.0f} m)"
        )
    return xr.Dataset(
        coords={
            "x": ("west_east", along_x, _metres("x")),
            "y": ("south_north", along_y, _metres("y")),
        },
        attrs={"crs_wkt": target.to_wkt()},
    )


def _metres(axis: str) -> dict[str, str]:
    """Attributes of a coordinate of the projection."""
    return {
        "standard_name": f"projection_{axis}_coordinate",
        "long_name": f"{axis} coordinate of the projection",
        "units": "m",
    }
