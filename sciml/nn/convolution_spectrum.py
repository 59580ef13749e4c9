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

REACH = 0.2  # of the angle between samples in `_largest`, times the degree
ROUNDING = 1e-9
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
    grid = shape.grid(n)
    with torch.no_grad():
        weight = _weight(conv).detach().double()
        values = [
            torch.linalg.svdvals(matrices).flatten()
            for _, matrices in _blocks(shape, weight, grid, [torch.arange(points) for points in grid])
        ]
    return torch.cat(values).sort(descending=True).values


def largest_singular_value(conv: nn.Module, n: int | tuple[int, ...]) -> float:
    """Compute the largest singular value of a convolution on a periodic grid.

    Parameters
    ----------
    conv, n
        Layer and points along each axis, as in `spectrum`.

    Returns
    -------
    float
        The first of `spectrum`, computed from a part of the waves that is sure to have it.

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
        Upper bound, at most 0.5 % for each axis above the largest singular value on large periodic grids; of an
        orthogonal convolution the value itself.

    Raises
    ------
    InputError
        The padding repeats or reflects the field, for which this is no bound.

    Notes
    -----
    The squared norm of the matrix of a wave times a fixed vector, minus a constant, is a trigonometric polynomial of
    degree d = floor((k - 1) / S). Where its size is largest it falls no faster than the cosine of d times the distance
    (M. Riesz, 1914), and the next of N points is no farther than pi / N: it is at most the largest sample divided by
    cos(pi d / N) for each axis. The constant is the middle of the samples.

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
    shape, grid, slack = _sampling(shape)
    with torch.no_grad():
        blocks = _blocks(shape, _weight(conv).detach().double(), grid, _half(grid, [1] * len(grid)))
        squares = [_gram_eigenvalues(matrices)[..., (0, -1)].flatten(0, -2) for _, matrices in blocks]
        low, high = torch.cat(squares)[:, 0].min(), torch.cat(squares)[:, 1].max()
        return float((0.5 * (high + low) + 0.5 * slack * (high - low)).clamp_min(0.0).sqrt())


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
        shape, points, slack = _sampling(shape)
        factor = math.sqrt(0.5 * (1 + slack))
    fixed = weight.detach().double()
    group, wave = _largest(shape, fixed, points)
    u, _, vh = torch.linalg.svd(_at(shape, fixed, points, wave)[group, 0], full_matrices=False)
    matrix = _at(shape, weight, points, wave)[group, 0]
    value: Tensor = (u[:, 0].conj() @ matrix @ vh[0].conj()).real * factor
    return value


def _sampling(shape: ConvolutionShape) -> tuple[ConvolutionShape, tuple[int, ...], float]:
    """Return the grid whose samples bound the values on all grids, and the factor between both; see `supremum`.

    The shape has no dilation without a stride, which does not change the set of all values.
    """
    spread = tuple(d if s > 1 else 1 for d, s in zip(shape.dilation, shape.stride, strict=True))
    shape = replace(shape, dilation=spread)
    degrees = _degrees(shape)
    grid = tuple(SAMPLES * degree + 1 for degree in degrees)
    cosines = (math.cos(math.pi * degree / count) for degree, count in zip(degrees, grid, strict=True))
    return shape, grid, 1 / math.prod(cosines)


def _half(grid: tuple[int, ...], steps: list[int]) -> list[Tensor]:
    """Return every few waves along each axis; conjugate waves, which have the same values, are left out."""
    axes = [torch.arange(0, points, step) for points, step in zip(grid, steps, strict=True)]
    if axes:
        axes[-1] = axes[-1][: -(-(grid[-1] // 2) // steps[-1]) + 1]
    return axes


def _largest(shape: ConvolutionShape, weight: Tensor, grid: tuple[int, ...]) -> tuple[int, Tensor]:
    """Return group and wave (1, axis) of the largest singular value.

    The values of every few waves are computed first, and then of the waves near to those whose square is above the
    largest square times the cosines of `supremum`: no other neighbourhood has the largest value.
    """
    degrees = _degrees(shape)
    steps = [
        points if not degree else max(1, int(REACH * points / (math.pi * degree)))
        for points, degree in zip(grid, degrees, strict=True)
    ]
    blocks = _blocks(shape, weight, grid, _half(grid, steps))
    parts = [(waves, _squares(matrices)) for waves, matrices in blocks]
    waves, squares = torch.cat([x for x, _ in parts]), torch.cat([x for _, x in parts], 1)
    if any(step > 1 and degree for step, degree in zip(steps, degrees, strict=True)):
        least = math.prod(
            math.cos(math.pi * degree * step / points) if degree else 1.0
            for points, step, degree in zip(grid, steps, degrees, strict=True)
        )
        near = waves[(squares >= squares.max() * least * (1 - ROUNDING)).any(0)]
        offsets = [
            torch.arange(-(step // 2), step // 2 + 1) if degree else torch.zeros(1, dtype=torch.int64)
            for step, degree in zip(steps, degrees, strict=True)
        ]
        around = torch.cartesian_prod(*offsets).reshape(-1, len(grid))
        every = ((near[:, None] + around) % torch.tensor(grid)).reshape(-1, len(grid))
        waves = torch.unique(every, dim=0)
        squares = torch.cat([_squares(_at(shape, weight, grid, x)) for x in torch.split(waves, 4096)], 1)
    index = int(squares.argmax())
    return index // len(waves), waves[index % len(waves)][None]


def _squares(matrices: Tensor) -> Tensor:
    """Return the squares of the largest singular values."""
    return _gram_eigenvalues(matrices)[..., -1]


def _gram_eigenvalues(matrices: Tensor) -> Tensor:
    """Return the squares of all singular values, smallest first."""
    wide = matrices.shape[-1] > matrices.shape[-2]
    values: Tensor = torch.linalg.eigvalsh(matrices @ matrices.mH if wide else matrices.mH @ matrices)
    return values


def _degrees(shape: ConvolutionShape) -> list[int]:
    """Return the degree of the squared norms, as trigonometric polynomials of the wave along each axis."""
    sizes = zip(shape.kernel, shape.dilation, shape.stride, strict=True)
    return [(k - 1) * d // s for k, d, s in sizes]


def _weight(conv: nn.Module) -> Tensor:
    weight = conv.weight
    assert isinstance(weight, Tensor)
    if weight.is_complex() or not weight.isfinite().all():
        raise InputError(f"{type(conv).__name__} has weights that are not finite real numbers")
    return weight


def _phases(shape: ConvolutionShape, axis: int, grid: tuple[int, ...], waves: Tensor) -> Tensor:
    """Return exp(i wave tap) of the waves (wave,) of the coarse grid and of those equal to them there, (wave, S, k)."""
    stride, fine = shape.stride[axis], shape.stride[axis] * grid[axis]
    numbers = waves[:, None] + grid[axis] * torch.arange(stride)
    taps = torch.arange(shape.kernel[axis]) * shape.dilation[axis]
    # Whole multiples of the shortest angle, reduced before the product, so that the angles have no rounding error.
    angles = (numbers[..., None] * taps % fine).double() * (2 * math.pi / fine)
    return torch.polar(torch.full_like(angles, stride**-0.5), angles)


def _blocks(
    shape: ConvolutionShape, weight: Tensor, grid: tuple[int, ...], axes: list[Tensor]
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield waves (wave, axis), all combinations along the axes, and their matrices (group, wave, M, C S1 ...)."""
    taps, dims = shape.taps(weight).to(torch.complex128), len(grid)
    if not grid:
        yield torch.zeros(1, 0, dtype=torch.int64), taps[:, None]
        return
    entries = shape.groups * shape.outputs * shape.columns * math.prod(len(axis) for axis in axes[1:])
    rest = taps
    for axis in range(1, dims):  # (group, M, C, k1, wave and S for each axis done, taps of the others)
        phases, at = _phases(shape, axis, grid, axes[axis]).to(taps.device), 4 + 2 * (axis - 1)
        rest = torch.einsum("wsk,...k->...ws", phases, rest.movedim(at, -1))
        rest = rest.movedim((-2, -1), (at, at + 1))
    for some in torch.split(axes[0], max(1, NUMBERS // entries)):
        part = torch.einsum("wsk,gmck...->gmcws...", _phases(shape, 0, grid, some).to(taps.device), rest)
        counts, aliases = [3 + 2 * a for a in range(dims)], [4 + 2 * a for a in range(dims)]
        matrices = part.permute(0, *counts, 1, 2, *aliases)
        waves = torch.cartesian_prod(some, *axes[1:]).reshape(-1, dims)
        yield waves, matrices.reshape(shape.groups, -1, shape.outputs, shape.columns)


def _at(shape: ConvolutionShape, weight: Tensor, grid: tuple[int, ...], waves: Tensor) -> Tensor:
    """Return the matrices (group, wave, M, C S1 S2 ...) of waves (wave, axis)."""
    taps = shape.taps(weight).to(torch.complex128).unsqueeze(1)
    for axis in range(len(grid)):
        phases = _phases(shape, axis, grid, waves[:, axis]).to(taps.device)
        taps = torch.einsum("wsk,gwmck...->gwmc...s", phases, taps.expand(-1, len(waves), *taps.shape[2:]))
    return taps.reshape(shape.groups, len(waves), shape.outputs, shape.columns)
