"""Orthogonal convolutions: when they exist, how far a kernel is from one, and what that means for its matrix.

A kernel has M output channels, C input channels, size k and stride S. With M <= C S^2 (RO case) the rows of the
convolution's matrix can be orthonormal, else (CO case) its columns. The theorems are those of Achour, Malgouyres and
Mamalet, "Existence, Stability and Scalability of Orthogonal Convolutional Neural Networks", JMLR 23 (347), 2022, for 1
and 2 dimensions; the same products over the axes for 3 dimensions are our form. A transposed convolution is the adjoint
of a convolution and orthogonal if that is.
"""

from __future__ import annotations

import math
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from sciml.errors import InputError
from sciml.nn.convolution_shape import ConvolutionShape
from sciml.nn.convolution_spectrum import largest_singular_value, spectrum, supremum
from sciml.nn.dense_weights import dense_copy
from sciml.nn.existence import check_odd, exists
from sciml.nn.orthogonal_weight import Orthogonal
from sciml.nn.spectral_scale import SpectralScale

__all__ = [
    "Orthogonal",
    "SpectralScale",
    "alpha",
    "exists",
    "frobenius_error",
    "largest_singular_value",
    "penalty",
    "singular_value_range",
    "spectral_error_bound",
    "spectrum",
    "supremum",
]


