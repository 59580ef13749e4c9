"""Fields that WRF passes to its physics, derived from the variables of a wrfout.

The formulas and their order are those of WRF's preparation of the physics step, in single precision. A column made
from a file is therefore the column that the scheme received, except for the step between the call and the output.
All functions are lazy if their input is lazy, and do not change it.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import xarray as xr

from sciml import constants
from sciml.constants import CP_DRY, P_ZERO, R_DRY, R_VAPOUR, THETA_BASE
from sciml.errors import InputError
from sciml.wrf.missing import missing
from sciml.wrf.origin import other_origin, wrf_version
from sciml.wrf.projection import number
from sciml.wrf.requirements import STAGGERED, require, require_all, where
from sciml.wrf.variables import TABLE
from sciml.wrf.vertical import dry_mass_factors, pressure_source, warn_assumed, warn_of_pressure

__all__ = [
    "CP",
    "GRAVITY",
    "P0",
    "RD",
    "RV",
    "density",
    "destagger",
    "exner",
    "face_height",
    "height",
    "hydrostatic_pressure",
    "layer_thickness",
    "potential_temperature",
    "pressure",
    "temperature",
    "theta_source",
    "wind",
]

RD: Final = np.float32(R_DRY)
RV: Final = np.float32(R_VAPOUR)
CP: Final = np.float32(CP_DRY)
P0: Final = np.float32(P_ZERO)
GRAVITY: Final = np.float32(constants.GRAVITY)
T0: Final = np.float32(THETA_BASE)

_SPECIES: Final = ("QVAPOR", "QCLOUD", "QRAIN", "QICE", "QSNOW", "QGRAUP", "QHAIL")


def labelled(array: xr.DataArray, name: str, comment: str = "") -> xr.DataArray:
    """Return the array with a name, and with the CF attributes of its row in the table if there is one."""
    row = TABLE.get(name)
    attrs: dict[str, str] = {}
    if row is not None:
        attrs = {"long_name": row.long_name, "units": row.units}
        if row.standard_name:
            attrs["standard_name"] = row.standard_name
    if comment:
        attrs["comment"] = comment
    out = array.rename(name)
    out.attrs = attrs
    return out


def destagger(array: xr.DataArray, dim: str) -> xr.DataArray:
    """Average neighbouring faces onto the mass points between them.

    Parameters
    ----------
    array
        Array with the staggered dimension `dim`, of n + 1 faces.
    dim
        Name of the staggered dimension (``*_stag``).

    Returns
    -------
    xr.DataArray
        n mass points along the unstaggered dimension, in the same units. Exact for fields that are linear in the
        index.

    Examples
    --------
    >>> faces = xr.DataArray([1.0, 3.0, 7.0], dims="bottom_top_stag")
    >>> destagger(faces, "bottom_top_stag").values
    array([2., 5.])
    """
    half = array.dtype.type(0.5)
    low = array.isel({dim: slice(None, -1)})
    high = array.isel({dim: slice(1, None)})
    # Without coordinates: those of the faces (XLAT_U ...) are not those of the mass points.
    mean = xr.DataArray(half * (low.data + high.data), dims=array.dims)
    on_mass = mean.rename({dim: dim.removesuffix("_stag")})
    shared = {k: v for k, v in array.coords.items() if not set(v.dims) & set(STAGGERED)}
    return on_mass.assign_coords(shared)


def wind(ds: xr.Dataset) -> tuple[xr.DataArray, xr.DataArray]:
    """Winds along the grid's axes at mass points [m s-1]."""
    u, v = require_all(ds, ("U", "V"))
    u, v = destagger(u, "west_east_stag"), destagger(v, "south_north_stag")
    return labelled(u, "U_PHY"), labelled(v, "V_PHY")


def pressure(ds: xr.Dataset) -> xr.DataArray:
    """Full (non-hydrostatic) pressure P + PB [Pa]."""
    perturbation, base = require_all(ds, ("P", "PB"))
    out = (perturbation + base).rename("P_TOTAL")
    out.attrs = {"standard_name": "air_pressure", "long_name": "pressure", "units": "Pa"}
    return out


