"""The declaration of a column scheme: its inputs, outputs, units, bounds, classes, and the budgets that it closes."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from sciml.errors import InputError
from sciml.wrf.variables import TABLE

__all__ = ["EMULATOR_OUTPUTS", "ColumnScheme", "Diagnostic", "Field"]

UNBOUNDED: Final = (-math.inf, math.inf)
_IDENTIFIER: Final = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,39}")
RESERVED: Final = frozenset(
    "emulator dx dt cudt kind ims ime jms jme kms kme its ite jts jte kts kte status message".split()
)
"""Arguments of the Fortran interface besides the fields; no symbol may have such a name."""


def _check_identifiers(*words: str) -> None:
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
        Name in the table of WRF's variables, `sciml.wrf.variables.TABLE`.
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

    def __post_init__(self) -> None:
        if self.name not in TABLE:
            raise InputError(f"{self.name!r} is not in the table of WRF's variables: add a row for it there")
        if TABLE[self.name].dims not in ("3d", "2d"):
            raise InputError(
                f"{self.name} has the dimensions {TABLE[self.name].dims}: give a 3d or a 2d variable"
            )
        _check_identifiers(self.symbol, self.argument)

    @property
    def is_profile(self) -> bool:
        """Whether the field has a value on every level; a scalar has a single value per column."""
        return TABLE[self.name].dims == "3d"

    @property
    def units(self) -> str:
        """CF units."""
        return TABLE[self.name].units

    @property
    def unit_label(self) -> str:
        """Units as reports and captured files show them: "level" for numbers of levels, else the CF units."""
        return "level" if self.is_level else self.units

    @property
    def bounds(self) -> tuple[float, float]:
        """Physical bounds, inclusive."""
        return TABLE[self.name].bounds

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
        _check_identifiers(self.symbol, self.argument)

    @property
    def comment(self) -> str:
        """Units and remark."""
        return _comment(self.units, self.note)


EMULATOR_OUTPUTS: Final = (
    Diagnostic("NOVELTY", "NOVELTY", "novelty", "1", "above 1 in columns unlike those of the training"),
)
"""Values per column that every emulator returns, after the outputs of its scheme."""


@dataclass(frozen=True)
class ColumnScheme:
    """A physics scheme of WRF that works on each column independently.

    Parameters
    ----------
    name
        Short name, as in ``libsciml_<name>.so``.
    cu_physics
        Number of the scheme in WRF's namelist.
    inputs
        Fields that a call of the scheme reads: profiles first, then scalars; in the order of the C interface.
    outputs
        Fields that the scheme returns, in the same order.
    optional_outputs
        Fields that it returns in some configurations only; they are not in the enumerations of the C interface.
    state
        Variables of a wrfout from which the inputs are derived.
    training
        Outputs without which columns cannot be trained on.
    decisive
        Outputs without which the class of a column cannot be determined.
    zero_if_absent
        Outputs that are numerically zero in this scheme, so that a file need not have them.
    classes
        Names of the classes of a column; a class is the position of its name.
    closures
        Budgets that the outputs close, by name, with the outputs that enter each.
    rates
        Profiles that the scheme returns if the host asks for them; columns do not have them.
    prefix
        Prefix of the names in the generated interfaces, in lower case; ``sciml_<name>`` by default.

    Raises
    ------
    InputError
        A name or a symbol occurs twice, profiles do not come first, a closure names no output, or a symbol is
        the name of another argument of the Fortran interface.
    """

    name: str
    cu_physics: int
    inputs: tuple[Field, ...]
    outputs: tuple[Field, ...]
    optional_outputs: tuple[Field, ...]
    state: tuple[str, ...]
    training: tuple[str, ...]
    decisive: tuple[str, ...]
    zero_if_absent: tuple[str, ...]
    classes: tuple[str, ...]
    closures: Mapping[str, tuple[str, ...]] = field(hash=False)
    rates: tuple[Diagnostic, ...] = ()
    prefix: str = ""

    def __post_init__(self) -> None:
        if not self.prefix:
            object.__setattr__(self, "prefix", f"sciml_{self.name}")
        _check_identifiers(self.prefix, *self.classes)
        fields = (*self.inputs, *self.outputs, *self.optional_outputs)
        names = [f.name for f in fields]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise InputError(f"the scheme {self.name} names {', '.join(twice)} twice: name each field once")
        self._check_symbols(fields)
        for group in (self.inputs, self.outputs):
            shapes = [f.is_profile for f in group]
            if shapes != sorted(shapes, reverse=True):
                raise InputError(
                    f"the scheme {self.name} has a profile after a value per column among "
                    f"{', '.join(f.name for f in group)}: give the profiles first"
                )
        returned = {f.name for f in (*self.outputs, *self.optional_outputs)}
        listed = {*self.training, *self.decisive, *self.zero_if_absent}.union(*self.closures.values())
        unknown = ", ".join(sorted(listed - returned))
        if unknown:
            raise InputError(
                f"the scheme {self.name} does not return {unknown}: add an output, or remove the name"
            )

    def _check_symbols(self, fields: tuple[Field, ...]) -> None:
        entries: list[Field | Diagnostic] = [*fields, *self.rates, *EMULATOR_OUTPUTS]
        symbols = [entry.symbol.lower() for entry in entries]
        wrong = sorted({s for s in symbols if symbols.count(s) > 1 or s in RESERVED})
        if wrong:
            raise InputError(
                f"the scheme {self.name} uses the symbol {', '.join(wrong)} twice, or an argument of the Fortran "
                "interface has that name: give each field its own symbol"
            )

    @property
    def input_profiles(self) -> tuple[str, ...]:
        """Names of the inputs with a value on every level."""
        return tuple(f.name for f in self.inputs if f.is_profile)

    @property
    def input_scalars(self) -> tuple[str, ...]:
        """Names of the inputs with one value per column."""
        return tuple(f.name for f in self.inputs if not f.is_profile)

    @property
    def output_profiles(self) -> tuple[str, ...]:
        """Names of the outputs with a value on every level."""
        return tuple(f.name for f in self.outputs if f.is_profile)

    @property
    def output_scalars(self) -> tuple[str, ...]:
        """Names of the outputs with one value per column."""
        return tuple(f.name for f in self.outputs if not f.is_profile)

    @property
    def input_names(self) -> tuple[str, ...]:
        """Names of all inputs."""
        return tuple(f.name for f in self.inputs)

    @property
    def output_names(self) -> tuple[str, ...]:
        """Names of the outputs that every configuration returns."""
        return tuple(f.name for f in self.outputs)

    @property
    def optional_names(self) -> tuple[str, ...]:
        """Names of the outputs that some configurations return."""
        return tuple(f.name for f in self.optional_outputs)

    @property
    def levels(self) -> tuple[str, ...]:
        """Names of the outputs whose values are numbers of levels."""
        return tuple(f.name for f in self.outputs if f.is_level)

    @property
    def unit_labels(self) -> dict[str, str]:
        """Units of all outputs as reports show them, by name."""
        return {f.name: f.unit_label for f in (*self.outputs, *self.optional_outputs)}
