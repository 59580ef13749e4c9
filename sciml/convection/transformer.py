"""The pure network with a transformer over the pressure layers, whose attention is real or binary."""

from __future__ import annotations

import math
from typing import ClassVar

import torch
from torch import Tensor, nn

from sciml.convection.feature_scaling import joined_inputs
from sciml.convection.layer_network import LayerNetwork
from sciml.convection.transformer_shape import TransformerShape
from sciml.nn.binary_attention import BinaryAttention, SelfAttention
from sciml.nn.norm_activation import TokenNorm
from sciml.nn.score_estimators import fit_estimators
from sciml.train import BatchSource

__all__ = ["Block", "ColumnTransformer"]

FEED_FORWARD = 2  # hidden units of a block for each feature
POSITION_SCALE = 1e4


class Block(nn.Module):
    """Attention and a feed-forward network, each with a layer norm before it and added to its input (pre-norm).

    Parameters
    ----------
    width
        Number of features.
    attention
        Attention without output projection.
    norm
        Name of a normalisation in place of GELU, or None.
    """

    def __init__(self, width: int, attention: SelfAttention, norm: str | None = None) -> None:
        super().__init__()
        self.norm, self.attention = nn.LayerNorm(width), attention
        self.output = nn.Linear(width, width)
        self.feed_norm = nn.LayerNorm(width)
        inner = FEED_FORWARD * width
        activation = TokenNorm(norm, inner) if norm else nn.GELU()
        self.feed = nn.Sequential(nn.Linear(width, inner), activation, nn.Linear(inner, width))

    def forward(self, x: Tensor) -> Tensor:
        """Compute the features, (column, layer, width)."""
        x = x + self.output(self.attention(self.norm(x)))
        features: Tensor = x + self.feed(self.feed_norm(x))
        return features


class ColumnTransformer(LayerNetwork):
    """A transformer over fixed pressure layers, with separate heads for deep and shallow convection.

    Parameters
    ----------
    shape
        Sizes and layers; `fitted` sets the layers.

    Notes
    -----
    With binary attention the layers of queries, keys and values have real weights. The setting ``binary`` of the
    training makes them binary as those of any network.
    """

    command: ClassVar[str] = "transformer"
    settings: ClassVar[tuple[str, ...]] = (
        *("hidden", "layers", "width", "pooled"),
        *("heads", "attention", "rank", "estimators", "position", "norm"),
    )
    kernel: str | None = None
    shape_class: ClassVar[type[TransformerShape]] = TransformerShape
    shape: TransformerShape
    place: Tensor

    def make_trunk(self, inputs: int) -> int:
        """Make the embedding and the blocks."""
        shape = self.shape
        self.embed = nn.Linear(inputs, shape.hidden)
        place = sinusoids(max(len(shape.edges) - 1, 0), shape.hidden)
        if shape.position == "learned":
            self.place = nn.Parameter(0.02 * torch.randn_like(place))
        else:
            self.register_buffer("place", place, persistent=False)
        self.blocks = nn.ModuleList(
            Block(shape.hidden, self._attention(), shape.norm) for _ in range(shape.layers)
        )
        self.last_norm = nn.LayerNorm(shape.hidden)
        return shape.hidden

    def _attention(self) -> SelfAttention:
        shape = self.shape
        if shape.attention == "real":
            return SelfAttention(shape.hidden, shape.heads)
        return BinaryAttention(
            shape.hidden, shape.heads, rank=shape.rank, binary_projections=False, estimators=shape.estimators
        )

    def states(self, inputs: Tensor) -> Tensor:
        """Compute the features of the pressure layers after all blocks."""
        x = self.embed(inputs) + self.place
        for block in self.blocks:
            x = block(x)
        features: Tensor = self.last_norm(x)
        return features

    @torch.no_grad()
    def calibrate(self, source: BatchSource) -> None:
        """Set the scales of the outputs, and the first steps of binary attention, from the training data."""
        super().calibrate(source)
        for batch in source.batches(256):
            self.states(joined_inputs(batch["x"], batch["y"]))
            break

    @torch.no_grad()
    def fit_estimators(self, source: BatchSource) -> None:
        """Fit steps and estimators of binary attention to the real scores of its queries and keys, block by block."""
        for batch in source.batches(256):
            x = self.embed(joined_inputs(batch["x"], batch["y"])) + self.place
            for block in self.blocks:
                assert isinstance(block, Block) and isinstance(block.attention, BinaryAttention)
                fit_estimators(block.attention, block.norm(x))
                x = block(x)
            break

    def describe(self) -> str:
        """Describe the network in a few words."""
        shape = self.shape
        count = sum(p.numel() for p in self.parameters())
        kind = "real" if shape.attention == "real" else f"binary, rank {shape.rank}"
        kind += " of each head" if shape.attention == "binary" and shape.estimators == "heads" else ""
        return (
            f"transformer {shape.layers} x {shape.hidden} ({kind} attention, {shape.heads} heads), "
            f"{max(len(shape.edges) - 1, 0)} layers, {count} parameters"
        )


def sinusoids(layers: int, width: int) -> Tensor:
    """Return sines and cosines of the number of each layer, (layer, width); Vaswani et al., 2017, section 3.5."""
    rate = torch.exp(-math.log(POSITION_SCALE) * torch.arange(0, width, 2) / width)
    angle = torch.arange(layers).unsqueeze(1) * rate
    return torch.cat([angle.sin(), angle.cos()], 1)
