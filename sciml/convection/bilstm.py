"""The pure network with a Bi-LSTM over the pressure layers."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from sciml.convection.column_shape import ColumnShape
from sciml.convection.layer_network import LayerNetwork
from sciml.nn.lstm import LSTM

__all__ = ["ColumnBiLSTM"]


class ColumnBiLSTM(LayerNetwork):
    """A bidirectional LSTM over fixed pressure layers, with separate heads for deep and shallow convection.

    Parameters
    ----------
    shape
        Sizes and layers; `fitted` sets the layers.
    """

    command: ClassVar[str] = "bilstm"
    settings: ClassVar[tuple[str, ...]] = ("hidden", "layers", "width", "pooled", "norm")
    kernel: str | None = "bilstm"
    lstm_heads: ClassVar[tuple[str, ...]] = ("mixed",)
    shape: ColumnShape

    def make_trunk(self, inputs: int) -> int:
        """Make the LSTM."""
        hidden, layers = self.shape.hidden, self.shape.layers
        self.lstm = LSTM(inputs, hidden, layers, bidirectional=True, batch_first=True)
        return 2 * hidden

    def states(self, inputs: Tensor) -> Tensor:
        """Compute the hidden states of both directions."""
        state: Tensor = self.lstm(inputs)[0]
        return state

    def describe(self) -> str:
        """Describe the network in a few words."""
        shape = self.shape
        count = sum(p.numel() for p in self.parameters())
        return f"Bi-LSTM {shape.layers} x {shape.hidden}, {max(len(shape.edges) - 1, 0)} layers, {count} parameters"
