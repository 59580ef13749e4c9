"""The network of a declared scheme: a Bi-LSTM over the levels with one linear head on each level."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn.functional import smooth_l1_loss

from sciml.checks import check_int
from sciml.emulation.heads import Heads, decode, fluxes
from sciml.emulation.scaling import channels_of
from sciml.nn.lstm import LSTM
from sciml.schemes.scheme import ColumnScheme
from sciml.train import Batch, BatchSource

__all__ = ["SchemeNetwork", "Sizes"]

LEAST_SCALE = 1e-30
FLUX_WEIGHT = 0.5


@dataclass(frozen=True)
class Sizes:
    """Sizes of a network.

    Parameters
    ----------
    hidden
        Hidden units of a layer, per direction.
    layers
        Stacked bidirectional layers.

    Raises
    ------
    InputError
        A size is no whole number above 0.
    """

    hidden: int = 32
    layers: int = 2

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            check_int(name, value, 1)


class SchemeNetwork(nn.Module):
    """Predicts the outputs of a scheme; its bounds and closures hold by construction.

    Parameters
    ----------
    scheme
        Declaration of the scheme.
    sizes
        Sizes of the network.
    """

    lstm_heads: ClassVar[tuple[str, ...]] = ("level",)
    scale: Tensor
    spread: Tensor

    def __init__(self, scheme: ColumnScheme, sizes: Sizes | None = None) -> None:
        super().__init__()
        self.scheme, self.sizes, self.heads = scheme, sizes or Sizes(), Heads(scheme)
        self.lstm = LSTM(
            len(channels_of(scheme)),
            self.sizes.hidden,
            self.sizes.layers,
            bidirectional=True,
            batch_first=True,
        )
        self.level = nn.Linear(2 * self.sizes.hidden, len(self.heads.names))
        with torch.no_grad():
            self.level.weight.mul_(0.3)
            self.level.bias.zero_()
        self.register_buffer("scale", torch.ones(len(self.heads.names)))
        self.register_buffer("spread", torch.ones(len(scheme.outputs)))

    def calibrate(self, source: BatchSource) -> None:
        """Set the scales to the root mean squares of the outputs and fluxes in the training data."""
        totals: dict[str, list[float]] = {}
        for batch in source.batches(4096):
            values = {name: value.double() for name, value in batch.items()}
            squares = {name: values[name].square() for name in self.scheme.output_names}
            squares |= {f"flux {name}": f.square() for name, f in fluxes(self.heads, values).items()}
            for name, square in squares.items():
                total = totals.setdefault(name, [0.0, 0.0])
                total[0] += float(square.sum())
                total[1] += square.numel()
        size = {name: max((s / n) ** 0.5, LEAST_SCALE) for name, (s, n) in totals.items()}
        carried = self.heads.carried
        self.scale.copy_(
            torch.tensor([size[f"flux {name}" if name in carried else name] for name in self.heads.names])
        )
        self.spread.copy_(torch.tensor([size[name] for name in self.scheme.output_names]))

    def forward(self, x: Tensor) -> Tensor:
        """Compute the heads (column, level, channel) from standardised channels (column, level, channel)."""
        state, _ = self.lstm(x)
        heads: Tensor = self.level(state)
        return heads

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """Compute the named losses of a batch: one for each output and flux, in units of its root mean square."""
        made, through = decode(self.heads, self(batch["x"]), self.scale, batch)
        truth = fluxes(self.heads, batch)
        named = {
            name: _error(made[name], batch[name], self.spread[n])
            for n, name in enumerate(self.scheme.output_names)
        }
        scale = dict(zip(self.heads.names, self.scale, strict=True))
        flux = {name: _error(through[name], truth[name], scale[name]) for name in truth}
        total = torch.stack(list(named.values())).mean()
        if flux:
            total = total + FLUX_WEIGHT * torch.stack(list(flux.values())).mean()
        return {"loss": total, **named}

    def to_json(self) -> dict[str, Any]:
        """Return the sizes as values that JSON can store."""
        return asdict(self.sizes)


def _error(made: Tensor, truth: Tensor, spread: Tensor) -> Tensor:
    return smooth_l1_loss(made / spread, truth / spread, beta=2.0)