def penalty(conv: nn.Module) -> Tensor:
    """Compute L_orth, the squared distance of a kernel from orthogonality, with its gradient.

    Parameters
    ----------
    conv
        Convolution or transposed convolution in 1, 2 or 3 dimensions with odd kernel sizes, or a linear layer; the
        padding is not used.

    Returns
    -------
    Tensor
        ``|conv(K, K) - I|_F^2 - max(0, M - C S^2)``, (), of the type of the weight: the kernel is correlated with
        itself at all shifts that are multiples of the stride, and I is the identity at shift 0. Groups are added.

    Raises
    ------
    InputError
        The layer is no convolution, the kernel is even, or has both a stride and a dilation.

    Notes
    -----
    Achour et al. (2022), equation of L_orth; `frobenius_error` and `spectral_error_bound` are its meaning. It is 0 if
    and only if the convolution is orthogonal on large periodic grids. Training by it is slow in the square case
    M = C S^2: use `Orthogonal` there.

    Examples
    --------
    >>> conv = nn.Conv2d(2, 2, 3, bias=False)
    >>> _ = nn.init.dirac_(conv.weight)
    >>> float(penalty(conv).detach())
    0.0
    """
    shape = ConvolutionShape.of(conv)
    check_odd("penalty", shape)
    taps = shape.taps(cast(Tensor, conv.weight))
    if not shape.kernel:
        products = taps[0] @ taps[0].T
        return (products - _identity(products)).square().sum() - _excess(shape)
    correlate = (functional.conv1d, functional.conv2d, functional.conv3d)[len(shape.kernel) - 1]
    total = taps.new_zeros(())
    shifts: list[int] = [(k - 1) // s for k, s in zip(shape.kernel, shape.stride, strict=True)]
    width = [count * s for count, s in zip(shifts, shape.stride, strict=True)]
    for kernel in taps:
        products = correlate(kernel, kernel, stride=shape.stride, padding=width)
        centre = products.flatten(2)[..., products[0, 0].numel() // 2]
        outside = products.square().sum() - centre.square().sum()
        total = total + outside + (centre - _identity(centre)).square().sum() - _excess(shape)
    return total


def _identity(like: Tensor) -> Tensor:
    return torch.eye(len(like), dtype=like.dtype, device=like.device)


def _excess(shape: ConvolutionShape) -> int:
    """Return M - C S^2 of the CO case, the least value of the first term."""
    return max(0, shape.outputs - shape.columns)


def alpha(conv: nn.Module) -> int:
    """Return the constant of the spectral bound, see `spectral_error_bound`.

    Parameters
    ----------
    conv
        Layer with odd kernel sizes, as in `penalty`.

    Returns
    -------
    int
        M (2 floor((k - 1) / S) + 1)^2 in the RO case, C (2 k - 1)^2 in the CO case, and the lesser of both if
        M = C S^2. It does not depend on the grid.

    Notes
    -----
    The official code (deel-lip) starts the minimum of the CO case from k C M, which is less for some small layers and
    is no bound of the theorem.

    Examples
    --------
    >>> alpha(nn.Conv2d(2, 8, 3, stride=2)), alpha(nn.Conv2d(2, 10, 3, stride=2))
    (50, 50)
    """
    shape = ConvolutionShape.of(conv)
    check_odd("alpha", shape)
    pairs = list(zip(shape.kernel, shape.stride, strict=True))
    rows = shape.outputs * math.prod(2 * ((k - 1) // s) + 1 for k, s in pairs)
    columns = shape.inputs * math.prod(2 * k - 1 for k, _ in pairs)
    if shape.outputs == shape.columns:
        return min(rows, columns)
    return rows if shape.rows_orthonormal else columns


def frobenius_error(conv: nn.Module, n: int | tuple[int, ...]) -> float:
    """Compute the squared Frobenius norm of K K^T - I (RO case) or K^T K - I (CO case) of a convolution's matrix K.

    Parameters
    ----------
    conv, n
        Layer and points along each axis of the field it acts on, as in `spectrum`; the grid is periodic.

    Returns
    -------
    float
        N^2 L_orth, where N^2 is the number of points of the output of the convolution.

    Raises
    ------
    InputError
        The grid has fewer than 2 k - 1 points along an axis, for which this identity does not hold, or see `penalty`.

    Notes
    -----
    Achour et al. (2022), theorem on the Frobenius norm.
    """
    shape = ConvolutionShape.of(conv)
    grid = shape.grid(n)
    for points, k, s, d in zip(grid, shape.kernel, shape.stride, shape.dilation, strict=True):
        if points * s < d * (2 * k - 2) + 1:
            raise InputError(
                f"a grid of {points * s} points: the identity needs {d * (2 * k - 2) + 1} for a kernel of {k}; compute "
                "the error from spectrum(conv, n)"
            )
    with torch.no_grad():
        return math.prod(grid) * float(_precise_penalty(conv))


def spectral_error_bound(conv: nn.Module) -> float:
    """Bound the squared spectral norm of K K^T - I (RO case) or K^T K - I (CO case) on all large periodic grids.

    Parameters
    ----------
    conv
        Layer with odd kernel sizes, as in `penalty`.

    Returns
    -------
    float
        `alpha` times L_orth; every singular value s has (s^2 - 1)^2 at most this, on grids of 2 k - 1 points or more.

    Raises
    ------
    InputError
        See `penalty`.

    Notes
    -----
    Achour et al. (2022), theorem on the spectral norm. The bound is often 40 times the true value or more: `spectrum`
    computes that.
    """
    with torch.no_grad():
        return alpha(conv) * float(_precise_penalty(conv))


def singular_value_range(conv: nn.Module) -> tuple[float, float]:
    """Bound the singular values of a convolution on all large periodic grids from below and above.

    Parameters
    ----------
    conv
        Layer with odd kernel sizes, as in `penalty`.

    Returns
    -------
    tuple
        (1 - e)^(1/2), 0 if e > 1, and (1 + e)^(1/2), where e^2 is `spectral_error_bound`.

    Examples
    --------
    >>> conv = nn.Conv1d(1, 1, 3, bias=False)
    >>> _ = nn.init.dirac_(conv.weight)
    >>> singular_value_range(conv)
    (1.0, 1.0)
    """
    error = math.sqrt(max(spectral_error_bound(conv), 0.0))
    return math.sqrt(max(1 - error, 0.0)), math.sqrt(1 + error)


def _precise_penalty(conv: nn.Module) -> Tensor:
    """Return L_orth in float64, 0 where rounding makes it negative."""
    return penalty(dense_copy(conv).double()).clamp_min(0.0)
