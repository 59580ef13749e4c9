"""Settings of the pure network, and the layers in which it sees a column."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from sciml.checks import check_int
from sciml.convection.prepared_profiles import CHANNELS, SCALARS
from sciml.errors import InputError
from sciml.nn.norm_activation import check_norm

__all__ = ["ColumnShape"]


@dataclass(frozen=True)
class ColumnShape:
    """Shape of a `sciml.convection.bilstm.ColumnBiLSTM`, which is saved with it.

    Parameters
    ----------
    hidden, layers
        Hidden size of a direction, and number of layers of the Bi-LSTM.
    width
        Number of units between the state of a layer and its outputs.
    pooled
        Number of units between the pooled state and the outputs of the column.
    edges
        Pressure depths of the layers' edges from the ground, in units of the surface pressure, ascending from 0; set
        by the training from the levels of its columns.
    norm
        Name of a normalisation with activation over the layers (`sciml.nn.norm_activation.NORMS`) in place of ReLU and
        GELU, or None.
    channels, scalars
        Names of the inputs; only those of `sciml.convection.prepared_profiles` are valid.
    """

    hidden: int = 32
    layers: int = 3
    width: int = 64
    pooled: int = 64
    edges: tuple[float, ...] = ()
    norm: str | None = None
    channels: tuple[str, ...] = CHANNELS
    scalars: tuple[str, ...] = SCALARS

    def __post_init__(self) -> None:
        for name in ("hidden", "layers", "width", "pooled"):
            check_int(name, getattr(self, name), 1, owner="ColumnShape")
        if self.channels != CHANNELS or self.scalars != SCALARS:
            raise InputError(
                f"this version computes the profiles {CHANNELS + SCALARS}, the network wants "
                f"{self.channels + self.scalars}: train it again, or use the version that trained it"
            )
        check_norm(self.norm, "ColumnShape")
        pairs = zip(self.edges, self.edges[1:], strict=False)
        if self.edges and (self.edges[0] != 0.0 or any(not low < high for low, high in pairs)):
            raise InputError(f"ColumnShape(edges={self.edges}): give edges that ascend from 0")

    def to_json(self) -> dict[str, Any]:
        """Return the fields as data."""
        return {name: list(x) if isinstance(x, tuple) else x for name, x in asdict(self).items()}

    @classmethod
    def from_json(cls, plain: dict[str, Any]) -> ColumnShape:
        """Make a shape from the data of `to_json`."""
        known: dict[str, Any] = {name: tuple(x) if isinstance(x, list) else x for name, x in plain.items()}
        try:
            return cls(**known)
        except TypeError as error:
            raise InputError(f"[network] {error}: it has {', '.join(cls.__dataclass_fields__)}") from error
