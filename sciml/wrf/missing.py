"""Messages that list all missing variables, and describe how to obtain them.

WRF writes some variables to every wrfout. If such a variable is missing, the file is a subset or not a wrfout.
WRF writes other variables only if a line of the file named by `iofields_filename` asks for them. WRF must then run
again, so the first message lists every such variable.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from sciml.errors import MissingVariable
from sciml.wrf.variables import TABLE

__all__ = ["describe_missing", "iofields_line", "missing"]


def iofields_line(names: Iterable[str]) -> str:
    """Line of the file named by `iofields_filename` that makes WRF write these variables.

    Examples
    --------
    >>> iofields_line(["W0AVG", "ZOL"])
    '+:h:0:W0AVG,ZOL'
    """
    return f"+:h:0:{','.join(names)}"


def _on_request(name: str) -> bool:
    """Whether WRF writes a variable only where an `iofields` line asks for it."""
    row = TABLE.get(name)
    return row is None or not row.stream


def _list_names(names: Sequence[str]) -> str:
    """The names, with description and units if there are at most two."""
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
    run_with: str = "",
) -> str:
    """Describe which variables are missing and how to obtain them.

    Parameters
    ----------
    names
        Missing variables.
    source
        Name of the file.
    origin
        Kind of the file if it is not a wrfout (`other_origin`).
    why
        Reason why the variables are needed.
    training
        Variables that training also needs. They go into the same `iofields` line, so that WRF runs again only once.
    run_with
        Namelist setting with which WRF must run again, where the run had another.
    """
    because = f": {why}" if why else ""
    verb = "is" if len(names) == 1 else "are"
    if origin:
        return (
            f"{_list_names(names)} {verb} not in {source}, which is {origin}{because}; give the wrfout itself, as WRF "
            "wrote it"
        )
    asked, always = [n for n in names if _on_request(n)], [n for n in names if not _on_request(n)]
    parts = []
    if asked:
        also = [n for n in training if n not in asked]
        note = f" ({also[0]} and the variables after it are for training)" if also else ""
        again = f" with {run_with}" if run_with else ""
        parts.append(
            f"{_list_names(asked)} {'is' if len(asked) == 1 else 'are'} not in {source}{because}; add the line "
            f"'{iofields_line([*asked, *also])}'{note} to the file named by iofields_filename in &time_control "
            f"(with ignore_iofields_warning = .true.) and run WRF again{again}"
        )
    if always:
        verb, them = ("is", "it") if len(always) == 1 else ("are", "them")
        place = "there either" if asked else f"in {source}"
        parts.append(
            f"{_list_names(always)} {verb} not {place}{'' if asked else because}; WRF writes {them} to every wrfout, "
            "so this is a subset, was renamed, or is not a wrfout: use the file as WRF wrote it"
        )
    return "; ".join(parts)


def missing(name: str, source: str, why: str = "", origin: str = "") -> MissingVariable:
    """The error for a missing variable, with its remedy.

    Examples
    --------
    >>> str(missing("ZOL", "wrfout_d01")).startswith("ZOL (height over Obukhov length")
    True
    >>> "run WRF again" in str(missing("P", "wrfout_d01"))
    False
    """
    return MissingVariable(describe_missing([name], source, origin=origin, why=why))
