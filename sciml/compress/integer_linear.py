"""A linear layer that computes with small integers or bfloat16, bit for bit as the native library does."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from sciml.compress.arithmetic import LARGEST_INPUT, check_block
from sciml.compress.matrices import Activations, Matrix, check_kind, refuse_gradients
from sciml.errors import InputError

__all__ = ["ReducedLinear"]

ROWS = 16384  # computed at a time


class ReducedLinear(nn.Linear):
    """A linear layer for inference whose weight is of block-shift integers, signs or bfloat16.

    The weight is a dense float32 parameter, converted at each call. Activations are 8-bit codes with a shift for each
    block (bfloat16 for a bfloat16 weight), and sums are added in float32 in a fixed order; see
    `sciml.compress.matrices`. A row with an input that is not finite, or 2^80 or larger (but of
    kind float32), has outputs NaN.

    Parameters
    ----------
    linear
        Layer with trained weights; it is not changed.
    kind
        Kind of arithmetic of the weight; ``float32`` computes plain sums in the order of the features.
    block
        Values in a block.

    Raises
    ------
    InputError
        The kind or the block are not available; in a call: a gradient, or another number of features.

    Examples
    --------
    >>> linear = nn.Linear(3, 2)
    >>> with torch.no_grad():
    ...     error = (ReducedLinear(linear, "int8")(torch.ones(1, 3)) - linear(torch.ones(1, 3))).abs().max()
    >>> bool(error < 0.02)
    True
    """

    def __init__(self, linear: nn.Linear, kind: str, block: int = 64) -> None:
        super().__init__(linear.in_features, linear.out_features, bias=linear.bias is not None)
        self.kind, self.block = check_kind(kind, "a linear layer"), check_block(block)
        self.load_state_dict({name: tensor.detach().float() for name, tensor in linear.state_dict().items()})
        self.requires_grad_(False)
        self.eval()

    def forward(self, input: Tensor) -> Tensor:
        """Map (..., features) to (..., outputs), in the input's dtype."""
        refuse_gradients(input, "a reduced linear layer")
        if input.shape[-1] != self.in_features:
            raise InputError(
                f"an input of shape {tuple(input.shape)}: this layer needs {self.in_features} features in the last "
                "dimension"
            )
        with torch.no_grad(), torch.autocast(input.device.type, enabled=False):
            matrix = Matrix.of(self.weight, self.kind, self.block)
            start = self.bias.float() if self.bias is not None else torch.zeros_like(self.weight[:, 0])
            rows = input.reshape(-1, self.in_features).float()
            output = torch.cat([self._rows(part, matrix, start) for part in torch.split(rows, ROWS)])
        return output.reshape(*input.shape[:-1], self.out_features).to(input.dtype)

    def _rows(self, x: Tensor, matrix: Matrix, start: Tensor) -> Tensor:
        limit = math.inf if self.kind == "float32" else LARGEST_INPUT
        finite = (x.abs() < limit).all(-1, keepdim=True)
        codes = Activations.of(torch.where(finite, x, 0.0), self.kind, self.block)
        return matrix.add(start.float().expand(len(x), -1), codes) + torch.where(finite, 0.0, torch.nan)
