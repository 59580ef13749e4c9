"""A 3 x 3 convolution of a field with ghost values, without new memory for the extended field.

On a CPU the first access to new memory takes several times as long as a copy. The extended field is therefore stored in
memory that is reused, and computed again for the gradient instead of being saved.
"""

from __future__ import annotations

import threading
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from sciml.multigrid.torch.padding import SMALL, Ghosts, fill_ghosts, fold_ghosts, with_ghosts
from sciml.nn.overridable import overridable

__all__ = ["convolve"]

LARGEST = 2**24
"""Largest number of values of a field whose memory is reused."""


def convolve(u: Tensor, weight: Tensor, ends: Ghosts, groups: int = 1) -> Tensor:
    """Convolve fields with one ghost value at each end.

    Parameters
    ----------
    u
        Fields (batch, channel, y, x).
    weight
        Kernel (out channel, channel / groups, 3, 3).
    ends
        Source of the ghost values, see `with_ghosts`.
    groups
        Number of groups of channels.

    Returns
    -------
    Tensor
        (batch, out channel, y, x).
    """
    if torch.compiler.is_compiling() or u.device.type != "cpu" or not SMALL < u.numel() <= LARGEST:
        return functional.conv2d(with_ghosts(u, ends), weight, groups=groups)
    if not torch.is_grad_enabled():
        return functional.conv2d(_padded(u, ends), weight, groups=groups)
    return _convolve(u, weight, ends, groups)


@overridable("product")
def _convolve(u: Tensor, weight: Tensor, ends: Ghosts, groups: int) -> Tensor:
    result: Tensor = _Convolution.apply(u, weight, ends, groups)  # type: ignore[no-untyped-call]
    return result


class _Memory(threading.local):
    """One block of memory for each dtype, in each thread."""

    def __init__(self) -> None:
        self.held: dict[torch.dtype, Tensor] = {}

    def of(self, size: int, dtype: torch.dtype) -> Tensor:
        held = self.held.get(dtype)
        if held is None or held.numel() < size:
            with torch.inference_mode(False):
                held = self.held[dtype] = torch.empty(size, dtype=dtype)
        return held[:size]


_memory = _Memory()


def _padded(u: Tensor, ends: Ghosts) -> Tensor:
    """Return the field with its ghosts, which the next call overwrites."""
    batch, channels, ny, nx = u.shape
    flat = _memory.of(batch * channels * (ny + 2) * (nx + 2), u.dtype)
    if u.is_contiguous(memory_format=torch.channels_last):
        out = flat.view(batch, ny + 2, nx + 2, channels).permute(0, 3, 1, 2)
    else:
        out = flat.view(batch, channels, ny + 2, nx + 2)
    return fill_ghosts(out, u, ends)


class _Convolution(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, u: Tensor, weight: Tensor, ends: Ghosts, groups: int) -> Tensor:
        ctx.save_for_backward(u, weight)
        ctx.ends, ctx.groups = ends, groups
        return functional.conv2d(_padded(u, ends), weight, groups=groups)

    @staticmethod
    def backward(ctx: Any, *gradient: Tensor) -> Any:
        g, (u, weight) = gradient[0], ctx.saved_tensors
        ends, groups = ctx.ends, ctx.groups
        if torch.is_grad_enabled():  # for a second derivative
            whole = functional.conv2d(with_ghosts(u, ends), weight, groups=groups)
            wanted = [value for value in (u, weight) if value.requires_grad]
            gradients = iter(torch.autograd.grad(whole, wanted, g, create_graph=True))
            return *(next(gradients) if value.requires_grad else None for value in (u, weight)), None, None
        need = [*ctx.needs_input_grad[:2], False]
        ones, zeros = [1, 1], [0, 0]
        of_padded, of_weight, _ = torch.ops.aten.convolution_backward(
            g, _padded(u, ends), weight, None, ones, zeros, ones, False, zeros, groups, need
        )
        return fold_ghosts(of_padded, ends, copied=False) if need[0] else None, of_weight, None, None
