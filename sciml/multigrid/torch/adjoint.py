"""Gradients through solves, by implicit differentiation: one more solve, with the transposed matrix.

For A u = b and a loss L(u): with A^T lambda = dL/du, dL/db = lambda and dL/dA_ij = -lambda_i u_j where A has an
entry (Giles and Pierce 2000). No iteration is differentiated, and none of its vectors is stored. The gradients are
themselves differentiable.
"""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor

from sciml.errors import InputError
from sciml.multigrid.torch.hierarchy import TorchHierarchy
from sciml.multigrid.torch.krylov import BatchSolution
from sciml.multigrid.torch.stencil_hierarchy import StencilHierarchy
from sciml.multigrid.torch.stencils import apply_stencil, diffusion_stencil
from sciml.multigrid.torch.transfers import LevelLayout
from sciml.pde.grid import Grid
from sciml.pde.system import Kind
from sciml.solve import SolveFailed

__all__ = ["solve_csr", "solve_diffusion", "solve_stencil"]


def solve_csr(
    hierarchy: TorchHierarchy,
    b: Tensor,
    values: Tensor | None = None,
    *,
    rtol: float = 1e-10,
    max_cycles: int = 200,
) -> Tensor:
    """Solve A u = b for a batch, differentiable in b and in the entries of A.

    Parameters
    ----------
    hierarchy
        Hierarchy of A or of a similar matrix, which is the preconditioner.
    b
        Right-hand sides (batch, n).
    values
        Entries of A (nnz,), with the sparsity of ``hierarchy.operator`` and sorted by row; by default those of the
        hierarchy.
    rtol, max_cycles
        Tolerance and largest number of cycles of the solve and of the adjoint solve.

    Returns
    -------
    Tensor
        Solutions (batch, n).

    Raises
    ------
    SolveFailed
        The tolerance was not reached.

    Examples
    --------
    >>> import pyamg
    >>> hierarchy = TorchHierarchy.of(pyamg.ruge_stuben_solver(pyamg.gallery.poisson((7, 7), format="csr")))
    >>> b = torch.ones(2, 49, dtype=torch.float64, requires_grad=True)
    >>> solve_csr(hierarchy, b).sum().backward()
    >>> b.grad.shape
    torch.Size([2, 49])
    """
    own = hierarchy.operator.values()
    if values is not None and values.shape != own.shape:
        raise InputError(f"values has shape {tuple(values.shape)}: this matrix has {own.numel()} entries")
    entries = own if values is None else values
    solution: Tensor = _SolveCSR.apply(entries, b, hierarchy, rtol, max_cycles)  # type: ignore[no-untyped-call]
    return solution


def solve_stencil(
    stencil: Tensor,
    b: Tensor,
    grid: Grid,
    *,
    kind: Kind = "definite",
    rtol: float = 1e-10,
    max_cycles: int = 200,
    hierarchy: StencilHierarchy | None = None,
) -> Tensor:
    """Solve A u = b for a batch of stencil fields, differentiable in the stencils and in b.

    Parameters
    ----------
    stencil
        Matrices as stencil fields (batch, 9, y, x).
    b
        Right-hand sides (batch, y, x).
    grid, kind
        Grid and kind of all matrices; only ``nonsymmetric`` matrices may differ from their transposes.
    hierarchy
        Hierarchy of the same stencils; None builds it.
    rtol, max_cycles
        As in `solve_csr`.

    Returns
    -------
    Tensor
        Solutions (batch, y, x).

    Raises
    ------
    SolveFailed
        The tolerance was not reached.
    """
    built = hierarchy or StencilHierarchy(stencil.detach(), grid, kind=kind)
    solution: Tensor = _SolveStencil.apply(stencil, b, built, rtol, max_cycles)  # type: ignore[no-untyped-call]
    return solution


def solve_diffusion(
    coefficient: Tensor,
    source: Tensor | float,
    grid: Grid,
    *,
    rtol: float = 1e-10,
    max_cycles: int = 200,
) -> Tensor:
    """Solve -div(coefficient grad u) = source for a batch, differentiable in both.

    Finite volumes as in `sciml.pde.discretize`; boundary values and fluxes are zero.

    Parameters
    ----------
    coefficient
        Coefficients (batch, y, x), positive.
    source
        Number, or sources (batch, y, x).
    grid
        Grid of the fields, with its boundary conditions.
    rtol, max_cycles
        As in `solve_csr`.

    Returns
    -------
    Tensor
        Solutions u (batch, y, x), with mean zero if no side is Dirichlet.

    Raises
    ------
    InputError
        The coefficient is not positive everywhere, or has another shape.
    SolveFailed
        The tolerance was not reached.

    Examples
    --------
    >>> coefficient = torch.ones(1, 7, 7, dtype=torch.float64, requires_grad=True)
    >>> solve_diffusion(coefficient, 1.0, Grid((7, 7))).sum().backward()
    >>> bool((coefficient.grad < 0).all())
    True
    """
    if coefficient.ndim != 3 or tuple(coefficient.shape[1:]) != grid.shape:
        raise InputError(f"coefficient is {tuple(coefficient.shape)}: this grid takes (batch, *{grid.shape})")
    least = float(coefficient.detach().amin())
    if not least > 0:
        raise InputError(f"the coefficient's least value is {least:g}: it has to be positive everywhere")
    volumes = torch.from_numpy(grid.volumes()).to(coefficient)
    b = (source * volumes).expand(coefficient.shape)
    kind: Kind = "definite" if "dirichlet" in grid.boundary.sides.values() else "semidefinite"
    stencil = diffusion_stencil(coefficient, grid)
    return solve_stencil(stencil, b, grid, kind=kind, rtol=rtol, max_cycles=max_cycles)


