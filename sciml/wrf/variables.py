"""The one table of the WRF variables this package reads: names, units, staggering, roles, bounds.

Everything that must know what a WRF variable is looks here: the reader for CF names and units, the column
maker for what it needs, the store for its arrays, and the message that tells which namelist line adds what is
missing.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final, Literal

__all__ = [
    "INPUT_PROFILES",
    "INPUT_SCALARS",
    "SCHEME_INPUTS",
    "STATE",
    "TABLE",
    "TARGET_PROFILES",
    "TARGET_SCALARS",
    "TRAINING_TARGETS",
    "Role",
    "Variable",
]

Role = Literal["input", "target", "state", "coordinate", "rain"]
Stagger = Literal["", "X", "Y", "Z"]


@dataclass(frozen=True)
class Variable:
    """One row of the table.

    Attributes
    ----------
    name
        The name in WRF's files (or in its physics driver, for what the driver derives).
    standard_name
        The CF standard name; empty where CF has none, and then `long_name` speaks.
    long_name
        One line for people.
    units
        CF units.
    dims
        "3d" (level, y, x), "2d" (y, x), "1d" (level) or "0d", all per time.
    stagger
        The axis along which the variable sits on cell faces.
    role
        "input" and "target" of the convection scheme, "state" to derive inputs from, "coordinate", "rain".
    bounds
        Physical bounds, inclusive; values outside mean a broken file.
    stream
        Where WRF v4 writes it unasked: "h" history, "" nowhere (an `iofields` line adds it).
    """

    name: str
    standard_name: str
    long_name: str
    units: str
    dims: Literal["3d", "2d", "1d", "0d"]
    stagger: Stagger
    role: Role
    bounds: tuple[float, float] = (-math.inf, math.inf)
    stream: str = "h"

    @property
    def iofields(self) -> str:
        """The line for the file named by `iofields_filename` that makes WRF write this variable."""
        return f"+:h:0:{self.name}"


_INF: Final = math.inf
_ROWS: Final[tuple[Variable, ...]] = (
    # What one call of the scheme reads of one column.
    Variable(
        "U_PHY",
        "x_wind",
        "wind along the grid's x axis at mass points",
        "m s-1",
        "3d",
        "",
        "input",
        (-250, 250),
        "",
    ),
    Variable(
        "V_PHY",
        "y_wind",
        "wind along the grid's y axis at mass points",
        "m s-1",
        "3d",
        "",
        "input",
        (-250, 250),
        "",
    ),
    Variable("T_PHY", "air_temperature", "air temperature", "K", "3d", "", "input", (130, 360), ""),
    Variable(
        "QVAPOR",
        "humidity_mixing_ratio",
        "water vapour mixing ratio",
        "kg kg-1",
        "3d",
        "",
        "input",
        (-1e-3, 0.1),
    ),
    Variable("P_HYD", "air_pressure", "hydrostatic pressure", "Pa", "3d", "", "input", (1, 120000)),
    Variable("DZ8W", "", "thickness of the layers", "m", "3d", "", "input", (0.1, 20000), ""),
    Variable("RHO", "air_density", "density of moist air", "kg m-3", "3d", "", "input", (1e-5, 3), ""),
    Variable(
        "PI_PHY",
        "dimensionless_exner_function",
        "Exner function of the full pressure",
        "1",
        "3d",
        "",
        "input",
        (0.01, 1.1),
        "",
    ),
    Variable(
        "W0AVG",
        "upward_air_velocity",
        "running mean of the vertical velocity kept for the KF trigger",
        "m s-1",
        "3d",
        "",
        "input",
        (-60, 60),
        "",
    ),
    Variable(
        "ZOL", "", "height over Obukhov length of the lowest level", "1", "2d", "", "input", (-1e6, 1e6), ""
    ),
    Variable(
        "HFX",
        "surface_upward_sensible_heat_flux",
        "sensible heat flux at the surface",
        "W m-2",
        "2d",
        "",
        "input",
        (-3000, 3000),
    ),
    Variable("UST", "", "friction velocity", "m s-1", "2d", "", "input", (0, 20)),
    Variable(
        "PBLH",
        "atmosphere_boundary_layer_thickness",
        "height of the boundary layer",
        "m",
        "2d",
        "",
        "input",
        (0, 20000),
    ),
    # What it returns.
    Variable(
        "RTHCUTEN",
        "",
        "tendency of dry potential temperature by cumulus",
        "K s-1",
        "3d",
        "",
        "target",
        (-1, 1),
        "",
    ),
    Variable(
        "RQVCUTEN",
        "",
        "tendency of water vapour by cumulus",
        "kg kg-1 s-1",
        "3d",
        "",
        "target",
        (-1e-3, 1e-3),
        "",
    ),
    Variable(
        "RQCCUTEN",
        "",
        "tendency of cloud water by cumulus",
        "kg kg-1 s-1",
        "3d",
        "",
        "target",
        (-1e-3, 1e-3),
        "",
    ),
    Variable(
        "RQRCUTEN", "", "tendency of rain by cumulus", "kg kg-1 s-1", "3d", "", "target", (-1e-3, 1e-3), ""
    ),
    Variable(
        "RQICUTEN",
        "",
        "tendency of cloud ice by cumulus",
        "kg kg-1 s-1",
        "3d",
        "",
        "target",
        (-1e-3, 1e-3),
        "",
    ),
    Variable(
        "RQSCUTEN", "", "tendency of snow by cumulus", "kg kg-1 s-1", "3d", "", "target", (-1e-3, 1e-3), ""
    ),
    Variable("RUCUTEN", "", "tendency of the x wind by cumulus", "m s-2", "3d", "", "target", (-1, 1), ""),
    Variable("RVCUTEN", "", "tendency of the y wind by cumulus", "m s-2", "3d", "", "target", (-1, 1), ""),
    Variable("CLDFRA_DP", "", "cloud fraction of deep convection", "1", "3d", "", "target", (0, 1), ""),
    Variable("CLDFRA_SH", "", "cloud fraction of shallow convection", "1", "3d", "", "target", (0, 1), ""),
    Variable("QC_CU", "", "cloud water of the cumulus clouds", "kg kg-1", "3d", "", "target", (0, 0.1), ""),
    Variable("QI_CU", "", "cloud ice of the cumulus clouds", "kg kg-1", "3d", "", "target", (0, 0.1), ""),
    Variable(
        "PRATEC",
        "convective_rainfall_rate",
        "precipitation rate of cumulus",
        "mm s-1",
        "2d",
        "",
        "target",
        (0, 1),
        "",
    ),
    Variable(
        "NCA",
        "",
        "time for which the cumulus tendencies are still held",
        "s",
        "2d",
        "",
        "target",
        (-1000, 1e6),
        "",
    ),
    Variable("CUTOP", "", "level of the cloud top, counted from 1", "1", "2d", "", "target", (0, 1000), ""),
    Variable("CUBOT", "", "level of the cloud base, counted from 1", "1", "2d", "", "target", (0, 1001), ""),
    Variable("TIMEC_KF", "", "adjustment time of cumulus", "s", "2d", "", "target", (0, 1e7), ""),
    # The state in a wrfout from which inputs are derived.
    Variable("U", "x_wind", "wind along the grid's x axis", "m s-1", "3d", "X", "state", (-250, 250)),
    Variable("V", "y_wind", "wind along the grid's y axis", "m s-1", "3d", "Y", "state", (-250, 250)),
    Variable("W", "upward_air_velocity", "vertical velocity", "m s-1", "3d", "Z", "state", (-120, 120)),
    Variable("T", "", "potential temperature less 300 K", "K", "3d", "", "state", (-200, 2000)),
    Variable("THM", "", "moist potential temperature less 300 K", "K", "3d", "", "state", (-200, 2000)),
    Variable("P", "", "perturbation pressure", "Pa", "3d", "", "state", (-60000, 60000)),
    Variable("PB", "", "base-state pressure", "Pa", "3d", "", "state", (0, 120000)),
    Variable("PH", "", "perturbation geopotential", "m2 s-2", "3d", "Z", "state"),
    Variable("PHB", "", "base-state geopotential", "m2 s-2", "3d", "Z", "state"),
    Variable("MU", "", "perturbation dry-air mass of the column", "Pa", "2d", "", "state"),
    Variable("MUB", "", "base-state dry-air mass of the column", "Pa", "2d", "", "state", (0, 120000)),
    Variable("P_TOP", "", "pressure at the model top", "Pa", "0d", "", "state", (0, 60000)),
    Variable("ZNW", "atmosphere_sigma_coordinate", "eta at the layer faces", "1", "1d", "Z", "state", (0, 1)),
    Variable("ZNU", "atmosphere_sigma_coordinate", "eta at the mass levels", "1", "1d", "", "state", (0, 1)),
    Variable("C1H", "", "hybrid coordinate: share of the column mass", "1", "1d", "", "state"),
    Variable("C2H", "", "hybrid coordinate: fixed part of the column mass", "Pa", "1d", "", "state"),
    Variable("QCLOUD", "", "cloud water mixing ratio", "kg kg-1", "3d", "", "state", (-1e-3, 0.1)),
    Variable("QRAIN", "", "rain mixing ratio", "kg kg-1", "3d", "", "state", (-1e-3, 0.1)),
    Variable("QICE", "", "cloud ice mixing ratio", "kg kg-1", "3d", "", "state", (-1e-3, 0.1)),
    Variable("QSNOW", "", "snow mixing ratio", "kg kg-1", "3d", "", "state", (-1e-3, 0.1)),
    Variable("QGRAUP", "", "graupel mixing ratio", "kg kg-1", "3d", "", "state", (-1e-3, 0.1)),
    Variable(
        "PSFC", "surface_air_pressure", "pressure at the surface", "Pa", "2d", "", "state", (20000, 120000)
    ),
    Variable("HGT", "surface_altitude", "height of the terrain", "m", "2d", "", "state", (-500, 9000)),
    Variable(
        "U10", "x_wind", "wind along the grid's x axis at 10 m", "m s-1", "2d", "", "state", (-150, 150)
    ),
    Variable(
        "V10", "y_wind", "wind along the grid's y axis at 10 m", "m s-1", "2d", "", "state", (-150, 150)
    ),
    Variable("T2", "air_temperature", "air temperature at 2 m", "K", "2d", "", "state", (150, 350)),
    Variable(
        "Q2",
        "humidity_mixing_ratio",
        "water vapour mixing ratio at 2 m",
        "kg kg-1",
        "2d",
        "",
        "state",
        (-1e-3, 0.1),
    ),
    # Where and when.
    Variable(
        "XLAT", "latitude", "latitude of the mass points", "degrees_north", "2d", "", "coordinate", (-90, 90)
    ),
    Variable(
        "XLONG",
        "longitude",
        "longitude of the mass points",
        "degrees_east",
        "2d",
        "",
        "coordinate",
        (-180, 360),
    ),
    Variable(
        "XLAT_U", "latitude", "latitude of the x faces", "degrees_north", "2d", "X", "coordinate", (-90, 90)
    ),
    Variable(
        "XLONG_U",
        "longitude",
        "longitude of the x faces",
        "degrees_east",
        "2d",
        "X",
        "coordinate",
        (-180, 360),
    ),
    Variable(
        "XLAT_V", "latitude", "latitude of the y faces", "degrees_north", "2d", "Y", "coordinate", (-90, 90)
    ),
    Variable(
        "XLONG_V",
        "longitude",
        "longitude of the y faces",
        "degrees_east",
        "2d",
        "Y",
        "coordinate",
        (-180, 360),
    ),
    Variable(
        "COSALPHA",
        "",
        "cosine of the angle between grid and north",
        "1",
        "2d",
        "",
        "coordinate",
        (-1.01, 1.01),
    ),
    Variable(
        "SINALPHA", "", "sine of the angle between grid and north", "1", "2d", "", "coordinate", (-1.01, 1.01)
    ),
    Variable("XTIME", "", "minutes since the start of the run", "minutes", "0d", "", "coordinate", (0, _INF)),
    Variable("ITIMESTEP", "", "number of the time step", "1", "0d", "", "coordinate", (0, _INF)),
    # Rain, accumulated since the start of the run, with its buckets.
    Variable("RAINC", "", "accumulated precipitation of cumulus", "mm", "2d", "", "rain", (0, 1e6)),
    Variable("RAINNC", "", "accumulated precipitation of the microphysics", "mm", "2d", "", "rain", (0, 1e6)),
    Variable("RAINSH", "", "accumulated precipitation of shallow cumulus", "mm", "2d", "", "rain", (0, 1e6)),
    Variable("I_RAINC", "", "full buckets of RAINC", "1", "2d", "", "rain", (0, 1e6)),
    Variable("I_RAINNC", "", "full buckets of RAINNC", "1", "2d", "", "rain", (0, 1e6)),
    Variable(
        "RAINCV", "", "precipitation of cumulus in one time step", "mm", "2d", "", "rain", (0, 1000), ""
    ),
)

TABLE: Final[dict[str, Variable]] = {row.name: row for row in _ROWS}

INPUT_PROFILES: Final = tuple(r.name for r in _ROWS if r.role == "input" and r.dims == "3d")
INPUT_SCALARS: Final = tuple(r.name for r in _ROWS if r.role == "input" and r.dims == "2d")
SCHEME_INPUTS: Final = INPUT_PROFILES + INPUT_SCALARS
STATE: Final = ("U", "V", "T", "QVAPOR", "P", "PB", "PH", "PHB", "W0AVG", *INPUT_SCALARS)
"""Variables of a wrfout that the inputs of the scheme are made of."""
TARGET_PROFILES: Final = tuple(r.name for r in _ROWS if r.role == "target" and r.dims == "3d")
TARGET_SCALARS: Final = tuple(
    r.name for r in _ROWS if r.role == "target" and r.dims == "2d" and r.name != "TIMEC_KF"
)
# What training and its scores need; cloud fractions and condensate of the cumulus clouds are taken if they are there.
TRAINING_TARGETS: Final = (
    "NCA",
    "PRATEC",
    *(n for n in TARGET_PROFILES if n.endswith("CUTEN")),
    "CUTOP",
    "CUBOT",
)
