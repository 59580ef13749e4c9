"""Singular values of convolutions on periodic grids, from the Fourier transform of the kernel.

On a periodic grid a convolution maps each wave to itself; one of stride S maps the S waves that are equal on the coarse
grid to one. For each wave of the coarse grid this leaves a matrix (M, C S1 S2 ...), and the singular values of the
convolution are those of these matrices (Sedghi, Gupta and Long, ICLR 2019, for stride 1).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace

import torch
from torch import Tensor, nn

from sciml.errors import InputError
from sciml.nn.convolution_shape import ConvolutionShape

__all__ = ["largest_singular_value", "spectral_norm", "spectrum", "supremum"]

SAMPLES = 16  # points of the grid of `supremum` for each tap
NUMBERS = 1 << 22  # complex numbers of the matrices that are decomposed at once


def spectrum(conv: nn.Module, n: int | tuple[int, ...]) -> Tensor:
    """Compute all singular values of a convolution on a periodic grid.

    Parameters
    ----------
    conv
        Convolution or transposed convolution in 1, 2 or 3 dimensions, with any stride, dilation and groups, or a linear
        layer. The padding of the layer is not used: the grid is periodic.
    n
        Points along each axis of the field that the layer acts on; a stride of a convolution divides them.

    Returns
    -------
    Tensor
        All min(rows, columns) singular values of the layer's matrix, largest first, float64.

    Raises
    ------
    InputError
        The layer is no convolution, or the stride does not divide the points.

    Notes
    -----
    With zero padding no singular value exceeds `supremum`, since that convolution is a part of one on a larger periodic
    grid.

    Examples
    --------
    >>> conv = nn.Conv1d(1, 1, 3, bias=False)
    >>> _ = nn.init.ones_(conv.weight)
    >>> spectrum(conv, 4).round(decimals=12)
    tensor([3., 1., 1., 1.], dtype=torch.float64)
    """
    shape = ConvolutionShape.of(conv)
    with torch.no_grad():
        weight = _weight(conv).detach().double()
        values = [
            torch.linalg.svdvals(matrices).flatten()
            for _, matrices in _blocks(shape, weight, shape.grid(n), half=False)
        ]
    return torch.cat(values).sort(descending=True).values


def largest_singular_value(conv: nn.Module, n: int | tuple[int, ...]) -> float:
    """Compute the largest singular value of a convolution on a periodic grid, see `spectrum`.

    Examples
    --------
    >>> conv = nn.Conv2d(3, 3, 1, bias=False)
    >>> _ = nn.init.eye_(conv.weight[:, :, 0, 0].data)
    >>> round(largest_singular_value(conv, 8), 12)
    1.0
    """
    shape = ConvolutionShape.of(conv)
    with torch.no_grad():
        return float(spectral_norm(_weight(conv).detach().double(), shape, shape.grid(n)))


def supremum(conv: nn.Module) -> float:
    """Bound the singular values of a convolution on all grids, periodic or with zero padding.

    Parameters
    ----------
    conv
        Convolution, see `spectrum`.

    Returns
    -------
    float
        Upper bound, at most 1 % for each axis above the largest singular value on large periodic grids.

    Raises
    ------
    InputError
        The padding repeats or reflects the field, for which this is no bound.

    Notes
    -----
    The squared norm of the matrix of a wave times a fixed vector is a trigonometric polynomial of degree
    d = floor((k - 1) / S). Where it is largest it falls no faster than the cosine of d times the distance (M. Riesz,
    1914), and the next of N points is no farther than pi / N, so that its square root is at most the largest sample
    divided by cos(pi d / N)^(1/2) for each axis.

    Examples
    --------
    >>> conv = nn.Conv1d(1, 1, 3, padding=1, bias=False)
    >>> _ = nn.init.ones_(conv.weight)
    >>> 3 <= supremum(conv) < 3.03
    True
    """
    shape = ConvolutionShape.of(conv)
    if shape.padding not in ("circular", "zero", "valid") and max(shape.kernel, default=1) > 1:
        raise InputError(
            f"padding_mode={shape.padding!r} can amplify a field at its edges: give a convolution with circular, zero "
            "or no padding"
        )
    with torch.no_grad():
        return float(spectral_norm(_weight(conv).detach().double(), shape))


def spectral_norm(weight: Tensor, shape: ConvolutionShape, grid: tuple[int, ...] | None = None) -> Tensor:
    """Compute the largest singular value, with its gradient.

    Parameters
    ----------
    weight
        Weight of the layer.
    shape
        Its sizes.
    grid
        Points along each axis of the output of the convolution; None bounds the values on all grids, see `supremum`.

    Returns
    -------
    Tensor
        float64, (). The gradient is that of the largest singular value of one wave (of one of them, if several are
        equal).
    """
    points, factor = grid, 1.0
    if points is None:
        # Dilation without a stride does not change the set of all values.
        spread = tuple(d if s > 1 else 1 for d, s in zip(shape.dilation, shape.stride, strict=True))
        shape = replace(shape, dilation=spread)
        degrees = [(k - 1) * d // s for k, d, s in zip(shape.kernel, spread, shape.stride, strict=True)]
        points = tuple(SAMPLES * degree + 1 for degree in degrees)
        factor = math.prod(
            math.cos(math.pi * degree / count) ** -0.5 for degree, count in zip(degrees, points, strict=True)
        )
    fixed = weight.detach().double()
    best, place, left, right = -1.0, None, fixed, fixed
    for where, matrices in _blocks(shape, fixed, points, half=True):
        wide = matrices.shape[-1] > matrices.shape[-2]
        gram = matrices @ matrices.mH if wide else matrices.mH @ matrices
        squares = torch.linalg.eigvalsh(gram)[..., -1]
        index = int(squares.argmax())
        if float(squares.flatten()[index]) > best:
            best = float(squares.flatten()[index])
            group, wave = divmod(index, matrices.shape[1])
            u, _, vh = torch.linalg.svd(matrices[group, wave], full_matrices=False)
            place, left, right = (group, where[wave]), u[:, 0].conj(), vh[0].conj()
    assert place is not None
    group, at = place
    matrix = _matrix(shape, shape.taps(weight)[group].to(torch.complex128), points, at)
    return (left @ matrix @ right).real * factor


def _weight(conv: nn.Module) -> Tensor:
    weight = conv.weight
    assert isinstance(weight, Tensor)
    if weight.is_complex() or not weight.isfinite().all():
        raise InputError(f"{type(conv).__name__} has weights that are not finite real numbers")
    return weight


def _phases(shape: ConvolutionShape, axis: int, grid: tuple[int, ...], waves: Tensor) -> Tensor:
    """Return exp(i wave tap) of the waves (wave,) of the coarse grid and of those equal to them there, (wave, S, k)."""
    stride, fine = shape.stride[axis], shape.stride[axis] * grid[axis]
    numbers = waves[:, None] + grid[axis] * torch.arange(stride, device=waves.device)
    taps = torch.arange(shape.kernel[axis], device=waves.device) * shape.dilation[axis]
    # Whole multiples of the shortest angle, reduced before the product, so that the angles have no rounding error.
    angles = (numbers[..., None] * taps % fine).double() * (2 * math.pi / fine)
    return torch.polar(torch.full_like(angles, stride**-0.5), angles)


def _blocks(
    shape: ConvolutionShape, weight: Tensor, grid: tuple[int, ...], *, half: bool
) -> Iterator[tuple[list[tuple[int, ...]], Tensor]]:
    """Yield waves, and their matrices (group, wave, M, C S1 S2 ...); ``half`` leaves out the conjugate waves."""
    taps = shape.taps(weight).to(torch.complex128)
    if not grid:
        yield [()], taps[:, None]
        return
    counts = list(grid)
    if half:
        counts[-1] = grid[-1] // 2 + 1
    entries = shape.groups * shape.outputs * shape.columns * math.prod(counts[1:])
    size = max(1, NUMBERS // entries)
    axes = [torch.arange(count, device=weight.device) for count in counts]
    rest = taps
    for axis in range(1, len(grid)):  # (group, M, C, k1, [wave, S] for each axis done, taps of the others)
        phases = _phases(shape, axis, grid, axes[axis])
        at = 4 + 2 * (axis - 1)
        rest = torch.einsum("wsk,...k->...ws", phases, rest.movedim(at, -1))
        rest = rest.movedim((-2, -1), (at, at + 1))
    for first in range(0, counts[0], size):
        some = axes[0][first : first + size]
        part = torch.einsum("wsk,gmck...->gmcws...", _phases(shape, 0, grid, some), rest)
        dims = len(grid)
        waves, aliases = [3 + 2 * a for a in range(dims)], [4 + 2 * a for a in range(dims)]
        matrices = part.permute(0, *waves, 1, 2, *aliases)
        matrices = matrices.reshape(shape.groups, -1, shape.outputs, shape.columns)
        where = torch.cartesian_prod(some, *axes[1:]).reshape(-1, dims)
        yield [tuple(row) for row in where.tolist()], matrices


def _matrix(shape: ConvolutionShape, taps: Tensor, grid: tuple[int, ...], wave: tuple[int, ...]) -> Tensor:
    """Return the matrix (M, C S1 S2 ...) of one wave from the taps of a group (M, C, taps ...)."""
    for axis, number in enumerate(wave):
        phases = _phases(shape, axis, grid, torch.tensor([number], device=taps.device))[0]
        taps = torch.einsum("sk,mck...->mc...s", phases, taps)
    return taps.reshape(shape.outputs, shape.columns)
