"""Detection of frames in which a nest has moved since the frame before, and of the number of cells.

Fields of two frames of a moving nest are compared at the same ground, never by array index.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt
import xarray as xr

__all__ = ["CORNERS", "before_on_ground", "corners", "lies_elsewhere", "moves", "shifts"]

Array = npt.NDArray[Any]

CORNERS: Final = ("corner_latitude", "corner_longitude")
"""Position of the first point of the whole grid in each frame, which a slab has in place of XLAT and XLONG."""
_PLACES: Final = ("XLAT", "XLONG")
_GRID: Final = ("south_north", "west_east")


def corners(ds: xr.Dataset | xr.DataArray) -> Array | None:
    """Latitude and longitude of the first grid point [degrees], (frame, 2), or (2,) for a single frame.

    None if the dataset has no such coordinates, or if they do not depend on Time (except in an array of one frame).

    Notes
    -----
    Only two numbers for each frame are read.
    """
    known: Any = ds.coords if isinstance(ds, xr.DataArray) else ds.variables
    single = "Time" not in ds.dims
    points = []
    for name, short in zip(_PLACES, CORNERS, strict=True):
        if short in known:
            place = ds[short]
        elif name in known and set(_GRID) <= set(ds[name].dims) and ds[name].size:
            place = ds[name].isel(dict.fromkeys(_GRID, 0))
        else:
            continue
        if not single and "Time" not in place.dims:
            return None
        points.append(place)
    if len(points) < len(_PLACES):
        return None
    # Computed together, so that dask traverses the graph once.
    read = xr.Dataset({n: a.variable for n, a in zip(_PLACES, points, strict=True)}).compute()
    return np.stack([np.asarray(read[name].values, np.float64) for name in _PLACES], axis=-1)


def moves(places: list[Array]) -> bool:
    """Return whether the first grid points (from `corners`) of any frames of some files differ."""
    return bool(places) and any(not (place == places[0][0]).all() for place in places)


def lies_elsewhere(ds: xr.Dataset, before: xr.DataArray | None = None) -> npt.NDArray[np.bool_]:
    """Flags of the frames in which the nest has moved since the frame before.

    Parameters
    ----------
    ds
        Dataset with XLAT and XLONG (Time, south_north, west_east), or the `CORNERS` of a slab. Without them no frame
        is flagged.
    before
        Field of the frame before the first, with the same coordinates. If the nest moves within `ds`, and `before` has
        no such coordinates, the first frame is flagged.
    """
    out = np.zeros(ds.sizes["Time"], bool)
    place, earlier = corners(ds), None if before is None else corners(before)
    if place is not None:
        out[1:] = (place[1:] != place[:-1]).any(axis=1)
    elif earlier is not None:
        place = corners(ds.isel(Time=0))
        place = None if place is None else place[None]
    if before is not None and place is not None:
        out[0] = out.any() if earlier is None else bool((earlier != place[0]).any())
    return out


def _on_sphere(latitude: Array, longitude: Array) -> Array:
    """Points on the unit sphere, (..., 3), without a seam at 180 degrees and without poles."""
    lat, lon = np.deg2rad(latitude.astype(np.float64)), np.deg2rad(longitude.astype(np.float64))
    return np.stack([np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)], axis=-1)


def _overlap(length: int, shift: int) -> tuple[slice, slice]:
    """Slices of a frame and of the frame before that cover the same ground."""
    now = slice(max(0, -shift), max(0, length - max(0, shift)))
    return now, slice(now.start + shift, now.stop + shift)


def _shift(now: Array, last: Array) -> tuple[int, int] | None:
    """Number of cells by which a frame has moved since the frame before, from points on the sphere."""
    rows, columns = now.shape[:2]
    if rows < 2 or columns < 2:
        return None
    spacing = float(np.median(np.linalg.norm(np.diff(last, axis=1), axis=-1)))
    if not spacing > 0:
        return None
    for j in (rows // 2, 0, rows - 1):
        for i in (columns // 2, 0, columns - 1):
            away = np.linalg.norm(last - now[j, i], axis=-1)
            at = np.unravel_index(int(np.argmin(away)), away.shape)
            if away[at] > 0.1 * spacing:
                continue
            dj, di = int(at[0]) - j, int(at[1]) - i
            (a, b), (c, d) = _overlap(rows, dj), _overlap(columns, di)
            # A single point may agree by chance, so all points are compared.
            off = np.linalg.norm(now[a, c] - last[b, d], axis=-1)
            return (dj, di) if float(off.max()) < 0.1 * spacing else None
    return None


def shifts(ds: xr.Dataset) -> list[tuple[int, int] | None] | None:
    """Number of rows and columns by which each frame has moved since the frame before.

    Returns
    -------
    list
        (rows, columns) for each frame, (0, 0) for the first. An entry is None if XLAT and XLONG do not differ by a
        whole number of cells, or if the two frames have no ground in common. The result is None if no frame moves.

    Notes
    -----
    XLAT and XLONG are read only for nests that move; for others whose XLAT depends on Time, two numbers a frame.
    """
    moved = lies_elsewhere(ds)
    if not moved.any():
        return None
    if any(name not in ds.variables or ds[name].ndim != 3 for name in _PLACES):
        return [None if here else (0, 0) for here in moved]
    out: list[tuple[int, int] | None] = [(0, 0)]
    last: Array | None = None
    for t in range(1, len(moved)):
        if not moved[t]:
            out.append((0, 0))
            last = None
            continue
        if last is None:
            last = _points(ds, t - 1)
        now = _points(ds, t)
        out.append(_shift(now, last))
        last = now
    return out


def _points(ds: xr.Dataset, t: int) -> Array:
    lat, lon = (ds[name].isel(Time=t).transpose(*_GRID).values for name in _PLACES)
    return _on_sphere(lat, lon)


def before_on_ground(field: xr.DataArray, by: list[tuple[int, int] | None]) -> xr.DataArray:
    """The field of the frame before at the same ground; NaN in the first frame and where it is not known.

    Parameters
    ----------
    field
        Floats, (Time, south_north, west_east).
    by
        Result of `shifts`.

    Returns
    -------
    xr.DataArray
        Array with the same dims, without coordinates; lazy where `field` is lazy.
    """
    bare = field.drop_vars(list(field.coords))
    parts = [xr.full_like(bare.isel(Time=[0]), np.nan)]
    for t in range(1, len(by)):
        step = by[t]
        last = bare.isel(Time=[t - 1])
        if step is None:
            parts.append(xr.full_like(last, np.nan))
        else:
            parts.append(last.shift(south_north=-step[0], west_east=-step[1]) if any(step) else last)
    return xr.concat(parts, dim="Time").transpose(*field.dims)
