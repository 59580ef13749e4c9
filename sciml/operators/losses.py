"""Losses: norms of errors on a grid, each named after its norm.

Papers on neural operators use the name H1 for several norms. `relative_h1` is the Sobolev norm, with finite differences
that include the boundary conditions; `relative_h1_fft` and `relative_h1_truncated` are those of two published codes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from sciml.errors import InputError
from sciml.operators.known_sides import not_zero, on_side, with_sides
from sciml.pde.grid import SIDES
from sciml.pde.sides import Given, Jumps, check_sides, extrapolated

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

TRUNCATION = 20  # wave number along each axis from which the official loss has no weight
FieldMap = Callable[[Tensor], Tensor]


def mass(field: Tensor, grid: Grid) -> Tensor:
    """Integrate the square of a field (sample, ..., y, x) over its grid, (sample,)."""
    field = _checked(field, grid)
    volumes = _like(grid.volumes(), field)
    return (field.square() * volumes).flatten(1).sum(1)


def energy(field: Tensor, grid: Grid, *, boundary_value: Given = 0.0) -> Tensor:
    """Integrate the square of the gradient of a field, by the differences across the faces.

    At a Dirichlet side the difference is that to the known value, over half a spacing (cell-centred) or a whole spacing
    (vertex-centred). At a Neumann side it is zero, and at a periodic side it is that to the opposite end.

    Parameters
    ----------
    field
        (sample, ..., y, x) at the unknowns of the grid, in a box (sample, ..., z, y, x).
    grid
        Grid of the field; its boundary determines the conditions at the sides.
    boundary_value
        Values of the field on Dirichlet sides, 0 for an error. Either a number, or for each side (west, east, south,
        north, bottom, top) a number, a tensor (sample,) or (sample, n) along the side, or None for values that are
        extrapolated from the field (`sciml.pde.sides.extrapolated`). Sides without a value have 0.

    Returns
    -------
    Tensor
        Integral (sample,). Up to rounding it equals e^T A e of ``discretize(Poisson(...))`` on that grid.

    Raises
    ------
    InputError
        The field has another shape than the grid, or a side with a value is not Dirichlet.

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
    if grid.centring == "vertex" and not_zero(values):
        return energy(*with_sides(field, grid, values))
    total = field.new_zeros(len(field))
    for axis in range(grid.ndim):
        dim, h = axis - grid.ndim, grid.spacing[axis]
        width = _like(np.expand_dims(grid.areas(axis), axis), field)
        first, last = grid.sides(axis)
        inside = field.diff(dim=dim).square()
        total = total + (inside * (width / h)).flatten(1).sum(1)
        if first == "periodic":
            across = field.narrow(dim, 0, 1) - field.narrow(dim, grid.shape[axis] - 1, 1)
            total = total + (across.square() * (width / h)).flatten(1).sum(1)
        distance = h / 2 if grid.centring == "cell" else h
        for end, (side, place) in enumerate(((first, 0), (last, grid.shape[axis] - 1))):
            if side == "dirichlet":
                name = SIDES[grid.dims[axis]][end]
                known = on_side(values.get(name, 0.0), field, grid, name)
                across = field.narrow(dim, place, 1) - known
                total = total + (across.square() * (width / distance)).flatten(1).sum(1)
    return total


