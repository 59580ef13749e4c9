"""An LSTM whose weights may be parametrised."""

from __future__ import annotations

from typing import Any

import torch
from torch import _VF, Tensor, nn
from torch.nn.utils import parametrize

from sciml.errors import InputError

__all__ = ["LSTM"]


class LSTM(nn.LSTM):
    """`torch.nn.LSTM`, bit for bit, that computes with its current weights at every call.

    `torch.nn.LSTM` calls the kernel with a list of tensors, ``_flat_weights``, that it collected earlier. If a weight
    is parametrised, that list contains results of an earlier call, and copying the module fails
    (https://github.com/pytorch/pytorch/issues/65688). This class reads each weight by its name once in each call, so
    that gradients reach the original tensors of parametrised weights. The state dict has the names of `torch.nn.LSTM`.

    Parameters
    ----------
    input_size, hidden_size, num_layers
        Features of the input, features of the hidden state in a direction, and number of layers. Further arguments are
        those of `torch.nn.LSTM`.

    Raises
    ------
    InputError
        Raised by a call: the input is a packed sequence, or has other dimensions, sizes or dtype than the weights need.

    Examples
    --------
    >>> lstm = LSTM(3, 4, 2, bidirectional=True, batch_first=True)
    >>> output, (hidden, cell) = lstm(torch.zeros(5, 7, 3))
    >>> output.shape, hidden.shape
    (torch.Size([5, 7, 8]), torch.Size([4, 5, 4]))
    """

    def forward(  # type: ignore[override]
        self, input: Tensor, hx: tuple[Tensor, Tensor] | None = None
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """Return the output and the last hidden and cell state; arguments and shapes are those of `torch.nn.LSTM`."""
        if not isinstance(input, Tensor):
            raise InputError(f"LSTM of a {type(input).__name__}: give a padded tensor")
        weights: list[Tensor] = [weight for layer in self.all_weights for weight in layer]
        self._check(input, weights[0])
        batched = input.dim() == 3
        if not batched:
            input = input.unsqueeze(0 if self.batch_first else 1)
            hx = None if hx is None else (hx[0].unsqueeze(1), hx[1].unsqueeze(1))
        columns = input.shape[0] if self.batch_first else input.shape[1]
        if hx is None:
            rows = self.num_layers * (2 if self.bidirectional else 1)
            sizes = self.proj_size or self.hidden_size, self.hidden_size
            start = [
                torch.zeros(rows, columns, size, dtype=input.dtype, device=input.device) for size in sizes
            ]
            hx = start[0], start[1]
        else:
            self.check_hidden_size(hx[0], self.get_expected_hidden_size(input, None))
            self.check_hidden_size(hx[1], self.get_expected_cell_size(input, None))
        output, hidden, cell = _VF.lstm(
            input,
            hx,
            weights,
            self.bias,
            self.num_layers,
            self.dropout,
            self.training,
            self.bidirectional,
            self.batch_first,
        )
        if batched:
            return output, (hidden, cell)
        return output.squeeze(0 if self.batch_first else 1), (hidden.squeeze(1), cell.squeeze(1))

    def _check(self, input: Tensor, weight: Tensor) -> None:
        if input.dim() not in (2, 3) or input.shape[-1] != self.input_size:
            raise InputError(
                f"an input of shape {tuple(input.shape)}: this LSTM needs 2 or 3 dimensions, "
                f"{self.input_size} features in the last"
            )
        if input.dtype != weight.dtype and not torch.is_autocast_enabled(input.device.type):
            raise InputError(
                f"an input of {input.dtype}, and weights of {weight.dtype}: convert the input or the network"
            )

    def _apply(self, fn: Any, recurse: bool = True) -> LSTM:
        """Move or cast tensors; `torch.nn.LSTM` would collect computed weights, with their graph, in a list."""
        if parametrize.is_parametrized(self):
            nn.Module._apply(self, fn, recurse)  # type: ignore[no-untyped-call]
        else:
            super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        return self

    def __setattr__(self, name: str, value: Any) -> None:
        """Set an attribute; the value of a parametrised weight goes to its original tensors only."""
        if parametrize.is_parametrized(self, name):
            nn.Module.__setattr__(self, name, value)
        else:
            super().__setattr__(name, value)
