"""The fields of a column scheme: quantities that it reads or returns, with units, shape and bounds."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Final

from sciml.errors import InputError
from sciml.wrf.units import parsed
from sciml.wrf.variables import TABLE, Variable

__all__ = ["Diagnostic", "Field", "check_identifiers"]

UNBOUNDED: Final = (-math.inf, math.inf)
_IDENTIFIER: Final = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,39}")


def check_identifiers(*words: str) -> None:
    """Check that words are names of variables in C and Fortran.

    Raises
    ------
    InputError
        A word is no such name.
    """
    for word in words:
        if not _IDENTIFIER.fullmatch(word):
            raise InputError(
                f"{word!r} is no name of a variable in C and Fortran: give at most 40 letters, digits and "
                "underscores, a letter first"
            )


def _comment(units: str, note: str) -> str:
    return f"{units}, {note}" if note else units


@dataclass(frozen=True)
class Field:
    """A quantity that a column scheme reads or returns.

    Parameters
    ----------
    name
        Name in the table of WRF's variables, `sciml.wrf.variables.TABLE`, or of `declared`.
    symbol
        Name of its enumerator in the C header, without the prefix ``SCIML_``.
    argument
        Name of its argument in the Fortran interface of the scheme, in lower case.
    limits
        Smallest and largest value for which the native library computes the scheme.
    is_level
        Whether the values are model levels counted from 1: they have no value without convection.
    is_read
        Whether an emulator reads the value of this output before the call.
    note
        Remark beside the units in the generated interfaces, such as "of dry air".
    declared
        Units, dimensions and bounds of a field that is not WRF's; see `Field.declare`.
    tendency_of
        Input of which this output is the tendency; empty for none.
    nonnegative
        Whether a step with this tendency must not make that input negative.

    Raises
    ------
    InputError
        The table of WRF's variables has no such name, the variable is neither 3d nor 2d, or the symbol or the
        argument is no identifier.
    """

    name: str
    symbol: str
    argument: str
    limits: tuple[float, float] = UNBOUNDED
    is_level: bool = False
    is_read: bool = False
    note: str = ""
    declared: Variable | None = None
    tendency_of: str = ""
    nonnegative: bool = False

    def __post_init__(self) -> None:
        if self.declared is None and self.name not in TABLE:
            raise InputError(
                f"{self.name!r} is not in the table of WRF's variables: add a row for it there, or declare it with "
                "Field.declare"
            )
        if self.row.dims not in ("3d", "2d"):
            raise InputError(f"{self.name} has the dimensions {self.row.dims}: give a 3d or a 2d variable")
        check_identifiers(self.symbol, self.argument)
        if self.nonnegative and not self.tendency_of:
            raise InputError(f"{self.name} is nonnegative but no tendency: set tendency_of to an input")

    @classmethod
    def declare(
        cls,
        name: str,
        units: str,
        *,
        is_profile: bool = True,
        bounds: tuple[float, float] = UNBOUNDED,
        tendency_of: str = "",
        nonnegative: bool = False,
        note: str = "",
    ) -> Field:
        """Declare a field that is not in the table of WRF's variables.

        Parameters
        ----------
        name
            Its name, also in files of pairs.
        units
            CF units.
        is_profile
            Whether it has a value on every level, or one per column.
        bounds
            Least and greatest value, inclusive.
        tendency_of, nonnegative, note
            As those of a `Field`.

        Raises
        ------
        InputError
            The name is no identifier, the units are unknown, or the bounds are no interval.

        Examples
        --------
        >>> Field.declare("rain", "kg m-2 s-1", is_profile=False, bounds=(0.0, 1.0)).bounds
        (0.0, 1.0)
        """
        if parsed(units) is None:
            raise InputError(f"{name} has the unknown units {units!r}: give CF units, such as 'kg kg-1 s-1'")
        low, high = bounds
        if not low < high:
            raise InputError(f"{name} has the bounds {low} to {high}: give the lower one first")
        row = Variable(
            name,
            "",
            note or name,
            units,
            "3d" if is_profile else "2d",
            "",
            "state",
            (float(low), float(high)),
        )
        return cls(
            name,
            name,
            name.lower(),
            limits=row.bounds,
            note=note,
            declared=row,
            tendency_of=tendency_of,
            nonnegative=nonnegative,
        )

    @property
    def row(self) -> Variable:
        """Row of the table of WRF's variables, or of the user's declaration."""
        return self.declared or TABLE[self.name]

    @property
    def is_profile(self) -> bool:
        """Whether the field has a value on every level; a scalar has a single value per column."""
        return self.row.dims == "3d"

    @property
    def units(self) -> str:
        """CF units."""
        return self.row.units

    @property
    def unit_label(self) -> str:
        """Units as reports and captured files show them: "level" for numbers of levels, else the CF units."""
        return "level" if self.is_level else self.units

    @property
    def bounds(self) -> tuple[float, float]:
        """Physical bounds, inclusive."""
        return self.row.bounds

    @property
    def comment(self) -> str:
        """Units and remark."""
        return _comment(self.unit_label, self.note)


@dataclass(frozen=True)
class Diagnostic:
    """A quantity that is returned beside the fields of a scheme and is not in the table of WRF's variables.

    Parameters
    ----------
    name, symbol, argument
        As those of a `Field`.
    units
        CF units.
    note
        Remark beside the units in the generated interfaces.

    Raises
    ------
    InputError
        The symbol or the argument is no identifier.
    """

    name: str
    symbol: str
    argument: str
    units: str
    note: str = ""

    def __post_init__(self) -> None:
        check_identifiers(self.symbol, self.argument)

    @property
    def comment(self) -> str:
        """Units and remark."""
        return _comment(self.units, self.note)
