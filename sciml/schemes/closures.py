"""Closures that a network of a declared scheme satisfies to round-off."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["ColumnClosure", "LevelClosure", "Term"]


@dataclass(frozen=True)
class ColumnClosure:
    """A budget of the column: the terms, times the mass of the layers, and the surface flux have the sum zero.

    Parameters
    ----------
    name
        Name of the budget, such as "water".
    terms
        Output profiles of equal units that enter the budget.
    carried
        The term that a vertical flux carries, such as the rain. It is computed from the others and the flux.
    mass
        Input profile by which the terms are multiplied, such as the mass of the layers in kg m-2.
    surface
        Output scalar that leaves the column at the surface; empty if nothing does.
    """

    name: str
    terms: tuple[str, ...]
    carried: str
    mass: str
    surface: str = ""

    @property
    def outputs(self) -> tuple[str, ...]:
        """All outputs of the budget."""
        return (*self.terms, self.surface) if self.surface else self.terms

    @property
    def solved(self) -> tuple[str, ...]:
        """Outputs that are computed from the others."""
        return (self.carried, self.surface) if self.surface else (self.carried,)


@dataclass(frozen=True)
class Term:
    """A term of a `LevelClosure`: an output times a constant, and times an input profile if `by` names one.

    Parameters
    ----------
    output
        Name of an output profile.
    factor
        Constant.
    units
        Units of the constant.
    by
        Name of an input profile, such as the Exner function; empty for none.
    """

    output: str
    factor: float = 1.0
    units: str = "1"
    by: str = ""


@dataclass(frozen=True)
class LevelClosure:
    """A balance on every level: the terms have the sum zero.

    Parameters
    ----------
    name
        Name of the balance, such as "heat".
    terms
        At least two terms, each with a factor other than zero.
    balanced
        The output that is computed from the other terms.
    """

    name: str
    terms: tuple[Term, ...]
    balanced: str

    @property
    def outputs(self) -> tuple[str, ...]:
        """All outputs of the balance."""
        return tuple(term.output for term in self.terms)

    @property
    def solved(self) -> tuple[str, ...]:
        """Outputs that are computed from the others."""
        return (self.balanced,)
