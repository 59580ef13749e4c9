"""A network for time steps that do not expand: no difference of two states grows, in any number of steps."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from sciml.checks import check_int, is_number, is_whole
from sciml.errors import InputError
from sciml.nn.convolution_spectrum import largest_singular_value, supremum
from sciml.nn.dense_weights import computed_once, is_parametrized
from sciml.nn.lipschitz import ConvexPotentialStep, GroupSort, transposed_convolution
from sciml.nn.orthogonal_weight import Orthogonal
from sciml.nn.sobolev import scale_waves
from sciml.nn.spectral_scale import SpectralScale
from sciml.operators.input_fields import check_input_fields
from sciml.pde.grid import Boundary, Centring
from sciml.tables import network_table

__all__ = ["Form", "NonExpansive", "constrained"]

Form = Literal["generator", "averaged", "plain"]
BELOW_ONE = (
    1 - 1e-6
)  # singular values of the orthogonal layers, so that rounding to float32 leaves them up to 1
START = 0.05  # singular values of W in the first steps: close to the identity


class NonExpansive(nn.Module):
    """Network u -> N(u) + sources on periodic planes, with ``|N(u) - N(v)| <= |u - v|`` for all fields u and v.

    The norm is Euclidean, or that of H^-order. The network suits dissipative and conservative dynamics, such as
    decaying turbulence; what drives a forced flow is added outside of N and does not change differences.

    Parameters
    ----------
    in_channels, out_channels
        1 plus the number of other inputs, which enter by a convolution outside of N; the first input is the state. One
        output.
    channels
        Number of channels of the hidden state.
    hidden
        Number of channels within a step of ``generator``.
    layers
        Number of steps, or of convolutions of ``plain`` and ``averaged``.
    kernel
        Odd size of the kernels.
    form
        ``generator``: u is lifted to the channels by an orthogonal convolution, each step is a `ConvexPotentialStep`
        and an orthogonal convolution, and the adjoint of the lift gives the result; at first it is close to the
        identity. ``plain``: convolutions of norm up to 1, and GroupSort between them. ``averaged``: (u + plain(u)) / 2.
    forcing
        Whether each step adds a trained field that does not depend on the state.
    order
        Order of the norm, 0 or more. 0 is the Euclidean norm; with s each wave k counts ``max(1, |k|)^-s`` times, see
        `sciml.nn.sobolev`. Flows expand some differences in the Euclidean norm, which no N can follow; in the norm of
        H^-1 those of advection expand them less, and N is more accurate.
    points
        Points along y and x of the grid on which the norms of the convolutions are exact; 0 bounds them on all grids,
        and the network then accepts all.
    centring, boundary
        Centring and boundary of the grids; all sides are periodic.

    Raises
    ------
    InputError
        A setting is out of range, the boundary is not periodic, or a trained field is added on all grids.

    Notes
    -----
    The form ``generator`` is ours, of layers of Meunier et al. (ICML 2022) and Li et al. (NeurIPS 2019). `constrained`
    parametrises the weights for a training; a network without it has the certificate of its present weights,
    `sciml.operators.certificate`.

    Examples
    --------
    >>> network = NonExpansive(channels=4, layers=2)
    >>> network(torch.ones(3, 1, 16, 16)).shape
    torch.Size([3, 1, 16, 16])
    >>> max(network.lipschitz_factors((16, 16)).values()) <= 1
    True
    """

    command: ClassVar[str] = "nonexpansive"
    takes: ClassVar[Literal["fields"]] = "fields"
    learning_rate: ClassVar[float] = 1e-2
    steps_only: ClassVar[bool] = True

    def __init__(
        self,
        in_channels: int = 1,
        out_channels: int = 1,
        channels: int = 4,
        hidden: int = 16,
        layers: int = 4,
        kernel: int = 5,
        form: Form = "generator",
        forcing: bool = False,
        order: float = 0.0,
        points: int | Sequence[int] = 0,
        centring: Centring = "vertex",
        boundary: Boundary = Boundary("periodic", "periodic", "periodic", "periodic"),  # noqa: B008
    ) -> None:
        super().__init__()
        numbers = {"in_channels": in_channels, "channels": channels, "hidden": hidden, "layers": layers}
        for name, value in (numbers | {"kernel": kernel}).items():
            check_int(name, value, 1, owner="NonExpansive")
        if out_channels != 1 or kernel % 2 == 0:
            raise InputError(
                f"NonExpansive(out_channels={out_channels}, kernel={kernel}): give one output and an odd kernel"
            )
        if form not in get_args(Form):
            raise InputError(f"NonExpansive(form={form!r}): give one of {', '.join(get_args(Form))}")
        if form != "generator" and (channels % 2 or layers < 2):
            raise InputError(
                f"NonExpansive(form={form!r}, channels={channels}, layers={layers}): give an even number of channels "
                "and 2 or more layers"
            )
        if set(boundary.sides.values()) != {"periodic"}:
            raise InputError(
                f"NonExpansive on a grid with the boundary {boundary}: its norms are those of a periodic grid; give "
                "periodic data, or use MgNO or FNO"
            )
        if not is_number(order) or not 0 <= order < float("inf"):
            raise InputError(f"NonExpansive(order={order!r}): give the order of the norm, 0 or more")
        self.points = _points(points)
        if forcing and self.points is None:
            raise InputError("NonExpansive(forcing=True) adds a field of one grid: give its points")
        self.any_resolution = self.points is None
        self.settings: dict[str, Any] = {
            **numbers,
            "out_channels": 1,
            "kernel": kernel,
            "form": form,
            "forcing": bool(forcing),
            "order": float(order),
            "points": 0 if self.points is None else list(self.points),
        }
        self.centring, self.boundary, self.form, self.order = centring, boundary, form, float(order)
        if form == "generator":
            self.lift = _circular(1, channels, 3 if channels > 1 else 1, bias=False)
            self.steps = nn.ModuleList(ConvexPotentialStep(channels, hidden, kernel) for _ in range(layers))
            self.turns = nn.ModuleList(
                _circular(channels, channels, 3, bias=False) for _ in range(layers if channels > 1 else 0)
            )
        else:
            sizes = [1, *[channels] * (layers - 1), 1]
            pairs = itertools.pairwise(sizes)
            self.convolutions = nn.ModuleList(_circular(f, u, kernel) for f, u in pairs)
            self.activation = GroupSort(2)
        self.offset = nn.Parameter(torch.zeros(1))
        self.outside = _circular(in_channels - 1, 1, kernel, bias=False) if in_channels > 1 else None
        self.source = nn.Parameter(torch.zeros(self.points)) if forcing and self.points else None
        self._initialise()

    @torch.no_grad()
    def _initialise(self) -> None:
        """Start from orthogonal layers that do nothing, and from steps close to the identity."""
        for layer in self._orthogonal():
            nn.init.dirac_(layer.weight)
            layer.weight.mul_(BELOW_ONE)
        for layer in self._scaled():
            size = START if self.form == "generator" else 1.0
            scale = SpectralScale(layer, self.points, size)
            layer.weight.copy_(scale(layer.weight * (size / max(supremum(layer), 1e-30))))

    def _orthogonal(self) -> list[nn.Conv2d]:
        return [self.lift, *self.turns] if self.form == "generator" else []

    def _scaled(self) -> list[nn.Conv2d]:
        if self.form == "generator":
            return [step.conv for step in self.steps]  # type: ignore[misc]
        return list(self.convolutions)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        """Map fields (batch, in_channels, y, x), the state first, to the next state (batch, 1, y, x).

        Raises
        ------
        InputError
            The fields have another shape, type or number of channels, or the network was made for another grid.
        """
        check_input_fields("NonExpansive", x, self.settings["in_channels"])
        if self.points is not None and tuple(x.shape[-2:]) != self.points:
            raise InputError(
                f"NonExpansive for {self.points[0]} x {self.points[1]} points: the fields have {tuple(x.shape[-2:])}"
            )
        state = self.step(x[:, :1]) + self.offset
        if self.outside is not None:
            state = state + self.outside(x[:, 1:])
        return state if self.source is None else state + self.source

    def step(self, u: Tensor) -> Tensor:
        """Compute N(u), (batch, 1, y, x)."""
        return scale_waves(self._euclidean(scale_waves(u, -self.order)), self.order)

    def _euclidean(self, u: Tensor) -> Tensor:
        """Compute a step that does not expand the Euclidean norm."""
        if self.form == "generator":
            with computed_once():  # the lift is used twice
                x = self.lift(u)
                for number, step in enumerate(self.steps):
                    x = step(x)
                    x = self.turns[number](x) if len(self.turns) else x
                return transposed_convolution(x, self.lift.weight)
        x = u
        for number, layer in enumerate(self.convolutions):
            x = layer(x) if number == 0 else layer(self.activation(x))
        made: Tensor = (u + x) / 2 if self.form == "averaged" else x
        return made

    def lipschitz_factors(self, n: tuple[int, ...] | None = None) -> dict[str, float]:
        """Bound the Lipschitz constant of each part of N; the product bounds that of N in the norm of H^-order.

        Parameters
        ----------
        n
            Points along y and x of the periodic grid, on which the norms of the convolutions are exact; None bounds
            them on all grids.
        """

        def norm(layer: nn.Module) -> float:
            return supremum(layer) if n is None else largest_singular_value(layer, n)

        if self.form == "generator":
            size = norm(self.lift)
            named = {"lift": size}
            for number, step in enumerate(self.steps):
                assert isinstance(step, ConvexPotentialStep)
                named[f"steps.{number}"] = step.factor(n)
                if len(self.turns):
                    named[f"turns.{number}"] = norm(self.turns[number])
            return named | {"adjoint of lift": size}
        named = {f"convolutions.{k}": norm(layer) for k, layer in enumerate(self.convolutions)}
        if self.form == "plain":
            return named
        product = 1.0
        for value in named.values():
            product *= value
        return {"average": (1 + product) / 2}

    def constrained(self) -> NonExpansive:
        """Copy the network with parametrised weights, so that every weight in the training keeps the bound.

        Raises
        ------
        InputError
            A weight is parametrised already.
        """
        if is_parametrized(self):
            raise InputError(
                "NonExpansive with hypercomplex or binary weights, whose norms may exceed 1: train it with real weights"
            )
        copied = copy.deepcopy(self)
        for layer in copied._orthogonal():
            parametrize.register_parametrization(layer, "weight", Orthogonal(layer, bound=BELOW_ONE))
        for layer in copied._scaled():
            parametrize.register_parametrization(layer, "weight", SpectralScale(layer, self.points))
        return copied

    _repr_html_ = network_table

    def config(self) -> dict[str, Any]:
        """Configuration of this network for `sciml.operators.registry.build`, as JSON stores it."""
        return {
            "class": "NonExpansive",
            **self.settings,
            "centring": self.centring,
            "boundary": self.boundary.sides,
        }

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> NonExpansive:
        """Make the network of a configuration that `config` returned."""
        known: dict[str, Any] = {name: value for name, value in config.items() if name != "class"}
        if "boundary" in known:
            known["boundary"] = Boundary(**known["boundary"])
        return cls(**known)


def constrained(network: nn.Module) -> nn.Module:
    """Return a network for the training: the constrained copy of a class that has one, else the network itself."""
    made = getattr(network, "constrained", None)
    return made() if callable(made) else network


def _points(given: int | Sequence[int]) -> tuple[int, int] | None:
    """Return the points along y and x, or None for all grids."""
    if isinstance(given, int) and not isinstance(given, bool) and given == 0:
        return None
    pair = tuple(given) if isinstance(given, Sequence) else (given, given)
    if len(pair) != 2 or not all(is_whole(x, 1) for x in pair):
        raise InputError(f"NonExpansive(points={given!r}): give the points along y and x, or 0 for all grids")
    return int(pair[0]), int(pair[1])


def _circular(inputs: int, outputs: int, kernel: int, *, bias: bool = True) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, padding_mode="circular", bias=bias)
