"""Checks of a declared scheme: whether its tendencies and its closures can hold."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TypeAlias

from sciml.errors import InputError
from sciml.schemes.closures import ColumnClosure, LevelClosure
from sciml.schemes.field import Field
from sciml.wrf.units import parsed

__all__ = ["check_laws", "check_tendencies"]

Fields: TypeAlias = Sequence[Field]
Laws: TypeAlias = Sequence[ColumnClosure | LevelClosure]


def check_tendencies(scheme: str, inputs: Fields, outputs: Fields, step: str) -> None:
    """Check the time step of a scheme, and that each tendency has the shape and the units of its quantity.

    Raises
    ------
    InputError
        The step is no input scalar in s, or is missing; a tendency has another shape or other units.
    """
    by_name = {f.name: f for f in inputs}
    if step and (step not in by_name or by_name[step].is_profile):
        raise InputError(f"the scheme {scheme} has the step {step!r}: give the name of an input scalar in s")
    if step and by_name[step].units != "s":
        raise InputError(f"the step {step} of the scheme {scheme} is in {by_name[step].units}: give it in s")
    for f in (f for f in outputs if f.tendency_of):
        changed = by_name.get(f.tendency_of)
        if changed is None or changed.is_profile != f.is_profile:
            raise InputError(
                f"{f.name} of the scheme {scheme} is the tendency of {f.tendency_of!r}: give an input of "
                f"its shape, among {', '.join(by_name)}"
            )
        rate, own = parsed(f"{changed.units} s-1"), parsed(f.units)
        if rate is None or own is None or rate[:2] != own[:2]:
            raise InputError(
                f"{f.name} of the scheme {scheme} is in {f.units} and {changed.name} in {changed.units}: give "
                f"the tendency in {changed.units} s-1"
            )
        if f.nonnegative and not step:
            raise InputError(
                f"{f.name} of the scheme {scheme} is nonnegative, which depends on the time step: set step to "
                "an input scalar in s"
            )


def check_laws(scheme: str, inputs: Fields, outputs: Fields, laws: Laws) -> None:
    """Check that the closures of a scheme can hold, together with its bounds.

    Raises
    ------
    InputError
        A closure has a name that is no field or has another shape, terms of different units, a single term, or
        outputs whose bounds allow zero alone; two closures compute one output; or a value that must not be negative
        is computed by a closure that cannot guarantee it.
    """
    read = {field.name: field for field in inputs}
    made = {field.name: field for field in outputs}
    for law in laws:
        where = f"the closure {law.name} of the scheme {scheme}"
        absent = [name for name in law.outputs if name not in made]
        if absent:
            raise InputError(
                f"{where} has {', '.join(absent)}, which {'is' if len(absent) == 1 else 'are'} no output: "
                f"choose among {', '.join(made)}"
            )
        twice = sorted({name for name in law.outputs if law.outputs.count(name) > 1})
        if twice:
            raise InputError(f"{where} names {', '.join(twice)} twice: name each output once")
        if isinstance(law, ColumnClosure):
            _check_column(where, law, read, made)
        else:
            _check_level(where, law, read, made)
    _check_order(scheme, laws)


def _check_order(scheme: str, given: Laws) -> None:
    """Check that each output is computed by one closure at most, before another closure reads it."""
    solved: dict[str, str] = {}
    laws = sorted(given, key=lambda law: isinstance(law, LevelClosure))
    for law in laws:
        for name in law.solved:
            if name in solved:
                raise InputError(
                    f"the closures {solved[name]} and {law.name} of the scheme {scheme} both compute {name}, "
                    "and so cannot hold together: let one of them compute another output"
                )
            solved[name] = law.name
    for n, law in enumerate(laws):
        later = {name: other.name for other in laws[n + 1 :] for name in other.solved}
        for name in law.outputs:
            if name in later:
                raise InputError(
                    f"the closure {law.name} of the scheme {scheme} needs {name} before the closure {later[name]} "
                    "computes it: list it later (closures of levels come after those of the column)"
                )
    shared = [law for law in laws if isinstance(law, ColumnClosure)]
    for n, law in enumerate(shared):
        for other in shared[n + 1 :]:
            both = sorted({*law.outputs} & {*other.outputs})
            if both:
                raise InputError(
                    f"the closures {law.name} and {other.name} of the scheme {scheme} both have "
                    f"{', '.join(both)}: an output may be in one closure of the column"
                )


def _expect(where: str, field: Field | None, name: str, role: str, is_profile: bool) -> None:
    wanted = "profile" if is_profile else "scalar"
    if field is None:
        raise InputError(f"{where} has the {role} {name!r}: give the name of a {wanted}")
    if field.is_profile != is_profile:
        raise InputError(f"{where} has the {role} {name}, which is no {wanted}: give a {wanted}")


def _check_column(
    where: str, law: ColumnClosure, inputs: Mapping[str, Field], outputs: Mapping[str, Field]
) -> None:
    for name in law.terms:
        _expect(where, outputs[name], name, "term", True)
    if law.carried not in law.terms:
        raise InputError(
            f"{where} lets {law.carried!r} be carried: choose among its terms {', '.join(law.terms)}"
        )
    _expect(where, inputs.get(law.mass), law.mass, "mass", True)
    if law.surface:
        _expect(where, outputs[law.surface], law.surface, "surface flux", False)
    _check_units(where, {name: outputs[name].units for name in law.terms})
    if law.surface:
        mass = f"{inputs[law.mass].units} {outputs[law.carried].units}"
        _check_units(where, {f"{law.mass} * {law.carried}": mass, law.surface: outputs[law.surface].units})
    _check_signs(where, [(outputs[name], 1.0) for name in law.outputs])
    kinds = {outputs[name].nonnegative for name in law.terms}
    if len(kinds) > 1:
        free = ", ".join(name for name in law.terms if not outputs[name].nonnegative)
        raise InputError(
            f"{where} keeps only some of its terms from making a quantity negative: set nonnegative for {free} too, "
            "or for none"
        )
    if law.surface and kinds == {True} and outputs[law.surface].bounds[0] < 0:
        raise InputError(
            f"{where} has the surface flux {law.surface} with bounds {list(outputs[law.surface].bounds)}, and a "
            "nonnegative quantity only leaves the column: give the lower bound 0"
        )


def _check_level(
    where: str, law: LevelClosure, inputs: Mapping[str, Field], outputs: Mapping[str, Field]
) -> None:
    for term in law.terms:
        _expect(where, outputs[term.output], term.output, "term", True)
        if not (math.isfinite(term.factor) and term.factor):
            raise InputError(
                f"{where} has the factor {term.factor} for {term.output}: give a finite one, not 0"
            )
        if term.by:
            _expect(where, inputs.get(term.by), term.by, "factor", True)
    if len(law.terms) < 2:
        raise InputError(f"{where} has a single term, which would be zero: add a term")
    if law.balanced not in law.outputs:
        raise InputError(
            f"{where} computes {law.balanced!r}: choose among its terms {', '.join(law.outputs)}"
        )
    if outputs[law.balanced].nonnegative:
        raise InputError(
            f"{where} computes {law.balanced} and cannot keep {outputs[law.balanced].tendency_of} from becoming "
            "negative: let it compute another output, or remove nonnegative"
        )
    units = {}
    for term in law.terms:
        by = f" {inputs[term.by].units}" if term.by else ""
        units[term.output] = f"{term.units} {outputs[term.output].units}{by}"
    _check_units(where, units)
    if not any(term.by for term in law.terms):
        _check_signs(where, [(outputs[term.output], term.factor) for term in law.terms])


def _check_units(where: str, units: Mapping[str, str]) -> None:
    """Check that terms can be added: equal powers of the base units, and equal factors."""
    scales = {name: parsed(text) for name, text in units.items()}
    first, *rest = scales
    for name in rest:
        a, b = scales[first], scales[name]
        if a is None or b is None:
            bad = first if a is None else name
            raise InputError(f"{where}: the units {units[bad]!r} of {bad} are unknown: give CF units")
        if a.powers != b.powers or not math.isclose(a.factor, b.factor, rel_tol=1e-9):
            raise InputError(
                f"{where} cannot hold: {first} is in {units[first]} and {name} in {units[name]}, which cannot be "
                "added; give the terms equal units, or a factor with units"
            )


def _check_signs(where: str, terms: list[tuple[Field, float]]) -> None:
    """Check that the bounds allow a sum of zero."""
    low = sum(min(factor * bound for bound in field.bounds) for field, factor in terms)
    high = sum(max(factor * bound for bound in field.bounds) for field, factor in terms)
    names = ", ".join(field.name for field, _ in terms)
    if low >= 0 or high <= 0:
        raise InputError(
            f"{where} cannot hold: with their bounds the sum of {names} is {low:g} to {high:g}, and zero only if all "
            "are zero; widen the bounds of one of them"
            if low == 0 or high == 0
            else f"{where} cannot hold: with their bounds the sum of {names} is {low:g} to {high:g}, never zero; "
            "widen the bounds of one of them"
        )
