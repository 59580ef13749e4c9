"""Games with known solutions."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from sciml.checks import check_whole, is_number
from sciml.errors import InputError
from sciml.train.minmax.inequality import VariationalInequality

__all__ = ["BilinearOperator", "bilinear_game"]


class BilinearOperator:
    """The operator of ``x.A y + a.x + b.y + (strength / 2) (|x|^2 - |y|^2)``, minimised over x and maximised over y.

    Parameters
    ----------
    matrix, a, b
        (n, n), (n,) and (n,).
    strength
        Strong convexity and concavity.
    """

    def __init__(self, matrix: Tensor, a: Tensor, b: Tensor, strength: float) -> None:
        self.matrix, self.a, self.b, self.strength = matrix, a, b, strength

    def __call__(self, z: Tensor) -> Tensor:
        """Return (df/dx, -df/dy) at z, (2 n,)."""
        size = len(self.a)
        x, y = z[:size], z[size:]
        left = self.matrix @ y + self.a + self.strength * x
        return torch.cat([left, self.strength * y - self.matrix.T @ x - self.b])

    @property
    def lipschitz(self) -> float:
        """Norm of the linear part."""
        return float((torch.linalg.matrix_norm(self.matrix, 2) ** 2 + self.strength**2).sqrt())


def bilinear_game(
    devices: int, size: int = 50, strength: float = 0.1, seed: int = 7, similarity: float = 0.0
) -> VariationalInequality:
    """Make a bilinear game with random matrices, whose solution is computed directly.

    Parameters
    ----------
    devices
        Number of devices, each with a matrix and two vectors of its own.
    size
        Number of components of x, and of y.
    strength
        Strong convexity and concavity; 0 leaves the bilinear game, which is monotone only.
    seed
        Seed of the matrices.
    similarity
        Correlation of a device's matrix with the one that is common to all, from 0 (independent devices, whose matrices
        have about sqrt(``devices``) times the norm of their mean) to 1 (the same matrix).

    Returns
    -------
    VariationalInequality
        Problem with 2 ``size`` components, float64; the norm of the mean matrix is 1.

    Raises
    ------
    InputError
        A number is out of range.

    Examples
    --------
    >>> game = bilinear_game(3, size=4)
    >>> total = sum(operator(game.answer) for operator in game.operators)
    >>> bool(total.abs().max() < 1e-12)
    True
    """
    check_whole("devices", devices, 1, owner="bilinear_game")
    check_whole("size", size, 1, owner="bilinear_game")
    if not (is_number(strength) and strength >= 0):
        raise InputError(f"bilinear_game(strength={strength!r}): give a number of 0 or more")
    if not (is_number(similarity) and 0 <= similarity <= 1):
        raise InputError(f"bilinear_game(similarity={similarity!r}): give a number from 0 to 1")
    rng = np.random.default_rng(seed)
    own = torch.from_numpy(rng.standard_normal((devices, size, size)))
    a, b = torch.from_numpy(rng.standard_normal((2, devices, size)))
    common = torch.from_numpy(rng.standard_normal((size, size)))
    matrices = similarity * common + (1 - similarity**2) ** 0.5 * own
    matrices = matrices / torch.linalg.matrix_norm(matrices.mean(0), 2)
    operators = [BilinearOperator(*parts, strength) for parts in zip(matrices, a, b, strict=True)]
    mean = matrices.mean(0)
    identity = strength * torch.eye(size, dtype=torch.float64)
    whole = torch.cat([torch.cat([identity, mean], 1), torch.cat([-mean.T, identity], 1)])
    answer = torch.linalg.solve(whole, torch.cat([-a.mean(0), b.mean(0)]))
    return VariationalInequality(
        operators,
        torch.zeros(2 * size, dtype=torch.float64),
        lipschitz=[operator.lipschitz for operator in operators],
        answer=answer,
    )
