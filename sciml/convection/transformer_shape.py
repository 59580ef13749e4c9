"""Settings of the column transformer."""

from __future__ import annotations

from dataclasses import dataclass

from sciml.checks import check_int
from sciml.convection.column_shape import ColumnShape
from sciml.errors import InputError
from sciml.nn.binary_attention import ESTIMATORS

__all__ = ["TransformerShape"]

ATTENTIONS = ("real", "binary")
POSITIONS = ("sinusoidal", "learned")


@dataclass(frozen=True)
class TransformerShape(ColumnShape):
    """Shape of a `sciml.convection.transformer.ColumnTransformer`, which is saved with it.

    Parameters
    ----------
    hidden, layers
        Number of features of a pressure layer, and number of blocks of attention and feed-forward network.
    heads
        Number of attention heads, which divides ``hidden``.
    attention
        ``real``, or ``binary`` for the two levels of BiPFT (`sciml.nn.BinaryAttention`).
    rank
        Rank of the estimators of binary attention; 0 has none.
    estimators
        ``shared`` by all heads as in BiPFT, or ``heads``, where each head has its own.
    position
        ``sinusoidal``, or ``learned`` for trained features of each pressure layer.
    width, pooled, edges, channels, scalars
        Parameters of `sciml.convection.column_shape.ColumnShape`.

    Raises
    ------
    InputError
        A setting is out of range, or the heads do not divide ``hidden``.
    """

    layers: int = 2
    heads: int = 4
    attention: str = "real"
    rank: int = 1
    estimators: str = "shared"
    position: str = "sinusoidal"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_int("heads", self.heads, 1, owner="TransformerShape")
        check_int("rank", self.rank, 0, owner="TransformerShape")
        if self.hidden % self.heads or self.hidden % 2:
            raise InputError(
                f"TransformerShape(hidden={self.hidden}, heads={self.heads}): give an even hidden that heads divides"
            )
        choices = {"attention": ATTENTIONS, "position": POSITIONS, "estimators": ESTIMATORS}
        for name, known in choices.items():
            if getattr(self, name) not in known:
                raise InputError(
                    f"TransformerShape({name}={getattr(self, name)!r}): give {' or '.join(known)}"
                )