def square_h1(field: Tensor, grid: Grid, *, boundary_value: Given = 0.0) -> Tensor:
    """Compute the square of the H1 norm, (sample,): `mass` plus `energy`."""
    values = check_sides(boundary_value, grid)
    if grid.centring == "vertex" and not_zero(values):
        field, grid = with_sides(_checked(field, grid), grid, values)
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
    """Compute the relative H1 error: the ratio of the H1 norms of error and target, averaged over the samples.

    The norm is sqrt(integral of e^2 + |grad e|^2), with finite differences that include the boundary conditions, see
    `energy`.

    Parameters
    ----------
    prediction, target
        Fields of equal shape (sample, ..., y, x) on the grid.
    grid
        Grid of the fields.
    boundary_value
        Values of the target on Dirichlet sides, see `energy`; the error is zero there. The default is 0, or the
        extrapolated value on sides where a sample of the target is clearly not zero (`sciml.pde.sides.Jumps`).
    floor
        Least value of the norm of the target, for samples that may be zero.

    Returns
    -------
    Tensor
        Scalar of at least float32.

    Raises
    ------
    InputError
        The shapes differ from each other or from the grid, or a side with a value is not Dirichlet.

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
    """Return None for the sides on which a sample is clearly not zero, and 0 for the others."""
    clear: dict[str, list[int]] = {}
    with torch.no_grad():
        for index, sample in enumerate(target):
            jumps = Jumps(grid)
            jumps.add(sample.reshape(-1, *grid.shape).double().cpu().numpy())
            for name in jumps.clear():
                clear.setdefault(name, []).append(index)
        values: dict[str, Tensor] = {}
        for name, samples in clear.items():
            line = extrapolated(target, grid, name)
            values[name] = torch.zeros_like(line)
            values[name][samples] = line[samples]
    return values or 0.0


def relative_h1_fft(prediction: Tensor, target: Tensor, axes: int = 2) -> Tensor:
    """Compute the relative error in Fourier space, weighted by sqrt(1 + kx^2 + ky^2), for a number of axes in space.

    All fields (sample, ..., y, x) are treated as periodic, as in the Sobolev loss of the FNO authors (Li et al. 2021).
    The jump of other fields at the sides contributes to the norm; use `relative_h1` for these.

    Raises
    ------
    InputError
        The shapes differ.
    """
    return _fourier(prediction, target, None, axes)


def relative_h1_truncated(prediction: Tensor, target: Tensor, axes: int = 2) -> Tensor:
    """Compute the "H1" error of the official MgNO code: `relative_h1_fft` without weights from wave number 20.

    The weight is sqrt(1 + kx^2 [kx < 20] + ky^2 [ky < 20]), so that errors at small scales have little effect. Table 1
    of He et al. (2024) shows this error.

    Raises
    ------
    InputError
        The shapes differ.
    """
    return _fourier(prediction, target, TRUNCATION, axes)


def h1_helmholtz(prediction: Tensor, target: Tensor) -> Tensor:
    """Compute the official Helmholtz loss: sqrt(sum over nodes of 10 e^2 + |grad e|^2), averaged over samples.

    The loss is absolute, and a sum rather than an integral. The gradient is that of `torch.gradient` (central inside,
    one-sided at the sides) with a spacing of one over the number of nodes along x.

    Raises
    ------
    InputError
        The shapes differ.
    """
    _same(prediction, target)
    kind = torch.promote_types(prediction.dtype, torch.float32)
    error = prediction.to(kind) - target.to(kind)
    along_y, along_x = torch.gradient(error, spacing=1.0 / error.shape[-1], dim=(-2, -1))
    total = (10.0 * error.square() + along_y.square() + along_x.square()).flatten(1).sum(1)
    return _root(total).mean()


def residual_energy(
    prediction: Tensor, rhs: Tensor, operator: FieldMap, cycle: FieldMap, *, floor: float = 0.0
) -> Tensor:
    """Estimate the relative energy error from the residual by one multigrid cycle; no reference is needed.

    With r = b - A u and one symmetric cycle B from zero, r^T B r equals the squared energy norm of the error up to the
    convergence factor of the cycle. The plain norm of the residual has weights that are h^-2 times as large for the
    smallest scales; this loss is conditioned as the error itself.

    Parameters
    ----------
    prediction, rhs
        Fields of equal shape (sample, ..., y, x); the right-hand side b is integrated over the control volumes.
    operator, cycle
        Functions of such fields that apply the matrix A and one cycle B for it from zero. Both must be differentiable,
        and B symmetric.
    floor
        Least value of the energy norm of the solution, in its units.

    Returns
    -------
    Tensor
        Mean over the samples of sqrt(r^T B r / b^T B b), at least float32.

    Raises
    ------
    InputError
        The shapes differ.

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


def _fourier(prediction: Tensor, target: Tensor, truncation: int | None, axes: int) -> Tensor:
    _same(prediction, target)
    kind = torch.promote_types(prediction.dtype, torch.float32)
    target = target.to(kind)
    error = prediction.to(kind) - target
    squares = []
    for n in error.shape[-axes:]:
        wave = torch.fft.fftfreq(n, 1.0 / n, device=error.device, dtype=kind).abs()
        squares.append((wave if truncation is None else wave * (wave < truncation)).square())
    weight: Any = 1.0
    for axis, square in enumerate(squares):
        weight = weight + square.reshape(-1, *[1] * (axes - 1 - axis))

    def norm(field: Tensor) -> Tensor:
        squared: Tensor = (
            torch.view_as_real(torch.fft.fftn(field, dim=tuple(range(-axes, 0)))).square().sum(-1)
        )
        summed: Tensor = (squared * weight).flatten(1).sum(1)
        return summed

    return _ratio(norm(error), norm(target), 0.0)


def _ratio(above: Tensor, below: Tensor, floor: float) -> Tensor:
    """Return the mean ratio of the roots; a zero sample that is predicted exactly counts as 0."""
    below = _root(below).clamp_min(floor)
    exact = (above == 0) & (below == 0)
    ratio = _root(above) / torch.where(exact, torch.ones_like(below), below)
    return torch.where(exact, torch.zeros_like(above), ratio).mean()


def _root(square: Tensor) -> Tensor:
    """Return the square root, whose gradient at 0 is 0."""
    zero = square == 0
    root: Tensor = torch.where(zero, square, torch.where(zero, torch.ones_like(square), square).sqrt())
    return root


def _checked(field: Tensor, grid: Grid) -> Tensor:
    if field.ndim <= grid.ndim or tuple(field.shape[-grid.ndim :]) != grid.shape:
        dims = ", ".join(grid.dims)
        raise InputError(
            f"a field of shape {tuple(field.shape)} on a grid {grid}: give (sample, ..., {dims})"
        )
    return field.to(torch.promote_types(field.dtype, torch.float32))


def _like(values: np.ndarray[tuple[int, ...], np.dtype[np.float64]], field: Tensor) -> Tensor:
    return torch.as_tensor(values, dtype=field.dtype, device=field.device)


def _same(prediction: Tensor, target: Tensor) -> None:
    if prediction.shape != target.shape or prediction.ndim < 2:
        raise InputError(
            f"prediction {tuple(prediction.shape)} against target {tuple(target.shape)}: give one shape "
            "(sample, ..., y, x)"
        )