def exner(ds: xr.Dataset, full_pressure: xr.DataArray | None = None) -> xr.DataArray:
    """Exner function of the full pressure, (p / 1e5 Pa) ** (Rd / cp)."""
    p = pressure(ds) if full_pressure is None else full_pressure
    return labelled((p / P0) ** (RD / CP), "PI_PHY")


def theta_source(ds: xr.Dataset) -> tuple[str, bool]:
    """Return the name of the variable with the potential temperature, and whether it is the moist one.

    In WRF up to 3.6, and in every version without `use_theta_m`, T is the dry potential temperature. Since WRF 4.0 T
    is always dry, and THM is written too, moist if USE_THETA_M is 1. In WRF 3.7 to 3.9 T is moist if USE_THETA_M = 1.
    Its description then begins with "either 1) pert moist", which decides; without a description, the version in TITLE
    decides.

    Raises
    ------
    InputError
        The attribute USE_THETA_M decides and is missing.
    MissingVariable
        The dataset has neither T nor THM.

    Warns
    -----
    AssumedInput
        USE_THETA_M, TITLE and the description are all missing: T is taken as dry.
    """
    known = "USE_THETA_M" in ds.attrs
    moist = known and number(ds, "USE_THETA_M") == 1
    version = wrf_version(ds)
    if "T" in ds.variables:
        if "THM" in ds.variables or (known and not moist):
            return "T", False
        text = str(ds["T"].attrs.get("description", ""))
        between = version is not None and (3, 7) <= version < (4, 0)
        may_be_moist = "moist" in text or (not text and between)
        if may_be_moist and not known:
            raise InputError(_lost(ds, "T"))
        if not known and not text and version is None:
            text = (
                f"{where(ds)} has lost the attributes USE_THETA_M and TITLE: T is taken as the dry potential "
                "temperature, as in WRF up to 3.6 and from 4.0 on; for WRF 3.7 to 3.9 set ds.attrs['USE_THETA_M'] to "
                "use_theta_m of the namelist"
            )
            warn_assumed(ds, text, stacklevel=4)
        return "T", may_be_moist
    if "THM" in ds.variables:
        if not known:
            raise InputError(_lost(ds, "THM"))
        return "THM", moist
    raise missing("T", where(ds), origin=other_origin(ds))


def _lost(ds: xr.Dataset, name: str) -> str:
    return (
        f"{where(ds)} has lost the attribute USE_THETA_M, which decides whether {name} is the moist potential "
        "temperature: set it to use_theta_m of the namelist, ds.attrs['USE_THETA_M'] = 0 or 1"
    )


def potential_temperature(ds: xr.Dataset) -> xr.DataArray:
    """Dry potential temperature [K]; the attribute `comment` describes how it was derived."""
    name, moist = theta_source(ds)
    theta = require(ds, name) + T0
    comment = f"{name} + 300 K, dry as written"
    if moist:
        theta = theta / (np.float32(1) + RV / RD * require(ds, "QVAPOR"))
        comment = f"({name} + 300 K) / (1 + Rv/Rd QVAPOR): {name} is moist in this file (USE_THETA_M = 1)"
    out = theta.rename("TH_PHY")
    out.attrs = {
        "standard_name": "air_potential_temperature",
        "long_name": "dry potential temperature",
        "units": "K",
        "comment": comment,
    }
    return out


def temperature(ds: xr.Dataset, pi: xr.DataArray | None = None) -> xr.DataArray:
    """Air temperature [K]."""
    theta = potential_temperature(ds)
    return labelled(theta * (exner(ds) if pi is None else pi), "T_PHY", f"theta = {theta.attrs['comment']}")


def density(
    ds: xr.Dataset, full_pressure: xr.DataArray | None = None, t: xr.DataArray | None = None
) -> xr.DataArray:
    """Density of moist air [kg m-3]: p (1 + q) / (Rd T (1 + Rv/Rd q)) with the full pressure and mixing
    ratio q.

    The captured arguments of the scheme follow this to 4e-7.
    """
    q = require(ds, "QVAPOR")
    unity = np.float32(1)
    p = pressure(ds) if full_pressure is None else full_pressure
    out = p / (RD * (temperature(ds) if t is None else t) * (unity + RV / RD * q)) * (unity + q)
    return labelled(out, "RHO")


