"""Networks: bidirectional LSTMs over the levels of a column, the published one and that of the emulator."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn

from sciml.checks import check_int
from sciml.convection.features import CHANNELS, SCALARS
from sciml.errors import InputError
from sciml.nn.lstm import LSTM
from sciml.tables import html_table

__all__ = ["Architecture", "BiLSTM", "Closure"]

ERROR_SCALE = 1e-6  # K/s
PUSH_BOUND = 16.0  # m/s over one layer of the plume's coordinate


class BiLSTM(nn.Module):
    """Stacked bidirectional LSTM layers over the levels, and a linear map of each level's state.

    Parameters
    ----------
    channels, hidden, layers, outputs
        Number of inputs of a level, hidden size of a direction, number of layers, and number of outputs of a level.
    levels
        Number of levels of a column for an additional output of the whole column, computed by a further channel and a
        linear map over the levels; None for no such output.

    Notes
    -----
    `published` is the network of Zhong, Yu and Li, GMD 17, 3667 (2024): 27 channels, 3 layers of 32, a 1x1
    convolution to 8 profiles and, for the trigger, one to 1 channel and a linear map of the 44 levels.
    """

    def __init__(
        self, channels: int, hidden: int, layers: int, outputs: int, *, levels: int | None = None
    ) -> None:
        super().__init__()
        self.lstm = LSTM(channels, hidden, layers, bidirectional=True, batch_first=True)
        self.profiles = nn.Linear(2 * hidden, outputs)
        self.channel = nn.Linear(2 * hidden, 1) if levels else None
        self.trigger = nn.Linear(levels, 1) if levels else None

    @classmethod
    def published(cls, levels: int = 44) -> BiLSTM:
        """Make the network of the published emulator, with 66,422 parameters at 44 levels.

        Examples
        --------
        >>> sum(p.numel() for p in BiLSTM.published().parameters())
        66422
        """
        return cls(27, 32, 3, 8, levels=levels)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor | None]:
        """Map (column, level, channel) to profiles (column, level, output) and the logit of the trigger (column,)."""
        state, _ = self.lstm(x)
        if self.channel is None or self.trigger is None:
            return self.profiles(state), None
        return self.profiles(state), self.trigger(self.channel(state).squeeze(-1)).squeeze(-1)


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


class Closure(nn.Module):
    """The learned part of the emulator, in the coordinate of the plume.

    It predicts the effect of the cloud's own circulation on its wind (bounded), the probability of convection, and the
    error to expect of the heating.
    """

    def __init__(self, shape: Architecture | None = None) -> None:
        super().__init__()
        self.shape = shape or Architecture()
        inputs = len(self.shape.channels) + len(self.shape.scalars)
        width = 2 * self.shape.hidden
        self.lstm = LSTM(inputs, self.shape.hidden, self.shape.layers, bidirectional=True, batch_first=True)
        self.level = nn.Linear(width, 1)
        self.pool = nn.Linear(width + len(self.shape.scalars), self.shape.pooled)
        self.column = nn.Linear(self.shape.pooled, 2)
        for head in (self.level, self.column):
            nn.init.zeros_(head.weight)
            nn.init.zeros_(head.bias)
        with torch.no_grad():
            self.column.bias[0] = 4.0  # a plume almost always convects

    def forward(self, channels: Tensor, scalars: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Compute push, logit of the trigger, and logarithm of the expected error.

        Parameters
        ----------
        channels
            (column, layer, channel), standardised.
        scalars
            (column, scalar), standardised.

        Returns
        -------
        tuple of Tensor
            (column, layer) in m/s over each layer; (column,) logit; (column,) natural logarithm of the expected error
            of the heating, relative to `ERROR_SCALE`.
        """
        spread = scalars.unsqueeze(1).expand(-1, channels.shape[1], -1)
        state, _ = self.lstm(torch.cat([channels, spread], -1))
        push = PUSH_BOUND * torch.tanh(self.level(state).squeeze(-1) / PUSH_BOUND)
        pooled = torch.tanh(self.pool(torch.cat([state.mean(1), scalars], -1)))
        column = self.column(pooled)
        return push, column[:, 0], column[:, 1]

    def _repr_html_(self) -> str:
        count = sum(p.numel() for p in self.parameters())
        settings = (
            (name, ", ".join(value) if isinstance(value, list) else str(value))
            for name, value in self.shape.to_json().items()
        )
        return html_table("Closure", [("parameters", f"{count:,}"), *settings])
