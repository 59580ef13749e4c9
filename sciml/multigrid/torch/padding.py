"""Ghost values at the ends of a field, and linear maps with explicit adjoints.

Each ghost value is a value of the field times a factor. The explicit adjoints avoid the autograd of concatenated
slices, which makes a field of zeros for each slice and takes several times as long as the convolution.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any, TypeAlias

import torch
from torch import Tensor
from torch.nn import functional

from sciml.nn.overridable import overridable

__all__ = [
    "SMALL",
    "Ghost",
    "Ghosts",
    "fill_ghosts",
    "fold_ghosts",
    "linear",
    "with_ghosts",
    "without_ghosts",
]

Ghost: TypeAlias = tuple[int, float]
"""Index of the value that a ghost copies, and its factor: 0, 1 or -1."""
Ghosts: TypeAlias = tuple[tuple[Ghost, Ghost], tuple[Ghost, Ghost]]
"""Ghosts before and after the unknowns along y, and along x."""
Map: TypeAlias = Callable[[Tensor], Tensor]
SMALL = 2**17
"""Number of values of a field up to which fewer operations are faster than fewer passes over memory."""


class _Linear(torch.autograd.Function):
    """A linear map, whose gradient is its adjoint and whose second gradient is the map itself."""

    @staticmethod
    def forward(ctx: Any, u: Tensor, apply: Map, adjoint: Map) -> Tensor:
        ctx.maps = adjoint, apply
        return apply(u)

    @staticmethod
    def backward(ctx: Any, *gradient: Tensor) -> Any:
        return _Linear.apply(gradient[0], *ctx.maps), None, None  # type: ignore[no-untyped-call]


def linear(u: Tensor, apply: Map, adjoint: Map) -> Tensor:
    """Apply a linear map, with its adjoint for the gradient.

    Parameters
    ----------
    u
        Fields to apply it to.
    apply, adjoint
        The map and its transpose, as functions of torch that can be compiled and exported.
    """
    if torch.compiler.is_compiling() or not (torch.is_grad_enabled() and u.requires_grad):
        return apply(u)
    return _linear(u, apply, adjoint)


@overridable("linear")
def _linear(u: Tensor, apply: Map, adjoint: Map) -> Tensor:
    result: Tensor = _Linear.apply(u, apply, adjoint)  # type: ignore[no-untyped-call]
    return result


def with_ghosts(u: Tensor, ends: Ghosts) -> Tensor:
    """Add ghosts to (..., y, x), along y and then along x: (..., y + 2, x + 2)."""
    if torch.compiler.is_compiling():
        return _concatenated(u, ends)
    if _repeats(u, ends, *u.shape[-2:]):
        padded = functional.pad(u, (1, 1, 1, 1), mode="replicate")
        factors = _factors(padded, ends)
        return padded if factors is None else padded * factors
    return linear(u, lambda v: _added(v, ends), lambda v: fold_ghosts(v, ends))


def without_ghosts(v: Tensor, ends: Ghosts) -> Tensor:
    """Apply the transpose of `with_ghosts`: (..., y + 2, x + 2) to (..., y, x)."""
    ny, nx = v.shape[-2] - 2, v.shape[-1] - 2
    if not torch.compiler.is_compiling() and not v.requires_grad and _repeats(v, ends, ny, nx):
        factors = _factors(v, ends)
        of = v.new_empty((1, 1, 1, 1)).expand(*v.shape[:2], ny, nx)
        made: Tensor = torch.ops.aten.replication_pad2d_backward(
            v if factors is None else v * factors, of, [1, 1, 1, 1]
        )
        return made
    return linear(v, lambda u: fold_ghosts(u, ends), lambda u: _added(u, ends))


def _repeats(field: Tensor, ends: Ghosts, ny: int, nx: int) -> bool:
    """Return whether the field is small, and each ghost is a multiple of the unknown next to it."""
    edges = all(pair[0][0] == 0 and pair[1][0] == n - 1 for pair, n in zip(ends, (ny, nx), strict=True))
    return edges and field.ndim == 4 and field.numel() <= SMALL


def _factors(padded: Tensor, ends: Ghosts) -> Tensor | None:
    """Return the factors of repeated edges, or None if all are 1."""
    (south, north), (west, east) = ((low[1], high[1]) for low, high in ends)
    return edge_factors((south, north, west, east), *padded.shape[-2:], padded.dtype, padded.device)


@lru_cache(maxsize=256)
def edge_factors(
    factors: tuple[float, float, float, float], ny: int, nx: int, dtype: torch.dtype, device: torch.device
) -> Tensor | None:
    """Return factors (1, 1, y, x) that are 1 except at the four edges; None if all are 1."""
    if factors == (1.0, 1.0, 1.0, 1.0):
        return None
    with torch.inference_mode(False):
        weights = torch.ones(1, 1, ny, nx, dtype=dtype, device=device)
        weights[..., 0, :] *= factors[0]
        weights[..., -1, :] *= factors[1]
        weights[..., 0] *= factors[2]
        weights[..., -1] *= factors[3]
        return weights


def _concatenated(u: Tensor, ends: Ghosts) -> Tensor:
    """Compute the result of `_added` without writing in place."""
    for axis in (0, 1):
        dim = axis - 2
        low, high = (u.narrow(dim, at, 1) * sign for at, sign in ends[axis])
        u = torch.cat((low, u, high), dim=dim)
    return u


def _added(u: Tensor, ends: Ghosts) -> Tensor:
    shape = (*u.shape[:-2], u.shape[-2] + 2, u.shape[-1] + 2)
    around = u.ndim == 4 and u.is_contiguous(memory_format=torch.channels_last)
    form = torch.channels_last if around else torch.contiguous_format
    return fill_ghosts(torch.empty(shape, dtype=u.dtype, device=u.device, memory_format=form), u, ends)


def fill_ghosts(out: Tensor, u: Tensor, ends: Ghosts) -> Tensor:
    """Write (..., y, x) with its ghosts to (..., y + 2, x + 2), without gradients."""
    ny, nx = u.shape[-2:]
    out[..., 1:-1, 1:-1].copy_(u)
    for end, (at, sign) in enumerate(ends[0]):
        _write(out[..., (ny + 1) * end, 1:-1], u[..., at, :], sign)
    for end, (at, sign) in enumerate(ends[1]):
        _write(out[..., (nx + 1) * end], out[..., at + 1], sign)
    return out


def _write(ghost: Tensor, value: Tensor, sign: float) -> None:
    if sign == 0.0:
        ghost.zero_()
    elif sign == -1.0:
        torch.neg(value, out=ghost)
    else:
        ghost.copy_(value)


def fold_ghosts(v: Tensor, ends: Ghosts, *, copied: bool = True) -> Tensor:
    """Add the ghosts of (..., y + 2, x + 2) to the unknowns from which they are copied.

    The result is a copy, or (``copied=False``) the inner part of v, which is changed.
    """
    ny, nx = v.shape[-2] - 2, v.shape[-1] - 2
    inner = v[..., 1:-1, 1:-1]
    if copied:
        inner = inner.clone(memory_format=torch.preserve_format)
    for end, (at, sign) in enumerate(ends[1]):
        if sign:
            inner[..., at].add_(v[..., 1:-1, (nx + 1) * end], alpha=sign)
    for end, (at, sign) in enumerate(ends[0]):
        if sign:
            row = v[..., (ny + 1) * end, :]
            edge = inner[..., at, :]
            edge.add_(row[..., 1:-1], alpha=sign)
            for corner, (there, factor) in enumerate(ends[1]):
                if factor:
                    edge[..., there].add_(row[..., (nx + 1) * corner], alpha=sign * factor)
    return inner
