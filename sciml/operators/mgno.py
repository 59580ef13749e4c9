"""MgNO: a neural operator whose linear maps are multigrid cycles (He, Liu and Xu, ICLR 2024)."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional

from sciml.checks import check_choice, check_int
from sciml.errors import InputError
from sciml.multigrid.torch.transfers import LevelLayout
from sciml.nn.norm_activation import check_norm, norm_activation
from sciml.operators.input_fields import check_input_fields
from sciml.operators.mgno_layer import Cycle, Transfers
from sciml.operators.published.layer import Pointwise, gelu
from sciml.pde.grid import Boundary, Centring
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


class MgNO(nn.Module):
    """Multigrid neural operator: layers ``u <- GELU(W u + B u + b)`` with multigrid cycles W.

    Each W is a `Cycle`, and each B a matrix between channels. The cycle restricts the residual, has one kernel A for
    each level, uses ghost values for exact boundary conditions, and accepts any grid size. `published` makes the
    networks of the paper's code.

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
    activation
        ``gelu``, ``relu``, or ``none`` for a network that is linear but for its biases, such as one of a linear PDE. A
        piecewise linear network (``relu``, ``none``) has its derivative as frozen action, see `sciml.analysis`.

    Raises
    ------
    InputError
        A number is less than 1, a setting is unknown, or both a normalisation and an activation are given.

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
        pairs = list(itertools.pairwise([in_channels + 1, *[channels] * layers]))
        shape = {
            name: self.settings[name] for name in ("levels", "pre", "post", "bottom", "transfers", "shared")
        }
        self.cycles = nn.ModuleList(Cycle(f, u, **shape, centring=centring) for f, u in pairs)
        self.points = nn.ModuleList(Pointwise(f, u) for f, u in pairs)
        self.norms = nn.ModuleList(norm_activation(norm, channels, 2) for _ in pairs if norm)
        self.head = nn.Conv2d(channels, out_channels, 1, bias=False)

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
            "centring": self.centring,
            "boundary": self.boundary.sides,
        }

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> MgNO:
        """Make the network of a configuration that `config` returned."""
        known = {name: value for name, value in config.items() if name not in ("class", "boundary")}
        return cls(**known, boundary=Boundary(**config.get("boundary", {})))

    def layout(self, x: Tensor) -> LevelLayout:
        """Return the layout of a field, with the centring and boundary of the network."""
        return LevelLayout((x.shape[-2], x.shape[-1]), self.centring, (self.boundary.y, self.boundary.x))

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
        check_input_fields("MgNO", x, self.settings["in_channels"])
        place = layout or self.layout(x)
        if place.shape != (x.shape[-2], x.shape[-1]):
            raise InputError(f"fields of shape {tuple(x.shape)} with a layout of {place.shape}: give theirs")
        x = torch.cat((x, torch.ones_like(x[:, :1])), 1).contiguous(memory_format=torch.channels_last)
        size = self.integral(place)
        activate = ACTIVATIONS[self.activation]
        for number, (cycle, point) in enumerate(zip(self.cycles, self.points, strict=True)):
            assert isinstance(point, Pointwise)
            u = cycle(x * size if size != 1.0 else x, place)
            u = u.add_(point(x)) if torch.is_grad_enabled() else point.onto(u, x)
            x = u + self.norms[number](u) if self.norm else activate(u)
        out: Tensor = self.head(x)
        return out

    def integral(self, layout: LevelLayout) -> float:
        """Return the weight of a control volume in grid-scaled cycles, in units of 1/16 of the rectangle."""
        if not self.settings["shared"]:
            return 1.0
        return 16.0 / (layout.shape[0] * layout.shape[1])
