"""One multigrid cycle with learned kernels: a linear operator on fields of many channels.

The cycle consists of smoothing, residual, restriction and coarse correction (Trottenberg et al. 2001, section 2.4). The
matrix A and the smoother S of each level are 3 x 3 convolutions between channels. With one channel and suitable kernels
the cycle equals the V-cycle of pyamg up to rounding.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional

from sciml.checks import check_int
from sciml.errors import InputError
from sciml.multigrid.torch.along_axes import extended_along
from sciml.multigrid.torch.convolution import convolve
from sciml.multigrid.torch.transfers import LevelLayout, all_conditions, conditions, prolong, restrict
from sciml.nn.convolution import CONVOLUTIONS, convolution_weights
from sciml.nn.parametrize import computed_once
from sciml.operators.learned_transfer import Transfer
from sciml.pde.grid import Centring

__all__ = ["Cycle", "Transfers"]

Transfers = Literal["geometric", "learned", "tied"]
FUNCTIONS: Mapping[int, Callable[..., Tensor]] = {
    1: functional.conv1d,
    2: functional.conv2d,
    3: functional.conv3d,
}


class Cycle(nn.Module):
    """Linear multigrid cycle from f (batch, inputs, y, x) to u (batch, channels, y, x), or on a line or in a box.

    Each level computes ``u = S f`` and ``pre - 1`` steps ``u += S (f - A u)``, restricts the residual ``f - A u``, adds
    the interpolated u of the coarser level, and computes ``post`` steps ``u += T (f - A u)``. The coarsest level
    computes ``bottom`` steps. All steps of a level share A, S and T. He, Liu and Xu (2024, equations 6 to 9) restrict f
    itself, and their code shares no kernels.

    Parameters
    ----------
    inputs, channels
        Numbers of channels of f and of u.
    levels
        Largest number of levels; small grids have fewer. With ``shared`` it is the number of different kernels: 1 for
        all levels, or 2 for the finest level and for the others.
    pre, post, bottom
        Numbers of smoothing steps. ``post=0`` is a backslash cycle.
    transfers
        ``geometric``: bilinear, without parameters. ``learned``: kernels between channels, initially close to bilinear.
        ``tied``: learned kernels, with the transpose of the interpolation as restriction.
    shared
        Whether the levels share kernels, in grid-scaled form. A and S then act on fields integrated over the control
        volumes, the restriction adds instead of averaging, and the number of levels may change after training.
    centring
        Centring of the grids, for learned transfers.
    axes
        Number of axes in space, 1 to 3; learned transfers have 2.

    Raises
    ------
    InputError
        A number is too small, or a setting is unknown.

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
        axes: int = 2,
    ) -> None:
        super().__init__()
        least = {"inputs": 1, "channels": 1, "levels": 1, "pre": 1, "post": 0, "bottom": 1}
        for name, at_least in least.items():
            check_int(name, locals()[name], at_least, owner="Cycle")
        if transfers not in get_args(Transfers):
            raise InputError(f"Cycle(transfers={transfers!r}): give one of {', '.join(get_args(Transfers))}")
        if axes != 2 and transfers != "geometric":
            raise InputError(
                f"Cycle(transfers={transfers!r}, axes={axes}): learned transfers are of the plane; give 'geometric'"
            )
        self.axes = axes
        self.levels, self.pre, self.post, self.bottom = levels, pre, post, bottom
        self.transfers, self.shared = transfers, shared
        kinds = min(levels, 2) if shared else levels
        self.smoother = nn.ModuleList(_kernel(inputs, channels, 1.0, axes=axes) for _ in range(kinds))
        # If f and u have the same channels, A acts on each channel: 1/20 of the work, and the same accuracy.
        alone = channels if inputs == channels else 1
        self.matrix = nn.ModuleList(_kernel(channels, inputs, 0.5, alone, axes=axes) for _ in range(kinds))
        self.after = nn.ModuleList(
            _kernel(inputs, channels, 0.5, axes=axes) for _ in range(kinds if post else 0)
        )
        between = 0 if transfers == "geometric" else max(kinds - (not shared), 0)
        self.up = nn.ModuleList(Transfer(channels, centring) for _ in range(between))
        apart = between if transfers == "learned" or inputs != channels else 0
        self.down = nn.ModuleList(Transfer(inputs, centring) for _ in range(apart))

    def forward(self, f: Tensor, layout: LevelLayout) -> Tensor:
        """Apply the operator on the grid of a layout."""
        with computed_once():  # a kernel is used in several steps
            return self.level(f, layout, 0)

    def level(self, f: Tensor, layout: LevelLayout, depth: int) -> Tensor:
        """Compute the cycle from one level to the coarsest and back."""
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
        # Without gradients u can be overwritten.
        u = u + up if torch.is_grad_enabled() or torch.compiler.is_compiling() else u.add_(up)
        for _ in range(self.post):
            u = _convolve(self.after[kind], _left(matrix, f, u, layout), layout).add_(u)
        return u

    def restrict(self, residual: Tensor, layout: LevelLayout, kind: int) -> Tensor:
        """Restrict to the next coarser level: a weighted sum if kernels are shared, else a weighted mean."""
        if self.transfers == "geometric":
            down = restrict(residual, layout)
        else:
            transfer = (self.down or self.up)[kind]
            assert isinstance(transfer, Transfer)
            down = transfer.restrict(residual, layout)
        return down if self.shared else down / 2**self.axes

    def prolong(self, u: Tensor, layout: LevelLayout, kind: int) -> Tensor:
        """Interpolate from the next coarser level."""
        if self.transfers == "geometric":
            return prolong(u, layout)
        transfer = self.up[kind]
        assert isinstance(transfer, Transfer)
        return transfer.prolong(u, layout)


def _kernel(inputs: int, outputs: int, gain: float, groups: int = 1, *, axes: int = 2) -> nn.Module:
    """Make a 3 x 3 kernel that multiplies the variance of its input by the square of the gain."""
    made = CONVOLUTIONS[axes](inputs, outputs, 3, bias=False, groups=groups)
    nn.init.normal_(made.weight, 0.0, gain / (3 ** (axes / 2) * (inputs // groups) ** 0.5))
    return made


def _left(matrix: nn.Module, f: Tensor, u: Tensor, layout: LevelLayout) -> Tensor:
    """Compute f - A u in the memory of A u; the sign is applied to the kernel, which is smaller than a field."""
    return _convolve(matrix, u, layout, -1.0).add_(f)


def _convolve(kernel: nn.Module, field: Tensor, layout: LevelLayout, factor: float = 1.0) -> Tensor:
    """Apply a 3 x 3 convolution with the boundary conditions, times a factor."""
    assert isinstance(kernel, nn.Conv1d | nn.Conv2d | nn.Conv3d)
    weight, _ = convolution_weights(kernel)
    weight = weight if factor == 1.0 else factor * weight
    axes = len(layout.shape)
    if layout.zero:
        return FUNCTIONS[axes](field, weight, padding=1, groups=kernel.groups)
    if axes != 2:
        wide = extended_along(field, all_conditions(layout, field))
        return FUNCTIONS[axes](wide, weight, groups=kernel.groups)
    return convolve(field, weight, conditions(layout, field), kernel.groups)
