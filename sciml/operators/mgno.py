"""MgNO: a neural operator whose linear maps are multigrid cycles (He, Liu and Xu, ICLR 2024)."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional

from sciml.checks import check_choice, check_int, is_whole
from sciml.errors import InputError
from sciml.multigrid.torch.transfers import LevelLayout, prolong
from sciml.nn.convolution import CONVOLUTIONS
from sciml.nn.norm_activation import check_norm, norm_activation
from sciml.operators.fixed_grid import FixedGrid, fixed_shape, mean
from sciml.operators.input_fields import LEAST, check_input_fields
from sciml.operators.mgno_layer import Cycle, Transfers
from sciml.operators.published.layer import Pointwise, gelu
from sciml.operators.relaxation import Relaxation
from sciml.pde.grid import Boundary, Centring, space
from sciml.tables import network_table

if TYPE_CHECKING:
    from sciml.operators.published.network import PublishedMgNO

__all__ = ["Activation", "MgNO"]

Activation = Literal["gelu", "relu", "none"]
ACTIVATIONS: Mapping[Activation, Callable[[Tensor], Tensor]] = {
    "gelu": gelu,
    "relu": functional.relu,
    "none": lambda u: u,
}
SMALLEST, LARGEST = 12, 64
"""Least and largest numbers of points along an axis of the default grid of the cycles."""
RELAXATIONS = 3
"""Number of sweeps on each level by default in a training."""


class MgNO(nn.Module):
    """Multigrid neural operator: layers ``u <- GELU(W u + B u + b)`` with multigrid cycles W.

    Each W is a `Cycle`, and each B a matrix between channels. The cycle restricts the residual, has one kernel A for
    each level, uses ghost values for exact boundary conditions, and accepts any grid size. `published` makes the
    networks of the paper's code.

    A kernel belongs to a level of the cycle, so that its width in the rectangle depends on the finest grid. The cycles
    are therefore computed on a fixed coarse grid: the features are averaged to it, and the result is interpolated. B, b
    and the activation are computed on the grid of the fields.

    Parameters
    ----------
    in_channels, out_channels
        Numbers of input and output channels. A constant channel is added to the inputs, from which the network can
        compute the distance to the boundary.
    channels, layers
        Number of hidden channels and of layers.
    levels, pre, post, bottom, transfers, shared
        Settings of the cycles, see `Cycle`.
    centring, boundary
        Centring and boundary of the grids, unless a layout is given with the call.
    norm
        Name of a normalisation with activation (`sciml.nn.norm_activation.NORMS`), or None for GELU. A layer is then
        ``z = W u + B u + b; u <- z + norm(z)``: the amplitude of a field, which the normalisation removes, is on the
        path beside it.
    grid
        Grid of the cycles: its shape (y, x), or the largest number of points along its shorter axis. A number is for
        one resolution: a grid is halved until it is small enough. A shape is for all resolutions: features on coarser
        grids are interpolated to it. None or 0: the grid of the fields, as in the paper.
    relaxations
        Number of sweeps of a `Relaxation` after the last layer, on each level from the grid of the cycles to that of
        the fields; a training in the plane takes `RELAXATIONS`. The sweeps multiply u by coefficients that depend on
        the inputs, so that a network with them is not piecewise linear.
    activation
        ``gelu``, ``relu``, or ``none`` for a network that is linear but for its biases, such as one of a linear PDE. A
        piecewise linear network (``relu``, ``none``) has its derivative as frozen action, see `sciml.analysis`.
    axes
        Number of axes in space: fields (sample, channel, x), (..., y, x) or (..., z, y, x).

    Raises
    ------
    InputError
        A number is less than 1, a setting is unknown, the grid has an axis of fewer than 3 points, both a
        normalisation and an activation are given, or there are relaxations in other than 2 axes.

    Examples
    --------
    >>> network = MgNO(channels=8, layers=2)
    >>> network(torch.ones(3, 1, 31, 31)).shape
    torch.Size([3, 1, 31, 31])
    >>> network(torch.ones(3, 1, 30, 47)).shape
    torch.Size([3, 1, 30, 47])
    """

    command: ClassVar[str] = "mgno"
    takes: ClassVar[Literal["fields"]] = "fields"
    learning_rate: ClassVar[float] = 3e-3
    input_layers: ClassVar[tuple[str, ...]] = ("cycles.0", "points.0")
    output_layers: ClassVar[tuple[str, ...]] = ("head",)

    def __init__(
        self,
        in_channels: int = 1,
        out_channels: int = 1,
        channels: int = 16,
        layers: int = 7,
        levels: int = 6,
        pre: int = 1,
        post: int = 0,
        bottom: int = 2,
        transfers: Transfers = "geometric",
        shared: bool = False,
        centring: Centring = "vertex",
        boundary: Boundary = Boundary(),  # noqa: B008
        norm: str | None = None,
        activation: Activation = "gelu",
        grid: int | Sequence[int] | None = 31,
        axes: int = 2,
        relaxations: int = 0,
    ) -> None:
        super().__init__()
        for name, value in (
            ("in_channels", in_channels),
            ("out_channels", out_channels),
            ("channels", channels),
            ("layers", layers),
        ):
            check_int(name, value, 1, owner="MgNO")
        if centring not in get_args(Centring):
            raise InputError(f"MgNO(centring={centring!r}): give 'vertex' or 'cell'")
        if axes not in CONVOLUTIONS:
            raise InputError(f"MgNO(axes={axes!r}): give 1, 2 or 3")
        check_int("relaxations", relaxations, 0, owner="MgNO")
        if relaxations and axes != 2:
            raise InputError(
                f"MgNO(relaxations={relaxations}, axes={axes}): relaxation is for the plane; give relaxations=0"
            )
        check_norm(norm, "MgNO")
        check_choice("activation", activation, ACTIVATIONS)
        if norm and activation != "gelu":
            raise InputError(
                f"MgNO(norm={norm!r}, activation={activation!r}): the normalisation has its own activation; give "
                "one of the two"
            )
        self.settings: dict[str, Any] = {
            "in_channels": in_channels,
            "out_channels": out_channels,
            "channels": channels,
            "layers": layers,
            "levels": levels,
            "pre": pre,
            "post": post,
            "bottom": bottom,
            "transfers": transfers,
            "shared": shared,
        }
        self.centring, self.boundary, self.norm, self.activation = centring, boundary, norm, activation
        self.axes, self.relaxations = axes, relaxations
        self.grid = _checked_grid(grid, axes)
        pairs = list(itertools.pairwise([in_channels + 1, *[channels] * layers]))
        shape = {
            name: self.settings[name] for name in ("levels", "pre", "post", "bottom", "transfers", "shared")
        }
        self.cycles = nn.ModuleList(Cycle(f, u, **shape, centring=centring, axes=axes) for f, u in pairs)
        pointwise = Pointwise if axes == 2 else partial(CONVOLUTIONS[axes], kernel_size=1)
        self.points = nn.ModuleList(pointwise(f, u) for f, u in pairs)
        self.norms = nn.ModuleList(norm_activation(norm, channels, axes) for _ in pairs if norm)
        self.head = CONVOLUTIONS[axes](channels, out_channels, 1, bias=False)
        if relaxations:
            self.relaxation = Relaxation(in_channels + 1, out_channels, sweeps=relaxations)

    @staticmethod
    def published(name: str) -> PublishedMgNO:
        """Make the network of the paper's code for a benchmark, with the same number of parameters.

        Parameters
        ----------
        name
            ``darcy-smooth``, ``darcy-rough``, ``darcy-multiscale``, ``pipe``, ``navier-stokes`` or ``helmholtz``.

        Raises
        ------
        InputError
            The name is unknown.
        """
        from sciml.operators.published.network import published

        return published(name)

    _repr_html_ = network_table

    def config(self) -> dict[str, Any]:
        """Configuration of this network for `sciml.operators.registry.build`, as JSON stores it."""
        return {
            "class": "MgNO",
            **self.settings,
            **({"norm": self.norm} if self.norm else {}),
            **({"activation": self.activation} if self.activation != "gelu" else {}),
            **({"grid": list(self.grid) if isinstance(self.grid, tuple) else self.grid} if self.grid else {}),
            **({"axes": self.axes} if self.axes != 2 else {}),
            **({"relaxations": self.relaxations} if self.relaxations else {}),
            "centring": self.centring,
            "boundary": self.boundary.sides,
        }

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> MgNO:
        """Make the network of a configuration that `config` returned; without ``grid`` it has no fixed grid."""
        known = {name: value for name, value in config.items() if name not in ("class", "boundary")}
        known = {"grid": None, **known}
        return cls(**known, boundary=Boundary(**config.get("boundary", {})))

    def layout(self, x: Tensor) -> LevelLayout:
        """Return the layout of a field, with the centring and boundary of the network."""
        boundary = self.boundary.of_axes(self.axes)
        sides = tuple(boundary.along(dim) for dim in space(self.axes))
        return LevelLayout(tuple(x.shape[2:]), self.centring, sides)

    def forward(self, x: Tensor, layout: LevelLayout | None = None) -> Tensor:
        """Map fields (batch, in_channels, y, x) to fields (batch, out_channels, y, x).

        Parameters
        ----------
        x
            Normalised fields.
        layout
            Layout with another centring or boundary; by default those of the network.

        Raises
        ------
        InputError
            The fields have another shape, type or number of channels, or fewer than 3 points along an axis.
        """
        check_input_fields("MgNO", x, self.settings["in_channels"], self.axes)
        place = layout or self.layout(x)
        if place.shape != tuple(x.shape[2:]):
            raise InputError(f"fields of shape {tuple(x.shape)} with a layout of {place.shape}: give theirs")
        x = torch.cat((x, torch.ones_like(x[:, :1])), 1)
        if self.axes == 2:
            x = x.contiguous(memory_format=torch.channels_last)
        inputs, fixed = x, self.fixed_grid(place)
        size = self.integral(fixed.coarse)
        activate = ACTIVATIONS[self.activation]
        for number, (cycle, point) in enumerate(zip(self.cycles, self.points, strict=True)):
            f = fixed.average(x)
            u = fixed.interpolate(cycle(f * size if size != 1.0 else f, fixed.coarse))
            u = _added(point, u, x, view=not fixed.same)
            x = u + self.norms[number](u) if self.norm else activate(u)
        out: Tensor = self.head(x)
        return self.relaxed(out, inputs, fixed) if self.relaxations else out

    def relaxed(self, u: Tensor, inputs: Tensor, fixed: FixedGrid) -> Tensor:
        """Relax a prediction on each level, from the coarsest to the grid of the fields.

        Each level begins with the prediction there, plus the interpolated change of the coarser level.
        """
        fields, given = [u], [inputs]
        for layout in fixed.levels[:-1]:
            fields.append(mean(fields[-1], layout))
            given.append(mean(given[-1], layout))
        change = None
        for layout, before, here in zip(fixed.levels[::-1], fields[::-1], given[::-1], strict=True):
            start = before if change is None else before + prolong(change, layout)
            u = self.relaxation(start, here, layout, fixed.area(layout))
            change = u - before
        return u

    @staticmethod
    def trained_form(
        layout: LevelLayout, network: Mapping[str, Any], *, whole: bool = False
    ) -> dict[str, Any]:
        """Return the settings ``grid``, as a shape, and ``relaxations`` of a training at one resolution.

        The cycles are on the first coarser level of the grid, if it is not small. A network with a normalisation, a
        linear activation or the grid of the data has no relaxations by default.

        Parameters
        ----------
        layout
            Layout of the training data.
        network
            Settings that are given.
        whole
            Whether the default is the grid of the data.

        Examples
        --------
        >>> from sciml.pde.grid import Grid
        >>> MgNO.trained_form(LevelLayout.of(Grid((63, 63))), {})
        {'grid': [31, 31], 'relaxations': 3}
        """
        grid = network.get("grid")
        if "grid" not in network:
            grid = None if whole else list(_default_grid(layout))
        elif is_whole(grid, 1):
            grid = list(fixed_shape(layout, grid))
        plain = not network.get("norm") and network.get("activation", "gelu") == "gelu"
        usual = RELAXATIONS if grid and plain and len(layout.shape) == 2 else 0
        return {"grid": grid, "relaxations": network.get("relaxations", usual)}

    @property
    def any_resolution(self) -> bool:
        """Whether the cycles are computed on the same grid for all grids of the fields."""
        return isinstance(self.grid, tuple)

    def fixed_grid(self, layout: LevelLayout) -> FixedGrid:
        """Return the transfers to the grid of the cycles, for fields on the grid of a layout."""
        if self.grid is None:
            return FixedGrid.of(layout, layout.shape)
        shape = self.grid if isinstance(self.grid, tuple) else fixed_shape(layout, self.grid)
        return FixedGrid.of(layout, shape)

    def integral(self, layout: LevelLayout) -> float:
        """Return the weight of a control volume in grid-scaled cycles, in units of 1/4 along each axis."""
        if not self.settings["shared"]:
            return 1.0
        return 4.0**self.axes / math.prod(layout.shape)


def _default_grid(layout: LevelLayout) -> tuple[int, ...]:
    """Return the shape of the first coarser level, if it is not small; of a large grid, that of a coarser one."""
    fixed = layout
    while min(fixed.coarse().shape) >= SMALLEST and (fixed is layout or max(fixed.shape) > LARGEST):
        fixed = fixed.coarse()
    return fixed.shape


def _added(point: nn.Module, u: Tensor, x: Tensor, *, view: bool) -> Tensor:
    """Add B x + b to u, in place where autograd allows it: not to a view, as an interpolated field may be."""
    if isinstance(point, Pointwise) and not torch.is_grad_enabled():
        return point.onto(u, x)
    added: Tensor = u + point(x) if view else u.add_(point(x))
    return added


def _checked_grid(grid: int | Sequence[int] | None, axes: int) -> int | tuple[int, ...] | None:
    """Return the setting ``grid`` as a number, a tuple or None."""
    if grid is None or grid is False or (is_whole(grid) and grid == 0):
        return None
    points = (grid,) if is_whole(grid) else tuple(grid) if isinstance(grid, list | tuple) else ()
    if (len(points) == axes or is_whole(grid)) and all(is_whole(n, LEAST) for n in points):
        return int(points[0]) if is_whole(grid) else tuple(int(n) for n in points)
    raise InputError(
        f"MgNO(grid={grid!r}): give the shape ({', '.join(space(axes))}) of the grid of the cycles, of at least "
        f"{LEAST} points along each axis, a number of points, or None"
    )
