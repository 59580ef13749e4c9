"""V-cycles with a diagonal smoother, folded into two sparse products a level.

With smoothers x = S1 b before and x + S2 (b - A x) after the coarse correction, a level computes from zero

    r_c = R (I - A S1) b,        x = (S2 + (I - S2 A) S1) b + (I - S2 A) P e_c.

Both products are multiplied out once. The second is applied to b and e_c, stacked in one array to which the coarser
level writes e_c, so that no vectors are copied. The result differs from the plain cycle only by rounding.
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
    """The two matrices of a level, ``down`` (n_c, n) and ``up`` (n, n + n_c)."""

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
        """Compute the two matrices of a level.

        Parameters
        ----------
        operator, restriction, prolongation
            A (n, n), R (n_c, n), P (n, n_c).
        smoothers
            Diagonals (n,) of S1 and S2.
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
    """The V-cycle of folded levels and a dense inverse on the coarsest level."""

    levels: tuple[FoldedLevel, ...]
    coarse: Tensor

    def prepared(self, batch: int) -> Callable[[Tensor], Tensor]:
        """Make the cycle from zero for vectors (n, batch), in any precision.

        The cycle reuses its memory, because the first access to new memory takes as long as the cycle on a CPU. Each
        call overwrites the result of the previous one.
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
