"""Vertical coordinate of WRF: the dry mass of a layer, and the sources of the hydrostatic pressure.

The dry mass of a layer is (C1H (MU + MUB) + C2H) times its thickness in eta, where C1H is dB/deta of
B(eta) on the layer, and C2H = (1 - C1H) (1e5 Pa - P_TOP). The terrain-following coordinate has B = eta, the
hybrid one (HYBRID_OPT = 2) the cubic of Klemp (2011, Mon. Wea. Rev. 139, 2163-2169) with ETAC.
"""

from __future__ import annotations

import warnings
from typing import Final, Literal

import numpy as np
import numpy.typing as npt
import xarray as xr

from sciml.constants import P_ZERO
from sciml.wrf.origin import wrf_version
from sciml.wrf.requirements import where

__all__ = [
    "AssumedInput",
    "b_of_eta",
    "dry_mass_factors",
    "pressure_source",
    "warn_assumed",
    "warn_of_pressure",
]

_FACE: Final = "bottom_top_stag"

PressureSource = Literal["file", "C1H", "C2H", "C3F", "C3H", "ETAC", "terrain", "full"]
_COMMENTS: Final[dict[str, str]] = {
    "C1H": "",
    "C2H": "; C1H or C2H from the other, C2H = (1 - C1H) (1e5 Pa - P_TOP)",
    "C3F": "; C1H and C2H from C3F, C1H = dC3F/deta",
    "C3H": "; C1H and C2H from C3H, the mean of C3F on the two faces",
    "ETAC": "; C1H and C2H from ETAC, by the cubic B(eta) of Klemp (2011)",
    "terrain": "; terrain-following levels",
}


class AssumedInput(UserWarning):
    """Warning: an approximation is used for a variable or attribute that a file does not have."""


def b_of_eta(eta: npt.NDArray[np.float64], etac: float) -> npt.NDArray[np.float64]:
    """B(eta) of WRF's hybrid coordinate: 1 with slope 1 at the ground, 0 with slope 0 at and above `etac`.

    Examples
    --------
    >>> b_of_eta(np.array([0.1, 0.2, 1.0]), 0.2).round(12)
    array([0., 0., 1.])
    """
    c = etac
    b = 2 * c**2 - c * (4 + c + c**2) * eta + 2 * (1 + c + c**2) * eta**2 - (1 + c) * eta**3
    return np.where(eta < c, 0.0, b / (1 - c) ** 3)


def _number(ds: xr.Dataset, name: str) -> float | None:
    try:
        return float(ds.attrs[name])
    except (KeyError, TypeError, ValueError):
        return None


def pressure_source(ds: xr.Dataset) -> tuple[PressureSource, str]:
    """Source of the hydrostatic pressure, and the missing variables if it is an approximation.

    Only the names of variables and the global attributes are examined.

    Returns
    -------
    source
        "file": P_HYD itself; "C1H", "C2H", "C3F", "C3H", "ETAC": the mass formula with coefficients of the file, or
        derived exactly from them; "terrain": the mass formula of terrain-following levels; "full": P + PB.
    why
        Missing variables and attributes; "" if the source is exact.
    """
    has = set(map(str, ds.variables))
    if "P_HYD" in has:
        return "file", ""
    absent = [name for name in ("MU", "MUB", "ZNW", "QVAPOR") if name not in has]
    if absent:
        return "full", f"P_HYD and {', '.join(absent)}"
    source = _coordinate(ds, has)
    if source == "full":
        lost = "" if "HYBRID_OPT" in ds.attrs else ", the attribute HYBRID_OPT"
        return "full", f"P_HYD, C1H, C2H{lost}{'' if 'ETAC' in ds.attrs else ', the attribute ETAC'}"
    if "P_TOP" not in has and _top_source(ds, has, source) == "":
        return "full", "P_HYD and P_TOP"
    return source, ""


def _coordinate(ds: xr.Dataset, has: set[str]) -> PressureSource:
    if "C1H" in has:
        return "C1H" if "C2H" in has else "C2H"
    if "C2H" in has:
        return "C2H" if "P_TOP" in has else "full"
    option, etac = _number(ds, "HYBRID_OPT"), _number(ds, "ETAC")
    if option == 0:
        return "terrain"
    if "C3F" in has:
        return "C3F"
    if "C3H" in has:
        return "C3H"
    if option == 2 and etac is not None and 0 < etac < 1:
        return "ETAC"
    version = wrf_version(ds)
    # WRF up to 3.8 has neither hybrid levels nor the attribute; later versions always write HYBRID_OPT.
    if option is None and etac is None and version is not None and version < (3, 9):
        return "terrain"
    return "full"