def _answer(solution: BatchSolution) -> Tensor:
    if not solution.result.ok:
        raise SolveFailed(solution)
    return solution.u


class _SolveCSR(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, values: Tensor, b: Tensor, hierarchy: TorchHierarchy, rtol: float, cycles: int
    ) -> Tensor:
        own = hierarchy.operator
        matrix = None
        symmetric = hierarchy.symmetric
        if values is not own.values() and not torch.equal(values, own.values()):
            matrix = torch.sparse_csr_tensor(
                own.crow_indices(), own.col_indices(), values.detach(), own.shape, check_invariants=False
            )
            symmetric = symmetric and torch.equal(values, values[hierarchy.places[2]])
        how: Literal["cg", "bicgstab"] = "cg" if symmetric else "bicgstab"
        u = _answer(hierarchy.solve(b, rtol=rtol, max_cycles=cycles, accelerate=how, operator=matrix))
        ctx.save_for_backward(values, u)
        ctx.how = hierarchy, rtol, cycles
        return u

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        values, u = ctx.saved_tensors
        hierarchy, rtol, cycles = ctx.how
        (gradient,) = gradients
        if hierarchy.kind == "semidefinite":
            gradient = gradient - hierarchy.weights * gradient.sum(-1, keepdim=True)
        rows, columns, order = hierarchy.places
        turned = hierarchy if hierarchy.kind != "nonsymmetric" else hierarchy.transposed
        entries = values[order]
        adjoint: Tensor = _SolveCSR.apply(entries, gradient, turned, rtol, cycles)  # type: ignore[no-untyped-call]
        for_values = None
        if ctx.needs_input_grad[0]:
            pairs = adjoint.reshape(-1, hierarchy.size)[:, rows] * u.reshape(-1, hierarchy.size)[:, columns]
            for_values = -pairs.sum(0)
        return for_values, adjoint, None, None, None


class _SolveStencil(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, stencil: Tensor, b: Tensor, hierarchy: StencilHierarchy, rtol: float, cycles: int
    ) -> Tensor:
        u = _answer(hierarchy.solve(b, rtol=rtol, max_cycles=cycles))
        ctx.save_for_backward(stencil, u)
        ctx.how = hierarchy, rtol, cycles
        return u

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        stencil, u = ctx.saved_tensors
        hierarchy, rtol, cycles = ctx.how
        (gradient,) = gradients
        if hierarchy.kind == "semidefinite":
            weights = hierarchy.weights.reshape(hierarchy.grid.shape)
            gradient = gradient - weights * gradient.sum((-2, -1), keepdim=True)
        layout = LevelLayout.of(hierarchy.grid)
        turned, transposed = hierarchy, stencil
        if hierarchy.kind == "nonsymmetric":
            transposed = _transposed(stencil, layout)
            turned = StencilHierarchy(transposed.detach(), hierarchy.grid, kind="nonsymmetric")
        adjoint: Tensor = _SolveStencil.apply(transposed, gradient, turned, rtol, cycles)  # type: ignore[no-untyped-call]
        for_stencil = None
        if ctx.needs_input_grad[0]:
            for_stencil = -adjoint[:, None] * _neighbours(u, layout)
        return for_stencil, adjoint, None, None, None


def _neighbours(u: Tensor, layout: LevelLayout) -> Tensor:
    """Return the values that each entry of a stencil multiplies, (batch, 9, y, x); zero beyond a side."""
    ones = torch.eye(9, dtype=u.dtype, device=u.device)
    fields = [
        apply_stencil(ones[k].reshape(1, 9, 1, 1).expand(1, 9, *layout.shape), u[:, None], layout)
        for k in range(9)
    ]
    return torch.cat(fields, 1)


def _transposed(stencil: Tensor, layout: LevelLayout) -> Tensor:
    """Return the stencils of the transposed matrices."""
    fields = [_neighbours(stencil[:, 8 - k], layout)[:, k] for k in range(9)]
    return torch.stack(fields, 1)
