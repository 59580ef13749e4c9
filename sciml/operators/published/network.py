"""The published MgNO: linear operators of strided convolutions.

Source: He, Liu and Xu, "MgNO: Efficient Parameterization of Linear Operators via Multigrid", ICLR 2024. It is
for comparison; `sciml.operators.mgno` is the default network of this package.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from sciml.errors import InputError
from sciml.operators.input_fields import check_input_fields
from sciml.operators.published.benchmarks import RECIPES, PublishedArchitecture
from sciml.operators.published.layer import (
    MultigridConvolution,
    Pointwise,
    gelu,
    level_sizes,
)
from sciml.tables import network_table

__all__ = ["PublishedMgNO", "published"]


class PublishedMgNO(nn.Module):
    """The published network: layers u <- GELU(W u + B u), then a head.

    W is a `MultigridConvolution`, and B is a 1x1 convolution. The channels of a point are contiguous in memory, which
    is 1.5 times as fast.

    Parameters
    ----------
    architecture
        Shape of the network.

    Examples
    --------
    >>> network = PublishedMgNO(PublishedArchitecture(layers=2, channels=3))
    >>> sum(p.numel() for p in network.parameters())
    4125
    """

    takes: ClassVar[Literal["fields"]] = "fields"

    def __init__(self, architecture: PublishedArchitecture) -> None:
        super().__init__()
        self.architecture = shape = architecture
        widths = [shape.in_channels] + [shape.channels] * (shape.layers - 1)
        self.operators = nn.ModuleList(_operator(shape, source, shape.channels) for source in widths)
        self.skips = nn.ModuleList(
            Pointwise(source, shape.channels) if shape.skip else nn.Identity() for source in widths
        )
        grid = [shape.channels, shape.size, shape.size]
        self.norms = nn.ModuleList(
            nn.LayerNorm(grid) if shape.norm == "layer" else nn.Identity() for _ in widths
        )
        self.head: nn.Module
        if shape.head == "operator":
            self.head = _operator(shape, shape.channels, 1)
        else:
            self.head = Pointwise(shape.channels, 1, bias=False)
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def forward(self, x: Tensor) -> Tensor:
        """Map (sample, channel, y, x) to (sample, 1, y, x).

        Raises
        ------
        InputError
            The network does not accept the channels or the grid; the message lists sizes that it accepts.
        """
        self.check(x)
        u = x
        for operator, skip, norm in zip(self.operators, self.skips, self.norms, strict=True):
            v = operator(u)
            if isinstance(skip, Pointwise):
                v = skip.onto(v, u)
            u = gelu(norm(v))
        out: Tensor = self.head(u)
        return x[:, :1] + out if self.architecture.increment else out

    def check(self, x: Tensor) -> None:
        """Check that the convolutions fit the fields."""
        shape = self.architecture
        check_input_fields("PublishedMgNO", x, shape.in_channels)
        ny, nx = x.shape[2:]
        if shape.size is not None and (ny, nx) != (shape.size, shape.size):
            raise InputError(
                f"a grid of {ny} x {nx}: this network's layer norms hold {shape.size} x {shape.size} "
                "points; give that, or make the network for another size"
            )
        for points in (ny, nx):
            if not self._fits(points):
                raise InputError(
                    f"a grid of {ny} x {nx}: {points} points do not come back from {len(shape.smoothing)} "
                    f"levels of these strided convolutions; sizes that work: {self._near(points)}"
                )

    def _fits(self, points: int) -> bool:
        shape = self.architecture
        least = 2 if shape.padding == "reflect" else 1
        return level_sizes(points, shape.prolongations, shape.transfer_padding, least=least) is not None

    def _near(self, points: int) -> str:
        """Return the nearest accepted sizes and their distance, as text."""
        step = 2 ** len(self.architecture.prolongations)
        above = next((n for n in range(points, points + 8 * step) if self._fits(n)), None)
        if above is None:
            return "none"
        known = [n for n in (above - step, above, above + step) if self._fits(n)]
        return f"{', '.join(map(str, known))} and so on in steps of {step}"

    _repr_html_ = network_table

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> PublishedMgNO:
        """Make the network of a configuration that `config` returned."""
        return cls(PublishedArchitecture.from_json({k: v for k, v in config.items() if k != "class"}))

    def config(self) -> dict[str, Any]:
        """Configuration of this network for `sciml.operators.registry.build`, as JSON stores it."""
        plain = asdict(self.architecture)
        plain["smoothing"] = [list(pair) for pair in self.architecture.smoothing]
        plain["prolongations"] = list(self.architecture.prolongations)
        return {"class": "PublishedMgNO", **plain}


def _operator(shape: PublishedArchitecture, source: int, channels: int) -> MultigridConvolution:
    return MultigridConvolution(
        source,
        channels,
        smoothing=shape.smoothing,
        prolongations=shape.prolongations,
        transfer_padding=shape.transfer_padding,
        padding=shape.padding,
        bias=shape.bias,
        growing=shape.growing,
        norm=shape.size if shape.norm == "level" else None,
        restricted=shape.restricted,
        spare_operator=shape.spare_operator,
    )


def published(name: str, *, size: int | None = None) -> PublishedMgNO:
    """Make the untrained network of a published benchmark.

    Parameters
    ----------
    name
        Name in `RECIPES`.
    size
        Number of points along a side, for networks whose layer norms fix it (navier-stokes, helmholtz).

    Raises
    ------
    InputError
        The name is unknown, or a size is given for a network that accepts any.

    Examples
    --------
    >>> sum(p.numel() for p in published("darcy-rough").parameters())
    572661
    """
    if name not in RECIPES:
        raise InputError(f"published({name!r}): give one of {', '.join(RECIPES)}")
    shape = RECIPES[name].architecture
    if size is not None:
        if shape.size is None:
            raise InputError(f"published({name!r}, size={size}): it accepts any grid, leave size out")
        shape = replace(shape, size=size)
    return PublishedMgNO(shape)
