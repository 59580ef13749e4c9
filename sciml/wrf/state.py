"""What the physics of WRF sees, derived from what a wrfout holds.

The formulas and their order are those of WRF's own preparation of the physics step, in single precision, so
that a column made from a file is the column the scheme was given, but for the step between call and output.
All functions are lazy where their input is lazy, and mutate nothing.
"""

from __future__ import annotations

import re
from typing import Final

import numpy as np
import xarray as xr

from sciml.errors import InputError
from sciml.wrf.table import TABLE, missing

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
    "require",
    "require_faces",
    "require_frames",
    "temperature",
    "theta_source",
    "wind",
]

RD: Final = np.float32(287.0)
RV: Final = np.float32(461.6)
CP: Final = np.float32(1004.5)  # 7 * RD / 2, the value WRF uses
P0: Final = np.float32(1.0e5)
GRAVITY: Final = np.float32(9.81)
T0: Final = np.float32(300.0)

_SPECIES: Final = ("QVAPOR", "QCLOUD", "QRAIN", "QICE", "QSNOW", "QGRAUP", "QHAIL")
_STAGGERED: Final = ("west_east_stag", "south_north_stag", "bottom_top_stag")


def where(ds: xr.Dataset) -> str:
    """The file a dataset came from, for messages."""
    return str(ds.encoding.get("source", ds.attrs.get("SOURCE", "the dataset")))


def require(ds: xr.Dataset, name: str, why: str = "") -> xr.DataArray:
    """A variable of the dataset.

    Raises
    ------
    MissingVariable
        With the `iofields` line that makes WRF write it.
    InputError
        It sits on faces that do not fit the grid (`require_faces`).
    """
    if name not in ds.variables:
        raise missing(name, where(ds), why)
    found = ds[name]
    if any(dim in _STAGGERED for dim in found.dims):
        require_faces(ds)
    return found


def require_faces(ds: xr.Dataset) -> None:
    """Refuse a dataset whose grid was cropped and its faces not, or the other way round.

    Raises
    ------
    InputError
        A staggered dimension is not one longer than the mass points.
    """
    for stag in _STAGGERED:
        dim = stag.removesuffix("_stag")
        if stag in ds.sizes and dim in ds.sizes and ds.sizes[stag] != ds.sizes[dim] + 1:
            mass, faces = ds.sizes[dim], ds.sizes[stag]
            raise InputError(
                f"{where(ds)} has {dim} = {mass} but {stag} = {faces}, which must be {mass + 1}: crop both "
                f"alike, as in ds.isel({dim}=slice(0, {mass}), {stag}=slice(0, {mass + 1}))"
            )


def require_frames(ds: xr.Dataset) -> None:
    """Refuse a dataset without the dimension Time.

    Raises
    ------
    InputError
        Telling how to choose one frame and keep the dimension.
    """
    if "Time" not in ds.dims:
        raise InputError(
            f"{where(ds)} has no dimension Time (dimensions: {', '.join(map(str, ds.dims)) or 'none'}): of "
            "WRF output, choose one frame by a list, ds.isel(Time=[0]), which keeps it"
        )


def labelled(array: xr.DataArray, name: str, comment: str = "") -> xr.DataArray:
    """The array with the name and the CF attributes of the table's row (or of the given name alone)."""
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
        With the dimension `dim`, a staggered one (``*_stag``), of n + 1 faces.
    dim
        Which.

    Returns
    -------
    xr.DataArray
        n mass points along the dimension's unstaggered name; same units. Exact for fields linear in the
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
    # Bare data: coordinates on the faces (XLAT_U ...) are not those of the mass points.
    mean = xr.DataArray(half * (low.data + high.data), dims=array.dims)
    on_mass = mean.rename({dim: dim.removesuffix("_stag")})
    shared = {k: v for k, v in array.coords.items() if not set(v.dims) & set(_STAGGERED)}
    return on_mass.assign_coords(shared)


def wind(ds: xr.Dataset) -> tuple[xr.DataArray, xr.DataArray]:
    """Winds along the grid's axes at mass points [m s-1]."""
    u = destagger(require(ds, "U"), "west_east_stag")
    v = destagger(require(ds, "V"), "south_north_stag")
    return labelled(u, "U_PHY"), labelled(v, "V_PHY")


def pressure(ds: xr.Dataset) -> xr.DataArray:
    """Full (non-hydrostatic) pressure P + PB [Pa]."""
    out = (require(ds, "P") + require(ds, "PB")).rename("P_TOTAL")
    out.attrs = {"standard_name": "air_pressure", "long_name": "pressure", "units": "Pa"}
    return out


