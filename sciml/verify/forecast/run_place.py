"""Checks that two sides have the same place, cells and levels, so that cells can be compared."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any, Final

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from sciml.constants import EARTH_RADIUS
from sciml.errors import InputError
from sciml.wrf.projection import map_projection

__all__ = ["differing_levels", "grid_of", "place_of", "require_same_ground"]

Array = NDArray[Any]

OFFSET: Final = 0.1
"""Tolerance of the position of a cell, in cells. float32 rounds to 1e-4 of a cell at most, packed
coordinates to some hundredths."""
LEVEL: Final = 1e-4
"""Tolerance of eta levels: float32 rounds to 6e-8, packed or printed values to some 1e-5."""
DEGREES: Final = 1e-3
MAP: Final = ("CEN_LAT", "CEN_LON", "TRUELAT1", "TRUELAT2", "STAND_LON")
LATITUDES: Final = ("XLAT", "latitude", "lat", "LAT")
LONGITUDES: Final = ("XLONG", "longitude", "lon", "LON")
PROJECTIONS: Final = {0: "none (idealised)", 1: "Lambert", 2: "polar", 3: "Mercator", 6: "latitude-longitude"}


def place_of(side: xr.Dataset | xr.DataArray) -> tuple[Array, Array] | None:
    """Return latitude and longitude of the cells (degrees), (y, x), or (Time, y, x) of a moving nest; None without."""
    result = []
    for names in (LATITUDES, LONGITUDES):
        known: Any = side.coords if isinstance(side, xr.DataArray) else side.variables
        name = next((candidate for candidate in names if candidate in known), None)
        if name is None:
            return None
        result.append(np.asarray(side[name].values, np.float64))
    latitude, longitude = result
    if latitude.ndim == longitude.ndim == 1:
        latitude, longitude = np.meshgrid(latitude, longitude, indexing="ij")
    if latitude.shape != longitude.shape or latitude.ndim not in (2, 3):
        return None
    return latitude, longitude


def require_same_ground(
    names: tuple[str, str], sides: tuple[Any, Any], frames: tuple[Array, Array] | None = None
) -> list[str]:
    """Raise an error if the cells of two sides are at different places; return notes on missing coordinates.

    Parameters
    ----------
    names
        Names of the two.
    sides
        Runs, or amounts of observations (with coordinates, if they have any).
    frames
        Indices of the compared frames, for moving nests.

    Raises
    ------
    InputError
        Grid spacing, map projection or place differ; the message has both values.
    """
    attributes = [getattr(side, "attrs", {}) for side in sides]
    for key, unit, word in (("DX", "m", "grid spacings"), ("DY", "m", "grid spacings")):
        if all(key in attrs for attrs in attributes):
            first, second = (float(attrs[key]) for attrs in attributes)
            if abs(first - second) > 1e-4 * max(abs(first), abs(second)):
                raise _mismatch(names, word, f"{key} = {first:g} {unit}", f"{key} = {second:g} {unit}")
    if all("MAP_PROJ" in attrs for attrs in attributes):
        maps = [int(attrs["MAP_PROJ"]) for attrs in attributes]
        if maps[0] != maps[1]:
            raise _mismatch(
                names,
                "map projections",
                *(f"MAP_PROJ = {number}, {PROJECTIONS.get(number, 'unknown')}" for number in maps),
            )
    places = [place_of(side) for side in sides]
    if None in places:
        _require_same_map(names, attributes)
        without = [name for name, place in zip(names, places, strict=True) if place is None]
        if len(without) == 2:
            return []
        note = (
            f"{without[0]} has no coordinates (XLAT, XLONG), but {next(n for n in names if n not in without)} has: "
            "their places could not be compared"
        )
        warnings.warn(note, stacklevel=3)
        return [note]
    moved = [place is not None and place[0].ndim == 3 for place in places]
    for t, pair in _pairs([place for place in places if place is not None], frames):
        _require_near(names, pair, attributes, f" in frame {t}" if any(moved) else "")
    return ["the nest moves: cells and maps are those of the nest, not of one place"] if any(moved) else []


def _require_same_map(names: tuple[str, str], attributes: list[Any]) -> None:
    """Compare the attributes of the map where there are no coordinates."""
    for key in MAP:
        if all(key in attrs for attrs in attributes):
            first, second = (float(attrs[key]) for attrs in attributes)
            if abs((first - second + 180) % 360 - 180) > DEGREES:
                raise _mismatch(names, "maps", f"{key} = {first:g}", f"{key} = {second:g}")


def _pairs(places: list[tuple[Array, Array]], frames: Any) -> Iterator[tuple[int, list[tuple[Array, Array]]]]:
    """Yield the places of the two, by frame if a nest moves."""
    if all(place[0].ndim == 2 for place in places):
        yield 0, places
        return
    count = len(frames[0]) if frames is not None else min(len(p[0]) for p in places if p[0].ndim == 3)
    for t in range(count):
        pair = []
        for k, place in enumerate(places):
            at = int(frames[k][t]) if frames is not None else t
            pair.append((place[0][at], place[1][at]) if place[0].ndim == 3 else place)
        yield t, pair


def _require_near(
    names: tuple[str, str], pair: list[tuple[Array, Array]], attributes: list[Any], when: str
) -> None:
    (lat, lon), (other_lat, other_lon) = pair
    if lat.shape != other_lat.shape:
        return  # sizes are compared elsewhere
    apart = EARTH_RADIUS * np.linalg.norm(_on_sphere(lat, lon) - _on_sphere(other_lat, other_lon), axis=-1)
    allowed = OFFSET * _spacing(lat, lon, attributes)
    if not float(np.nanmax(apart)) > allowed:
        return
    middle = (lat.shape[0] // 2, lat.shape[1] // 2)
    texts = [
        f"XLAT {a[0, 0]:.4f}, XLONG {o[0, 0]:.4f} at the first point, {a[middle]:.4f}, {o[middle]:.4f} in the middle"
        for a, o in pair
    ]
    raise _mismatch(names, f"places{when}, {np.nanmax(apart) / 1000:.3g} km apart", *texts)


def _mismatch(names: tuple[str, str], what: str, first: str, second: str) -> InputError:
    return InputError(
        f"the two have different {what}: {names[0]} has {first}; {names[1]} has {second}. Cells are compared one by "
        "one: bring both to one grid first, for example with xesmf, or give runs of one domain"
    )


def _on_sphere(latitude: Array, longitude: Array) -> Array:
    lat, lon = np.deg2rad(latitude), np.deg2rad(longitude)
    return np.stack([np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)], axis=-1)


def _spacing(lat: Array, lon: Array, attributes: list[Any]) -> float:
    """Estimate the size of the cells (m) from the coordinates where they differ, else from DX, else 1 km."""
    points = _on_sphere(lat, lon)
    steps = [np.linalg.norm(np.diff(points, axis=axis), axis=-1) for axis in (0, 1) if points.shape[axis] > 1]
    known = [EARTH_RADIUS * float(np.median(step)) for step in steps]
    known = [step for step in known if step > 1.0]
    if known:
        return min(known)
    return next((float(attrs["DX"]) for attrs in attributes if "DX" in attrs), 1000.0)


def differing_levels(names: tuple[str, str], runs: tuple[xr.Dataset, xr.Dataset]) -> str | None:
    """Describe the difference between equally many levels of two runs; None if they agree."""
    for key, word in (("ZNU", "eta levels"), ("P_TOP", "tops")):
        if not all(key in run.variables for run in runs):
            continue
        first, second = (_of_first_frame(run[key]) for run in runs)
        if first.shape != second.shape:
            return f"other {word}: {key} of {first.size} and {second.size} values"
        gap = np.abs(first - second)
        if float(gap.max(initial=0)) > (
            LEVEL if key == "ZNU" else 1e-3 * float(np.abs(first).max(initial=1))
        ):
            k = int(np.argmax(gap))
            level = f" of level {k}" if first.size > 1 else ""
            return f"other {word}: {key}{level} is {first[k]:g} of {names[0]} and {second[k]:g} of {names[1]}"
    options = [run.attrs.get("HYBRID_OPT") for run in runs]
    if None not in options and options[0] != options[1]:
        return f"other vertical coordinates: HYBRID_OPT is {options[0]} of {names[0]} and {options[1]} of {names[1]}"
    return None


def _of_first_frame(variable: xr.DataArray) -> Array:
    frame = variable.isel(Time=0) if "Time" in variable.dims else variable
    return np.atleast_1d(np.asarray(frame.values, np.float64)).ravel()


def grid_of(run: xr.Dataset | None) -> dict[str, Any]:
    """Return ``spacing`` (km; None if unknown), and ``longitude`` and ``latitude`` (y, x) of a georeferenced grid."""
    if run is None:
        return {"spacing": None}
    result: dict[str, Any] = {"spacing": float(run.attrs["DX"]) / 1000 if "DX" in run.attrs else None}
    place = place_of(run)
    if place is None:
        return result
    latitude, longitude = (coordinate[0] if coordinate.ndim == 3 else coordinate for coordinate in place)
    result["longitude"] = longitude
    # Without MAP_PROJ, varying coordinates show that the grid is georeferenced.
    if map_projection(run) != 0 and float(np.ptp(longitude)) > 0:
        result |= {"latitude": latitude, "georeferenced": True}
    return result
