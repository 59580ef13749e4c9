"""Shape of the plume-closure network."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from sciml.checks import check_int
from sciml.convection.features import CHANNELS, SCALARS
from sciml.errors import InputError

__all__ = ["ERROR_SCALE", "Architecture"]

ERROR_SCALE = 1e-6  # K/s


@dataclass(frozen=True)
class Architecture:
    """Shape of a `Closure`, which is saved with it.

    Parameters
    ----------
    hidden, layers
        Hidden size of a direction, and number of layers of the Bi-LSTM.
    pooled
        Number of units between the pooled state and the two outputs of the column.
    below, cloud
        Numbers of layers of the plume's coordinate below the cloud's base and in the cloud; see
        `sciml.convection.plume_coordinate`.
    channels, scalars
        Names of the features of a layer and of a column; only those of `sciml.convection.features` are valid.
    """

    hidden: int = 24
    layers: int = 1
    pooled: int = 32
    below: int = 4
    cloud: int = 20
    channels: tuple[str, ...] = CHANNELS
    scalars: tuple[str, ...] = SCALARS

    def __post_init__(self) -> None:
        for name in ("hidden", "layers", "pooled", "below", "cloud"):
            check_int(name, getattr(self, name), 1, owner="Architecture")
        if self.channels != CHANNELS or self.scalars != SCALARS:
            raise InputError(
                f"this version computes the features {CHANNELS + SCALARS}, the network wants "
                f"{self.channels + self.scalars}: train it again, or use the version that trained it"
            )

    def to_json(self) -> dict[str, Any]:
        """Return the fields as data."""
        return {name: list(x) if isinstance(x, tuple) else x for name, x in asdict(self).items()}

    @classmethod
    def from_json(cls, plain: dict[str, Any]) -> Architecture:
        """Make an architecture from the data of `to_json`."""
        known: dict[str, Any] = {name: tuple(x) if isinstance(x, list) else x for name, x in plain.items()}
        try:
            return cls(**known)
        except TypeError as error:
            raise InputError(f"[network] {error}: it has {', '.join(cls.__dataclass_fields__)}") from error
