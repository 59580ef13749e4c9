"""Table of the WRF variables that this package reads: names, units, staggering, roles, bounds.

The table is the source of CF names and units of opened files, of the attributes of columns and stores, and of the
namelist lines in messages about missing variables. `sciml.schemes` lists the variables that a scheme reads and returns.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final, Literal

__all__ = ["STANDARD_NAMES", "TABLE", "Role", "Variable"]

Role = Literal["input", "target", "state", "coordinate", "rain"]
Dims = Literal["3d", "2d", "1d", "0d"]
Stagger = Literal["", "X", "Y", "Z"]


@dataclass(frozen=True)
class Variable:
    """A WRF variable, as its row of the table describes it.

    Attributes
    ----------
    name
        Name in WRF's files, or in its physics driver for variables that the driver derives.
    standard_name
        CF standard name; empty where CF has none.
    long_name
        Short description.
    units
        CF units.
    dims
        Dimensions beside time: "3d" (level, y, x), "2d" (y, x), "1d" (level) or "0d".
    stagger
        Axis along which the variable lies on cell faces; empty for mass points.
    role
        "input" or "target" of the convection scheme, "state" to derive inputs from, "coordinate", or "rain".
    bounds
        Physical bounds, inclusive. Values outside of them indicate a damaged file.
    stream
        Stream to which WRF v4 writes the variable by default: "h" for history, "" for none (an `iofields` line
        adds the variable).
    """

    name: str
    standard_name: str
    long_name: str
    units: str
    dims: Dims
    stagger: Stagger
    role: Role
    bounds: tuple[float, float] = (-math.inf, math.inf)
    stream: str = "h"

    @property
    def iofields(self) -> str:
        """Line of the file named by `iofields_filename` that makes WRF write this variable."""
        return f"+:h:0:{self.name}"


_Row = tuple[str, Dims, Stagger, str, tuple[float, float], str]
_INF: Final = math.inf

# fmt: off
#    name         dims  face units          bounds           long name
# Inputs of the scheme.
_INPUTS: Final[tuple[_Row, ...]] = (
    ("U_PHY",     "3d", "",  "m s-1",       (-250, 250),     "wind along the grid's x axis at mass points"),
    ("V_PHY",     "3d", "",  "m s-1",       (-250, 250),     "wind along the grid's y axis at mass points"),
    ("T_PHY",     "3d", "",  "K",           (130, 360),      "air temperature"),
    ("QVAPOR",    "3d", "",  "kg kg-1",     (-1e-3, 0.1),    "water vapour mixing ratio"),
    ("P_HYD",     "3d", "",  "Pa",          (1, 120000),     "hydrostatic pressure"),
    ("DZ8W",      "3d", "",  "m",           (0.1, 20000),    "thickness of the layers"),
    ("RHO",       "3d", "",  "kg m-3",      (1e-5, 3),       "density of moist air"),
    ("PI_PHY",    "3d", "",  "1",           (0.01, 1.1),     "Exner function of the full pressure"),
    ("W0AVG",     "3d", "",  "m s-1",       (-60, 60),       "running mean of vertical velocity for the KF trigger"),
    ("ZOL",       "2d", "",  "1",           (-1e6, 1e6),     "height over Obukhov length of the lowest level"),
    ("HFX",       "2d", "",  "W m-2",       (-3000, 3000),   "sensible heat flux at the surface"),
    ("UST",       "2d", "",  "m s-1",       (0, 20),         "friction velocity"),
    ("PBLH",      "2d", "",  "m",           (0, 20000),      "height of the boundary layer"),
)
# Outputs of the scheme.
_TARGETS: Final[tuple[_Row, ...]] = (
    ("RTHCUTEN",  "3d", "",  "K s-1",       (-1, 1),         "tendency of dry potential temperature by cumulus"),
    ("RQVCUTEN",  "3d", "",  "kg kg-1 s-1", (-1e-3, 1e-3),   "tendency of water vapour by cumulus"),
    ("RQCCUTEN",  "3d", "",  "kg kg-1 s-1", (-1e-3, 1e-3),   "tendency of cloud water by cumulus"),
    ("RQRCUTEN",  "3d", "",  "kg kg-1 s-1", (-1e-3, 1e-3),   "tendency of rain by cumulus"),
    ("RQICUTEN",  "3d", "",  "kg kg-1 s-1", (-1e-3, 1e-3),   "tendency of cloud ice by cumulus"),
    ("RQSCUTEN",  "3d", "",  "kg kg-1 s-1", (-1e-3, 1e-3),   "tendency of snow by cumulus"),
    ("RUCUTEN",   "3d", "",  "m s-2",       (-1, 1),         "tendency of the x wind by cumulus"),
    ("RVCUTEN",   "3d", "",  "m s-2",       (-1, 1),         "tendency of the y wind by cumulus"),
    ("CLDFRA_DP", "3d", "",  "1",           (0, 1),          "cloud fraction of deep convection"),
    ("CLDFRA_SH", "3d", "",  "1",           (0, 1),          "cloud fraction of shallow convection"),
    ("QC_CU",     "3d", "",  "kg kg-1",     (0, 0.1),        "cloud water of the cumulus clouds"),
    ("QI_CU",     "3d", "",  "kg kg-1",     (0, 0.1),        "cloud ice of the cumulus clouds"),
    ("PRATEC",    "2d", "",  "mm s-1",      (0, 1),          "precipitation rate of cumulus"),
    ("NCA",       "2d", "",  "s",           (-1000, 1e6),    "time for which the cumulus tendencies are held"),
    ("CUTOP",     "2d", "",  "1",           (0, 1000),       "level of the cloud top, counted from 1"),
    ("CUBOT",     "2d", "",  "1",           (0, 1001),       "level of the cloud base, counted from 1"),
    ("TIMEC_KF",  "2d", "",  "s",           (0, 1e7),        "adjustment time of cumulus"),
)
# State in a wrfout, from which inputs are derived.
_STATE: Final[tuple[_Row, ...]] = (
    ("U",         "3d", "X", "m s-1",       (-250, 250),     "wind along the grid's x axis"),
    ("V",         "3d", "Y", "m s-1",       (-250, 250),     "wind along the grid's y axis"),
    ("W",         "3d", "Z", "m s-1",       (-120, 120),     "vertical velocity"),
    ("T",         "3d", "",  "K",           (-200, 2000),    "potential temperature less 300 K"),
    ("THM",       "3d", "",  "K",           (-200, 2000),    "moist potential temperature less 300 K"),
    ("P",         "3d", "",  "Pa",          (-60000, 60000), "perturbation pressure"),
    ("PB",        "3d", "",  "Pa",          (0, 120000),     "base-state pressure"),
    ("PH",        "3d", "Z", "m2 s-2",      (-_INF, _INF),   "perturbation geopotential"),
    ("PHB",       "3d", "Z", "m2 s-2",      (-_INF, _INF),   "base-state geopotential"),
    ("MU",        "2d", "",  "Pa",          (-_INF, _INF),   "perturbation dry-air mass of the column"),
    ("MUB",       "2d", "",  "Pa",          (0, 120000),     "base-state dry-air mass of the column"),
    ("P_TOP",     "0d", "",  "Pa",          (0, 60000),      "pressure at the model top"),
    ("ZNW",       "1d", "Z", "1",           (0, 1),          "eta at the layer faces"),
    ("ZNU",       "1d", "",  "1",           (0, 1),          "eta at the mass levels"),
    ("C1H",       "1d", "",  "1",           (-_INF, _INF),   "hybrid coordinate: share of the column mass"),
    ("C2H",       "1d", "",  "Pa",          (-_INF, _INF),   "hybrid coordinate: fixed part of the column mass"),
    ("QCLOUD",    "3d", "",  "kg kg-1",     (-1e-3, 0.1),    "cloud water mixing ratio"),
    ("QRAIN",     "3d", "",  "kg kg-1",     (-1e-3, 0.1),    "rain mixing ratio"),
    ("QICE",      "3d", "",  "kg kg-1",     (-1e-3, 0.1),    "cloud ice mixing ratio"),
    ("QSNOW",     "3d", "",  "kg kg-1",     (-1e-3, 0.1),    "snow mixing ratio"),
    ("QGRAUP",    "3d", "",  "kg kg-1",     (-1e-3, 0.1),    "graupel mixing ratio"),
    ("PSFC",      "2d", "",  "Pa",          (20000, 120000), "pressure at the surface"),
    ("HGT",       "2d", "",  "m",           (-500, 9000),    "height of the terrain"),
    ("U10",       "2d", "",  "m s-1",       (-150, 150),     "wind along the grid's x axis at 10 m"),
    ("V10",       "2d", "",  "m s-1",       (-150, 150),     "wind along the grid's y axis at 10 m"),
    ("T2",        "2d", "",  "K",           (150, 350),      "air temperature at 2 m"),
    ("Q2",        "2d", "",  "kg kg-1",     (-1e-3, 0.1),    "water vapour mixing ratio at 2 m"),
)
# Coordinates in space and time.
_COORDINATES: Final[tuple[_Row, ...]] = (
    ("XLAT",      "2d", "",  "degrees_north", (-90, 90),     "latitude of the mass points"),
    ("XLONG",     "2d", "",  "degrees_east", (-180, 360),    "longitude of the mass points"),
    ("XLAT_U",    "2d", "X", "degrees_north", (-90, 90),     "latitude of the x faces"),
    ("XLONG_U",   "2d", "X", "degrees_east", (-180, 360),    "longitude of the x faces"),
    ("XLAT_V",    "2d", "Y", "degrees_north", (-90, 90),     "latitude of the y faces"),
    ("XLONG_V",   "2d", "Y", "degrees_east", (-180, 360),    "longitude of the y faces"),
    ("COSALPHA",  "2d", "",  "1",           (-1.01, 1.01),   "cosine of the angle between grid and north"),
    ("SINALPHA",  "2d", "",  "1",           (-1.01, 1.01),   "sine of the angle between grid and north"),
    ("XTIME",     "0d", "",  "minutes",     (0, _INF),       "minutes since the start of the run"),
    ("ITIMESTEP", "0d", "",  "1",           (0, _INF),       "number of the time step"),
)
# Precipitation accumulated since the start of the run, and its buckets.
_RAIN: Final[tuple[_Row, ...]] = (
    ("RAINC",     "2d", "",  "mm",          (0, 1e6),        "accumulated precipitation of cumulus"),
    ("RAINNC",    "2d", "",  "mm",          (0, 1e6),        "accumulated precipitation of the microphysics"),
    ("RAINSH",    "2d", "",  "mm",          (0, 1e6),        "accumulated precipitation of shallow cumulus"),
    ("I_RAINC",   "2d", "",  "1",           (0, 1e6),        "full buckets of RAINC"),
    ("I_RAINNC",  "2d", "",  "1",           (0, 1e6),        "full buckets of RAINNC"),
    ("RAINCV",    "2d", "",  "mm",          (0, 1000),       "precipitation of cumulus in one time step"),
)
# fmt: on

#: CF standard names, and the variables that have them.
_STANDARD_NAMES: Final = {
    "x_wind": "U_PHY U U10",
    "y_wind": "V_PHY V V10",
    "air_temperature": "T_PHY T2",
    "humidity_mixing_ratio": "QVAPOR Q2",
    "air_pressure": "P_HYD",
    "air_density": "RHO",
    "dimensionless_exner_function": "PI_PHY",
    "upward_air_velocity": "W0AVG W",
    "surface_upward_sensible_heat_flux": "HFX",
    "atmosphere_boundary_layer_thickness": "PBLH",
    "convective_rainfall_rate": "PRATEC",
    "atmosphere_sigma_coordinate": "ZNW ZNU",
    "surface_air_pressure": "PSFC",
    "surface_altitude": "HGT",
    "cloud_liquid_water_mixing_ratio": "QCLOUD",
    "cloud_ice_mixing_ratio": "QICE",
    "surface_upward_latent_heat_flux": "LH",
    "surface_temperature": "TSK",
    "sea_surface_temperature": "SST",
    "land_binary_mask": "LANDMASK",
    "lwe_thickness_of_convective_precipitation_amount": "RAINC",
    "lwe_thickness_of_stratiform_precipitation_amount": "RAINNC",
    "latitude": "XLAT XLAT_U XLAT_V",
    "longitude": "XLONG XLONG_U XLONG_V",
}
STANDARD_NAMES: Final = {name: cf for cf, names in _STANDARD_NAMES.items() for name in names.split()}
"""CF standard name of a variable, also of some that are not in the table."""
_ON_REQUEST: Final = frozenset(
    (*"U_PHY V_PHY T_PHY DZ8W RHO PI_PHY W0AVG ZOL RAINCV".split(), *(row[0] for row in _TARGETS))
)
"""Variables that WRF writes only where a line of the file named by `iofields_filename` asks for them."""


def _variables(role: Role, rows: tuple[_Row, ...]) -> dict[str, Variable]:
    return {
        name: Variable(
            name,
            STANDARD_NAMES.get(name, ""),
            long_name,
            units,
            dims,
            stagger,
            role,
            bounds,
            stream="" if name in _ON_REQUEST else "h",
        )
        for name, dims, stagger, units, bounds, long_name in rows
    }


TABLE: Final[dict[str, Variable]] = (
    _variables("input", _INPUTS)
    | _variables("target", _TARGETS)
    | _variables("state", _STATE)
    | _variables("coordinate", _COORDINATES)
    | _variables("rain", _RAIN)
)
