"""One multigrid cycle with learned kernels: a linear operator on fields of many channels.

Smoothing, residual, restriction, coarse correction, as in every textbook (Trottenberg et al. 2001, section 2.4), but
with 3 x 3 convolutions from channels to channels for the matrix A and the smoother S of each level. With one channel
and the right kernels it is pyamg's V-cycle to round-off.
"""

from __future__ import annotations

from typing import Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional

from sciml.checks import is_int
from sciml.errors import InputError
from sciml.multigrid.torch.convolution import convolve
from sciml.multigrid.torch.transfers import LevelLayout, conditions, prolong, restrict
from sciml.nn.convolution import convolution_weights
from sciml.nn.parametrize import computed_once
from sciml.operators.learned_transfer import Transfer
from sciml.pde.grid import Centring

__all__ = ["Cycle", "Transfers"]

Transfers = Literal["geometric", "learned", "tied"]


class Cycle(nn.Module):
    """From f (batch, inputs, y, x) to u (batch, channels, y, x), linear.

    On each level: ``u = S f``, then ``pre - 1`` times ``u += S (f - A u)``; the residual ``f - A u`` goes down, the
    coarse level's u comes up, and ``post`` times ``u += T (f - A u)``. On the coarsest level ``bottom`` steps. A, S and
    T of a level are the same wherever they occur (He, Liu and Xu 2024, equations 6 to 9, restrict f itself; their
    code shares none).

    Parameters
    ----------
    inputs, channels
        Of f and of u.
    levels
        At most so many; fewer where a grid is too small. With ``shared`` it only says how many kernels there are:
        1 for all, 2 for the finest and all others.
    pre, post, bottom
        Smoothing steps. ``post=0`` is a backslash cycle.
    transfers
        ``geometric``: bilinear, nothing learned. ``learned``: kernels that begin near that and mix channels.
        ``tied``: learned, the restriction the transpose of the interpolation.
    shared
        Kernels shared by the levels, in grid-scaled form: A and S act on what is integrated over the control volumes,
        so restriction adds up instead of averaging, and levels may be added or removed after training.
    centring
        What learned transfers are for.

    Raises
    ------
    InputError
        For numbers that make no cycle.

    Examples
    --------
    >>> import torch
    >>> from sciml.pde.grid import Grid
    >>> Cycle(2, 8, levels=5)(torch.ones(1, 2, 31, 31), LevelLayout.of(Grid((31, 31)))).shape
    torch.Size([1, 8, 31, 31])
    """

    def __init__(
        self,
        inputs: int,
        channels: int,
        *,
        levels: int = 6,
        pre: int = 1,
        post: int = 0,
        bottom: int = 2,
        transfers: Transfers = "geometric",
        shared: bool = False,
        centring: Centring = "vertex",
    ) -> None:
        super().__init__()
        least = {"inputs": 1, "channels": 1, "levels": 1, "pre": 1, "post": 0, "bottom": 1}
        for name, at_least in least.items():
            value = locals()[name]
            if not is_int(value, at_least):
                raise InputError(f"Cycle({name}={value!r}): give a whole number of {at_least} or more")
        if transfers not in get_args(Transfers):
            raise InputError(f"Cycle(transfers={transfers!r}): give one of {', '.join(get_args(Transfers))}")
        self.levels, self.pre, self.post, self.bottom = levels, pre, post, bottom
        self.transfers, self.shared = transfers, shared
        kinds = min(levels, 2) if shared else levels
        self.smoother = nn.ModuleList(_kernel(inputs, channels, 1.0) for _ in range(kinds))
        # Where f has the channels of u, A acts on each by itself: a twentieth of the work, and no worse.
        alone = channels if inputs == channels else 1
        self.matrix = nn.ModuleList(_kernel(channels, inputs, 0.5, alone) for _ in range(kinds))
        self.after = nn.ModuleList(_kernel(inputs, channels, 0.5) for _ in range(kinds if post else 0))
        between = 0 if transfers == "geometric" else max(kinds - (not shared), 0)
        self.up = nn.ModuleList(Transfer(channels, centring) for _ in range(between))
        apart = between if transfers == "learned" or inputs != channels else 0
        self.down = nn.ModuleList(Transfer(inputs, centring) for _ in range(apart))

    def forward(self, f: Tensor, layout: LevelLayout) -> Tensor:
        """Apply the operator on the grid that the layout tells."""
        with computed_once():  # a kernel is used in several steps
            return self.level(f, layout, 0)

    def level(self, f: Tensor, layout: LevelLayout, depth: int) -> Tensor:
        """One level and all that are coarser."""
        kind = min(depth, len(self.smoother) - 1)
        smoother, matrix = self.smoother[kind], self.matrix[kind]
        coarse = layout.coarse()
        last = min(layout.shape) < 2 or (depth + 1 == self.levels and not self.shared)
        u = _convolve(smoother, f, layout)
        for _ in range((self.bottom if last else self.pre) - 1):
            u = _convolve(smoother, _left(matrix, f, u, layout), layout).add_(u)
        if last:
            return u
        below = self.level(self.restrict(_left(matrix, f, u, layout), layout, kind), coarse, depth + 1)
        up = self.prolong(below, layout, kind)
        # Where no gradient needs u it is nobody else's.
        u = u + up if torch.is_grad_enabled() or torch.compiler.is_compiling() else u.add_(up)
        for _ in range(self.post):
            u = _convolve(self.after[kind], _left(matrix, f, u, layout), layout).add_(u)
        return u

    def restrict(self, residual: Tensor, layout: LevelLayout, kind: int) -> Tensor:
        """To the next coarser level: a weighted sum where kernels are shared, else a weighted mean."""
        if self.transfers == "geometric":
            down = restrict(residual, layout)
        else:
            transfer = (self.down or self.up)[kind]
            assert isinstance(transfer, Transfer)
            down = transfer.restrict(residual, layout)
        return down if self.shared else down / 4

    def prolong(self, u: Tensor, layout: LevelLayout, kind: int) -> Tensor:
        """From the next coarser level."""
        if self.transfers == "geometric":
            return prolong(u, layout)
        transfer = self.up[kind]
        assert isinstance(transfer, Transfer)
        return transfer.prolong(u, layout)


def _kernel(inputs: int, outputs: int, gain: float, groups: int = 1) -> nn.Conv2d:
    """A 3 x 3 kernel that keeps the variance of what it is given times the gain squared, on every level alike."""
    made = nn.Conv2d(inputs, outputs, 3, bias=False, groups=groups)
    nn.init.normal_(made.weight, 0.0, gain / (3 * (inputs // groups) ** 0.5))
    return made


def _left(matrix: nn.Module, f: Tensor, u: Tensor, layout: LevelLayout) -> Tensor:
    """F - A u, in the memory of A u; the sign belongs to the kernel, which is smaller than a field."""
    return _convolve(matrix, u, layout, -1.0).add_(f)


def _convolve(kernel: nn.Module, field: Tensor, layout: LevelLayout, factor: float = 1.0) -> Tensor:
    """A 3 x 3 convolution that obeys the boundary conditions, times a factor."""
    assert isinstance(kernel, nn.Conv2d)
    weight, _ = convolution_weights(kernel)
    weight = weight if factor == 1.0 else factor * weight
    if layout.zero:
        return functional.conv2d(field, weight, padding=1, groups=kernel.groups)
    return convolve(field, weight, conditions(layout, field), kernel.groups)
