"""V-cycles with a diagonal smoother, folded into two sparse products a level.

From zero, with smoothers x = S1 b before and x + S2 (b - A x) after the coarse correction, a level computes

    r_c = R (I - A S1) b,        x = (S2 + (I - S2 A) S1) b + (I - S2 A) P e_c.

Both products are multiplied out once. The second takes b and e_c stacked, where e_c has been written by the coarser
level; so nothing is read or written but what the two matrices need. The result differs by round-off only.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import scipy.sparse as sp
import torch
from torch import Tensor

from sciml.multigrid.torch.relaxation import product, sparse
from sciml.pde.grid import Field
from sciml.pde.system import Matrix

__all__ = ["FoldedCycle", "FoldedLevel"]


@dataclass(frozen=True, eq=False)
class FoldedLevel:
    """The two matrices of a level: ``down`` (n_c, n) and ``up`` (n, n + n_c)."""

    down: Tensor
    up: Tensor

    @classmethod
    def of(
        cls,
        operator: Matrix,
        restriction: Matrix,
        prolongation: Matrix,
        smoothers: tuple[Field, Field],
        device: torch.device,
        dtype: torch.dtype,
    ) -> FoldedLevel:
        """Multiply a level out.

        Parameters
        ----------
        operator, restriction, prolongation
            A (n, n), R (n_c, n), P (n, n_c).
        smoothers
            The diagonals (n,) of S1 and S2.
        """
        before, after = (sp.diags_array(s) for s in smoothers)
        identity = sp.eye_array(operator.shape[0])
        remains = identity - after @ operator
        up = sp.hstack((after + remains @ before, remains @ prolongation))
        return cls(
            sparse(restriction @ (identity - operator @ before), device, dtype), sparse(up, device, dtype)
        )


@dataclass(frozen=True, eq=False)
class FoldedCycle:
    """The V-cycle of folded levels and a dense inverse at the bottom."""

    levels: tuple[FoldedLevel, ...]
    coarse: Tensor

    def prepared(self, batch: int) -> Callable[[Tensor], Tensor]:
        """Make the cycle from zero for vectors (n, batch), in any precision.

        It owns its memory, fresh pages of which cost as much as the work on a CPU; each call overwrites what the
        last one returned.
        """
        stacked = [self.coarse.new_empty(level.up.shape[1], batch) for level in self.levels]
        bottom = self.coarse.new_empty(self.coarse.shape[0], batch)
        result = self.coarse.new_empty(self.levels[0].up.shape[0], batch)

        def run(r: Tensor) -> Tensor:
            sizes = [level.up.shape[0] for level in self.levels]
            stacked[0][: sizes[0]].copy_(r)
            for at, level in enumerate(self.levels):
                last = at + 1 == len(self.levels)
                product(
                    level.down,
                    stacked[at][: sizes[at]],
                    bottom if last else stacked[at + 1][: sizes[at + 1]],
                )
            torch.mm(self.coarse, bottom, out=stacked[-1][sizes[-1] :])
            for at in range(len(self.levels) - 1, 0, -1):
                product(self.levels[at].up, stacked[at], stacked[at - 1][sizes[at - 1] :])
            return product(self.levels[0].up, stacked[0], result).to(r.dtype)

        return run
