"""The declaration of MSKF, WRF's multi-scale Kain-Fritsch convection scheme (``MSKF_CPS``, cu_physics = 11).

Python takes the names, units, bounds and classes from here. The lists in the C and Fortran sources are generated
from it: run ``python -m sciml.coupling.generated_sources`` after a change. ``tests/schemes`` compares them.
"""

from __future__ import annotations

from typing import Final

from sciml.schemes.field import Diagnostic, Field
from sciml.schemes.scheme import ColumnScheme

__all__ = ["MSKF"]

_WIND: Final = (-500.0, 500.0)
_INPUTS: Final = (
    Field("U_PHY", "U", "u", _WIND, note="grid-relative, at mass points"),
    Field("V_PHY", "V", "v", _WIND, note="grid-relative, at mass points"),
    Field("T_PHY", "T", "t", (100.0, 400.0)),
    Field("QVAPOR", "QV", "qv", (-1.0, 1.0), note="of dry air"),
    Field("P_HYD", "P_HYD", "pcps", (0.0, 2e5), note="hydrostatic"),
    Field("DZ8W", "DZ8W", "dz8w", (0.5, 2e4)),
    Field("RHO", "RHO", "rho", note="moist"),
    Field("PI_PHY", "PI", "pi", (0.01, 10.0), note="Exner function"),
    Field("W0AVG", "W0AVG", "w0avg", _WIND, note="the running mean after its update at this call"),
    Field("ZOL", "ZOL", "zol", (-1e8, 1e8)),
    Field("HFX", "HFX", "hfx", (-1e5, 1e5)),
    Field("UST", "UST", "ust", (0.0, 1e3)),
    Field("PBLH", "PBLH", "pblh", (0.0, 1e5)),
)
_WATER: Final = ("RQVCUTEN", "RQCCUTEN", "RQRCUTEN", "RQICUTEN", "RQSCUTEN")
_TENDENCIES: Final = ("RTHCUTEN", *_WATER, "RUCUTEN", "RVCUTEN")
_PROFILES: Final = (*_TENDENCIES, "CLDFRA_DP", "CLDFRA_SH", "QC_CU", "QI_CU")
_LEVELS: Final = ("CUTOP", "CUBOT")


_NOTES: Final = {
    "NCA": "at most a day in whole DT; -100 where nothing triggers; read too if `held` is set",
    "CUTOP": "the lowest is 1",
    "CUBOT": "the lowest is 1",
}


def _output(name: str) -> Field:
    """Return an output whose enumerator and argument have the name of the variable."""
    note = _NOTES.get(name, "")
    return Field(name, name, name.lower(), is_level=name in _LEVELS, is_read=name == "NCA", note=note)


def _rate(name: str) -> Diagnostic:
    """Return a mass rate of kf_edrates = 1, under WRF's name for its plume or downdraft."""
    return Diagnostic(f"{name}_KF", name, name.lower(), "kg s-1", "through the grid box")


MSKF: Final = ColumnScheme(
    name="mskf",
    cu_physics=11,
    inputs=_INPUTS,
    outputs=tuple(_output(name) for name in (*_PROFILES, "PRATEC", "NCA", *_LEVELS)),
    optional_outputs=(Field("TIMEC_KF", "TIMEC", "timec"),),
    state=("U", "V", "T", "QVAPOR", "P", "PB", "PH", "PHB", "W0AVG", "ZOL", "HFX", "UST", "PBLH"),
    training=("NCA", "PRATEC", *_TENDENCIES, *_LEVELS),
    decisive=("RTHCUTEN", "RQVCUTEN", "NCA", "PRATEC"),
    zero_if_absent=("RQSCUTEN",),
    classes=("none", "shallow", "deep"),
    closures={
        "water": (*_WATER, "PRATEC"),
        "enthalpy": ("RTHCUTEN", "RQVCUTEN"),
        "momentum": ("RUCUTEN", "RVCUTEN"),
    },
    rates=tuple(_rate(name) for name in ("UDR", "DDR", "UER", "DER")),
    prefix="sciml",
)
"""The multi-scale Kain-Fritsch scheme."""
