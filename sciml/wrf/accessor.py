"""The accessor ``ds.sciml``: derived fields of a WRF dataset, computed on access.

`sciml.accessor` registers it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import xarray as xr

from sciml.wrf import diagnostics, geography, rain
from sciml.wrf.requirements import require, where

if TYPE_CHECKING:
    from pyproj import CRS

__all__ = ["WRFFields"]


class WRFFields:
    """Fields derived from a wrfout, with CF attributes, at mass points unless stated otherwise.

    A field is lazy if the variables of the dataset are lazy. Each raises `sciml.errors.MissingVariable` if a variable
    that it needs is missing.

    Parameters
    ----------
    ds
        Dataset from `sciml.open_wrfout`, or a wrfout opened with xarray.

    Examples
    --------
    >>> import numpy as np
    >>> faces = np.array([[[[0.0, 1.0, 3.0]]]], dtype="float32")
    >>> ds = xr.Dataset({"U": (("Time", "bottom_top", "south_north", "west_east_stag"), faces),
    ...                  "V": (("Time", "bottom_top", "south_north_stag", "west_east"),
    ...                        np.zeros((1, 1, 2, 2), "f4"))})
    >>> WRFFields(ds).u.values.ravel()
    array([0.5, 2. ], dtype=float32)
    """

    def __init__(self, ds: xr.Dataset) -> None:
        self._ds = ds

    def __repr__(self) -> str:
        fields = [name for name in dir(type(self)) if isinstance(getattr(type(self), name), property)]
        return f"<sciml fields of {where(self._ds)}: {', '.join(fields)}>"

    @property
    def u(self) -> xr.DataArray:
        """Wind along the grid's x axis [m s-1]."""
        return diagnostics.labelled(diagnostics.destagger(require(self._ds, "U"), "west_east_stag"), "U_PHY")

    @property
    def v(self) -> xr.DataArray:
        """Wind along the grid's y axis [m s-1]."""
        return diagnostics.labelled(
            diagnostics.destagger(require(self._ds, "V"), "south_north_stag"), "V_PHY"
        )

    @property
    def w(self) -> xr.DataArray:
        """Vertical velocity, averaged to the mass levels [m s-1]."""
        return diagnostics.labelled(diagnostics.destagger(require(self._ds, "W"), "bottom_top_stag"), "W")

    @property
    def wind_east(self) -> xr.DataArray:
        """Wind towards east [m s-1]."""
        return geography.earth_wind(self._ds)[0]

    @property
    def wind_north(self) -> xr.DataArray:
        """Wind towards north [m s-1]."""
        return geography.earth_wind(self._ds)[1]

    @property
    def p(self) -> xr.DataArray:
        """Full pressure P + PB [Pa]."""
        return diagnostics.pressure(self._ds)

    @property
    def p_hyd(self) -> xr.DataArray:
        """Hydrostatic pressure [Pa]; computed from the mass of the layers if the file does not have it."""
        return diagnostics.hydrostatic_pressure(self._ds)

    @property
    def pi(self) -> xr.DataArray:
        """Exner function."""
        return diagnostics.exner(self._ds)

    @property
    def theta(self) -> xr.DataArray:
        """Dry potential temperature [K]; its attribute `comment` describes T in this file."""
        return diagnostics.potential_temperature(self._ds)

    @property
    def t(self) -> xr.DataArray:
        """Air temperature [K]."""
        return diagnostics.temperature(self._ds)

    @property
    def rho(self) -> xr.DataArray:
        """Density of moist air [kg m-3]."""
        return diagnostics.density(self._ds)

    @property
    def dz8w(self) -> xr.DataArray:
        """Thickness of the layers [m]."""
        return diagnostics.layer_thickness(self._ds)

    @property
    def z(self) -> xr.DataArray:
        """Geopotential height above sea level of the mass levels [m]: the mean of the two faces."""
        return diagnostics.height(self._ds)

    @property
    def z_faces(self) -> xr.DataArray:
        """Geopotential height above sea level of the layer faces [m]."""
        return diagnostics.face_height(self._ds)

    @property
    def rain(self) -> xr.DataArray:
        """Precipitation since the last frame [mm], including buckets; see `sciml.wrf.rain.rain_since_last`.

        It is NaN in the first frame of a run, unless that frame is the start of the run.
        """
        return rain.rain_since_last(self._ds)

    @property
    def rain_total(self) -> xr.DataArray:
        """Precipitation since the start of the run of each frame [mm], including buckets."""
        return rain.rain_total(self._ds)

    @property
    def crs(self) -> CRS:
        """Map projection (needs the extra `wrf`)."""
        return geography.crs(self._ds)

    @property
    def projected(self) -> xr.Dataset:
        """Coordinates x and y in metres (needs the extra `wrf`)."""
        return geography.projected(self._ds)
