"""Map projection from the global attributes, and the rotation of the grid against east and north."""

from __future__ import annotations

import math
from typing import Final

import numpy as np
import xarray as xr

from sciml.errors import InputError
from sciml.wrf.missing import missing
from sciml.wrf.origin import other_origin
from sciml.wrf.requirements import where
from sciml.wrf.units import check_units

__all__ = ["alignment", "map_projection", "number", "require_projection"]

CARTESIAN: Final = 0
LAMBERT: Final = 1
POLAR: Final = 2
MERCATOR: Final = 3
LATLON: Final = 6
_NAMES: Final = {
    "cartesian": CARTESIAN,
    "lambert conformal": LAMBERT,
    "polar stereographic": POLAR,
    "mercator": MERCATOR,
    "lat/lon": LATLON,
}
# Attributes that define each projection (the namelist of geogrid has the same names in lower case).
_DEFINED_BY: Final = {
    LAMBERT: ("TRUELAT1", "TRUELAT2", "STAND_LON", "MOAD_CEN_LAT"),
    POLAR: ("TRUELAT1", "STAND_LON"),
    MERCATOR: ("TRUELAT1", "CEN_LON"),
    LATLON: ("POLE_LAT", "POLE_LON", "STAND_LON"),
}
_WHY: Final = "the map projection rotates the grid"


def number(ds: xr.Dataset, name: str) -> float:
    """A global attribute as a number.

    Raises
    ------
    InputError
        The attribute is missing, or is not a number.
    """
    value = ds.attrs.get(name)
    try:
        result = float(np.asarray(value, dtype=float).reshape(()))
    except (TypeError, ValueError):
        result = math.nan
    if not math.isfinite(result):
        state = f"has the global attribute {name} = {value!r}" if name in ds.attrs else f"has lost {name}"
        raise InputError(
            f"{where(ds)} {state}, which must be a number: set it to what the run had, ds.attrs['{name}'] = ..., or "
            f"with ncatted -a {name},global,o,f,..."
        )
    return result


def map_projection(ds: xr.Dataset) -> int | None:
    """MAP_PROJ, or the number for MAP_PROJ_CHAR; None if both are missing."""
    if "MAP_PROJ" in ds.attrs:
        return int(number(ds, "MAP_PROJ"))
    return _NAMES.get(str(ds.attrs.get("MAP_PROJ_CHAR", "")).strip().lower())


def require_projection(ds: xr.Dataset) -> None:
    """Check that a dataset has all attributes that define its map projection.

    Raises
    ------
    InputError
        Attributes are missing; the message lists all of them.
    """
    kind = map_projection(ds)
    lost = ["MAP_PROJ"] if kind is None else []
    lost += [name for name in _DEFINED_BY.get(kind or 0, ()) if name not in ds.attrs]
    if lost:
        lines = "; ".join(f"ds.attrs['{name}'] = ..." for name in lost)
        raise InputError(
            f"{where(ds)} has lost the global attribute{'s' * (len(lost) > 1)} {', '.join(lost)} of its map "
            f"projection: set what the run had, {lines}"
        )


