"""Attribution of the outputs of a column network to its inputs, layer by layer."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from sciml.analysis import linearize
from sciml.convection.emulator import Emulator
from sciml.convection.layer_network import LayerNetwork
from sciml.convection.layer_outputs import HEADS
from sciml.convection.network import Closure
from sciml.convection.physics import sounding_of
from sciml.convection.plume import DEEP, SHALLOW
from sciml.errors import InputError
from sciml.nn.parametrize import dense_copy
from sciml.progress import Update

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["MOST", "attribution", "looked_at"]

MOST = 64  # columns, each of which takes one backward pass for a layer


def attribution(
    emulator: Emulator[Any],
    columns: xr.Dataset,
    head: str = "RTHCUTEN",
    *,
    progress: Update | None = None,
) -> xr.Dataset:
    """Attribute a head of an emulator's network to the channels of all layers.

    The network is linearized by its frozen action at each column (`sciml.analysis.linearize`), in float64, so that the
    contributions and the residual add up to the head exactly. This is an attribution of the value, not the response to
    a change, for which see `sciml.convection.linear_response`: for an LSTM the two differ by tens of per cent.

    Parameters
    ----------
    emulator
        Emulator whose network is of class ``plume-closure`` (its only head is the push of the wind), ``bilstm`` or
        ``transformer``.
    columns
        At most 64 columns.
    head
        Head of a layer, such as ``RTHCUTEN``, of the class that the network predicts; in units of the network.
    progress
        Function of the number of columns done and of their total.

    Returns
    -------
    xr.Dataset
        Of the columns that the network looks at: ``ACTION`` (column, output_layer, layer, channel) and
        ``SCALAR_ACTION`` (column, output_layer, scalar), the linear operator; ``CONTRIBUTION`` and
        ``SCALAR_CONTRIBUTION``, these times the standardised inputs; ``RESIDUAL`` and ``HEAD`` (column, output_layer).
        The coordinate ``column`` has the numbers of the columns. Layers ascend from the ground.

    Raises
    ------
    InputError
        There are more than 64 columns, the network looks at none of them or is of another class, or the head is
        unknown.
    """
    import xarray as xr

    count = columns.sizes.get("column", 0)
    if not 1 <= count <= MOST:
        raise InputError(f"{count} columns: give 1 to {MOST}, such as columns.isel(column=slice(0, {MOST}))")
    network = dense_copy(emulator.network).double().eval()
    choose = _head(network, head)
    seen = network.observe(sounding_of(columns))
    if seen is None:
        raise InputError(
            f"no {network.selects} in these {count} columns: give columns that the network looks at"
        )
    channels, scalars = emulator.normalisation.standardise(seen.channels, seen.scalars)
    parts: dict[str, list[Any]] = {}
    pairs = zip(channels.double().split(1), scalars.double().split(1), strict=True)
    for done, (x, y) in enumerate(pairs, 1):
        action = linearize(lambda x, y: choose(network, x, y), (x, y))
        matrix = action.dense()
        split = x.numel()
        own, rest = matrix[:, :split].reshape(-1, *x.shape[1:]), matrix[:, split:]
        values = {
            "ACTION": own,
            "SCALAR_ACTION": rest,
            "CONTRIBUTION": own * x.numpy(),
            "SCALAR_CONTRIBUTION": rest * y.numpy(),
            "RESIDUAL": action.residual,
            "HEAD": action.output,
        }
        for name, value in values.items():
            parts.setdefault(name, []).append(value)
        if progress is not None:
            progress(done, len(channels))
    dims = ("column", "output_layer")
    ends = {"ACTION": ("layer", "channel"), "SCALAR_ACTION": ("scalar",)}
    ends |= {name.replace("ACTION", "CONTRIBUTION"): value for name, value in ends.items()}
    return xr.Dataset(
        {name: ((*dims, *ends.get(name, ())), np.stack(value)) for name, value in parts.items()},
        {
            "column": _numbers(columns)[seen.index.cpu().numpy()],
            "channel": list(network.shape.channels),
            "scalar": list(network.shape.scalars),
        },
        {"head": head if isinstance(network, LayerNetwork) else "push", "network": network.command},
    )


def looked_at(emulator: Emulator[Any], columns: xr.Dataset, most: int = MOST) -> xr.Dataset:
    """Select at most `most` columns that the network looks at, evenly spaced among them.

    Parameters
    ----------
    emulator, columns
        As for `attribution`, with any number of columns.
    most
        Largest number of columns.

    Raises
    ------
    InputError
        The network looks at none of them.
    """
    seen = emulator.network.observe(sounding_of(columns))
    if seen is None:
        raise InputError(
            f"no {emulator.network.selects} in these {columns.sizes['column']} columns: give columns that the network "
            "looks at"
        )
    index = seen.index.cpu().numpy()
    chosen = index[np.linspace(0, len(index) - 1, min(most, len(index))).round().astype(int)]
    return columns.isel(column=chosen).assign_coords(column=chosen)


def _numbers(columns: xr.Dataset) -> Any:
    """Return the coordinate ``column``, or the positions of the columns."""
    return columns["column"].values if "column" in columns.coords else np.arange(columns.sizes["column"])


def _head(network: Any, head: str) -> Callable[[Any, Tensor, Tensor], Tensor]:
    """Return the function that computes the head of the layers, (1, layer), of standardised inputs."""
    if isinstance(network, Closure):
        return lambda network, x, y: network(x, y)[0]
    if not isinstance(network, LayerNetwork):
        raise InputError(
            f"a network of class {getattr(network, 'command', type(network).__name__)}: attribution is for "
            "plume-closure, bilstm and transformer; use sciml.analysis.linearize for others"
        )
    if head not in HEADS:
        raise InputError(f"head={head!r}: give one of {', '.join(HEADS)}")
    number = HEADS.index(head)

    def choose(network: Any, x: Tensor, y: Tensor) -> Tensor:
        level, _, beside = network(x, y)
        with torch.no_grad():
            deep = bool(beside.detach()[0, DEEP] > beside.detach()[0, SHALLOW])
        chosen: Tensor = level[:, :, int(deep), number]
        return chosen

    return choose
