"""What a file does not have of what a purpose needs, and what to do about it: all of it in one message.

Some variables WRF writes to every wrfout: where one is absent, the file is a subset or no wrfout. Others it
writes only where a line of the file named by `iofields_filename` asks for them: then WRF must run again, so the
first message lists every such variable.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

import xarray as xr

from sciml.errors import MissingVariable
from sciml.wrf.origin import other_origin
from sciml.wrf.units import check_units
from sciml.wrf.variables import STATE, TABLE, TRAINING_TARGETS

__all__ = [
    "MSKF",
    "absent_inputs",
    "absent_targets",
    "describe_missing",
    "iofields_line",
    "missing",
    "other_scheme",
    "require_inputs",
    "where",
]

MSKF: Final = 11
"""The value of cu_physics that selects the scheme."""
DECIDES: Final = "W0AVG decides where convection starts, and no other variable stands for it"


def where(ds: xr.Dataset) -> str:
    """The file a dataset came from, for messages."""
    return str(ds.encoding.get("source", ds.attrs.get("SOURCE", "the dataset")))


def iofields_line(names: Iterable[str]) -> str:
    """The line for the file named by `iofields_filename` that makes WRF write these variables.

    Examples
    --------
    >>> iofields_line(["W0AVG", "ZOL"])
    '+:h:0:W0AVG,ZOL'
    """
    return f"+:h:0:{','.join(names)}"


def absent_inputs(ds: xr.Dataset) -> list[str]:
    """The variables of a wrfout that the inputs of the scheme are made of and that are not there."""
    names = [name for name in STATE if name not in ds.variables]
    return [name for name in names if name != "T" or "THM" not in ds.variables]


def absent_targets(ds: xr.Dataset) -> list[str]:
    """The variables that training needs beside the inputs and that are not there.

    Where RQSCUTEN alone is absent, nothing is: it is numerically nil in this scheme, and taken as zero.
    """
    names = [name for name in TRAINING_TARGETS if name not in ds.variables]
    return [] if names == ["RQSCUTEN"] else names


def other_scheme(ds: xr.Dataset) -> int | None:
    """CU_PHYSICS where another scheme than MSKF ran; None where MSKF did, or it is not known."""
    try:
        scheme = int(ds.attrs["CU_PHYSICS"])
    except (KeyError, TypeError, ValueError):
        return None
    return None if scheme == MSKF else scheme


def _on_request(name: str) -> bool:
    """Whether WRF writes a variable only where an `iofields` line asks for it."""
    row = TABLE.get(name)
    return row is None or not row.stream


def _listed(names: Sequence[str]) -> str:
    if len(names) > 2:
        return ", ".join(names)
    rows = [TABLE.get(name) for name in names]
    return ", ".join(f"{n} ({r.long_name}, {r.units})" if r else n for n, r in zip(names, rows, strict=True))


def describe_missing(
    names: Sequence[str],
    source: str,
    *,
    origin: str = "",
    why: str = "",
    training: Sequence[str] = (),
    scheme: int | None = None,
) -> str:
    """What is missing and what to do about it.

    Parameters
    ----------
    names
        What is needed and not there.
    source
        The file.
    origin
        What the file is if it is no wrfout (`other_origin`).
    why
        Why it is needed.
    training
        What training would need too: it goes into the same `iofields` line, so that WRF runs again only once.
    scheme
        The value of cu_physics where another scheme than MSKF ran, which keeps none of these variables.
    """
    because = f": {why}" if why else ""
    verb = "is" if len(names) == 1 else "are"
    if origin:
        return (
            f"{_listed(names)} {verb} not in {source}, which is {origin}{because}; give the wrfout itself, as WRF "
            "wrote it"
        )
    asked, always = [n for n in names if _on_request(n)], [n for n in names if not _on_request(n)]
    parts = []
    if asked:
        also = [n for n in training if n not in asked]
        note = f" ({also[0]} and what follows it: for training)" if also else ""
        again = "" if scheme is None else f" with cu_physics = {MSKF} (it was made with {scheme})"
        parts.append(
            f"{_listed(asked)} {'is' if len(asked) == 1 else 'are'} not in {source}{because}; add the line "
            f"'{iofields_line([*asked, *also])}'{note} to the file named by iofields_filename in &time_control "
            f"(with ignore_iofields_warning = .true.) and run WRF again{again}"
        )
    if always:
        verb, them = ("is", "it") if len(always) == 1 else ("are", "them")
        place = "there either" if asked else f"in {source}"
        parts.append(
            f"{_listed(always)} {verb} not {place}{'' if asked else because}; WRF writes {them} to every wrfout, so "
            "this is a subset, was renamed, or is no wrfout: take the file as WRF wrote it"
        )
    return "; ".join(parts)


def missing(name: str, source: str, why: str = "", origin: str = "") -> MissingVariable:
    """The error that names one missing variable and what to do about it.

    Examples
    --------
    >>> str(missing("ZOL", "wrfout_d01")).startswith("ZOL (height over Obukhov length")
    True
    >>> "run WRF again" in str(missing("P", "wrfout_d01"))
    False
    """
    return MissingVariable(describe_missing([name], source, origin=origin, why=why))


def require_inputs(ds: xr.Dataset, *, truth: bool = False) -> None:
    """Refuse a wrfout that has not all variables the inputs of the scheme are made of, in WRF's units.

    Parameters
    ----------
    truth
        Whether a companion has the targets, so that none need be asked of WRF.

    Raises
    ------
    MissingVariable
        Naming all of them, and of what WRF does not write unasked the `iofields` line, with the targets of training.
    InputError
        One of them is in other units than WRF's.
    """
    names = absent_inputs(ds)
    if names:
        targets = [] if truth else absent_targets(ds)
        why = DECIDES if "W0AVG" in names else ""
        raise MissingVariable(
            describe_missing(
                names,
                where(ds),
                origin=other_origin(ds),
                why=why,
                training=targets,
                scheme=other_scheme(ds),
            )
        )
    for name in (*STATE, "THM", "P_HYD"):
        if name in ds.variables:
            check_units(name, ds[name].attrs, where(ds))
