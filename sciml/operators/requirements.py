"""Checks for problems and grids to which an operator does not apply."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
from torch import Tensor, nn

from sciml.checks import is_number
from sciml.errors import InputError
from sciml.operators.field_scaling import FieldScaling
from sciml.operators.resampling import refinement
from sciml.pde.families import Family
from sciml.pde.grid import Grid

__all__ = [
    "SCALED",
    "Trained",
    "check_family",
    "check_fields",
    "check_grid",
    "check_logarithms",
    "lengths_of",
    "shape_of",
    "short",
]

SCALED = ("Darcy", "Poisson")
"""Problems whose discrete solutions differ little between resolutions, and scale with the rectangle and the source."""


class Trained(Protocol):
    """The properties of a `sciml.operators.TrainedOperator` that the checks use."""

    @property
    def network(self) -> nn.Module: ...

    @property
    def inputs(self) -> tuple[str, ...]: ...

    @property
    def target(self) -> str: ...

    @property
    def grid(self) -> Grid: ...

    @property
    def normalisation(self) -> FieldScaling: ...

    @property
    def about(self) -> Mapping[str, Any]: ...

    @property
    def family(self) -> str: ...

    @property
    def steps(self) -> bool: ...

    @property
    def takes_system(self) -> bool: ...

    @property
    def any_resolution(self) -> bool: ...


def check_family(operator: Trained, problem: Any) -> None:
    """Check that a problem has the family and the settings of the training data.

    Raises
    ------
    InputError
        The family or a setting differs; the message names it.
    """
    known = operator.about.get("problem") or {}
    if not known:
        return
    if known.get("problem") != type(problem).__name__:
        raise InputError(
            f"the operator was trained on {operator.family} ({known.get('problem')}), this is a "
            f"{type(problem).__name__}: load the checkpoint of its own family"
        )
    here = Family(operator.family, problem, ()).parameters()
    free = {*operator.inputs, *(("vorticity", "initial", "final_time", "frames") if operator.steps else ())}
    for name, value in known.items():
        if name in free or name not in here or here[name] == value:
            continue
        if is_number(value) and _is_constant(here[name], value):
            continue
        hint = ""
        if name == "source" and _is_linear(known) and is_number(value) and value:
            hint = f", or solve it with source={value:g} and scale u as the source, in which it is linear,"
        raise InputError(
            f"the operator was trained on {operator.family} with {name}={short(value)}, the problem has "
            f"{short(here[name])}, which is no input of it: train it on such problems{hint} or use AMG()"
        )


def _is_constant(value: Any, number: float) -> bool:
    """Return whether a field or a number equals a number everywhere."""
    return isinstance(value, list | int | float) and bool(np.all(np.asarray(value) == number))


def _is_linear(parameters: Mapping[str, Any]) -> bool:
    """Return whether u is linear in the source: Darcy or Poisson with zero boundary data."""
    data = [parameters.get(name, 0.0) for name in ("boundary_value", "flux")]
    return parameters.get("problem") in SCALED and all(item == 0.0 for item in data)


def short(value: Any) -> str:
    """Return a setting as text; arrays are shortened."""
    text = repr(value)
    return text if len(text) <= 100 else f"an array or object ({text[:40]}...)"


def check_fields(operator: Trained, fields: Mapping[str, Tensor]) -> None:
    """Check that the fields are inputs of the operator, with values that are finite real numbers.

    Raises
    ------
    InputError
        They are not; the message names the input and the value.
    """
    taken = {*operator.inputs, *(("coefficient", "source") if operator.takes_system else ())}
    for name, field in fields.items():
        if name not in taken:
            raise InputError(
                f"{name!r} is no input of the operator, which was trained on {', '.join(operator.inputs)}: leave it out"
            )
        if not isinstance(field, Tensor) or not field.is_floating_point():
            kind = field.dtype if isinstance(field, Tensor) else type(field).__name__
            raise InputError(f"{name} holds {kind}: give a tensor of real floating-point numbers")
        finite = field.isfinite()
        if not finite.all():
            where = tuple(int(i) for i in (~finite).nonzero()[0])
            raise InputError(f"{name} is {field[where].item()} at index {where}: give finite values")
    check_logarithms(operator, fields)


def check_logarithms(operator: Trained, fields: Mapping[str, Tensor]) -> None:
    """Check that inputs whose logarithm the operator takes are positive.

    Raises
    ------
    InputError
        A value is not positive; the message names the input and the value.
    """
    for name, standard in operator.normalisation.inputs.items():
        if standard.how == "log" and name in fields and not bool((fields[name] > 0).all()):
            field = fields[name]
            where = tuple(int(i) for i in (~(field > 0)).nonzero()[0])
            raise InputError(
                f"{name} is {field[where].item():g} at index {where}, and the operator takes its logarithm: give "
                "positive values"
            )


def check_grid(operator: Trained, grid: Grid) -> None:
    """Check that an operator that takes fields applies to a grid.

    Raises
    ------
    InputError
        The centring, boundary or rectangle differs from the training data; or the network applies to one resolution
        only, and the grid is coarser, or the operator steps in time at another resolution.
    """
    mine = operator.grid
    if grid.ndim != mine.ndim:
        raise InputError(
            f"the operator was trained on fields of {mine.ndim} axes ({shape_of(mine, False)}), these have {grid.ndim} "
            f"({shape_of(grid, False)}): load another, or train one on such data"
        )
    if (grid.centring, grid.boundary) != (mine.centring, mine.boundary):
        raise InputError(
            f"the operator was trained on a {mine.centring}-centred grid with {mine.boundary} sides, the problem's is "
            f"{grid.centring}-centred, {grid.boundary}: give such a problem, or train another operator"
        )
    line = bool(operator.about.get("line"))
    axes = (1,) if line else range(mine.ndim)  # the rows that represent a line have no length
    if not all(math.isclose(grid.lengths[axis], mine.lengths[axis], rel_tol=1e-6) for axis in axes):
        raise InputError(
            f"the operator was trained on a rectangle of {lengths_of(mine, line)}, the problem's is "
            f"{lengths_of(grid, line)}, which the network does not see: {_rectangle_remedy(operator, grid)}"
        )
    finer = refinement(grid, mine) if not line else (1.0, refinement(grid, mine)[1])
    if operator.any_resolution or max(abs(factor - 1) for factor in finer) < 1e-9:
        return
    name = type(operator.network).__name__
    if operator.steps:
        raise InputError(
            f"the {name} was trained to step {shape_of(mine, line)} points, the problem has {shape_of(grid, line)}: "
            "give the trained resolution, or train an FNO, which takes others"
        )
    if min(finer) < 1 - 1e-9:
        raise InputError(
            f"the {name} was trained at {shape_of(mine, line)}, the problem has {shape_of(grid, line)}, which is "
            "coarser: give at least the trained resolution, or train it at this one"
        )


def _rectangle_remedy(operator: Trained, grid: Grid) -> str:
    mine, known = operator.grid, operator.about.get("problem") or {}
    factors = [grid.lengths[axis] / mine.lengths[axis] for axis in range(mine.ndim)]
    if all(math.isclose(x, factors[0], rel_tol=1e-6) for x in factors) and _is_linear(known):
        return (
            f"solve the problem with the same fields on lengths={mine.lengths} and multiply u by "
            f"{factors[0] ** 2:.4g}, the square of the ratio, which is exact; or use AMG()"
        )
    return "train it on such a rectangle, or use AMG()"


def lengths_of(grid: Grid, line: bool) -> str:
    """Return the lengths of a grid, or of a line that rows represent, as text."""
    if line or grid.ndim == 1:
        return f"length {grid.lengths[-1]:g}"
    return f"{' x '.join(f'{length:g}' for length in grid.lengths)} ({', '.join(grid.dims)})"


def shape_of(grid: Grid, line: bool = False) -> str:
    """Return the number of points of a grid, or of a line that rows represent, as text."""
    return " x ".join(map(str, grid.shape[-1:] if line else grid.shape))