def exner(ds: xr.Dataset, full_pressure: xr.DataArray | None = None) -> xr.DataArray:
    """Exner function of the full pressure, (p / 1e5 Pa) ** (Rd / cp)."""
    p = pressure(ds) if full_pressure is None else full_pressure
    return labelled((p / P0) ** (RD / CP), "PI_PHY")


def theta_source(ds: xr.Dataset) -> tuple[str, bool]:
    """Which variable holds the potential temperature, and whether it is the moist one.

    WRF 3.x up to 3.6 and every version without `use_theta_m` writes the dry one as T. Since 4.0 T is dry in
    any case and THM is beside it, moist if USE_THETA_M is 1. In between (3.7 to 3.9) T itself was the moist
    one under USE_THETA_M = 1; its description then begins "either 1) pert moist", which decides here, and
    where there is no description, the version in TITLE.
    """
    moist = int(ds.attrs.get("USE_THETA_M", 0)) == 1
    if "T" in ds.variables:
        if not moist or "THM" in ds.variables:
            return "T", False
        text = str(ds["T"].attrs.get("description", ""))
        version = re.search(r"V(\d+)\.(\d+)", str(ds.attrs.get("TITLE", "")))
        between = version is not None and (3, 7) <= (int(version[1]), int(version[2])) < (4, 0)
        return "T", "moist" in text or (not text and between)
    if "THM" in ds.variables:
        return "THM", moist
    raise missing("T", where(ds))


def potential_temperature(ds: xr.Dataset) -> xr.DataArray:
    """Dry potential temperature [K]; the attribute `comment` says from what it was made."""
    name, moist = theta_source(ds)
    theta = ds[name] + T0
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
    one = np.float32(1)
    p = pressure(ds) if full_pressure is None else full_pressure
    out = p / (RD * (temperature(ds) if t is None else t) * (one + RV / RD * q)) * (one + q)
    return labelled(out, "RHO")


def face_height(ds: xr.Dataset) -> xr.DataArray:
    """Geopotential height of the layer faces [m], (PH + PHB) / 9.81."""
    out = ((require(ds, "PH") + require(ds, "PHB")) / GRAVITY).rename("Z_AT_W")
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

    P_HYD where the file has it. Else it is rebuilt as WRF does: from P_TOP downward, layer by layer, the
    weight (1 + sum of the mixing ratios) * (C1H * (MU + MUB) + C2H) * d(eta), and the mean of the two faces
    of a layer; without C1H and C2H (WRF before 3.9) the column mass itself. Where ZNW, MU, MUB or P_TOP are
    absent too, P + PB stands in (the scheme's answers then agree to R2 0.999). The attribute `comment` says
    which it was.
    """
    if "P_HYD" in ds.variables:
        return labelled(ds["P_HYD"], "P_HYD", "as written by WRF")
    if any(name not in ds.variables for name in ("MU", "MUB", "ZNW", "P_TOP", "QVAPOR")):
        return labelled(pressure(ds), "P_HYD", "P + PB: the file holds neither P_HYD nor MU, MUB, ZNW, P_TOP")
    return rebuilt_hydrostatic_pressure(ds)


def rebuilt_hydrostatic_pressure(ds: xr.Dataset) -> xr.DataArray:
    """The reconstruction described in `hydrostatic_pressure`, whether or not the file has P_HYD."""
    mass = (ds["MU"] + ds["MUB"]).astype("float64")
    eta = ds["ZNW"].astype("float64")
    face = "bottom_top_stag"
    upper, lower = eta.isel({face: slice(1, None)}), eta.isel({face: slice(None, -1)})
    thickness = xr.DataArray(lower.data - upper.data, dims=eta.dims).rename({face: "bottom_top"})
    water = sum(
        (ds[name].astype("float64") for name in _SPECIES[1:] if name in ds.variables),
        ds["QVAPOR"].astype("float64"),
    )
    dry = mass
    if "C1H" in ds.variables and "C2H" in ds.variables:
        dry = ds["C1H"] * mass + ds["C2H"]
    weight = (1.0 + water) * dry * thickness
    weight = weight.transpose(*ds["QVAPOR"].dims)
    # Sum from the top down: all the weight above a layer, and half its own.
    above = (
        weight.isel(bottom_top=slice(None, None, -1))
        .cumsum("bottom_top")
        .isel(bottom_top=slice(None, None, -1))
    )
    out = (ds["P_TOP"].astype("float64") + above - 0.5 * weight).transpose(*ds["QVAPOR"].dims)
    return labelled(out.astype("float32"), "P_HYD", "rebuilt from P_TOP, ZNW, MU + MUB and the mixing ratios")