def alignment(ds: xr.Dataset) -> tuple[tuple[xr.DataArray, xr.DataArray] | None, str]:
    """Cosine and sine of the angle between the grid and north, None if the axes point east and north.

    They are COSALPHA and SINALPHA of the file. If these are missing, the angle of a Lambert or polar stereographic
    grid is ``-n (longitude - STAND_LON)``, positive on the northern hemisphere, with the cone constant ``n`` of
    TRUELAT1 and TRUELAT2 (Snyder 1987, USGS Professional Paper 1395, eq. 15-8), as in WPS. If the projection is
    missing too, the grid is aligned if XLAT depends only on the row and XLONG only on the column.

    Returns
    -------
    tuple
        (cosine, sine) or None; and a comment on the derivation, or "".

    Raises
    ------
    MissingVariable
        COSALPHA and SINALPHA are missing, and cannot be derived.
    InputError
        The attribute MAP_PROJ is missing, and the coordinates do not show that the grid is aligned.
    """
    kind = map_projection(ds)
    if "COSALPHA" in ds.variables and "SINALPHA" in ds.variables:
        return (ds["COSALPHA"], ds["SINALPHA"]), ""
    if kind in (CARTESIAN, MERCATOR):
        return None, ""
    if kind is None:
        if _lies_east_and_north(ds):
            return None, "not rotated: XLAT depends on the row alone and XLONG on the column alone"
        raise InputError(
            f"{where(ds)} has lost COSALPHA, SINALPHA and the attribute MAP_PROJ, so the rotation of the grid is not "
            "known: use the file as WRF wrote it, or set ds.attrs['MAP_PROJ'] (0 Cartesian, 1 Lambert, 2 polar, "
            "3 Mercator, 6 longitude and latitude)"
        )
    if kind == LATLON and "POLE_LAT" in ds.attrs and abs(number(ds, "POLE_LAT")) == 90:
        return None, ""
    if kind not in (LAMBERT, POLAR) or "XLONG" not in ds.variables:
        lost = "COSALPHA" if "COSALPHA" not in ds.variables else "SINALPHA"
        raise missing(lost, where(ds), _WHY, other_origin(ds))
    names = ("TRUELAT1", "TRUELAT2", "STAND_LON") if kind == LAMBERT else ("TRUELAT1", "STAND_LON")
    absent = [name for name in names if name not in ds.attrs]
    if not absent and number(ds, "TRUELAT1") == 0:
        absent = ["TRUELAT1"]  # idealised runs write 0, which defines neither a cone nor a pole
    if absent:
        why = f"{_WHY}, and {', '.join(absent)}, from which the angle could be derived, is missing or 0"
        raise missing("COSALPHA", where(ds), why, other_origin(ds))
    return _angle(ds, kind)


def _angle(ds: xr.Dataset, kind: int) -> tuple[tuple[xr.DataArray, xr.DataArray], str]:
    check_units("XLONG", ds["XLONG"].attrs, where(ds))
    first = number(ds, "TRUELAT1")
    cone = _cone(first, number(ds, "TRUELAT2")) if kind == LAMBERT else 1.0
    gap = (ds["XLONG"].astype("float64") - number(ds, "STAND_LON") + 180) % 360 - 180
    angle = gap * (-math.copysign(1.0, first) * math.radians(cone))
    cosine, sine = (angle.copy(data=turn(angle.data)).astype("float32") for turn in (np.cos, np.sin))
    return (cosine, sine), "COSALPHA and SINALPHA from XLONG, STAND_LON and the true latitudes"


def _cone(first: float, second: float) -> float:
    """Constant of the cone that cuts the sphere at two latitudes [degrees], or touches it at a single latitude."""
    first_radians, second_radians = (math.radians(abs(lat)) for lat in (first, second))
    if abs(first_radians - second_radians) < math.radians(0.1):
        return math.sin(first_radians)
    tangents = [math.tan(math.pi / 4 - lat / 2) for lat in (first_radians, second_radians)]
    return math.log(math.cos(first_radians) / math.cos(second_radians)) / math.log(tangents[0] / tangents[1])


def _lies_east_and_north(ds: xr.Dataset) -> bool:
    """Whether XLAT is the same along each row and XLONG along each column (idealised runs: both everywhere)."""
    if "XLAT" not in ds.variables or "XLONG" not in ds.variables:
        return False
    for name, dim in (("XLAT", "west_east"), ("XLONG", "south_north")):
        place = ds[name].isel(Time=0) if "Time" in ds[name].dims else ds[name]
        if dim not in place.dims or place.sizes[dim] < 2:
            return False
        # Single precision leaves 1e-5 degrees.
        if float((place.max(dim) - place.min(dim)).max()) > 2e-5:
            return False
    return True
