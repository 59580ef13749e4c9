"""The declaration of a column scheme: its inputs, outputs, units, bounds, classes, and the budgets that it closes."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from sciml.errors import InputError
from sciml.schemes.closures import ColumnClosure, LevelClosure, check_laws, check_tendencies
from sciml.wrf.units import parsed
from sciml.wrf.variables import TABLE, Variable

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
        _check_identifiers(self.symbol, self.argument)
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
    """A physics scheme that works on each column independently.

    A scheme of a user needs `name`, `inputs` and `outputs`, and the `laws` and the `step` that a network must obey; the
    other parameters describe a scheme of WRF.

    Parameters
    ----------
    name
        Short name, as in ``libsciml_<name>.so``.
    cu_physics
        Number of the scheme in WRF's namelist; 0 if it has none.
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
    laws
        Closures that a network of the scheme satisfies to round-off; they are budgets in `closures` too.
    step
        Name of the input scalar with the time step in s, for outputs that are `Field.nonnegative`.

    Raises
    ------
    InputError
        A name or a symbol occurs twice, profiles do not come first, a closure names no output or cannot hold, or a
        symbol is the name of another argument of the Fortran interface.
    """

    name: str
    inputs: tuple[Field, ...]
    outputs: tuple[Field, ...]
    cu_physics: int = 0
    optional_outputs: tuple[Field, ...] = ()
    state: tuple[str, ...] = ()
    training: tuple[str, ...] = ()
    decisive: tuple[str, ...] = ()
    zero_if_absent: tuple[str, ...] = ()
    classes: tuple[str, ...] = ()
    closures: Mapping[str, tuple[str, ...]] = field(default_factory=dict, hash=False)
    rates: tuple[Diagnostic, ...] = ()
    prefix: str = ""
    laws: tuple[ColumnClosure | LevelClosure, ...] = ()
    step: str = ""

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
        check_tendencies(self)
        check_laws(self)
        budgets = {law.name: law.outputs for law in self.laws}
        if len(budgets) < len(self.laws) or any(
            self.closures.get(name, outputs) != outputs for name, outputs in budgets.items()
        ):
            raise InputError(f"the scheme {self.name} has two closures of one name: name each differently")
        object.__setattr__(self, "closures", {**self.closures, **budgets})

    def _check_symbols(self, fields: tuple[Field, ...]) -> None:
        entries: list[Field | Diagnostic] = [*fields, *self.rates, *EMULATOR_OUTPUTS]
        symbols = [entry.symbol.lower() for entry in entries]
        wrong = sorted({s for s in symbols if symbols.count(s) > 1 or (s in RESERVED and self.cu_physics)})
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
