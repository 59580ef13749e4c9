"""A symmetric multigrid cycle for a batch of stencils, for losses that need a new one for each batch."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

from torch import Tensor

from sciml.multigrid.torch.stencils import apply_stencil, constant_shift, galerkin, inverses
from sciml.multigrid.torch.transfers import LevelLayout, prolong, restrict
from sciml.pde.grid import Grid

__all__ = ["StencilCycle"]

DAMPING = 0.8  # damping of the Jacobi sweeps
DIRECT = 256  # largest number of unknowns of the coarsest level


@dataclass(frozen=True, eq=False)
class StencilCycle:
    """A V-cycle from zero with a damped Jacobi sweep before and after; symmetric, linear and differentiable.

    Parameters
    ----------
    levels
        Layout and stencil field (sample, 9, y, x) of each level, finest first.
    coarsest
        Inverse on the coarsest level (sample, n, n), or None to smooth on a level that is too large for it.

    Examples
    --------
    >>> import torch
    >>> from sciml.multigrid.torch.stencils import diffusion_stencil
    >>> grid = Grid((15, 15))
    >>> cycle = StencilCycle.of(diffusion_stencil(torch.ones(1, 15, 15), grid), grid)
    >>> b = torch.ones(1, 1, 15, 15)
    >>> error = b - cycle.operator(cycle(b))
    >>> bool(error.norm() < 0.5 * b.norm())
    True
    """

    levels: tuple[tuple[LevelLayout, Tensor], ...]
    coarsest: Tensor | None

    @classmethod
    def of(cls, stencil: Tensor, grid: Grid) -> StencilCycle:
        """Make the cycle of stencil fields (sample, 9, y, x), by Galerkin coarsening."""
        held = "dirichlet" in grid.boundary.sides.values()
        # the entry of a singular matrix with a single unknown is only rounding
        layouts = LevelLayout.of(grid).levels(1 if held else 2)
        levels = [(layouts[0], stencil)]
        for fine, coarse in itertools.pairwise(layouts):
            levels.append((coarse, galerkin(levels[-1][1], fine)))
        layout, last = levels[-1]
        if layout.shape[0] * layout.shape[1] > DIRECT:
            return cls(tuple(levels), None)
        return cls(tuple(levels), inverses(last, layout, constant_shift(stencil, layouts[0])))

    def operator(self, u: Tensor) -> Tensor:
        """Apply A to fields (sample, channel, y, x)."""
        layout, stencil = self.levels[0]
        return apply_stencil(stencil, u, layout)

    def __call__(self, r: Tensor) -> Tensor:
        """Apply one cycle from zero to r (sample, channel, y, x), which approximates A^-1 r."""
        return self._cycle(r, 0)

    def _cycle(self, r: Tensor, level: int) -> Tensor:
        layout, stencil = self.levels[level]
        inverse = DAMPING / stencil[:, 4:5]
        if level + 1 == len(self.levels):
            return self._last(r, layout, stencil, inverse)
        u = inverse * r
        coarse = restrict(r - apply_stencil(stencil, u, layout), layout)
        u = u + prolong(self._cycle(coarse, level + 1), layout)
        return u + inverse * (r - apply_stencil(stencil, u, layout))

    def _last(self, r: Tensor, layout: LevelLayout, stencil: Tensor, inverse: Tensor) -> Tensor:
        if self.coarsest is not None:
            return (self.coarsest @ r.flatten(2).transpose(1, 2)).transpose(1, 2).reshape(r.shape)
        u = inverse * r
        for _ in range(8):
            u = u + inverse * (r - apply_stencil(stencil, u, layout))
        return u
