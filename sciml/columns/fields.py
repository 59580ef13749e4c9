"""Which variables of a file its columns are made of."""

from __future__ import annotations

from typing import Final

from sciml.columns.formats import Form
from sciml.wrf.runs import RUN_START
from sciml.wrf.variables import SCHEME_INPUTS, STATE, TARGET_PROFILES, TARGET_SCALARS

__all__ = ["CLASS_FIELDS", "needed"]

_ALWAYS: Final = ("Times", "XTIME", "ITIMESTEP", RUN_START)
_TARGETS: Final = (*TARGET_PROFILES, *TARGET_SCALARS, "TIMEC_KF")
_MOIST: Final = ("QCLOUD", "QRAIN", "QICE", "QSNOW", "QGRAUP", "QHAIL")
_PRESSURE: Final = ("MU", "MUB", "ZNW", "P_TOP", "C1H", "C2H", "C3F", "C3H", *_MOIST)
CLASS_FIELDS: Final = ("NCA", "PRATEC", "CUTOP", "CU_ACT_FLAG", "NCA_IN", "RUN", *_ALWAYS)
"""What tells the class of a column: small fields, enough to plan a store."""


def needed(form: Form, present: set[str], *, truth: bool = False) -> tuple[str, ...]:
    """The variables that columns of such a file are made of, of those it has.

    Parameters
    ----------
    form
        Of the file.
    present
        Names of its variables.
    truth
        Whether a companion tells the targets.
    """
    if form == "wrfout":
        names: tuple[str, ...] = (*STATE, *(() if truth else _TARGETS), *_ALWAYS)
        names += ("P_HYD",) if "P_HYD" in present else _PRESSURE
        names += () if "T" in present else ("THM",)
    elif form == "capture":
        names = (*SCHEME_INPUTS, *_TARGETS, "CU_ACT_FLAG", "NCA_IN", *_ALWAYS)
    else:
        names = (*SCHEME_INPUTS, *_TARGETS, "XTIME", "J", "I", "RUN", "WEIGHT")
    # THM tells that T is the dry potential temperature; its values are not needed then.
    return tuple(name for name in dict.fromkeys(names) if name in present)
