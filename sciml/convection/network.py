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

__all__ = ["Architecture", "BiLSTM", "Closure", "LEAST_STRENGTH"]

# The scheme stops if less than a twentieth of the mass flux of the plume suffices.
LEAST_STRENGTH = 0.05
LOG_STRENGTH_BOUND = 4.0
PUSH_BOUND = 8.0  # m/s over one layer


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
    levels
        Number of the lowest levels that the network reads (no plume of the training data rose higher).
    channels, scalars
        Names of the features of a level and of a column; only those of `sciml.convection.features` are valid.
    """

    hidden: int = 24
    layers: int = 1
    pooled: int = 32
    levels: int = 40
    channels: tuple[str, ...] = CHANNELS
    scalars: tuple[str, ...] = SCALARS

    def __post_init__(self) -> None:
        for name in ("hidden", "layers", "pooled", "levels"):
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
    """Network that predicts the strength of convection, the trigger, and the push of the cloud along the mean wind.

    The scheme computes the strength by iterations over adjusted soundings until nine tenths of the available energy
    are removed, and the push from the pressure field of the circulation. The network predicts both from the first
    plume. Its outputs are bounded.
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
        nn.init.zeros_(self.level.weight)
        nn.init.zeros_(self.level.bias)
        with torch.no_grad():
            self.column.bias[1] = 2.0  # most plumes convect

    def forward(self, channels: Tensor, scalars: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Compute push, logarithm of the strength, and logit of the trigger.

        Parameters
        ----------
        channels
            (column, level, channel), standardised.
        scalars
            (column, scalar), standardised.

        Returns
        -------
        tuple of Tensor
            (column, level) in m/s, (column,) natural logarithm, (column,) logit.
        """
        spread = scalars.unsqueeze(1).expand(-1, channels.shape[1], -1)
        state, _ = self.lstm(torch.cat([channels, spread], -1))
        push = PUSH_BOUND * torch.tanh(self.level(state).squeeze(-1) / PUSH_BOUND)
        pooled = torch.tanh(self.pool(torch.cat([state.mean(1), scalars], -1)))
        column = self.column(pooled)
        log_strength = LOG_STRENGTH_BOUND * torch.tanh(column[:, 0] / LOG_STRENGTH_BOUND)
        return push, log_strength, column[:, 1]

    def _repr_html_(self) -> str:
        count = sum(p.numel() for p in self.parameters())
        settings = (
            (name, ", ".join(value) if isinstance(value, list) else str(value))
            for name, value in self.shape.to_json().items()
        )
        return html_table("Closure", [("parameters", f"{count:,}"), *settings])
