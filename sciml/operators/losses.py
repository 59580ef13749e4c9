"""Norms of errors on a grid, as losses: each says by its name which norm it is.

Tables of operator papers call several different numbers H1. Here `relative_h1` is the Sobolev norm, by finite
differences that know the boundary; `relative_h1_fft` and `relative_h1_truncated` are the two of the published codes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from sciml.errors import InputError

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
Apply = Callable[[Tensor], Tensor]


def mass(field: Tensor, grid: Grid) -> Tensor:
    """The integral of the square of a field (sample, ..., y, x) over the rectangle, (sample,)."""
    field = _checked(field, grid)
    volumes = _like(grid.volumes(), field)
    return (field.square() * volumes).flatten(1).sum(1)


def energy(field: Tensor, grid: Grid, *, boundary_value: float = 0.0) -> Tensor:
    """The integral of the square of the gradient of a field, by the differences across the faces.

    Across a Dirichlet side the difference is that to the known value, over half a spacing (cells) or a whole one
    (vertices); across a Neumann side there is none; a periodic field is closed.

    Parameters
    ----------
    field
        (sample, ..., y, x) at the unknowns of the grid.
    grid
        Its boundary tells what holds at the sides.
    boundary_value
        Of the field on Dirichlet sides: 0 for an error, whose boundary values are known.

    Returns
    -------
    Tensor
        (sample,). It equals e^T A e of ``discretize(Poisson(...))`` on that grid, to rounding.

    Raises
    ------
    InputError
        A field that does not lie on the grid.

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
        for side, place in ((first, 0), (last, grid.shape[axis] - 1)):
            if side == "dirichlet":
                across = field.narrow(dim, place, 1) - boundary_value
                total = total + (across.square() * (width / distance)).flatten(1).sum(1)
    return total


def square_h1(field: Tensor, grid: Grid, *, boundary_value: float = 0.0) -> Tensor:
    """The square of the H1 norm, (sample,): `mass` plus `energy`."""
    return mass(field, grid) + energy(field, grid, boundary_value=boundary_value)


def relative_h1(
    prediction: Tensor, target: Tensor, grid: Grid, *, boundary_value: float = 0.0, floor: float = 0.0
) -> Tensor:
    """The H1 norm of the error over the target's, sample by sample, and the mean over the samples.

    The norm is sqrt(integral of e^2 + |grad e|^2), by finite differences that know the boundary, see `energy`.

    Parameters
    ----------
    prediction, target
        Of one shape (sample, ..., y, x), on the grid.
    grid
        Where the values lie.
    boundary_value
        What the target is on Dirichlet sides.
    floor
        Least value of the target's norm, for samples that may vanish.

    Returns
    -------
    Tensor
        A scalar, in float32 at least.

    Raises
    ------
    InputError
        Different shapes, or fields that do not lie on the grid.

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
    below = square_h1(target.to(kind), grid, boundary_value=boundary_value)
    return _ratio(above, below, floor)


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
