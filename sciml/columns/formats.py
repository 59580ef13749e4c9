"""Form of a file, number of its run, and its attributes of the scheme."""

from __future__ import annotations

import math
import re
from collections.abc import Hashable
from pathlib import Path
from typing import Any, Final, Literal
from zlib import crc32

import xarray as xr

from sciml.errors import InputError
from sciml.storage.schema import check_schema
from sciml.version import __version__
from sciml.wrf.requirements import where

__all__ = [
    "COLUMNS_SCHEMA",
    "COORDINATE_ATTRS",
    "GRID",
    "MIXED_SCHEMA",
    "REWRITE",
    "SYNTHETIC",
    "Form",
    "form_of",
    "run_number",
    "scheme_attrs",
]

COLUMNS_SCHEMA: Final = 1
MIXED_SCHEMA: Final = 2  # of columns of runs that differ; see `sciml.columns.mixture`
REWRITE: Final = "write it again with 'sciml wrf columns', or install the version of sciml that wrote it"
SYNTHETIC: Final = "SYNTHETIC"  # coordinate of augmented stores; see `sciml.convection.augmentation`
GRID: Final = ("Time", "south_north", "west_east")

COORDINATE_ATTRS: Final[dict[str, dict[str, str]]] = {
    "Time": {"standard_name": "time", "long_name": "time"},
    "XTIME": {"long_name": "time since the start of the run", "units": "minutes"},
    "south_north": {"long_name": "row on the grid", "units": "1"},
    "west_east": {"long_name": "column on the grid", "units": "1"},
    "RUN": {"long_name": "run of the column", "units": "1"},
    "WEIGHT": {"long_name": "inverse of the sampling probability", "units": "1"},
    SYNTHETIC: {
        "long_name": "1 in columns that augmentation made, 0 in columns of the run",
        "units": "1",
    },
}
"""Attributes of the coordinates of columns; those of KIND are `sciml.columns.classes.KIND_ATTRS`."""

Form = Literal["wrfout", "capture", "pairs", "columns"]


def form_of(ds: xr.Dataset) -> Form:
    """Return the form of a dataset.

    Parameters
    ----------
    ds
        Dataset of a file, or its header.

    Returns
    -------
    {"columns", "pairs", "capture", "wrfout"}
        Columns of this package, drawn pairs, a capture of calls of the scheme, or other WRF output.

    Raises
    ------
    SchemaError
        The columns have another schema.
    """
    if "sciml_schema" in ds.attrs:
        if "checksum" in ds.attrs:
            raise InputError(
                f"{where(ds)} is a weights file and has no columns: give a store of columns or WRF output"
            )
        check_schema(ds.attrs["sciml_schema"], MIXED_SCHEMA, where(ds), REWRITE, oldest=COLUMNS_SCHEMA)
        return "columns"
    if "T_PHY" in ds.variables and "column" in ds["T_PHY"].dims:
        return "pairs"
    if "T_PHY" in ds.variables and ("CU_ACT_FLAG" in ds.variables or "NCA_IN" in ds.variables):
        return "capture"
    return "wrfout"


def run_number(name: str) -> int:
    """Return the number that identifies the run of a column.

    A number is returned unchanged. From the name of a file, the digits after run, train, valid, test or member are
    returned, or 0 if there are none. Any other name gives a number derived from its characters, always the same.

    Parameters
    ----------
    name
        A number, the name of a file, or the name of a run.

    Returns
    -------
    int
        Number of the run.

    Examples
    --------
    >>> run_number("7"), run_number("wrfout_d01_convrad_train3.nc")
    (7, 3)
    >>> run_number("wrfout_d01_2007-06-01_12:00:00")
    0
    """
    if re.fullmatch(r"\d{1,9}", name):
        return int(name)
    match = re.search(r"(?:run|train|valid|test|member)[_-]?(\d{1,6})(?!\d)", Path(name).name)
    if match:
        return int(match[1])
    return (
        0 if re.match(r"wrfout|mskf", Path(name).name) else 1_000_000 + crc32(name.encode()) % 1_000_000_000
    )


def scheme_attrs(ds: xr.Dataset) -> dict[Hashable, Any]:
    """Return the attributes of columns: DX [m], DT [s], CUDT [min], STEPCU and the provenance.

    Raises
    ------
    InputError
        A global attribute is missing or invalid: DX and DT must be positive, CUDT must not be negative (0: the
        scheme is called every step), STEPCU must be at least 1.
    """
    source = Path(where(ds)).name
    absent = [name for name in ("DX", "DT", "CUDT") if name not in ds.attrs]
    if absent:
        lines = "; ".join(f"ds.attrs['{name}'] = ..." for name in absent)
        options = " ".join(f"-a {name},global,o,f,..." for name in absent)
        raise InputError(
            f"{where(ds)} does not have the global attribute{'s' * (len(absent) > 1)} {', '.join(absent)} (dx in m, "
            f"time_step in s, cudt in min of the namelist): set {'them' if len(absent) > 1 else 'it'}, {lines}, or "
            f"with ncatted {options}"
        )
    # STEPCU is not in WRF's output: WRF computes it from CUDT and DT.
    dt, cudt = _positive(ds, "DT"), _positive(ds, "CUDT", zero=True)
    return {
        "DX": _positive(ds, "DX"),
        "DT": dt,
        "CUDT": cudt,
        "STEPCU": int(_positive(ds, "STEPCU")) if "STEPCU" in ds.attrs else max(1, round(cudt * 60 / dt)),
        "sciml_schema": COLUMNS_SCHEMA,
        "SOURCE": source,
        "history": f"columns of {source}, sciml {__version__}",
    }


def _positive(ds: xr.Dataset, name: str, *, zero: bool = False) -> float:
    """A global attribute that must be a positive number."""
    try:
        value = float(ds.attrs[name])
    except (TypeError, ValueError):
        value = math.nan
    if not (math.isfinite(value) and (value > 0 or (zero and value == 0))):
        raise InputError(
            f"{where(ds)} has the global attribute {name} = {ds.attrs[name]}, which must be a "
            f"{'number not below 0' if zero else 'positive number'}: correct it, ds.attrs['{name}'] = ..."
            f", or with ncatted -a {name},global,o,f,..."
        )
    return value