def face_height(ds: xr.Dataset) -> xr.DataArray:
    """Geopotential height of the layer faces [m], (PH + PHB) / 9.81."""
    perturbation, base = require_all(ds, ("PH", "PHB"))
    out = ((perturbation + base) / GRAVITY).rename("Z_AT_W")
    out.attrs = {
        "standard_name": "geopotential_height",
        "long_name": "height of the layer faces",
        "units": "m",
    }
    return out


def height(ds: xr.Dataset) -> xr.DataArray:
    """Geopotential height of the mass levels [m]: the mean of the faces."""
    out = destagger(face_height(ds), "bottom_top_stag").rename("Z")
    out.attrs = {
        "standard_name": "geopotential_height",
        "long_name": "height of the mass levels",
        "units": "m",
    }
    return out


def layer_thickness(ds: xr.Dataset) -> xr.DataArray:
    """Thickness of the layers [m]: differences of (PH + PHB) / 9.81 between faces."""
    z = face_height(ds)
    dim = "bottom_top_stag"
    thick = z.isel({dim: slice(1, None)}).data - z.isel({dim: slice(None, -1)}).data
    out = xr.DataArray(thick, dims=z.dims).rename({dim: "bottom_top"})
    return labelled(out.assign_coords(z.coords), "DZ8W")


def hydrostatic_pressure(ds: xr.Dataset) -> xr.DataArray:
    """Hydrostatic pressure of moist air at the mass points [Pa].

    P_HYD if the file has it. Otherwise it is rebuilt as in WRF: from P_TOP downward, layer by layer, the
    weight (1 + sum of the mixing ratios) * (C1H * (MU + MUB) + C2H) * d(eta), and the mean of the two faces
    of a layer. C1H and C2H are those of the file, or are derived exactly from each other, from C3F or C3H, or from
    the attributes HYBRID_OPT = 2 and ETAC (Klemp 2011); with HYBRID_OPT = 0, and before WRF 3.9, the levels follow
    the terrain. If the coordinate is not known, or ZNW, MU, MUB or P_TOP are missing, P + PB is used instead (the
    outputs of the scheme then agree to R2 0.999). The attribute `comment` describes the derivation.

    Warns
    -----
    AssumedInput
        P + PB is used; the warning names the missing variables.
    """
    source, why = pressure_source(ds)
    if source == "file":
        return labelled(require(ds, "P_HYD"), "P_HYD", "as written by WRF")
    if source == "full":
        out = labelled(pressure(ds), "P_HYD", f"P + PB: the file does not have {why}")
        warn_of_pressure(ds, stacklevel=3)
        return out
    return rebuilt_hydrostatic_pressure(ds)


def rebuilt_hydrostatic_pressure(ds: xr.Dataset) -> xr.DataArray:
    """Rebuild the pressure as described in `hydrostatic_pressure`, also if the file has P_HYD."""
    source, _ = pressure_source(ds.drop_vars("P_HYD", errors="ignore"))
    require_all(ds, ("MU", "MUB", "ZNW", "QVAPOR"))
    for name in ("P_TOP", "PB"):
        if name in ds.variables:
            require(ds, name)
    mass, thickness, top, comment = dry_mass_factors(ds, source)
    water = sum(
        (require(ds, name).astype("float64") for name in _SPECIES[1:] if name in ds.variables),
        ds["QVAPOR"].astype("float64"),
    )
    weight = (1.0 + water) * mass * thickness
    weight = weight.transpose(*ds["QVAPOR"].dims)
    # Sum from the top down: the weight above a layer, and half of its own weight.
    above = (
        weight.isel(bottom_top=slice(None, None, -1))
        .cumsum("bottom_top")
        .isel(bottom_top=slice(None, None, -1))
    )
    out = (top + above - 0.5 * weight).transpose(*ds["QVAPOR"].dims)
    of = f"rebuilt from P_TOP, ZNW, MU + MUB and the mixing ratios{comment}"
    return labelled(out.astype("float32"), "P_HYD", of)
