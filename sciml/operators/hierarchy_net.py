"""A multigrid cycle whose smoother is learned from the hierarchy of the problem itself.

Levels, matrices, interpolation and restriction are those of the geometric hierarchy (`sciml.multigrid.torch.stencils`,
equal to the triple products of pyamg). The smoother is learned: on each level a small convolutional network computes
its parameters from the stencils around an unknown. The kernels do not depend on the grid spacing, and all levels except
the finest share them, so that the number of levels may change after training.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional

from sciml.checks import check_int
from sciml.errors import InputError
from sciml.multigrid.torch.stencils import apply_stencil, constant_shift, galerkin, inverses, neighbourhood
from sciml.multigrid.torch.transfers import LevelLayout, mirror, prolong, restrict
from sciml.operators.input_fields import check_input_fields
from sciml.pde.grid import Boundary, Centring
from sciml.tables import network_table

__all__ = ["HierarchyNet", "PreparedHierarchy"]

DAMPING = 0.7
"""Damping of the Jacobi part of the smoother, below 1 for every M-matrix in two dimensions."""
LARGEST_INVERSE = 1000
"""Largest number of unknowns of the coarsest level, which is solved exactly."""


class Medium(nn.Module):
    """Map the stencils of a level (batch, 9, y, x) to the gates of its smoother (batch, channels, y, x)."""

    def __init__(self, channels: int, hidden: int) -> None:
        super().__init__()
        self.look = nn.Conv2d(9, hidden, 3)
        self.compare = nn.Conv2d(hidden, hidden, 3)
        self.tell = nn.Conv2d(hidden, channels, 1)
        with torch.no_grad():  # the initial smoother is damped Jacobi
            self.tell.weight.mul_(0.1)
            self.tell.bias.zero_()  # type: ignore[union-attr]

    def forward(self, stencil: Tensor, layout: LevelLayout) -> Tensor:
        diagonal = stencil[:, 4:5]
        strength = -4 * torch.cat((stencil[:, :4], stencil[:, 5:]), 1) / diagonal
        size = torch.log(diagonal)
        contrast = size - functional.avg_pool2d(mirror(size, layout), 3, 1)
        fields = torch.cat((strength, contrast), 1).contiguous(memory_format=torch.channels_last)
        seen = functional.gelu(self.look(mirror(fields, layout)))
        seen = functional.gelu(self.compare(mirror(seen, layout)))
        gates: Tensor = self.tell(seen)
        return gates


@dataclass(frozen=True, eq=False)
class PreparedHierarchy:
    """The parts of a cycle that depend only on the medium, for use with many residuals.

    The lists have one entry for each level, finest first.
    """

    layouts: list[LevelLayout]
    stencils: list[Tensor]
    gates: list[Tensor]
    scales: list[Tensor]
    coarsest: Tensor


class HierarchyNet(nn.Module):
    """A learned multigrid cycle, linear in the right-hand side and symmetric, for any medium.

    A smoothing step is ``u += D^-1/2 (w I + W^T G W) D^-1/2 (b - A u)`` with the diagonal D, a 3 x 3 convolution W to
    ``channels`` channels, and a diagonal G of gates that a network with three layers computes from the stencils. The
    same symmetric step is applied before and after the coarse correction, so that the whole cycle B is symmetric. A
    prediction is the result of ``cycles`` cycles from zero, and its error is (I - B A)^cycles u.

    Parameters
    ----------
    channels, hidden
        Numbers of channels of the smoother, and of the network that computes its gates.
    cycles
        Number of cycles in a prediction; it may be changed after training.
    sweeps
        Number of smoothing steps before and after each coarse correction.
    centring, boundary
        Centring and boundary of the grids, unless a layout is given with the call.

    Raises
    ------
    InputError
        A number is less than 1, or the centring is unknown.

    Examples
    --------
    >>> from sciml.multigrid.torch.stencils import diffusion_stencil
    >>> from sciml.pde.grid import Grid
    >>> grid = Grid((31, 31))
    >>> stencil = diffusion_stencil(torch.ones(1, 31, 31), grid)
    >>> HierarchyNet()(stencil, torch.full((1, 1, 31, 31), 1 / 32**2)).shape
    torch.Size([1, 1, 31, 31])

    Notes
    -----
    The symmetric cycle can precondition conjugate gradients, but a learned B need not be positive, which
    `sciml.operators.preconditioning` checks. He, Liu and Xu (2024) introduce the multigrid neural operator; Luz et al.
    (2020) and Huang, Li and Xi (2023) use stencils as inputs of learned smoothers.
    """

    command: ClassVar[str] = "hierarchy"
    takes: ClassVar[Literal["system"]] = "system"
    learning_rate: ClassVar[float] = 5e-3
    any_resolution: ClassVar[bool] = True

    def __init__(
        self,
        channels: int = 16,
        hidden: int = 16,
        cycles: int = 2,
        sweeps: int = 1,
        centring: Centring = "vertex",
        boundary: Boundary = Boundary(),  # noqa: B008
    ) -> None:
        super().__init__()
        for name, value in (
            ("channels", channels),
            ("hidden", hidden),
            ("cycles", cycles),
            ("sweeps", sweeps),
        ):
            check_int(name, value, 1, owner="HierarchyNet")
        if centring not in get_args(Centring):
            raise InputError(f"HierarchyNet(centring={centring!r}): give 'vertex' or 'cell'")
        self.channels, self.hidden, self.cycles, self.sweeps = channels, hidden, cycles, sweeps
        self.centring, self.boundary = centring, boundary
        self.media = nn.ModuleList(Medium(channels, hidden) for _ in range(2))
        self.kernels = nn.ParameterList(nn.Parameter(0.3 * torch.randn(channels, 1, 3, 3)) for _ in range(2))

    _repr_html_ = network_table

    def config(self) -> dict[str, Any]:
        """Configuration of this network for `sciml.operators.registry.build`, as JSON stores it."""
        return {
            "class": "HierarchyNet",
            **{name: getattr(self, name) for name in ("channels", "hidden", "cycles", "sweeps", "centring")},
            "boundary": self.boundary.sides,
        }

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> HierarchyNet:
        """Make the network of a configuration that `config` returned."""
        known = {name: value for name, value in config.items() if name not in ("class", "boundary")}
        return cls(**known, boundary=Boundary(**config.get("boundary", {})))

    def layout(self, stencil: Tensor) -> LevelLayout:
        """Return the layout of a stencil field, with the centring and boundary of the network."""
        return LevelLayout(
            (stencil.shape[-2], stencil.shape[-1]), self.centring, (self.boundary.y, self.boundary.x)
        )

    def prepare(self, stencil: Tensor, layout: LevelLayout | None = None) -> PreparedHierarchy:
        """Compute the hierarchy of a batch of matrices and the gates on its levels.

        Parameters
        ----------
        stencil
            (batch, 9, y, x), symmetric with a positive diagonal; see `sciml.multigrid.torch.stencils`.
        layout
            Layout with another centring or boundary; by default those of the network.

        Raises
        ------
        InputError
            A periodic axis cannot be halved often enough.
        """
        layouts = (layout or self.layout(stencil)).levels()
        coarsest = layouts[-1].shape
        if coarsest[0] * coarsest[1] > LARGEST_INVERSE:
            raise InputError(
                f"coarsening stopped at {coarsest[0]} x {coarsest[1]}: along a periodic axis HierarchyNet needs a "
                "multiple of a power of 2 unknowns, such as 64; MgNO takes any grid"
            )
        stencils = [stencil]
        for fine in layouts[:-1]:
            stencils.append(galerkin(stencils[-1], fine))
        gates = [
            self.media[min(level, 1)](matrix, place)
            for level, (matrix, place) in enumerate(zip(stencils[:-1], layouts[:-1], strict=True))
        ]
        scales = [matrix[:, 4:5].rsqrt() for matrix in stencils[:-1]]
        shift = constant_shift(stencil, layouts[0])
        if coarsest == (1, 1) and shift is None:
            inverse = 1 / stencils[-1][:, 4:5, :, 0]
        else:
            inverse = inverses(stencils[-1], layouts[-1], shift)
        return PreparedHierarchy(layouts, stencils, gates, scales, inverse)

    def smooth(self, prepared: PreparedHierarchy, residual: Tensor, level: int) -> Tensor:
        """Compute the correction of one smoothing step for a residual (batch, channel, y, x) of a level.

        Each channel is a separate right-hand side.
        """
        batch, sides = residual.shape[:2]
        scaled = residual * prepared.scales[level]
        flat = scaled.reshape(batch * sides, 1, *residual.shape[-2:])
        gates = prepared.gates[level]
        if sides > 1:
            gates = gates.repeat_interleave(sides, 0)
        kernel = self.kernels[min(level, 1)]
        here = prepared.layouts[level]
        inner = functional.conv2d(neighbourhood(flat, here), kernel) * gates
        adjoint = kernel.flip(-2, -1).transpose(0, 1)
        learned = functional.conv2d(neighbourhood(inner, here), adjoint).reshape(scaled.shape)
        return (DAMPING * scaled + learned) * prepared.scales[level]

    def cycle(self, prepared: PreparedHierarchy, residual: Tensor, level: int = 0) -> Tensor:
        """Compute the correction B r of one V-cycle for a residual (batch, channel, y, x)."""
        here = prepared.layouts[level]
        if level == len(prepared.layouts) - 1:
            flat = residual.flatten(2) @ prepared.coarsest
            return flat.reshape(residual.shape)
        matrix = prepared.stencils[level]
        u = self.smooth(prepared, residual, level)
        for _ in range(self.sweeps - 1):
            u = u + self.smooth(prepared, residual - apply_stencil(matrix, u, here), level)
        left = restrict(residual - apply_stencil(matrix, u, here), here)
        u = u + prolong(self.cycle(prepared, left, level + 1), here)
        for _ in range(self.sweeps):
            u = u + self.smooth(prepared, residual - apply_stencil(matrix, u, here), level)
        return u

    def iterates(self, stencil: Tensor, rhs: Tensor, layout: LevelLayout | None = None) -> list[Tensor]:
        """Return the approximations after each cycle; arguments are those of `forward`."""
        prepared = self.prepare(stencil, layout)
        u = self.cycle(prepared, rhs)
        iterates = [u]
        for _ in range(1, self.cycles):
            u = u + self.cycle(prepared, rhs - apply_stencil(stencil, u, prepared.layouts[0]))
            iterates.append(u)
        return iterates

    def forward(self, stencil: Tensor, rhs: Tensor, layout: LevelLayout | None = None) -> Tensor:
        """Approximate the solutions of a batch of systems.

        Parameters
        ----------
        stencil
            The matrices (batch, 9, y, x), as `sciml.multigrid.torch.stencils.diffusion_stencil` makes them.
        rhs
            (batch, channel, y, x), integrated over the control volumes; each channel is solved for.
        layout
            Layout with another centring or boundary; by default those of the network.

        Returns
        -------
        Tensor
            Solutions, with the shape of ``rhs``.

        Raises
        ------
        InputError
            Stencils or right-hand sides have another shape or type, or lie on different grids.
        """
        check_input_fields("HierarchyNet (stencil)", stencil, 9)
        check_input_fields("HierarchyNet (right-hand side)", rhs)
        if stencil.shape[2:] != rhs.shape[2:]:
            raise InputError(
                f"stencils on {tuple(stencil.shape[2:])} points, right-hand sides on {tuple(rhs.shape[2:])}: "
                "give both on one grid"
            )
        if stencil.shape[0] != rhs.shape[0]:
            stencil, rhs = _together(stencil, rhs)
        return self.iterates(stencil, rhs, layout)[-1]


def _together(stencil: Tensor, rhs: Tensor) -> tuple[Tensor, Tensor]:
    """Expand one matrix for many right-hand sides, or one right-hand side for many matrices."""
    batch = max(len(stencil), len(rhs))
    if 1 not in (len(stencil), len(rhs)):
        raise InputError(
            f"{len(stencil)} matrices and {len(rhs)} right-hand sides: give equally many, or one"
        )
    return stencil.expand(batch, -1, -1, -1), rhs.expand(batch, -1, -1, -1)
