"""The linear operator of the published MgNO: a multigrid cycle of independent convolutions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from sciml.errors import InputError
from sciml.nn.convolution import convolution_weights

__all__ = [
    "MultigridConvolution",
    "Norm",
    "Padding",
    "Pointwise",
    "Restricted",
    "Smoothing",
    "gelu",
    "level_sizes",
]

Padding = Literal["zeros", "circular", "reflect", "replicate"]
Norm = Literal["none", "level", "layer"]
Restricted = Literal["source", "residual"]


def level_sizes(
    points: int, prolongations: Sequence[int], padding: int = 1, *, least: int = 1
) -> list[int] | None:
    """Return the number of points along a side of each level, or None if prolongation does not restore them.

    Parameters
    ----------
    points
        Number of points on the finest level.
    prolongations
        Width of the transposed convolution to each level from the next.
    padding
        Padding of the transfers.
    least
        Least number of points on the coarsest level; reflection at a border needs 2.

    Examples
    --------
    >>> level_sizes(211, (3, 4, 3, 3, 4))
    [211, 106, 53, 27, 14, 7]
    >>> level_sizes(100, (4, 4, 4, 4, 4)) is None
    True
    """
    sizes = [points]
    for width in prolongations:
        fine = sizes[-1]
        coarse = (fine + 2 * padding - 3) // 2 + 1
        if coarse < least or 2 * (coarse - 1) + width - 2 * padding != fine:
            return None
        sizes.append(coarse)
    return sizes


class Smoothing(nn.Module):
    """One step u + S (f - A u) with its own A and S; without u, the step S f.

    Parameters
    ----------
    source, channels
        Numbers of channels of f and of u.
    padding, bias
        Padding and bias of the convolutions.
    operator
        Whether the step has an A.
    """

    def __init__(
        self,
        source: int,
        channels: int,
        *,
        padding: Padding = "zeros",
        bias: bool = False,
        operator: bool = True,
    ) -> None:
        super().__init__()
        self.operator = (
            nn.Conv2d(channels, source, 3, padding=1, bias=bias, padding_mode=padding) if operator else None
        )
        self.smoother = nn.Conv2d(source, channels, 3, padding=1, bias=bias, padding_mode=padding)

    def forward(self, u: Tensor | None, f: Tensor) -> Tensor:
        """Improve u (sample, channels, y, x); None starts from zero."""
        if u is None:
            return self.smoother(f)  # type: ignore[no-any-return]
        assert self.operator is not None
        # In place if the operand is a new result: on a CPU, new memory takes more time than the addition.
        left = self.operator(u).neg_().add_(f)
        return self.smoother(left).add_(u)  # type: ignore[no-any-return]


class Pointwise(nn.Conv2d):
    """A 1x1 convolution, computed as a matrix product if the channels are contiguous.

    Torch has no fast 1x1 convolution in float32 for small batches on one thread.
    """

    def __init__(self, channels: int, out_channels: int, *, bias: bool = True) -> None:
        super().__init__(channels, out_channels, 1, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        """Map (sample, channel, y, x) to (sample, out channel, y, x)."""
        if not self._as_product(x):
            return super().forward(x)
        weight, bias = convolution_weights(self)
        made = nn.functional.linear(x.permute(0, 2, 3, 1), weight.flatten(1), bias)
        return made.permute(0, 3, 1, 2)

    def onto(self, u: Tensor, x: Tensor) -> Tensor:
        """Add the convolution of x to u, in place."""
        if not self._as_product(u, x) or not x.dtype == u.dtype == torch.float32:
            return u.add_(self(x))
        weight, bias = convolution_weights(self)
        if weight.dtype != torch.float32:
            return u.add_(self(x))
        flat = u.permute(0, 2, 3, 1).flatten(0, 2)
        flat.addmm_(x.permute(0, 2, 3, 1).flatten(0, 2), weight.flatten(1).T)
        return u if bias is None else u.add_(bias[:, None, None])

    @staticmethod
    def _as_product(*fields: Tensor) -> bool:
        if torch.compiler.is_compiling():
            return False
        return all(
            field.device.type == "cpu" and field.is_contiguous(memory_format=torch.channels_last)
            for field in fields
        )


def gelu(x: Tensor) -> Tensor:
    """Apply the GELU to a temporary result, in place unless gradients are needed."""
    if torch.is_grad_enabled() or torch.compiler.is_compiling():
        return nn.functional.gelu(x)
    made: Tensor = torch.ops.aten.gelu_(x)
    return made


class SmoothingSteps(nn.ModuleList):
    """A sequence of smoothing steps."""

    def forward(self, u: Tensor | None, f: Tensor) -> Any:
        """Improve u (sample, channels, y, x), where None starts from zero; without steps u is returned."""
        for step in self:
            u = step(u, f)
        return u


class MultigridConvolution(nn.Module):
    """Linear operator f -> u: smoothing steps on a sequence of grids, each with half the resolution of the one before.

    Downwards, each level smooths, and restricts f (or f - A u) by R and u by Pi. Upwards, it adds the prolonged coarse
    u and smooths again. Steps, levels and directions share no kernels, and only the norms, if any, are nonlinear. With
    one channel, restricted residuals, no Pi and the kernels of a hierarchy it equals the V-cycle of the hierarchy, see
    `from_hierarchy`.

    Parameters
    ----------
    source, channels
        Numbers of channels of f and of u on the finest level.
    smoothing
        Numbers of steps before and after the coarse levels, for each level, finest first.
    prolongations
        Width of the transposed convolution to each level from the next.
    transfer_padding
        Padding of restriction and prolongation, 1 or 0.
    padding, bias
        Padding and bias of the smoothing convolutions; ``circular`` padding also applies to the restrictions.
    growing
        Whether level l has l + 1 times the channels.
    norm
        Number of points along a side for a LayerNorm over channels and grid after each level is added; or None.
    restricted
        Restricted field: the ``source`` f, as published, or the ``residual``.
    projected
        Whether the coarse u starts from Pi u or from zero.
    spare_operator
        Whether the first step has an unused A.

    Raises
    ------
    InputError
        The numbers of levels and prolongations do not match, or a level except the last has no first step.

    Notes
    -----
    The operator W_Mg of He, Liu and Xu (ICLR 2024, section 3).

    Examples
    --------
    >>> layer = MultigridConvolution(1, 4, smoothing=((1, 0), (1, 1), (2, 0)), prolongations=(4, 4))
    >>> layer(torch.ones(2, 1, 8, 12)).shape
    torch.Size([2, 4, 8, 12])
    """

    def __init__(
        self,
        source: int,
        channels: int,
        *,
        smoothing: Sequence[tuple[int, int]],
        prolongations: Sequence[int],
        transfer_padding: int = 1,
        padding: Padding = "zeros",
        bias: bool = False,
        growing: bool = False,
        norm: int | None = None,
        restricted: Restricted = "source",
        projected: bool = True,
        spare_operator: bool = False,
    ) -> None:
        super().__init__()
        levels = len(smoothing)
        if levels != len(prolongations) + 1 or any(before < 1 for before, _ in smoothing):
            raise InputError(
                f"smoothing={tuple(smoothing)}, prolongations={tuple(prolongations)}: give a pair for each "
                "level, its first number 1 or more, and a width for each level but the last"
            )
        if restricted not in ("source", "residual"):
            raise InputError(f"restricted={restricted!r}: give 'source' or 'residual'")
        us = [channels * (level + 1 if growing else 1) for level in range(levels)]
        fs = [source * (level + 1 if growing else 1) for level in range(levels)]
        self.levels = levels
        self.before = nn.ModuleList()
        self.after = nn.ModuleList()
        for level, (down, up) in enumerate(smoothing):
            empty = level == 0 or not projected  # the first step has no residual

            def steps(count: int, first: int, level: int = level) -> SmoothingSteps:
                return SmoothingSteps(
                    Smoothing(fs[level], us[level], padding=padding, bias=bias, operator=step >= first)
                    for step in range(count)
                )

            self.before.append(steps(down, int(empty and not spare_operator)))
            self.after.append(steps(up, 0))
        outside: Padding = "circular" if padding == "circular" else "zeros"

        def restriction(channels: list[int], level: int) -> nn.Conv2d:
            pair = channels[level], channels[level + 1]
            return nn.Conv2d(*pair, 3, 2, transfer_padding, bias=False, padding_mode=outside)

        def residual(level: int) -> nn.Module:
            if restricted == "source":
                return nn.Identity()
            return nn.Conv2d(us[level], fs[level], 3, padding=1, bias=bias, padding_mode=padding)

        below = range(levels - 1)
        self.restricted, self.projected = restricted, projected
        self.residuals = nn.ModuleList(residual(level) for level in below)
        self.restrictions = nn.ModuleList(restriction(fs, level) for level in below)
        self.projections = nn.ModuleList(restriction(us, level) for level in below if projected)
        self.prolongations = nn.ModuleList(
            nn.ConvTranspose2d(us[level + 1], us[level], width, 2, transfer_padding, bias=False)
            for level, width in enumerate(prolongations)
        )
        self.norms = nn.ModuleList(
            nn.LayerNorm([us[level], norm >> level, norm >> level]) if norm else nn.Identity()
            for level in below
        )

    def forward(self, f: Tensor) -> Tensor:
        """Map (sample, source, y, x) to (sample, channels, y, x)."""
        u: Any = None
        levels_above: list[tuple[Tensor, Tensor]] = []
        for level, steps in enumerate(self.before):
            u = steps(u, f)
            if level + 1 < self.levels:
                levels_above.append((u, f))
                left = f if self.restricted == "source" else self.residuals[level](u).neg_().add_(f)
                f = self.restrictions[level](left)
                u = self.projections[level](u) if self.projected else None
        for level in reversed(range(self.levels - 1)):
            above, f = levels_above.pop()
            u = self.norms[level](self.prolongations[level](u).add_(above))
            u = self.after[level](u, f)
        result: Tensor = u
        return result

    @classmethod
    def from_hierarchy(cls, multilevel: Any, *, omega: float = 0.8) -> MultigridConvolution:
        """Make a layer of one channel from the V(1,1) cycle of a hierarchy, in float64.

        Parameters
        ----------
        multilevel
            A `pyamg.multilevel.MultilevelSolver`, or an object whose ``levels`` have sparse A and, except the last, P
            and R. The grids are squares of 2^k - 1 interior points, down to a single point.
        omega
            Weight of the Jacobi smoother.

        Raises
        ------
        InputError
            The matrix of a level is not a convolution: the coefficients vary, or the grid or boundary is another one.
        """
        levels = list(multilevel.levels)
        sizes = [2 ** (len(levels) - k) - 1 for k in range(len(levels))]
        layer = cls(
            1,
            1,
            smoothing=((1, 1),) * (len(levels) - 1) + ((1, 0),),
            prolongations=(3,) * (len(levels) - 1),
            transfer_padding=0,
            restricted="residual",
            projected=False,
        ).double()
        for k, (level, size) in enumerate(zip(levels, sizes, strict=True)):
            if level.A.shape != (size**2, size**2):
                raise InputError(
                    f"level {k} has {level.A.shape[0]} unknowns: {len(levels)} levels need {size} x {size}"
                )
            last = k + 1 == len(levels)
            operator = _kernel(level.A, size, size)
            jacobi = torch.zeros(3, 3, dtype=torch.float64)
            jacobi[1, 1] = (1.0 if last else omega) / operator[1, 1]  # exact for a single unknown
            before, after = list(layer.before[k]), list(layer.after[k])  # type: ignore[call-overload]
            made: list[tuple[str, nn.Module, Tensor]] = []
            made += [("smoother", step.smoother, jacobi) for step in before + after]
            made += [("A", step.operator, operator) for step in after]
            if not last:
                made.append(("A", layer.residuals[k], operator))
                made.append(("R", layer.restrictions[k], _kernel(level.R, sizes[k + 1], size)))
                made.append(("P", layer.prolongations[k], _kernel(level.P.T.tocsr(), sizes[k + 1], size)))
            for name, module, kernel in made:
                weight = module.get_parameter("weight")
                with torch.no_grad():
                    weight.copy_(kernel.expand_as(weight))
                if name != "smoother":
                    points = sizes[k + 1] if name == "P" else size
                    _check(getattr(level, name), module, points, f"{name} of level {k}")
        return layer


def _kernel(matrix: Any, rows: int, columns: int) -> Tensor:
    """Return the 3x3 window of the middle row of a matrix, around its point or the one at twice the distance."""
    middle = rows // 2
    field = matrix[middle * rows + middle].toarray().reshape(columns, columns)
    corner = middle if rows == columns else 2 * middle + 1
    window = np.pad(field, 1)[corner : corner + 3, corner : corner + 3]
    return torch.from_numpy(np.ascontiguousarray(window))


@torch.no_grad()
def _check(matrix: Any, module: nn.Module, size: int, what: str) -> None:
    """Check on a random field that a matrix equals a convolution."""
    field = np.random.default_rng(5).standard_normal((size, size))
    answer = module(torch.from_numpy(field)[None, None]).numpy().ravel()
    wanted = matrix @ field.ravel()
    if answer.shape != wanted.shape or not np.allclose(
        answer, wanted, rtol=0, atol=1e-12 * abs(wanted).max()
    ):
        raise InputError(f"{what} is not a constant 3x3 convolution: its coefficients or boundaries vary")
