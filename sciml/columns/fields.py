"""Variables of a file from which its columns are made, and its header for their checks."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import xarray as xr

from sciml.columns.formats import Form
from sciml.schemes.mskf import MSKF
from sciml.wrf import hyperslab
from sciml.wrf.runs import RUN_START

__all__ = ["CLASS_FIELDS", "TARGETS", "needed", "read_header"]

_ALWAYS: Final = ("Times", "XTIME", "ITIMESTEP", RUN_START)
TARGETS: Final = (*MSKF.output_names, *MSKF.optional_names)
"""All outputs of the scheme that a file may have."""
_MOIST: Final = ("QCLOUD", "QRAIN", "QICE", "QSNOW", "QGRAUP", "QHAIL")
_PRESSURE: Final = ("MU", "MUB", "ZNW", "P_TOP", "C1H", "C2H", "C3F", "C3H", *_MOIST)
CLASS_FIELDS: Final = ("NCA", "PRATEC", "CUTOP", "CU_ACT_FLAG", "NCA_IN", "RUN", *_ALWAYS)
"""Variables that determine the class of a column; a store is planned from these small fields."""


def read_header(path: str | Path) -> xr.Dataset:
    """Read the header of a file, with the units of the variables from which inputs are derived.

    Raises
    ------
    InputError
        The file does not exist, is not NetCDF, or is truncated.
    """
    return hyperslab.read_header(path, (*MSKF.state, "THM", "P_HYD"))


def needed(form: Form, present: set[str], *, truth: bool = False) -> tuple[str, ...]:
    """Return the variables of a file from which its columns are made.

    Parameters
    ----------
    form
        Form of the file.
    present
        Names of the variables in the file.
    truth
        Whether a companion has the targets.
    """
    if form == "wrfout":
        names: tuple[str, ...] = (*MSKF.state, *(() if truth else TARGETS), *_ALWAYS)
        names += ("P_HYD",) if "P_HYD" in present else _PRESSURE
        names += () if "T" in present else ("THM",)
    elif form == "capture":
        names = (*MSKF.input_names, *TARGETS, "CU_ACT_FLAG", "NCA_IN", *_ALWAYS)
    else:
        names = (*MSKF.input_names, *TARGETS, "XTIME", "J", "I", "RUN", "WEIGHT")
    # If the file has THM, T is the dry potential temperature, and the values of THM are not needed.
    return tuple(name for name in dict.fromkeys(names) if name in present)
