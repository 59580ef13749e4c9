"""Losses: norms of errors on a grid, each named after its norm.

Tables of operator papers call several different numbers H1. Here `relative_h1` is the Sobolev norm, by finite
differences that know the boundary; `relative_h1_fft` and `relative_h1_truncated` are the two of the published codes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from sciml.errors import InputError
from sciml.pde.sides import Given, Jumps, check_sides, extrapolated, line_next_to

if TYPE_CHECKING:
    from sciml.pde.grid import Grid

__all__ = [
    "energy",
    "h1_helmholtz",
    "mass",
    "relative_h1",
    "relative_h1_fft",
    "relative_h1_truncated",
    "residual_energy",
    "square_h1",
]

TRUNCATION = 20  # wave number from which the official loss no longer weighs, along each axis
NAMES = (("south", "north"), ("west", "east"))
"""The sides at the beginning and the end of y and of x."""
Apply = Callable[[Tensor], Tensor]


def mass(field: Tensor, grid: Grid) -> Tensor:
    """The integral of the square of a field (sample, ..., y, x) over the rectangle, (sample,)."""
    field = _checked(field, grid)
    volumes = _like(grid.volumes(), field)
    return (field.square() * volumes).flatten(1).sum(1)


def energy(field: Tensor, grid: Grid, *, boundary_value: Given = 0.0) -> Tensor:
    """The integral of the square of the gradient of a field, by the differences across the faces.

    Across a Dirichlet side the difference is that to the known value, over half a spacing (cells) or a whole one
    (vertices); across a Neumann side there is none; a periodic field is closed.

    Parameters
    ----------
    field
        (sample, ..., y, x) at the unknowns of the grid.
    grid
        Its boundary states the conditions at the sides.
    boundary_value
        Of the field on Dirichlet sides: 0 for an error, whose boundary values are known. A number, or by side (west,
        east, south, north) a number, a tensor (sample,) or (sample, n) along the side, or None for the value to which
        the field comes there (`sciml.pde.sides.extrapolated`); a side that is not named has 0.

    Returns
    -------
    Tensor
        (sample,). It equals e^T A e of ``discretize(Poisson(...))`` on that grid, to rounding.

    Raises
    ------
    InputError
        A field that does not lie on the grid, or values for a side that is not Dirichlet.

    Examples
    --------
    >>> from sciml.pde.grid import Grid
    >>> grid = Grid((31, 31))
    >>> x, y = map(torch.from_numpy, grid.mesh())
    >>> bump = (torch.sin(torch.pi * x) * torch.sin(torch.pi * y))[None]
    >>> round(float(energy(bump, grid)) / (torch.pi**2 / 2), 2)
    1.0
    """
    field = _checked(field, grid)
    values = check_sides(boundary_value, grid)
    if grid.centring == "vertex" and _not_zero(values):
        return energy(*_with_sides(field, grid, values))
    total = field.new_zeros(len(field))
    for axis, dim in ((0, -2), (1, -1)):
        h = grid.spacing[axis]
        width = _like(grid.weights(1 - axis), field)
        width = width if axis == 0 else width[:, None]
        first, last = grid.sides(axis)
        inside = field.diff(dim=dim).square()
        total = total + (inside * (width / h)).flatten(1).sum(1)
        if first == "periodic":
            across = field.narrow(dim, 0, 1) - field.narrow(dim, grid.shape[axis] - 1, 1)
            total = total + (across.square() * (width / h)).flatten(1).sum(1)
        distance = h / 2 if grid.centring == "cell" else h
        for end, (side, place) in enumerate(((first, 0), (last, grid.shape[axis] - 1))):
            if side == "dirichlet":
                name = NAMES[axis][end]
                known = _on_side(values.get(name, 0.0), field, grid, name)
                across = field.narrow(dim, place, 1) - known
                total = total + (across.square() * (width / distance)).flatten(1).sum(1)
    return total


def _not_zero(values: Mapping[str, Any]) -> bool:
    return not all(isinstance(value, int | float) and value == 0 for value in values.values())


def _with_sides(field: Tensor, grid: Grid, values: Mapping[str, Any]) -> tuple[Tensor, Grid]:
    """A field at nodes with those on Dirichlet sides, and the grid that counts them as unknowns.

    Half a spacing next to such a side belongs to its nodes, which matters where the field is not zero there.
    """
    added = {}
    for axis, names in enumerate(NAMES):
        for name, side in zip(names, grid.sides(axis), strict=True):
            if side == "dirichlet":
                line = line_next_to(field, name)
                known = torch.as_tensor(_on_side(values.get(name, 0.0), field, grid, name)).to(line)
                if known.ndim:
                    known = known.squeeze(-2 if axis == 0 else -1)
                added[name] = known.expand_as(line)
    wide = torch.cat([*_columns(added, "west"), field, *_columns(added, "east")], -1)
    for end, name in enumerate(NAMES[0]):
        if name not in added:
            continue
        corners = {
            side: (_beyond(added[side], -end) + _beyond(added[name], -at)) / 2
            for at, side in enumerate(NAMES[1])
            if side in added
        }
        row = torch.cat([*_columns(corners, "west"), added[name], *_columns(corners, "east")], -1)
        parts = [row.unsqueeze(-2), wide]
        wide = torch.cat(parts if end == 0 else parts[::-1], -2)
    kinds = {name: "neumann" if name in added else kind for name, kind in grid.boundary.sides.items()}
    boundary = type(grid.boundary)(**kinds)
    return wide, replace(grid, shape=(wide.shape[-2], wide.shape[-1]), boundary=boundary)


def _columns(lines: Mapping[str, Tensor], name: str) -> list[Tensor]:
    return [lines[name].unsqueeze(-1)] if name in lines else []


def _beyond(line: Tensor, end: int) -> Tensor:
    """The value one spacing beyond the beginning (0) or the end (-1) of a line (..., n)."""
    first, second = (line[..., 0], line[..., 1]) if end == 0 else (line[..., -1], line[..., -2])
    return 2 * first - second


def _on_side(value: Any, field: Tensor, grid: Grid, name: str) -> float | Tensor:
    """The value on a side in the shape of the unknowns next to it."""
    if value is None:
        value = extrapolated(field, grid, name)
    elif not isinstance(value, Tensor) and getattr(value, "ndim", 0) == 0:
        return float(value)
    along = torch.as_tensor(value, dtype=field.dtype, device=field.device)
    given = tuple(along.shape)
    if along.ndim < field.ndim - 1:  # (sample,) or (sample, n)
        along = along.reshape(len(along), *(1,) * (field.ndim - 3), along.shape[1] if along.ndim > 1 else 1)
    if along.shape[0] != len(field) or along.shape[-1] not in (1, line_next_to(field, name).shape[-1]):
        raise InputError(f"{name} of shape {given} for fields {tuple(field.shape)}: give (sample, n)")
    return along.unsqueeze(-2 if name in NAMES[0] else -1)


def square_h1(field: Tensor, grid: Grid, *, boundary_value: Given = 0.0) -> Tensor:
    """The square of the H1 norm, (sample,): `mass` plus `energy`."""
    values = check_sides(boundary_value, grid)
    if grid.centring == "vertex" and _not_zero(values):
        field, grid = _with_sides(_checked(field, grid), grid, values)
        boundary_value = 0.0
    return mass(field, grid) + energy(field, grid, boundary_value=boundary_value)


def relative_h1(
    prediction: Tensor,
    target: Tensor,
    grid: Grid,
    *,
    boundary_value: Given | None = None,
    floor: float = 0.0,
) -> Tensor:
    """The H1 norm of the error over the target's, sample by sample, and the mean over the samples.

    The norm is sqrt(integral of e^2 + |grad e|^2), by finite differences that know the boundary, see `energy`.

    Parameters
    ----------
    prediction, target
        Of one shape (sample, ..., y, x), on the grid.
    grid
        Grid of the values.
    boundary_value
        Values of the target on Dirichlet sides, see `energy`; the error is taken as zero there. By default 0, but on
        sides where a sample of the target is clearly not zero (`sciml.pde.sides.Jumps`) the value to which it comes.
    floor
        Least value of the target's norm, for samples that may vanish.

    Returns
    -------
    Tensor
        A scalar, in float32 at least.

    Raises
    ------
    InputError
        Different shapes, fields that do not lie on the grid, or values for a side that is not Dirichlet.

    Examples
    --------
    >>> from sciml.pde.grid import Grid
    >>> u = torch.rand(2, 7, 7)
    >>> round(float(relative_h1(1.25 * u, u, Grid((7, 7)))), 4)
    0.25
    """
    _same(prediction, target)
    kind = torch.promote_types(prediction.dtype, torch.float32)
    above = square_h1(prediction.to(kind) - target.to(kind), grid)
    target = target.to(kind)
    if boundary_value is None:
        boundary_value = _seen(target, grid)
    return _ratio(above, square_h1(target, grid, boundary_value=boundary_value), floor)


def _seen(target: Tensor, grid: Grid) -> Given:
    """The values on the sides where a sample is clearly not zero, and 0 elsewhere."""
    clear: dict[str, list[int]] = {}
    with torch.no_grad():
        for index, sample in enumerate(target):
            jumps = Jumps(grid)
            jumps.add(sample.reshape(-1, *sample.shape[-2:]).double().cpu().numpy())
            for name in jumps.clear():
                clear.setdefault(name, []).append(index)
        values: dict[str, Tensor] = {}
        for name, samples in clear.items():
            line = extrapolated(target, grid, name)
            values[name] = torch.zeros_like(line)
            values[name][samples] = line[samples]
    return values or 0.0


def relative_h1_fft(prediction: Tensor, target: Tensor) -> Tensor:
    """The error's norm over the target's in Fourier space, weighted by sqrt(1 + kx^2 + ky^2).

    The fields (sample, ..., y, x) are taken as periodic, as the FNO authors' Sobolev loss takes them (Li et al.
    2021), whatever they are: a field that is not has a jump at its sides, which counts. For those, and for a norm with
    its units, see `relative_h1`.

    Raises
    ------
    InputError
        Different shapes.
    """
    return _fourier(prediction, target, None)


def relative_h1_truncated(prediction: Tensor, target: Tensor) -> Tensor:
    """The official code's "H1" of MgNO: as `relative_h1_fft`, wave numbers of 20 or more along an axis not weighed.

    The weight is sqrt(1 + kx^2 [kx < 20] + ky^2 [ky < 20]), so fine errors hardly count; the numbers of He et al.
    (2024), table 1, are these.

    Raises
    ------
    InputError
        Different shapes.
    """
    return _fourier(prediction, target, TRUNCATION)


def h1_helmholtz(prediction: Tensor, target: Tensor) -> Tensor:
    """The official loss for Helmholtz: sqrt(sum over the nodes of 10 e^2 + |grad e|^2), averaged over samples.

    It is absolute, and a sum rather than an integral. The gradient is `torch.gradient`'s, central inside and
    one-sided at the sides, with a spacing of one over the number of nodes along x.

    Raises
    ------
    InputError
        Different shapes.
    """
    _same(prediction, target)
    kind = torch.promote_types(prediction.dtype, torch.float32)
    error = prediction.to(kind) - target.to(kind)
    along_y, along_x = torch.gradient(error, spacing=1.0 / error.shape[-1], dim=(-2, -1))
    total = (10.0 * error.square() + along_y.square() + along_x.square()).flatten(1).sum(1)
    return _root(total).mean()


def residual_energy(
    prediction: Tensor, rhs: Tensor, operator: Apply, cycle: Apply, *, floor: float = 0.0
) -> Tensor:
    """The residual in the A^-1 norm, by one multigrid cycle, over the solution's energy: it needs no truth.

    With r = b - A u and one symmetric cycle B from zero, r^T B r is the squared energy norm of the error, up to the
    cycle's convergence factor. Unlike the plain residual's norm, which weighs the finest error h^-2 times as
    much, it is a loss that is conditioned as the error itself.

    Parameters
    ----------
    prediction, rhs
        Of one shape (sample, ..., y, x); the right-hand side b integrated over the control volumes.
    operator, cycle
        The matrix A, and one cycle for it from zero, on fields of that shape; both differentiable. B must be symmetric.
    floor
        Least value of the solution's energy norm, in its units.

    Returns
    -------
    Tensor
        The mean over samples of sqrt(r^T B r / b^T B b), in float32 at least.

    Raises
    ------
    InputError
        Different shapes.

    Examples
    --------
    >>> b = torch.ones(2, 3, 3)
    >>> half = lambda field: field / 2
    >>> round(float(residual_energy(0.25 * b, b, lambda u: 2 * u, half)), 3)
    0.5
    """
    _same(prediction, rhs)
    kind = torch.promote_types(prediction.dtype, torch.float32)
    rhs = rhs.to(kind)
    residual = rhs - operator(prediction.to(kind))
    above = (residual * cycle(residual)).flatten(1).sum(1)
    with torch.no_grad():
        below = (rhs * cycle(rhs)).flatten(1).sum(1)
    return _ratio(above.clamp_min(0), below.clamp_min(0), floor)


def _fourier(prediction: Tensor, target: Tensor, truncation: int | None) -> Tensor:
    _same(prediction, target)
    kind = torch.promote_types(prediction.dtype, torch.float32)
    target = target.to(kind)
    error = prediction.to(kind) - target
    squares = []
    for n in error.shape[-2:]:
        wave = torch.fft.fftfreq(n, 1.0 / n, device=error.device, dtype=kind).abs()
        squares.append((wave if truncation is None else wave * (wave < truncation)).square())
    weight = 1.0 + squares[0][:, None] + squares[1]

    def norm(field: Tensor) -> Tensor:
        squared: Tensor = torch.view_as_real(torch.fft.fft2(field)).square().sum(-1)
        summed: Tensor = (squared * weight).flatten(1).sum(1)
        return summed

    return _ratio(norm(error), norm(target), 0.0)


def _ratio(above: Tensor, below: Tensor, floor: float) -> Tensor:
    """The mean of the roots' ratios; a sample that vanishes and is predicted exactly counts as 0."""
    below = _root(below).clamp_min(floor)
    exact = (above == 0) & (below == 0)
    ratio = _root(above) / torch.where(exact, torch.ones_like(below), below)
    return torch.where(exact, torch.zeros_like(above), ratio).mean()


def _root(square: Tensor) -> Tensor:
    """The square root, with the gradient 0 at 0."""
    zero = square == 0
    root: Tensor = torch.where(zero, square, torch.where(zero, torch.ones_like(square), square).sqrt())
    return root


def _checked(field: Tensor, grid: Grid) -> Tensor:
    if field.ndim < 3 or tuple(field.shape[-2:]) != grid.shape:
        raise InputError(f"a field of shape {tuple(field.shape)} on a grid {grid}: give (sample, ..., y, x)")
    return field.to(torch.promote_types(field.dtype, torch.float32))


def _like(values: np.ndarray[tuple[int, ...], np.dtype[np.float64]], field: Tensor) -> Tensor:
    return torch.as_tensor(values, dtype=field.dtype, device=field.device)


def _same(prediction: Tensor, target: Tensor) -> None:
    if prediction.shape != target.shape or prediction.ndim < 3:
        raise InputError(
            f"prediction {tuple(prediction.shape)} against target {tuple(target.shape)}: give one shape "
            "(sample, ..., y, x)"
        )
