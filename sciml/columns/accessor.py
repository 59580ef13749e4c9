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
        """Columns of this dataset, as `sciml.convection_columns` gives them."""
        return convection_columns(self._ds, truth, keep=keep)
