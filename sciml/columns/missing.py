"""Variables of the scheme that a wrfout does not have: inputs, and outputs that training needs."""

from __future__ import annotations

from typing import Final

import xarray as xr

from sciml.errors import InputError, MissingVariable
from sciml.schemes.mskf import MSKF
from sciml.wrf.missing import describe_missing
from sciml.wrf.origin import other_origin
from sciml.wrf.requirements import where
from sciml.wrf.units import check_units

__all__ = [
    "absent_inputs",
    "absent_targets",
    "other_scheme",
    "require_inputs",
    "require_scheme",
    "rerun_setting",
]

DECIDES: Final = "W0AVG determines where convection starts, and no other variable can replace it"


def absent_inputs(ds: xr.Dataset) -> list[str]:
    """Variables from which the inputs of the scheme are derived and that a wrfout does not have."""
    names = [name for name in MSKF.state if name not in ds.variables]
    return [name for name in names if name != "T" or "THM" not in ds.variables]


def absent_targets(ds: xr.Dataset) -> list[str]:
    """Outputs that training needs and that a wrfout does not have.

    If RQSCUTEN is the only one, the list is empty: it is numerically zero in this scheme, and is taken as zero.
    """
    names = [name for name in MSKF.training if name not in ds.variables]
    return [] if set(names) <= set(MSKF.zero_if_absent) else names


def other_scheme(ds: xr.Dataset) -> int | None:
    """CU_PHYSICS if another scheme than MSKF ran; None if MSKF ran or the attribute is missing."""
    try:
        scheme = int(ds.attrs["CU_PHYSICS"])
    except (KeyError, TypeError, ValueError):
        return None
    return None if scheme == MSKF.cu_physics else scheme


def require_scheme(scheme: int | None, source: str) -> None:
    """Check that the outputs in a file of pairs or captured calls are those of MSKF.

    Parameters
    ----------
    scheme
        The result of `other_scheme`.
    source
        Name of the file.

    Raises
    ------
    InputError
        Another scheme made them.
    """
    if scheme is not None:
        raise InputError(
            f"{source} has outputs of cu_physics={scheme}, not of MSKF: give pairs of a run with cu_physics = "
            f"{MSKF.cu_physics}"
        )


def rerun_setting(ds: xr.Dataset) -> str:
    """Namelist setting with which WRF must run again, if another scheme than MSKF ran; else ""."""
    scheme = other_scheme(ds)
    return "" if scheme is None else f"cu_physics = {MSKF.cu_physics} (it was made with {scheme})"


def require_inputs(ds: xr.Dataset, *, truth: bool = False) -> None:
    """Check that a wrfout has the variables from which the inputs of the scheme are derived, in WRF's units.

    Parameters
    ----------
    truth
        Whether a companion has the targets, so that WRF need not write them.

    Raises
    ------
    MissingVariable
        Lists all missing variables, with the `iofields` line for those that WRF does not write by default and for
        the targets of training.
    InputError
        A variable has other units than WRF's.
    """
    names = absent_inputs(ds)
    if names:
        raise MissingVariable(
            describe_missing(
                names,
                where(ds),
                origin=other_origin(ds),
                why=DECIDES if "W0AVG" in names else "",
                training=[] if truth else absent_targets(ds),
                run_with=rerun_setting(ds),
            )
        )
    for name in (*MSKF.state, "THM", "P_HYD"):
        if name in ds.variables:
            check_units(name, ds[name].attrs, where(ds))
