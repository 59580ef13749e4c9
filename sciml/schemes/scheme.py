"""The declaration of a column scheme: its inputs, outputs, units, bounds, classes, and the budgets that it closes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from sciml.checks import check_int
from sciml.errors import InputError
from sciml.schemes.closure_checks import check_laws, check_tendencies
from sciml.schemes.closures import ColumnClosure, LevelClosure
from sciml.schemes.field import Diagnostic, Field, check_identifiers

__all__ = ["EMULATOR_OUTPUTS", "ColumnScheme", "Diagnostic", "Field"]

RESERVED: Final = frozenset(
    "emulator dx dt cudt kind ims ime jms jme kms kme its ite jts jte kts kte status message".split()
)
"""Arguments of the Fortran interface besides the fields; no symbol may have such a name."""


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
    least_levels
        Least number of levels of a column.

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
    least_levels: int = 1

    def __post_init__(self) -> None:
        if not self.prefix:
            object.__setattr__(self, "prefix", f"sciml_{self.name}")
        check_identifiers(self.prefix, *self.classes)
        check_int("least_levels", self.least_levels, 1, owner="ColumnScheme")
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
        check_tendencies(self.name, self.inputs, self.outputs, self.step)
        check_laws(self.name, self.inputs, self.outputs, self.laws)
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
