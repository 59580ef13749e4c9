"""Summary of an attribution: shares of the inputs, and contributions between layers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from matplotlib.figure import Figure
from numpy.typing import NDArray

from sciml import plot
from sciml.tables import aligned

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["AttributionSummary", "summarize"]

BIASES = "biases"
SHOWN = 12  # inputs in the table and the figure


@dataclass(frozen=True, eq=False)
class AttributionSummary:
    """Means of an attribution over columns.

    Attributes
    ----------
    head, network
        Name of the head, and class of the network.
    columns
        Number of columns.
    shares
        Share of each input, and of the biases, in the sum of all absolute contributions, the largest first.
    places
        Layer (1 is the lowest) from which most of the absolute contributions of an input come; None for scalars and
        biases, which have no layer.
    layers
        Mean contribution of each layer to the head of each layer, (output layer, layer).
    """

    head: str
    network: str
    columns: int
    shares: dict[str, float]
    places: dict[str, int | None]
    layers: NDArray[Any]

    def to_json(self) -> dict[str, Any]:
        """Return the numbers as values of JSON."""
        return {
            "head": self.head,
            "network": self.network,
            "columns": self.columns,
            "shares": self.shares,
            "layers": self.layers.tolist(),
        }

    def figure(self) -> Figure:
        """Draw the contributions between layers and the shares of the inputs."""
        return plot.attribution(self.layers, dict(list(self.shares.items())[:SHOWN]), head=self.head)

    def __str__(self) -> str:
        rows = [("input", "share", "most from layer")]
        for name, share in list(self.shares.items())[:SHOWN]:
            place = self.places[name]
            rows.append((name, f"{share:.1%}", "" if place is None else str(place)))
        rest = len(self.shares) - SHOWN
        lines = [
            f"{self.head} of {self.columns} columns ({self.network}), attributed by the frozen action:",
            *aligned(rows, align="<>>"),
        ]
        if rest > 0:
            lines.append(f"and {rest} inputs of smaller shares")
        lines.append("this explains the value; for the response to a change see sciml coupling response")
        return "\n".join(lines)


def summarize(made: xr.Dataset) -> AttributionSummary:
    """Summarize the result of `sciml.convection.attribution.attribution`."""
    size = abs(made["CONTRIBUTION"]).sum(("column", "output_layer"))
    by_channel = size.sum("layer")
    totals = {str(name): float(by_channel.sel(channel=name)) for name in made["channel"].values}
    places: dict[str, int | None] = {
        name: int(size.sel(channel=name).argmax("layer")) + 1 for name in totals if totals[name] > 0
    }
    scalars = abs(made["SCALAR_CONTRIBUTION"]).sum(("column", "output_layer"))
    for name in made["scalar"].values:
        key = f"{name} (column)"
        totals[key] = float(scalars.sel(scalar=name))
    totals[BIASES] = float(abs(made["RESIDUAL"]).sum())
    whole = sum(totals.values()) or 1.0
    ordered = dict(sorted(((key, value / whole) for key, value in totals.items()), key=lambda pair: -pair[1]))
    return AttributionSummary(
        head=str(made.attrs["head"]),
        network=str(made.attrs["network"]),
        columns=made.sizes["column"],
        shares=ordered,
        places={key: places.get(key) for key in ordered},
        layers=made["CONTRIBUTION"].sum("channel").mean("column").values,
    )
