"""Matrices on structured grids as fields of 9-point stencils, for batches in torch.

A stencil field (batch, 9, y, x) contains one matrix for each sample: the entry ``3 (dy + 1) + dx + 1`` at an unknown
multiplies the neighbour at (y + dy, x + dx). Galerkin coarsening is a strided convolution with a fixed kernel, so that
a hierarchy for a batch of coefficients takes about the time of a few smoothing steps.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from sciml.errors import InputError
from sciml.multigrid.torch.transfers import VERTEX, LevelLayout, ghost_sign, within_reach
from sciml.pde.grid import Centring, Grid
from sciml.pde.system import Matrix

__all__ = [
    "apply_stencil",
    "constant_shift",
    "dense",
    "diffusion_stencil",
    "galerkin",
    "inverses",
    "neighbourhood",
    "stencil_of",
]


def apply_stencil(stencil: Tensor, u: Tensor, layout: LevelLayout) -> Tensor:
    """Apply stencil fields (batch, 9, y, x), or one (1, 9, y, x) for all, to u (batch, channel, y, x)."""
    ny, nx = layout.shape
    padded = neighbourhood(u, layout)
    result = stencil[:, 4:5] * u
    for k in (0, 1, 2, 3, 5, 6, 7, 8):
        dy, dx = divmod(k, 3)
        result = torch.addcmul(result, stencil[:, k : k + 1], padded[..., dy : dy + ny, dx : dx + nx])
    return result


def neighbourhood(u: Tensor, layout: LevelLayout) -> Tensor:
    """Pad with zeros, which stencils multiply by 0, or periodically; the matrix includes the boundary conditions."""
    for axis in (1, 0):
        ends = (1, 1) if axis == 1 else (0, 0, 1, 1)
        if layout.sides[axis][0] == "periodic":
            dim, n = axis - 2, u.shape[axis - 2]
            u = torch.cat((u.narrow(dim, n - 1, 1), u, u.narrow(dim, 0, 1)), dim=dim)
        else:
            u = functional.pad(u, ends)
    return u


@cache
def _galerkin_kernel(centring: Centring) -> Tensor:
    """Return the kernel K (9, 9, m, m): coarse entry D from fine entry delta at offset p is w(p) w(p + delta - 2 D)."""
    # A factor sqrt(1/2) for each transfer and axis: piecewise constants overestimate the energy by 2.
    value = torch.tensor(VERTEX if centring == "vertex" else (0.5**0.25, 0.5**0.25), dtype=torch.float64)
    m = len(value)
    along = torch.zeros(3, 3, m, dtype=torch.float64)
    for d in range(3):
        for delta in range(3):
            for p in range(m):
                q = p + (delta - 1) - 2 * (d - 1)
                if 0 <= q < m:
                    along[d, delta, p] = value[p] * value[q]
    return torch.einsum("adp,beq->abdepq", along, along).reshape(9, 9, m, m).contiguous()


def galerkin(stencil: Tensor, fine: LevelLayout) -> Tensor:
    """Compute the matrices of the next coarser level, as stencil fields on ``fine.coarse()``.

    On vertex-centred grids these are P^T A P up to rounding, with the interpolation P of `prolong`. On cell-centred
    grids that product has more than nine points; the result is half of P^T A P with piecewise constant P, which for
    finite volumes is the discretisation on the coarse cells (Wesseling 1992, section 5.4).

    Parameters
    ----------
    stencil
        (batch, 9, *fine.shape).

    Returns
    -------
    Tensor
        (batch, 9, *fine.coarse().shape).

    Raises
    ------
    InputError
        A periodic axis has an odd number of unknowns, and therefore no coarse level.
    """
    for axis in (0, 1):
        if fine.sides[axis][0] == "periodic" and fine.shape[axis] % 2:
            raise InputError(
                f"a periodic axis of {fine.shape[axis]} unknowns has no coarse level: use a multiple of a power of 2"
            )
    coarse = fine.coarse()
    kernel = _galerkin_kernel(fine.centring).to(stencil)
    if fine.centring == "cell":
        ends = [2 * c - n for c, n in zip(coarse.shape, fine.shape, strict=True)]
        whole = functional.pad(stencil, (0, ends[1], 0, ends[0]))
        return functional.conv2d(whole, kernel, stride=2)
    extended = functional.conv2d(within_reach(stencil, fine), kernel, stride=2)
    batch = extended.shape[0]
    fields = extended.reshape(batch, 3, 3, *extended.shape[-2:])
    for axis in (0, 1):
        fields = _fold_stencil(fields, coarse, axis)
    return fields.reshape(batch, 9, *coarse.shape)


def _fold_stencil(fields: Tensor, coarse: LevelLayout, axis: int) -> Tensor:
    """Fold the ghosts of one axis: first the rows of the ghosts, then the columns."""
    entry, dim = 1 + axis, 3 + axis
    n = fields.shape[dim] - 2
    inner = fields.narrow(dim, 1, n).clone()
    for end in (0, 1):
        side = coarse.sides[axis][end]
        sign = ghost_sign(coarse, side)
        at = (n - 1) * end
        edge = inner.narrow(dim, at, 1)
        outward, inward = 2 * end, 2 - 2 * end
        row = fields.narrow(dim, (n + 1) * end, 1)
        if side == "periodic":
            # The ghost is the last unknown at the other end and has the same neighbours.
            inner.narrow(dim, (n - 1) * (1 - end), 1).add_(row)
            continue
        if sign:
            # The edge is the inner neighbour of the ghost and the ghost itself.
            edge.narrow(entry, 1, 1).add_(row.narrow(entry, inward, 1), alpha=sign)
            edge.narrow(entry, 1, 1).add_(row.narrow(entry, 1, 1))
            edge.narrow(entry, 1, 1).add_(edge.narrow(entry, outward, 1), alpha=sign)
        edge.narrow(entry, outward, 1).zero_()
    return inner


def dense(stencil: Tensor, layout: LevelLayout) -> Tensor:
    """Convert stencil fields to dense matrices (batch, n, n), for the coarsest level."""
    batch = stencil.shape[0]
    ny, nx = layout.shape
    n = ny * nx
    unit = torch.eye(n, dtype=stencil.dtype, device=stencil.device).reshape(1, n, ny, nx)
    columns = apply_stencil(stencil, unit.expand(batch, n, ny, nx), layout)
    return columns.reshape(batch, n, n).transpose(1, 2)


def constant_shift(stencil: Tensor, layout: LevelLayout) -> Tensor | None:
    """Return a shift (batch,) of the size of the matrix if constants are in its kernel, else 0; None if all are 0.

    The entries of a matrix with constants in its kernel sum to zero up to rounding. The finest level is checked,
    because the matrix of a coarsest level with a single unknown would be only rounding.
    """
    if any(side == "dirichlet" for pair in layout.sides for side in pair):
        return None
    total, size = stencil.sum((1, 2, 3)), stencil.abs().sum((1, 2, 3))
    negligible = 8 * torch.finfo(stencil.dtype).eps
    return torch.where(total > negligible * size, 0.0, stencil[:, 4].mean((1, 2)))


def inverses(stencil: Tensor, layout: LevelLayout, shift: Tensor | None) -> Tensor:
    """Return the inverses (batch, n, n) of symmetric matrices, or pseudo-inverses if constants are in the kernel.

    For a pseudo-inverse the constants get the eigenvalue ``shift`` (`constant_shift` of the finest level) and are
    removed from the inverse. A cut-off of small singular values would depend on the rounding of all levels.
    """
    matrices = dense(stencil, layout)
    inverse = _by_halves if torch.compiler.is_exporting() else torch.linalg.inv
    if shift is None:
        return inverse(matrices)
    each = shift[:, None, None]
    n = matrices.shape[-1]
    return inverse(matrices + each / n) - torch.where(each > 0, 1 / torch.where(each > 0, each, 1.0), 0.0) / n


def _by_halves(matrices: Tensor) -> Tensor:
    """Invert symmetric positive definite matrices by products only, for ONNX, which has no inverse."""
    n = matrices.shape[-1]
    if n == 1:
        return 1 / matrices
    k = n // 2
    first = _by_halves(matrices[..., :k, :k])
    across = first @ matrices[..., :k, k:]
    last = _by_halves(matrices[..., k:, k:] - matrices[..., k:, :k] @ across)
    corner = across @ last
    upper = torch.cat((first + corner @ across.mT, -corner), -1)
    return torch.cat((upper, torch.cat((-corner.mT, last), -1)), -2)


def stencil_of(matrix: Matrix, grid: Grid) -> Tensor:
    """Convert a sparse matrix on a grid to a stencil field (9, y, x), float64.

    Raises
    ------
    InputError
        The matrix couples unknowns that are not neighbours.
    """
    ny, nx = grid.shape
    rows = np.repeat(np.arange(grid.size), np.diff(matrix.indptr))
    y, x = np.divmod(rows, nx)
    to_y, to_x = np.divmod(matrix.indices, nx)
    dy, dx = to_y - y, to_x - x
    if grid.sides(0)[0] == "periodic":
        dy = (dy + 1) % ny - 1
    if grid.sides(1)[0] == "periodic":
        dx = (dx + 1) % nx - 1
    if len(dy) and max(np.abs(dy).max(), np.abs(dx).max()) > 1:
        raise InputError(
            f"the matrix couples unknowns {max(np.abs(dy).max(), np.abs(dx).max())} apart: a stencil has 9 points"
        )
    field = np.zeros((9, ny, nx))
    np.add.at(field, (3 * (dy + 1) + dx + 1, y, x), matrix.data)
    return torch.from_numpy(field)


def diffusion_stencil(coefficient: Tensor, grid: Grid) -> Tensor:
    """Discretise -div(coefficient grad u) by finite volumes as `sciml.pde.discretize` does, differentiably.

    Parameters
    ----------
    coefficient
        Coefficients (batch, y, x), positive.
    grid
        Grid of the fields, with its boundary conditions.

    Returns
    -------
    Tensor
        Stencil fields (batch, 9, y, x), integrated over the control volumes; the corner entries are zero.
    """
    batch = coefficient.shape[0]
    flows: dict[tuple[int, int], Tensor] = {}
    for axis in (0, 1):
        dim, n = 1 + axis, grid.shape[axis]
        width = torch.from_numpy(grid.weights(1 - axis)).to(coefficient)
        across = width[None, None, :] if axis == 0 else width[None, :, None]
        h = grid.spacing[axis]
        sides = grid.sides(axis)
        a, b = coefficient.narrow(dim, 0, n - 1), coefficient.narrow(dim, 1, n - 1)
        inside = across * (2 * a * b / (a + b)) / h
        if sides[0] == "periodic":
            a, b = coefficient.narrow(dim, n - 1, 1), coefficient.narrow(dim, 0, 1)
            ends = [across * (2 * a * b / (a + b)) / h] * 2
        else:
            distance = h / 2 if grid.centring == "cell" else h
            ends = [
                across * coefficient.narrow(dim, at, 1) * (float(side == "dirichlet") / distance)
                for at, side in zip((0, n - 1), sides, strict=True)
            ]
        flows[axis, 0] = torch.cat((ends[0], inside), dim)
        flows[axis, 1] = torch.cat((inside, ends[1]), dim)
    zero = torch.zeros(batch, *grid.shape, dtype=coefficient.dtype, device=coefficient.device)
    entries = [zero] * 9
    for (axis, end), flow in flows.items():
        at = 4 + (2 * end - 1) * (3 if axis == 0 else 1)
        entries[at] = -flow
        entries[4] = entries[4] + flow
        side = grid.sides(axis)[end]
        if side != "periodic":  # no neighbour beyond the side
            keep = torch.ones(grid.shape[axis], dtype=flow.dtype, device=flow.device)
            keep[-end] = 0.0
            entries[at] = entries[at] * (keep[None, :, None] if axis == 0 else keep[None, None, :])
    return torch.stack(entries, 1)