def _top_source(ds: xr.Dataset, has: set[str], source: PressureSource) -> str:
    """Method to derive P_TOP from the base state; "" if there is none."""
    if "PB" not in has:
        return ""
    if "C3H" in has:
        return "C3H"
    option = _number(ds, "HYBRID_OPT")
    if source == "terrain" or option == 0:
        return "terrain"
    return "ETAC" if option == 2 and _number(ds, "ETAC") is not None else ""


def _top(ds: xr.Dataset, source: PressureSource) -> tuple[xr.DataArray, str]:
    """P_TOP [Pa], from the file or from the base state: PB = C3H MUB + (eta - C3H) (1e5 Pa - P_TOP) + P_TOP."""
    if "P_TOP" in ds.variables:
        return ds["P_TOP"].astype("float64"), ""
    kind = _top_source(ds, set(map(str, ds.variables)), source)
    faces = ds["ZNW"].astype("float64")
    eta = 0.5 * (faces.isel({_FACE: -1}) + faces.isel({_FACE: -2}))
    if kind == "C3H":
        share = ds["C3H"].astype("float64").isel(bottom_top=-1)
    elif kind == "terrain":
        share = eta
    else:
        on_faces = _b(ds)
        share = 0.5 * (on_faces.isel({_FACE: -1}) + on_faces.isel({_FACE: -2}))
    base = ds["PB"].astype("float64").isel(bottom_top=-1)
    top = (base - share * ds["MUB"].astype("float64") - (eta - share) * P_ZERO) / (1 - eta + share)
    return top, "; P_TOP from PB, MUB and eta of the highest level"


def _b(ds: xr.Dataset) -> xr.DataArray:
    """B(eta) on the faces from the attribute ETAC."""
    faces = ds["ZNW"].astype("float64")
    return faces.copy(data=b_of_eta(np.asarray(faces.values), float(ds.attrs["ETAC"])))


def _share_on_faces(ds: xr.Dataset, source: PressureSource) -> xr.DataArray:
    """B on the faces: C3F, or integrated from C3H downward from the top, where B is 0."""
    if source == "C3F":
        return ds["C3F"].astype("float64")
    if source == "ETAC":
        return _b(ds)
    half = ds["C3H"].astype("float64").transpose(..., "bottom_top")
    out = np.zeros((*half.shape[:-1], half.sizes["bottom_top"] + 1))
    for k in reversed(range(half.sizes["bottom_top"])):
        out[..., k] = 2 * half.values[..., k] - out[..., k + 1]
    return xr.DataArray(out, dims=(*half.dims[:-1], _FACE))


def _by_layer(faces: xr.DataArray) -> xr.DataArray:
    """Differences between the lower and the upper face of each layer."""
    lower, upper = faces.isel({_FACE: slice(None, -1)}), faces.isel({_FACE: slice(1, None)})
    return xr.DataArray(lower.data - upper.data, dims=faces.dims).rename({_FACE: "bottom_top"})


def dry_mass_factors(
    ds: xr.Dataset, source: PressureSource
) -> tuple[xr.DataArray, xr.DataArray, xr.DataArray, str]:
    """Factors of the dry mass of a layer, for the source from `pressure_source`.

    Returns
    -------
    mass
        C1H (MU + MUB) + C2H [Pa].
    thickness
        Thickness of the layers in eta.
    top
        P_TOP [Pa].
    comment
        Description of the derivation.
    """
    column = (ds["MU"] + ds["MUB"]).astype("float64")
    thickness = _by_layer(ds["ZNW"].astype("float64"))
    top, comment = _top(ds, source)
    comment = _COMMENTS[source] + comment
    if source == "terrain":
        return column, thickness, top, comment
    if source in ("C3F", "C3H", "ETAC"):
        share = _by_layer(_share_on_faces(ds, source)) / thickness
    elif "C1H" in ds.variables:
        share = ds["C1H"].astype("float64")
    else:
        share = 1 - ds["C2H"].astype("float64") / (P_ZERO - top)
    fixed = ds["C2H"].astype("float64") if "C2H" in ds.variables else (1 - share) * (P_ZERO - top)
    return share * column + fixed, thickness, top, comment


def warn_of_pressure(ds: xr.Dataset, *, stacklevel: int = 2) -> None:
    """Warn if P + PB is used for the hydrostatic pressure; the warning names the missing variables."""
    source, why = pressure_source(ds)
    if source == "full":
        text = (
            f"{where(ds)} does not have {why}: P + PB is used as the hydrostatic pressure (the outputs of the scheme "
            "then agree to R2 0.999); for the exact pressure use the file as WRF wrote it"
        )
        warn_assumed(ds, text, stacklevel=stacklevel + 1)


def warn_assumed(ds: xr.Dataset, text: str, *, stacklevel: int = 2) -> None:
    """Warn about an approximation; not for a slab (`sciml.wrf.hyperslab`), whose header already caused the warning."""
    if not ds.encoding.get("piece"):
        warnings.warn(text, AssumedInput, stacklevel=stacklevel + 1)
