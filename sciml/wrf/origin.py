"""The program that wrote a dataset: WRF, another program of WRF or WPS, or a tool that processed it."""

from __future__ import annotations

import re
from typing import Final

import xarray as xr

__all__ = ["other_origin", "wrf_version"]

_TITLES: Final = (
    (r"METGRID", "a met_em file, which metgrid.exe of WPS writes for real.exe"),
    (r"GEOGRID", "a geo_em file, which geogrid.exe of WPS writes"),
)
_WPS_DIMS: Final = ("num_metgrid_levels", "num_metgrid_soil_levels")
_XWRF: Final = ("wrf_projection", "air_potential_temperature", "air_pressure", "geopotential_height")
_SALEM: Final = ("T2C", "PRCP", "PRCP_NC", "SLP", "WS")
_RESTART: Final = ("U_2", "V_2", "W_2", "PH_2", "MU_2")
_BOUNDARY: Final = ("U_BXS", "T_BXS", "MU_BXS", "PH_BXS")
_LEVELS: Final = ("P_PL", "T_PL", "U_PL", "GHT_PL")


def wrf_version(ds: xr.Dataset) -> tuple[int, int] | None:
    """Major and minor version of WRF from the attribute TITLE; None if it is missing.

    Examples
    --------
    >>> wrf_version(xr.Dataset(attrs={"TITLE": " OUTPUT FROM WRF V4.3.3 MODEL"}))
    (4, 3)
    """
    match = re.search(r"V(\d+)\.(\d+)", str(ds.attrs.get("TITLE", "")))
    return (int(match[1]), int(match[2])) if match else None


def other_origin(ds: xr.Dataset) -> str:
    """Kind of a dataset that WRF did not write to its history stream, as text for a message; else "".

    Examples
    --------
    >>> other_origin(xr.Dataset(attrs={"TITLE": "OUTPUT FROM METGRID V4.2"}))
    'a met_em file, which metgrid.exe of WPS writes for real.exe'
    """
    names = set(map(str, ds.variables))
    title = str(ds.attrs.get("TITLE", "")).upper()
    for mark, words in _TITLES:
        if mark in title:
            return words
    if any(dim in ds.dims for dim in _WPS_DIMS):
        return _TITLES[0][1]
    if any(name in names for name in _BOUNDARY):
        return "a wrfbdy file, which real.exe writes as the boundary values of a run"
    if sum(name in names for name in _RESTART) > 1:
        return "a wrfrst file, from which WRF restarts"
    if "PREPROCESSOR" in title or "REAL_EM" in title or "IDEAL" in title.split("WRF")[0]:
        return "a wrfinput file, which real.exe or ideal.exe writes as the start of a run"
    if any(name in names for name in _XWRF) and not {"P", "PB"} <= names:
        return "a dataset processed by xwrf, which replaces P, PB, T, PH and PHB by derived fields"
    if sum(name in names for name in _SALEM) > 1 and "time" in ds.dims:
        return "a dataset processed by salem"
    if sum(name in names for name in _LEVELS) > 1:
        return "a file of WRF's fields on pressure levels (auxhist23)"
    return ""
