"""Sobolev norms of fields on periodic planes, and the scaling of their waves."""

from __future__ import annotations

import math

import torch
from torch import Tensor

__all__ = ["scale_waves", "sobolev_norm"]


def scale_waves(x: Tensor, exponent: float) -> Tensor:
    """Multiply each wave of a field by ``max(1, |k|)`` to a power.

    Parameters
    ----------
    x
        Field (..., y, x) on a periodic grid.
    exponent
        Power; negative ones make the field smoother. 0 returns the field.

    Returns
    -------
    Tensor
        Field (..., y, x); the wave numbers k count the waves along an axis.

    Notes
    -----
    Computed in the orthonormal basis of ``(cos + sin)(2 pi j k / n) / n^(1/2)`` along each axis, real matrices that all
    exports accept. In it the multiplication is diagonal, since it does not depend on the signs of the wave numbers.

    Examples
    --------
    >>> wave = torch.cos(2 * math.pi * 3 * torch.arange(12) / 12).expand(12, 12)
    >>> torch.allclose(scale_waves(wave, -1.0), wave / 3, atol=1e-6)
    True
    """
    if not exponent:
        return x
    ny, nx = x.shape[-2:]
    along_y, along_x = _basis(ny, x), _basis(nx, x)
    squares = _waves(ny, x)[:, None] ** 2 + _waves(nx, x) ** 2
    made: Tensor = along_y @ (squares.clamp_min(1.0) ** (0.5 * exponent) * (along_y @ x @ along_x)) @ along_x
    return made


def sobolev_norm(x: Tensor, order: float = 0.0) -> Tensor:
    """Compute the norm of H^-order of fields (..., y, x) on periodic grids.

    Parameters
    ----------
    x
        Fields.
    order
        0 is the Euclidean norm; with 1 a wave counts in inverse proportion to its wave number, as in the energy of a
        flow that is given by its vorticity.

    Returns
    -------
    Tensor
        Norms (...).

    Examples
    --------
    >>> float(sobolev_norm(torch.ones(4, 4), 1.0))
    4.0
    """
    made: Tensor = torch.linalg.vector_norm(scale_waves(x, -order), dim=(-2, -1))
    return made


def _waves(n: int, like: Tensor) -> Tensor:
    numbers = torch.arange(n, device=like.device)
    return torch.minimum(numbers, n - numbers).to(like.dtype)


def _basis(n: int, like: Tensor) -> Tensor:
    numbers = torch.arange(n, device=like.device)
    # Products reduced to one turn in integers, so that the angles have no rounding error.
    angles = (numbers[:, None] * numbers % n).double() * (2 * math.pi / n)
    return ((angles.cos() + angles.sin()) / math.sqrt(n)).to(like.dtype)
