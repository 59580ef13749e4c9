"""Attributes of the datasets of scores: long names and units of their variables, and their history."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import xarray as xr

from sciml.version import __version__

__all__ = ["described"]

_TIMES: Final = {"M": "time", "m": "forecast_period"}
"""CF standard names of dates and of lead times, by the kind of their dtype."""


def described(dataset: xr.Dataset, variables: Mapping[str, tuple[str, str]], history: str) -> xr.Dataset:
    """A copy of a dataset with long names, units, and a line of history.

    Parameters
    ----------
    dataset
        Dataset without these attributes.
    variables
        Long name and units of variables and coordinates by name; no units if empty, as for dates and words. Names
        that the dataset does not have are ignored.
    history
        What the dataset was computed from; the version of this package is added.

    Examples
    --------
    >>> scores = described(xr.Dataset({"bias": 0.25}), {"bias": ("mean error", "mm")}, "b compared with a")
    >>> scores["bias"].attrs["long_name"], scores.attrs["history"].partition(",")[0]
    ('mean error', 'b compared with a')
    """
    out = dataset.copy()
    for name, (long_name, units) in variables.items():
        if name in out.variables:
            standard_name = _TIMES.get(out[name].dtype.kind, "")
            attrs = {"long_name": long_name, "units": units, "standard_name": standard_name}
            out[name].attrs = {key: value for key, value in attrs.items() if value}
    return out.assign_attrs(history=f"{history}, sciml {__version__}")
