"""The accessor ``ds.sciml`` with the columns of the convection scheme, which `sciml.accessor` registers."""

from __future__ import annotations

from pathlib import Path

import xarray as xr

from sciml.columns.extract import Keep, convection_columns
from sciml.wrf.accessor import WRFFields

__all__ = ["WRFAccessor"]


class WRFAccessor(WRFFields):
    """Derived fields of a wrfout, and its columns."""

    def columns(self, truth: xr.Dataset | str | Path | None = None, *, keep: Keep = "all") -> xr.Dataset:
        """Return the columns of this dataset; see `sciml.convection_columns` for parameters and result."""
        return convection_columns(self._ds, truth, keep=keep)
